"""Fields against fields: what is an addition, what is refused, what a whole schema lacks; for whatever two trees."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.adobe.setup.fields import compare, lacking
from capillary_adobe.xdm.language.additions import tenant_field_group
from capillary_adobe.xdm.language.mapping_files import load_mapping

LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "format": "date-time"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
    ]
)
NAMES = st.sampled_from(["a", "b", "c", "_acme"])


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES, children, min_size=1, max_size=3).map(lambda p: {"type": "object", "properties": p})


def _within(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(_objects(children), children.map(lambda items: {"type": "array", "items": items}))


NODES = st.recursive(LEAVES, _within, max_leaves=8)
TREES = st.dictionaries(NAMES, NODES, max_size=3)


def patched(group: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """The group after JSON Patch additions; each parent must be there."""
    grown = deepcopy(group)
    for operation in operations:
        assert operation["op"] == "add"
        *parents, last = operation["path"].split("/")[1:]
        place = grown
        for step in parents:
            place = place[step]
        assert last not in place, "an addition never replaces"
        place[last] = operation["value"]
    return grown


def holds(whole: Any, part: Any) -> bool:
    """Whether everything of `part` is in `whole`."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and holds(whole[name], part[name]) for name in part)
    return whole == part


@given(TREES, TREES)
def test_additions_complete_the_group_and_touch_nothing(needed: dict[str, Any], there: dict[str, Any]) -> None:
    group = {"definitions": {"own": {"properties": there}}}

    found = compare(needed, group)
    grown = patched(group, found.operations)
    again = compare(needed, grown)

    assert holds(grown, group)
    assert (again.operations, again.added) == ([], [])
    assert again.refused == found.refused
    if not found.refused:
        assert holds(grown["definitions"]["own"]["properties"], needed)


@given(TREES, TREES, TREES)
def test_fields_that_somebody_added_in_another_definition_are_not_added_again(
    needed: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    group = {"definitions": {"own": {"properties": one}, "customFields": {"properties": other}}}

    found = compare(needed, group)
    grown = patched(group, found.operations)

    assert compare(needed, grown).operations == []
    for name, node in needed.items():
        there = [tree[name] for tree in (one, other) if name in tree]
        if any("properties" not in each and each.get("type") != "array" and each != node for each in there):
            assert found.refused
        elif len(there) == 1 and not found.refused:
            kept = [tree["properties"].get(name) for tree in grown["definitions"].values()]
            assert sum(each is not None for each in kept) == 1


@given(TREES)
def test_a_tree_compared_with_itself_differs_in_nothing(tree: dict[str, Any]) -> None:
    found = compare(tree, {"definitions": {"own": {"properties": tree}}})

    assert (found.operations, found.refused) == ([], [])


def group(**fields: Any) -> dict[str, Any]:
    return {"definitions": {"own": {"properties": {"_acme": {"type": "object", "properties": fields}}}}}


def needed(**fields: Any) -> dict[str, Any]:
    return {"_acme": {"type": "object", "properties": fields}}


TEXT: dict[str, Any] = {"type": "string"}


def test_additions_name_the_topmost_field_that_is_missing() -> None:
    tree = {"type": "object", "properties": {"a": TEXT, "b": {"type": "array", "items": TEXT}}}

    found = compare(needed(known=TEXT, tree=tree), group(known=TEXT, other=TEXT))

    assert found.added == ["/_acme/tree"]
    assert found.operations == [
        {"op": "add", "path": "/definitions/own/properties/_acme/properties/tree", "value": tree}
    ]
    assert found.refused == []


def test_a_field_added_by_hand_beside_ours_counts_wherever_it_stands() -> None:
    by_hand = {"properties": {"_acme": {"type": "object", "properties": {"size": {"type": "string"}}}}}
    both = {"definitions": {**group(known=TEXT)["definitions"], "customFields": by_hand}}

    assert compare(needed(known=TEXT, size=TEXT), both).operations == []
    other = compare(needed(size={"type": "boolean"}), both)
    assert (other.operations, other.refused) == ([], ["/_acme/size is string and would become boolean"])


def test_a_data_type_that_somebody_put_there_is_left_to_the_look_at_the_whole_schema() -> None:
    found = compare(needed(f=NESTED), group(f={"$ref": "https://ns.adobe.com/acme/datatypes/1"}))

    assert (found.operations, found.refused) == ([], [])


def test_additions_within_lists_and_beside_the_tenants_object() -> None:
    items = {"type": "array", "items": {"type": "object", "properties": {"a": TEXT, "b": TEXT}}}
    there = {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}

    found = compare({**needed(items=items), "productListItems": items}, group(items=there))

    assert found.added == ["/_acme/items[*]/b", "/productListItems"]
    assert [one["path"] for one in found.operations] == [
        "/definitions/own/properties/_acme/properties/items/items/properties/b",
        "/definitions/own/properties/productListItems",
    ]


LONG = {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}
NESTED = {"type": "object", "properties": {"x": TEXT, "y": TEXT}}


@pytest.mark.parametrize(
    ("there", "wanted", "words"),
    [
        (TEXT, LONG, "is string and would become long"),
        ({"type": "integer"}, LONG, "is int and would become long"),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, "is date-time"),
        ({"type": "number"}, LONG, "is number and would become long"),
        (TEXT, {"type": "array", "items": TEXT}, "is string and would become array"),
        (NESTED, TEXT, "/_acme/f/x, /_acme/f/y would have to go"),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": LONG}, "/_acme/f[*] is string"),
    ],
)
def test_what_is_no_addition_is_refused(there: dict[str, Any], wanted: dict[str, Any], words: str) -> None:
    found = compare(needed(f=wanted), group(f=there))

    (sentence,) = found.refused
    assert words in sentence
    assert found.operations == []


def test_the_shipped_group_compared_with_itself_differs_in_nothing() -> None:
    for kind in ("events", "profiles"):
        properties = tenant_field_group(kind, "acme", load_mapping(None).rules)
        found = compare(properties, {"definitions": {"capillary": {"properties": properties}}})
        assert (found.added, found.refused) == ([], [])


def test_a_whole_schema_is_judged_by_path_and_type() -> None:
    schema = {
        "allOf": [
            {"properties": {"a": {"type": "object", "properties": {"n": {"type": "number"}}}}},
            {"properties": {"a": {"type": "object", "properties": {"t": {"type": "string", "format": "date-time"}}}}},
        ],
        "properties": {"list": {"type": "array", "items": {"type": "object", "properties": {"s": TEXT}}}},
    }
    required = {
        "/a/n": "integer",
        "/a/t": "date-time",
        "/list[*]/s": "string",
        "/list[*]/none": "string",
        "/a/n/deeper": "string",
        "/list[*]": "object",
    }

    assert lacking(schema, required) == (["/list[*]/none", "/a/n/deeper"], [])
    assert lacking(schema, {"/a/t": "string", "/a/n": "boolean"}) == (
        [],
        ["/a/t is date-time and must be string", "/a/n is number and must be boolean"],
    )
