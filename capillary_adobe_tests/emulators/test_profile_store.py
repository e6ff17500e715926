"""The profile store: whole records replace, order is not promised, and shared identities join."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.emulators.envelope import Message
from capillary_adobe.emulators.profile_store import Node, ProfileStore
from capillary_adobe.emulators.sandboxes import Sandboxes
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant

TENANT = Tenant.demo()
PROFILES, EVENTS = TENANT.profiles_dataset_id, TENANT.events_dataset_id


class Aep:
    """A profile store and what it is fed with; line 3 of `refused` was found wanting."""

    def __init__(self, folder: Path, reorder_seconds: float = 0) -> None:
        self.accepted = AcceptedEntities(folder)
        self.accepted.open(lambda _number, _batch: "lake")
        self.sandboxes = Sandboxes(TENANT, folder)
        self.sandboxes.open()
        self.refused: set[int] = set()
        targets = Targets(self.sandboxes)
        self.store = ProfileStore(
            self.accepted, targets, lambda lines: lines, lambda n: n in self.refused, reorder_seconds
        )

    def take(self, entity: dict[str, Any], received_ms: int = 0, dataset: str = PROFILES) -> None:
        """Accept an entity."""
        self.accepted.add([Message(dataset, entity, orjson.dumps(entity))], received_ms, "lake")

    def shown(self, customer: str) -> Any:
        """The record that a customer's profile consists of."""
        found = self.store.profile(Node("customer", customer))
        return found and found["fragments"].get(PROFILES, {}).get("n")


@pytest.fixture
def aep(tmp_path: Path) -> Iterator[Aep]:
    made = Aep(tmp_path)
    yield made
    made.accepted.close()


def record(customer: str, n: int = 0, **identities: str) -> dict[str, Any]:
    """A record of a customer with further identities."""
    others = {symbol: [{"id": value, "primary": False}] for symbol, value in identities.items()}
    return {"identityMap": {"customer": [{"id": customer, "primary": True}], **others}, "n": n}


def test_a_record_replaces_what_its_dataset_held_whole(aep: Aep) -> None:
    aep.take(record("a", 1) | {"other": True})
    assert aep.shown("a") == 1
    aep.take(record("a", 2))
    aep.take(record("b", 3))
    assert (aep.shown("a"), aep.shown("b"), aep.shown("c")) == (2, 3, None)
    assert [one["entity"] for one in aep.store.profiles()] == [record("a", 2), record("b", 3)]


def test_what_was_refused_later_never_counts(aep: Aep) -> None:
    aep.refused = {2, 3}
    aep.take(record("a", 1))
    aep.take(record("a", 2, Email="x"))
    aep.take(record("b", 3, Email="x"))
    assert (aep.shown("a"), aep.shown("b")) == (1, None)
    assert aep.store.graph() == {"primaries": 1, "identities": 1, "joined": []}


def test_only_datasets_enabled_for_profile_count(aep: Aep) -> None:
    resources = aep.sandboxes.of(TENANT.sandbox_name)
    assert resources is not None
    dataset = resources.get("dataSets", PROFILES)
    assert dataset is not None
    resources.put("dataSets", PROFILES, dataset | {"tags": {}})
    aep.take(record("a", 1, Email="x"))
    aep.take(record("b", 1, Email="x"), dataset="unknown")
    assert aep.shown("a") is None
    assert aep.store.graph() == {"primaries": 0, "identities": 0, "joined": []}


def test_primary_identities_are_joined_by_what_they_share_over_any_number_of_steps(aep: Aep) -> None:
    aep.take(record("a", Email="x"))
    aep.take(record("b", Email="x", Phone="1"), dataset=EVENTS)
    aep.take(record("c", Phone="1"))
    aep.take(record("d", Email="y"))
    found = aep.store.graph()
    nodes = {one: [node["id"] for node in found["joined"][0][one]] for one in ("primaries", "joined_by")}
    assert len(found["joined"]) == 1
    assert nodes == {"primaries": ["a", "b", "c"], "joined_by": ["x", "1"]}
    assert (found["primaries"], found["identities"]) == (4, 7)


def test_a_link_outlives_the_record_that_made_it(aep: Aep) -> None:
    aep.take(record("a", Email="x"))
    aep.take(record("b", Email="x"))
    aep.take(record("b"))
    assert len(aep.store.graph()["joined"]) == 1


def test_quick_updates_may_change_places_and_slow_ones_never(tmp_path: Path) -> None:
    aep = Aep(tmp_path, reorder_seconds=1)
    for customer in range(200):
        for n in range(4):
            aep.take(record(f"quick {customer}", n), 10 * n)
            aep.take(record(f"slow {customer}", n), 1001 * n)
    quick = {aep.shown(f"quick {customer}") for customer in range(200)}
    assert quick == {0, 1, 2, 3}
    assert {aep.shown(f"slow {customer}") for customer in range(200)} == {3}
    again = Aep(tmp_path, reorder_seconds=1)
    assert list(again.store.profiles()) == list(aep.store.profiles())
    aep.accepted.close()
    again.accepted.close()


def test_the_addresses(tmp_path: Path) -> None:
    with RunningEmulator(tmp_path, behaviour=Behaviour(validate=False)) as emulator:
        control = f"{emulator.base_url}/control"
        graph = requests.get(f"{control}/identity-graph", timeout=5)
        assert graph.json() == {"primaries": 0, "identities": 0, "joined": []}
        assert requests.get(f"{control}/profiles", timeout=5).content == b""
        nobody = requests.get(f"{control}/profile", params={"namespace": "customer", "id": "a"}, timeout=5)
        assert nobody.status_code == 404
        assert requests.get(f"{control}/profile", timeout=5).status_code == 400
        addresses = requests.get(control, timeout=5).json()["addresses"]
    assert sum("/profile" in line or "/identity-graph" in line for line in addresses) == 3
