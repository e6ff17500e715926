"""Properties of the Schema Registry that hold for any body and any fields."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.emulators.effective_schema import merged
from capillary_adobe.emulators.schema_registry_evolution import breaks
from capillary_adobe_tests.emulators.registry_client import EVENTS, PROFILES, Registry, set_up
from capillary_adobe_tests.examples import examples

NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer"])}, optional={"enum": st.lists(NAMES, min_size=1, unique=True)}
)
FIELDS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, min_size=1).map(lambda fields: {"type": "object", "properties": fields}),
        inner.map(lambda items: {"type": "array", "items": items}),
    ),
    max_leaves=8,
)
SHAPES = st.dictionaries(NAMES, FIELDS, min_size=1).map(lambda fields: {"type": "object", "properties": fields})
KEYWORDS = st.sampled_from(
    [
        "$ref",
        "allOf",
        "definitions",
        "properties",
        "type",
        "title",
        "required",
        "items",
        "enum",
        "minimum",
        "meta:intendedToExtend",
        "meta:immutableTags",
        "additionalProperties",
        "@type",
        "xdm:sourceSchema",
        "xdm:sourceProperty",
        "xdm:sourceVersion",
        "xdm:namespace",
        "xdm:isPrimary",
        "_demo",
        "name",
        "code",
        "idType",
        "a",
    ]
)
SCALARS = st.sampled_from(
    [None, True, 0, -1, 2.5, "", "a", "object", "array", "string", "/a", "#/definitions/a", EVENTS, PROFILES]
)
BODIES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYWORDS, inner)), max_leaves=20
)
PATHS = st.sampled_from(["fieldgroups", "schemas", "datatypes", "descriptors"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with set_up(tmp_path_factory.mktemp("properties")) as registry:
        yield registry


def holders(shape: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object of a shape that has fields."""
    found = [shape["properties"]] if "properties" in shape else []
    for part in [*shape.get("properties", {}).values(), *([shape["items"]] if "items" in shape else [])]:
        found += holders(part)
    return found


@given(SHAPES)
def test_what_stays_as_it_is_breaks_nothing(shape: dict[str, Any]) -> None:
    assert list(breaks(shape, copy.deepcopy(shape))) == []
    assert merged(shape, copy.deepcopy(shape)) == shape


@given(SHAPES, FIELDS, st.randoms())
def test_a_new_field_breaks_nothing_anywhere(shape: dict[str, Any], field: dict[str, Any], random: Any) -> None:
    grown = copy.deepcopy(shape)
    random.choice(holders(grown))["new"] = field

    assert list(breaks(shape, grown)) == []
    assert len(list(breaks(grown, shape))) == 1


@given(SHAPES, st.randoms())
def test_a_field_that_becomes_another_is_noticed(shape: dict[str, Any], random: Any) -> None:
    changed = copy.deepcopy(shape)
    holder = random.choice(holders(changed))
    holder[random.choice(list(holder))] = {"type": "boolean"}

    assert list(breaks(shape, changed))


@given(SHAPES, SHAPES)
def test_folding_loses_no_field(first: dict[str, Any], second: dict[str, Any]) -> None:
    whole = merged(first, second)

    assert whole["properties"].keys() == first["properties"].keys() | second["properties"].keys()
    assert merged(whole, second) == whole


@settings(max_examples=examples(150), deadline=None)
@given(PATHS, st.dictionaries(KEYWORDS, BODIES, min_size=1))
def test_any_body_gets_an_answer(running: Registry, kind: str, body: dict[str, Any]) -> None:
    answer = running.registry("POST", f"tenant/{kind}", json=body)

    assert answer.status_code in (201, 400)


@settings(max_examples=examples(50), deadline=None)
@given(st.dictionaries(KEYWORDS, BODIES))
def test_any_namespace_gets_an_answer(running: Registry, body: dict[str, Any]) -> None:
    assert running.call("POST", "core/idnamespace/identities", json=body).status_code in (200, 400, 409)
