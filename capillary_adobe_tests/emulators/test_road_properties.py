"""Whatever is asked of Catalog and Flow Service, there is an answer, and a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.emulators.json_patch import BadPatch, merged, patched, paths_of
from capillary_adobe.emulators.property_filters import BadCondition, conditions
from capillary_adobe_tests.emulators.road_client import DATASETS, FLOWS, RoadBuilder, building
from capillary_adobe_tests.examples import examples

KINDS = ("connections", "sourceConnections", "targetConnections", "flows")
WORDS = st.sampled_from(
    [
        "name",
        "description",
        "tags",
        "auth",
        "params",
        "data",
        "schema",
        "id",
        "schemaRef",
        "connectionSpec",
        "flowSpec",
        "sourceId",
        "dataType",
        "xdm",
        "sourceConnectionIds",
        "targetConnectionIds",
        "baseConnectionId",
        "dataSetId",
        "transformations",
        "state",
        "etag",
        "createdAt",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-9, 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | WORDS
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)
STEPS = WORDS | st.sampled_from(["0", "1", "-", "unifiedProfile", "~1", ""])
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "remove", "Remove", "move"])},
        optional={"path": st.lists(STEPS, max_size=4).map(lambda steps: "/" + "/".join(steps)) | JSON, "value": JSON},
    ),
    max_size=3,
)
PROPERTIES = st.tuples(WORDS, st.sampled_from(["==", "!=", ">=", "<", "~", "=", "[]=="]), st.text(max_size=4) | WORDS)
LENIENT = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoadBuilder]:
    with building(tmp_path_factory.mktemp("anything")) as builder:
        builder.road(builder.registry.made()[0])
        yield builder


def seen(builder: RoadBuilder) -> list[Any]:
    """Everything that these services show."""
    return [builder.datasets(), *(builder.get(kind).json()["items"] for kind in KINDS)]


@LENIENT
@given(path=st.sampled_from([DATASETS, *(f"{FLOWS}/{kind}" for kind in KINDS)]), body=JSON, usual=st.booleans())
def test_any_body_gets_an_answer(there: RoadBuilder, path: str, body: Any, usual: bool) -> None:
    before = seen(there)
    if usual and isinstance(body, dict):
        body = {"name": "x"} | body

    answer = there.registry.call("POST", path, data=orjson.dumps(body))

    assert answer.status_code in (201, 400)
    assert (seen(there) == before) == (answer.status_code == 400)


@LENIENT
@given(kind=st.sampled_from(KINDS), operations=OPERATIONS)
def test_any_change_gets_an_answer(there: RoadBuilder, kind: str, operations: list[Any]) -> None:
    (item, *_) = there.get(kind).json()["items"]
    dataset, *_ = there.datasets(orderBy="asc:created")

    before = seen(there)
    for change in (
        lambda: there.patch(kind, item["id"], item["etag"], *operations),
        lambda: there.change_dataset(dataset, operations, "application/json-patch+json"),
    ):
        answer = change()
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert seen(there) == before
        before = seen(there)


@LENIENT
@given(
    path=st.sampled_from([DATASETS, *(f"{FLOWS}/{kind}" for kind in (*KINDS, "flowSpecs"))]),
    condition=PROPERTIES.map("".join),
    order=WORDS | st.text(max_size=3),
    page=st.text("0123456789abcdef-x", max_size=8),
)
def test_any_query_gets_an_answer(there: RoadBuilder, path: str, condition: str, order: str, page: str) -> None:
    ordered = {"orderBy": f"desc:{order}"} if path == DATASETS else {"orderby": order}
    for params in ({"property": condition}, ordered, {"limit": page}, {"continuationToken": page}, {"start": page}):
        assert there.registry.call("GET", path, params=params).status_code in (200, 400)


@given(st.dictionaries(WORDS, JSON, max_size=4), OPERATIONS)
def test_a_patch_leaves_what_it_is_applied_to_as_it_was(content: dict[str, Any], operations: list[Any]) -> None:
    before = orjson.dumps(content)
    try:
        paths_of(operations)
        changed = patched(content, operations)
    except BadPatch:
        changed = content

    assert orjson.dumps(content) == before
    assert isinstance(changed, dict)


@given(st.dictionaries(WORDS, JSON, max_size=4), st.dictionaries(WORDS, JSON, max_size=4))
def test_a_merge_can_be_made_twice(content: dict[str, Any], change: dict[str, Any]) -> None:
    before = orjson.dumps(content)
    once = merged(content, change)

    assert merged(once, change) == once
    assert orjson.dumps(content) == before
    assert {name for name, value in change.items() if value is None}.isdisjoint(once)


@given(st.dictionaries(WORDS, JSON, max_size=4), PROPERTIES.map("".join))
def test_a_condition_holds_or_does_not(content: dict[str, Any], text: str) -> None:
    try:
        (condition,) = conditions([text])
    except BadCondition:
        return
    assert condition(content) in (True, False)
