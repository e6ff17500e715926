"""A set-up can be interrupted at each of its steps: before one takes effect, or after it did, with the answer lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from capillary_adobe_tests.emulators.registry_client import DESCRIPTORS, IDENTITY_MAP, TEXT
from capillary_adobe_tests.emulators.road_client import RoadBuilder, building

KINDS = ("namespaces", "fieldgroups", "schemas", "descriptors", "dataSets", "connections", "sourceConnections")
STEPS = (*KINDS, "targetConnections", "flows")
CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


@pytest.fixture
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoadBuilder]:
    with building(tmp_path_factory.mktemp("interrupted")) as builder:
        yield builder


def count(builder: RoadBuilder, kind: str) -> int:
    """How many objects of a kind there are."""
    registry = builder.registry
    match kind:
        case "namespaces":
            found = registry.call("GET", "core/idnamespace/identities").json()
            return sum(namespace["custom"] for namespace in found)
        case "fieldgroups" | "schemas":
            return len(registry.list(kind))
        case "descriptors":
            return sum(map(len, registry.registry("GET", "tenant/descriptors", DESCRIPTORS).json().values()))
        case "dataSets":
            return len(builder.datasets())
    return len(builder.ids(kind))


def steps(builder: RoadBuilder) -> Iterator[Callable[[], Any]]:
    """The POSTs of a set-up; each is to be made again until its object is there."""
    registry = builder.registry
    yield registry.new_namespace
    yield lambda: registry.new_group("Members group", {"member": TEXT})
    (group,) = registry.list("fieldgroups")
    yield lambda: registry.new_schema("Members", IDENTITY_MAP, group["$id"], union=True)
    schema_id = registry.list("schemas")[0]["$id"]
    yield lambda: registry.describe(schema_id)
    yield lambda: builder.dataset(schema_id)
    (dataset,) = builder.datasets()
    yield builder.connect
    (connection,) = builder.ids("connections")
    yield lambda: builder.source(connection)
    yield lambda: builder.target(dataset, schema_id)
    (source,), (target,) = builder.ids("sourceConnections"), builder.ids("targetConnections")
    yield lambda: builder.flow(source, target)


def interrupt(builder: RoadBuilder, **fault: Any) -> None:
    body = {"path": "/data/", "method": "POST"} | fault
    assert requests.post(f"{builder.client.base_url}/control/faults", json=body, timeout=10).status_code == 201


@pytest.mark.parametrize("status", [401, 429, 500])
def test_each_step_can_fail_before_it_takes_effect(there: RoadBuilder, status: int) -> None:
    for kind, step in zip(STEPS, steps(there), strict=True):
        interrupt(there, kind="status", status=status, body={})
        before = count(there, kind)
        try:
            failed = step()
            assert failed.status_code == status
        except (KeyError, ValueError):  # the plain client looked for an id in the answer
            pass
        assert count(there, kind) == before
        step()
        assert count(there, kind) == before + 1


def test_each_step_can_take_effect_and_lose_its_answer(there: RoadBuilder) -> None:
    for kind, step in zip(STEPS, steps(there), strict=True):
        interrupt(there, kind="reset_after")
        before = count(there, kind)
        with pytest.raises(CUT):
            step()
        assert count(there, kind) == before + 1


def test_the_third_post_can_be_chosen(there: RoadBuilder) -> None:
    interrupt(there, kind="reset_before", skip=2)

    assert there.registry.new_namespace("first").ok
    assert there.registry.new_group("Second", {"member": TEXT}).ok
    with pytest.raises(CUT):
        there.registry.new_namespace("third")
    assert there.registry.new_namespace("third").ok
