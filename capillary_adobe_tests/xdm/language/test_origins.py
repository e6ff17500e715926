"""From a pointer into an entity back to the line of a mapping file."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.xdm.language.mapping_files import shipped, with_tenant
from capillary_adobe.xdm.language.origins import Origins
from capillary_adobe.xdm.language.rules import parse_rules
from capillary_adobe_tests.capillary.events import event
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.payloads import BILL, COMMON, ISSUED
from capillary_adobe_tests.xdm.transforming import entities

RULES = """
x:
  - event_type: one
    when: a
    fields:
      a.b: {from: c}
  - event_type: two
    timestamp: [d]
    fields:
      a:
        b: {from: c}
        c/d: {from: c}
      list:
        - fields: {one: {value: 1}}
        - fields: {two: {value: 2}, deep: {three: {value: 3}}}
      several:
        - fields: {same: {value: 1}, first: {value: 1}}
        - fields: {same: {value: 2}, second: {value: 2}}
      _tenant.own: {from: c}
"*":
  event_type: any
  fields: {a: {value: 1}}
"""


@pytest.mark.parametrize(
    ("event_name", "variant", "pointer", "line"),
    [
        ("x", 0, "/a/b", 6),
        ("x", 1, "/a/b", 11),
        ("x", 1, "/a/c~1d", 12),
        ("x", 1, "/a", 11),
        ("x", 1, "/a/unknown", 11),
        ("x", 1, "/a/b/deeper", 11),
        ("x", 1, "/list", 13),
        ("x", 1, "/list/0/one", 14),
        ("x", 1, "/list/7/two", 15),
        ("x", 1, "/list/0/deep/three", 15),
        ("x", 1, "/list/0/unknown", 13),
        ("x", 1, "/list/0", 13),
        ("x", 1, "/several/1/second", 18),
        ("x", 1, "/several/1/same", 16),
        ("x", 1, "/_acme/own", 19),
        ("x", 1, "/timestamp", 8),
        ("x", 0, "/timestamp", 3),
        ("x", 1, "/eventType", 7),
        ("x", 1, "/identityMap/Email/0/id", None),
        ("x", 1, "/_id", None),
        ("x", 1, "", None),
        ("x", 2, "/a/b", None),
        ("other", 0, "/a", 22),
    ],
)
def test_a_pointer_leads_to_its_rule(event_name: str, variant: int, pointer: str, line: int | None) -> None:
    place = Origins(parse_rules({"a.yaml": RULES})).place(event_name, variant, pointer)
    assert (place.line if place else None) == line


def leaves(value: Any, pointer: str = "") -> list[str]:
    if isinstance(value, dict):
        return [one for key, inner in value.items() for one in leaves(inner, f"{pointer}/{key}")]
    if isinstance(value, list):
        return [one for number, inner in enumerate(value) for one in leaves(inner, f"{pointer}/{number}")]
    return [pointer]


def test_every_field_of_an_entity_has_its_line() -> None:
    origins, head = Origins(shipped().rules), ("_id", "producedBy", "identityMap")
    made = entities([event("pointsIssued", ISSUED), event("transactionAdded", BILL), event("tierRenewed", COMMON)])
    for one, name, variant in zip(made, ("pointsIssued", "transactionAdded", "tierRenewed"), (0, 1, 0), strict=True):
        pointers = [pointer for pointer in leaves(orjson.loads(one.text)) if pointer.split("/")[1] not in head]
        assert len(pointers) > 8
        for pointer in pointers:
            place = origins.place(name, variant, pointer)
            assert place is not None
            assert place.file.startswith("shipped/")


def test_a_field_of_the_tenant_has_the_line_in_its_folder() -> None:
    own = "pointsIssued:\n  fields:\n    _tenant.capillary.points.total: {value: 1, unit: points}\n"
    origins = Origins(with_tenant({"points.yaml": own}).rules)
    assert str(origins.place("pointsIssued", 0, "/_acme/capillary/points/total")) == "points.yaml:3:5"
    place = origins.place("pointsIssued", 0, "/_acme/capillary/points/regular")
    assert place is not None
    assert place.in_line == f"shipped/points.yaml:{place.line}"


@settings(max_examples=examples(80), deadline=None)
@given(
    st.sampled_from(sorted(shipped().rules)),
    st.integers(0, 2),
    st.lists(st.sampled_from(["_acme", "capillary", "loyalty", "0", "", "~0", "pointsGained", "store"]), max_size=5),
)
def test_any_pointer_gives_a_place_or_none(event_name: str, variant: int, steps: list[str]) -> None:
    Origins(shipped().rules).place(event_name, variant, "".join(f"/{step}" for step in steps))
