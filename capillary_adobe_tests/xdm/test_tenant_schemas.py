"""AEP's form of a schema made strict: what it adds, what it leaves out, and what it cannot read."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.schemas import Kind, entity_schema
from capillary_adobe.xdm.tenant_schemas import SchemaError, fingerprint, strict, validator_of
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.entities import TENANT, changed_entities
from capillary_adobe_tests.xdm.official import official_schemas, official_validators, sample_entities, unknown_paths

Json = dict[str, Any]

NO_IDENTITIES: Json = {"type": "array", "items": {"type": "object", "required": 5}}

quickly = settings(deadline=None, max_examples=examples(150), database=None)


def around(field: Json) -> Json:
    """A schema with this field, in the form in which the registry shows one."""
    return {
        "$id": "https://ns.adobe.com/acme/schemas/1",
        "version": "1.3",
        "meta:class": "https://ns.adobe.com/xdm/context/profile",
        "meta:registryMetadata": {"eTag": "1"},
        "type": "object",
        "meta:xdmType": "object",
        "properties": {"field": field},
    }


def takes(field: Json, value: Any) -> bool:
    return validator_of(strict(around(field))).is_valid({"field": value})


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ({"type": "string", "meta:xdmType": "string"}, ["a", " "], ["", None, 1]),
        ({"type": ["string", "null"]}, ["a"], ["", None]),
        ({"type": "string", "meta:enum": {"a": "A"}}, ["a", "b"], [""]),
        ({"type": "string", "enum": ["a", None]}, ["a"], [None, "b", ""]),
        ({"type": "string", "format": "date-time"}, ["2026-03-01T10:00:00Z"], ["2026-03-01", ""]),
        ({"type": "string", "format": "email"}, ["ann@example.com"], ["ann@example"]),
        ({"type": "string", "pattern": "^[A-Z]{3}$"}, ["INR"], ["inr"]),
        ({"type": "string", "default": "", "examples": [""]}, ["a"], [""]),
        ({"type": "integer"}, [0, 2**31 - 1], [2**31, -(2**31) - 1, 1.5]),
        ({"type": "integer", "meta:xdmType": "int"}, [2**31 - 1], [2**31]),
        ({"type": "integer", "meta:xdmType": "long"}, [2**31, 2**53 - 1], [2**53]),
        ({"type": "integer", "meta:xdmType": "short"}, [2**15 - 1], [2**15]),
        ({"type": "integer", "meta:xdmType": "byte"}, [127, -128], [128]),
        ({"type": "integer", "meta:xdmType": "long", "minimum": 0}, [0], [-1]),
        ({"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}, [2**53 - 1], [2**53]),
        ({"type": "number", "meta:xdmType": "number"}, [1, 1.5, 2**60], ["1", None]),
        ({"type": "boolean"}, [True, False], ["true", None]),
        ({"type": "array", "items": {"type": "string"}}, [["a"]], [[], [""], [None], ["a", 1]]),
        ({"type": "array"}, [["a"], [{"b": 1}]], [[], [None], [{}]]),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}},
            [{"a": "b"}],
            [{}, {"b": "c"}, {"a": "b", "c": 1}, {"a": ""}],
        ),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "additionalProperties": True},
            [{"a": 1}, {"a": 1, "b": [2]}],
            [{"b": 1}, {"a": 1, "c": 1}, {"a": None}],
        ),
        ({"properties": {"a": {"type": "string"}}}, [{"a": "b"}], ["a", {"b": 1}]),
        (
            {"type": "object", "meta:xdmType": "map", "additionalProperties": {"type": "string"}},
            [{"any": "text", "other": "text"}],
            [{}, {"any": 1}, {"any": ""}],
        ),
        ({"type": "object", "meta:xdmType": "object"}, [{"any": 1}], [{}, "a", {"any": None}]),
        (
            {
                "type": "object",
                "properties": {"a": {}},
                "allOf": [{"properties": {"b": {"type": "integer"}}, "required": ["b"]}],
            },
            [{"b": 1}, {"a": 1, "b": 1}],
            [{"a": 1}, {"b": "1"}, {"b": 1, "c": 1}],
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "object", "properties": {"x": {"type": "string"}}}},
                "allOf": [{"properties": {"a": {"properties": {"y": {"type": "string"}}}}}],
            },
            [{"a": {"x": "1", "y": "2"}}],
            [{"a": {"z": "1"}}],
        ),
        (
            {
                "type": "object",
                "anyOf": [{"required": ["a"], "properties": {"a": {}}}, {"required": ["b"], "properties": {"b": {}}}],
            },
            [{"a": 1}, {"a": 1, "b": 1}],
            [{}, {"c": 1}, {"a": 1, "c": 1}],
        ),
    ],
)
def test_a_field_takes_what_aep_takes_and_nothing_else(field: Json, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not takes(field, value)] == []
    assert [value for value in bad if takes(field, value)] == []


def test_references_within_the_schema_are_followed() -> None:
    schema = around({"$ref": "#/definitions/a~1b", "title": "beside"})
    schema["definitions"] = {"a/b": {"type": "object", "properties": {"c": {"$ref": "#/definitions/text"}}}}
    schema["definitions"]["text"] = {"type": "string"}
    validator = validator_of(strict(schema))
    assert validator.is_valid({"field": {"c": "d"}})
    assert not validator.is_valid({"field": {"c": ""}})
    assert not validator.is_valid({"field": {"d": "d"}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"properties": {}}, "describes no object with fields"),
        ({"type": "string"}, "describes no object with fields"),
        (
            {"properties": {"a": {"$ref": "https://ns.adobe.com/xdm/common/address"}}},
            "xdm/common/address, which is not in it",
        ),
        ({"properties": {"a": {"$ref": "#/definitions/none"}}}, "#/definitions/none, which is not in it"),
        ({"properties": {"a": {"$ref": "#"}}}, "deeper than 40 levels, or refers to itself"),
        (
            {"properties": {"a": {"type": "string", "allOf": [{"type": "integer"}]}}},
            "two types of one value, string and integer",
        ),
        ({"properties": {"a": {"type": "string", "pattern": "["}}}, "cannot be compiled"),
        ({"properties": {"a": {"type": "number", "minimum": "0"}}}, "cannot be compiled"),
        (
            {"properties": {"identityMap": {"type": "object", "additionalProperties": NO_IDENTITIES}}},
            "no JSON Schema",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_says_why(change: Json, words: str) -> None:
    schema = {**around({"type": "string"}), **change}
    with pytest.raises(SchemaError, match=words):
        Conformance("profiles", TENANT, schema)


_HEADS = st.sampled_from(
    ["type", "properties", "items", "allOf", "$ref", "enum", "required", "minimum", "meta:xdmType"]
)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["object", "string", "#", "a", "array"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_HEADS | st.sampled_from(["a", "b"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@quickly
@given(change=st.dictionaries(_HEADS, _ANY, max_size=4))
def test_whatever_the_registry_shows_is_a_validator_or_a_clear_error(change: Json) -> None:
    with suppress(SchemaError):
        Conformance("profiles", TENANT, around(change))


def test_notes_change_nothing_and_fields_and_identities_do() -> None:
    plain = around({"type": "string"})
    noted = deepcopy(plain) | {"title": "other", "version": "1.4", "meta:registryMetadata": {"eTag": "2"}}
    noted["properties"]["field"] |= {"title": "Field", "meta:titleId": "x"}
    assert fingerprint(plain, {}) == fingerprint(noted, {})
    assert fingerprint(plain, {}) != fingerprint(plain, {"/field": "Email"})
    assert fingerprint(plain, {}) != fingerprint(around({"type": "string", "maxLength": 3}), {})


@pytest.mark.parametrize("kind", ["events", "profiles"])
def test_the_shipped_schemas_judge_alike_when_made_strict(kind: Kind) -> None:
    shipped, made = Conformance(kind, TENANT), Conformance(kind, TENANT, entity_schema(kind, TENANT))

    @quickly
    @given(changed=changed_entities(kind))
    def check(changed: tuple[Json, Any]) -> None:
        entity, _ = changed
        ours = {(one.code, one.pointer, one.category) for one in shipped.violations(entity, 900)}
        assert {(one.code, one.pointer, one.category) for one in made.violations(entity, 900)} == ours

    check()


def test_fields_that_are_identities_count_with_those_of_the_map() -> None:
    schema = around({"type": "string"})
    schema["properties"]["identityMap"] = entity_schema("profiles", TENANT)["definitions"]["identityMap"]
    schema["definitions"] = entity_schema("profiles", TENANT)["definitions"]
    judge = Conformance("profiles", TENANT, schema, {"/field": "card"})

    def codes(field: str, others: int) -> list[tuple[str, str]]:
        identities = [{"id": str(number), "primary": number == 0} for number in range(others)]
        entity = {"field": field, "identityMap": {"card": identities}}
        found = judge.violations(entity, 900)
        assert judge.conforms(entity, 900) == (not found)
        return [(one.code, one.pointer) for one in found]

    assert codes("c-1", 19) == []
    assert codes("3", 20) == []
    assert codes("c-1", 20) == [("out_of_range", "/identityMap")]
    assert codes("NULL", 1) == [("bad_identity", "/field")]


def published(kind: Kind) -> Json:
    """Adobe's published class and field groups as one schema, with the tenant's own fields of the shipped one."""
    shipped = strict(entity_schema(kind, TENANT))["properties"]
    parts = [*official_schemas(kind), {"properties": {"_acme": shipped["_acme"]}}]
    if kind == "events":
        own = {"_acme": shipped["productListItems"]["items"]["properties"]["_acme"]}
        parts.append({"properties": {"productListItems": {"items": {"properties": own}}}})
    return {"type": "object", "allOf": parts}


@pytest.mark.parametrize("kind", ["events", "profiles"])
def test_adobes_published_schemas_become_a_judge(kind: Kind) -> None:
    samples = sample_entities(kind)
    judge = Conformance(kind, TENANT, published(kind))
    assert [found for entity in samples for found in judge.violations(entity, 900)] == []

    @quickly
    @given(changed=changed_entities(kind))
    def check(changed: tuple[Json, Any]) -> None:
        entity, _ = changed
        if judge.conforms(entity, 900):
            assert unknown_paths(entity, kind) == []
            for validator in official_validators(kind):
                validator.validate(entity)

    check()
