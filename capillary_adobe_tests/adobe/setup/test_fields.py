"""Growing a field group: whatever the two trees are, what is added completes it, and nothing that was there is touched."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.adobe.setup.fields import compare

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


@given(TREES)
def test_a_tree_compared_with_itself_differs_in_nothing(tree: dict[str, Any]) -> None:
    found = compare(tree, {"definitions": {"own": {"properties": tree}}})

    assert (found.operations, found.refused) == ([], [])
