"""Making profiles of a slice: whose, of which revision, what stays of an earlier try, what is set aside or settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pytest

from capillary_adobe.customer_facts import merge_slice
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.profile_check import coverage, read_back
from capillary_adobe.profile_making import EVENT_NAME, MOST_DUE, STAGE, ProfileCounts, ProfileMaking, customer_key
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.settings.customers import IdentitySettings, ProfileSettings
from capillary_adobe.state import Fate, Receipt, Receipts, State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.open_profiles import ledger_id
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, XDM_PROFILES
from capillary_adobe.xdm.profiles import MAX_BYTES, ProfileStage
from capillary_adobe_tests.capillary.events import CREATED_MS, DAY, ORG, event, raw_batch

NOW_MS = 1_790_000_000_000
SPACING_MS = 30_000


def key(number: int) -> CustomerKey:
    return CustomerKey(ORG, number)


@dataclass
class Place:
    """A lake and a state database, and what is done in them."""

    lake: Lake
    state: State

    def __post_init__(self) -> None:
        self.customers = Customers(self.state, 1)
        self.stage = ProfileStage(
            TenantSettings(tenant_id="acme"), CapillarySettings(), IdentitySettings(), ProfileSettings()
        )
        self._tick = 0

    def tell(self, customer: int, **fields: Any) -> None:
        """Merge facts, each newer than the one before."""
        self._tick += 1
        named = {name.replace("__", "."): value for name, value in fields.items()}
        self.customers.merge([Facts(key(customer), Stamp(1_800_000_000_000_000 + self._tick), named)])

    def land(self, batch_id: str, *customers: int, lane: str = "live") -> Slice:
        """Write raw rows of events of these customers."""
        part = Slice(DAY, batch_id)
        events = [
            event(data={"customerIdentifiers": {"customerId": one}}, eventId=f"{batch_id}-{one}") for one in customers
        ]
        rows = raw_batch(events).to_pylist()
        batch = pa.RecordBatch.from_pylist(
            [row | {"batch_id": batch_id, "lane": lane} for row in rows], schema=RAW_EVENTS.schema
        )
        self.lake.replace(RAW_EVENTS, part, [batch])
        return part

    def make(self, part: Slice, now_ms: int = NOW_MS, spacing_ms: int = SPACING_MS) -> ProfileCounts:
        """Make the profiles of a slice as the asset does."""
        making, counts = ProfileMaking(self.lake, self.state, self.stage, 1), ProfileCounts()
        with self.state.day_lock(part.day):
            making.make(part, making.keys(part), now_ms, spacing_ms, counts)
        return counts

    def rows(self, part: Slice | None = None) -> list[dict[str, Any]]:
        """Rows of a slice, else of the day, by customer and revision."""
        found = [row for batch in self.lake.read(XDM_PROFILES, part or Slice(DAY)) for row in batch.to_pylist()]
        return sorted(found, key=lambda row: (row["customer_id"], row["revision"]))

    def made(self, part: Slice | None = None) -> list[tuple[int, int]]:
        """Customer and revision of each row."""
        return [(row["customer_id"], row["revision"]) for row in self.rows(part)]

    def refused(self) -> list[dict[str, Any]]:
        """Quarantined profiles of the day."""
        part = Slice(DAY, stage=STAGE)
        return [row for batch in self.lake.read(QUARANTINE, part) for row in batch.to_pylist()]

    def acknowledge(self, *rows: tuple[int, int], settle: bool = True, now_ms: int = NOW_MS) -> None:
        """What delivery notes of AEP's answer; without `settle`, as far as a kill left it."""
        ids = [ledger_id(key(customer), revision) for customer, revision in rows]
        Receipts(self.state).record(Receipt(f"r-{ids[0]}", DAY, "profiles", ids, [Fate.ACCEPTED] * len(ids)))
        if settle:
            self.customers.settle([(key(customer), revision) for customer, revision in rows], now_ms)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    state = State(f"sqlite:///{tmp_path}/state.db")
    yield Place(Lake(str(tmp_path / "lake")), state)
    state.engine.dispose()


def test_each_customer_of_the_slice_gets_one_row_of_the_newest_revision(place: Place) -> None:
    part = place.land("b1", 1, 2, 1)
    place.tell(1, first_name="Jane")
    place.tell(1, last_name="Doe")
    place.tell(2, first_name="Ann")
    place.tell(3, first_name="Not of this slice")

    counts = place.make(part)

    assert place.made() == [(1, 2), (2, 1)]
    [one, _] = place.rows()
    assert one["id"] == ledger_id(key(1), 2)
    assert (one["batch_id"], one["lane"], one["size"]) == ("b1", "live", len(one["entity"]))
    assert one["newest_ms"] == 1_800_000_000_000
    assert orjson.loads(one["entity"])["person"]["name"] == {"firstName": "Jane", "lastName": "Doe"}
    assert (counts.made, counts.customers, counts.bytes) == (2, 2, sum(row["size"] for row in place.rows()))


def test_a_slice_of_history_goes_by_the_lane_of_its_events(place: Place) -> None:
    place.tell(1, first_name="Jane")
    place.make(place.land("h1", 1, lane="history"))

    assert [row["lane"] for row in place.rows()] == ["history"]


def test_a_survivor_gets_a_row_with_its_victim(place: Place) -> None:
    part = place.land("b1", 1)
    place.tell(1, first_name="Old", merged_into=2)
    place.tell(2, first_name="New", merged__1=True)

    place.make(part)

    victim, survivor = (orjson.loads(row["entity"]) for row in place.rows())
    assert "person" not in victim
    assert victim["_acme"]["capillary"]["mergedInto"] == "2"
    assert [one["id"] for one in survivor["identityMap"]["capillaryCustomerId"]] == ["2", "1"]


def test_a_merge_makes_the_rows_of_both_though_its_event_is_the_survivors(place: Place) -> None:
    part = place.land("b1", 2, lane="history")
    place.tell(1, first_name="Old", merged_into=2)
    place.tell(2, first_name="New", merged__1=True)
    place.tell(9, merged_into=8)

    place.make(part)

    assert place.made() == [(1, 1), (2, 1)]
    assert {row["lane"] for row in place.rows()} == {"history"}
    place.acknowledge((1, 1), (2, 1))
    place.tell(2, first_name="Newer")
    place.make(place.land("b2", 2), NOW_MS + SPACING_MS)
    assert place.made(Slice(DAY, "b2")) == [(2, 2)]


def test_a_chain_of_merges_of_customers_nobody_has_seen_ends_in_one_batch(place: Place) -> None:
    part = Slice(DAY, "m1")
    merges = [
        event(
            "loyaltyCustomerMerge",
            {
                "customerIdentifiers": None,
                "survivorCustomerIdentifiers": {"customerId": survivor},
                "victimCustomerIdentifiers": {"customerId": victim},
            },
            eventId=f"m-{victim}",
            createdAt=CREATED_MS + survivor,
        )
        for victim, survivor in ((2, 3), (1, 2))
    ]
    rows = [row | {"batch_id": "m1"} for row in raw_batch(merges).to_pylist()]
    place.lake.replace(RAW_EVENTS, part, [pa.RecordBatch.from_pylist(rows, schema=RAW_EVENTS.schema)])
    merge_slice(place.lake, place.customers, part, ProfileSettings(), "Deleted", ZoneInfo("UTC"), lambda _: None)

    place.make(part)

    made = {row["customer_id"]: orjson.loads(row["entity"]) for row in place.rows()}
    assert {one: record["_acme"]["capillary"].get("mergedInto") for one, record in made.items()} == {
        1: "2",
        2: "3",
        3: None,
    }
    named = {one: [mine["id"] for mine in record["identityMap"]["capillaryCustomerId"]] for one, record in made.items()}
    assert named == {1: ["1"], 2: ["2", "1"], 3: ["3", "2"]}


def test_nothing_is_made_of_what_was_settled_already(place: Place) -> None:
    part = place.land("b1", 1)
    place.tell(1, first_name="Jane")
    place.make(part)
    place.acknowledge((1, 1))

    later = place.make(place.land("b2", 1), NOW_MS + SPACING_MS)

    assert (later.made, place.made()) == (0, [(1, 1)])


def test_two_profiles_of_a_customer_keep_their_distance(place: Place) -> None:
    place.tell(1, first_name="Jane")
    place.make(place.land("b1", 1))
    place.acknowledge((1, 1))
    place.tell(1, first_name="Janet")
    part = place.land("b2", 1)

    assert place.make(part, NOW_MS + SPACING_MS - 1).made == 0
    assert place.make(part, NOW_MS + SPACING_MS).made == 1
    assert place.made(part) == [(1, 2)]


def test_a_run_again_keeps_what_has_its_outcome_and_makes_the_rest_anew(place: Place) -> None:
    part = place.land("b1", 1, 2)
    place.tell(1, first_name="Jane")
    place.tell(2, first_name="Ann")
    place.make(part)
    place.acknowledge((1, 1))
    before = place.rows()
    place.tell(2, first_name="Anna")

    counts = place.make(part, NOW_MS + SPACING_MS)

    assert place.made() == [(1, 1), (2, 2)]
    assert place.rows()[0] == before[0]
    assert (counts.kept, counts.made) == (1, 1)


def test_a_row_whose_outcome_was_noted_half_is_settled_and_not_made_twice(place: Place) -> None:
    part = place.land("b1", 1)
    place.tell(1, first_name="Jane")
    place.make(part)
    place.acknowledge((1, 1), settle=False)

    counts = place.make(part)

    assert (counts.kept, counts.made, place.made()) == (1, 0, [(1, 1)])
    assert place.customers.settled_revisions([key(1)]) == {key(1): 1}


def test_a_row_that_another_batch_made_and_could_not_send_moves(place: Place) -> None:
    place.tell(1, first_name="Jane")
    place.tell(2, first_name="Ann")
    first = place.land("b1", 1, 2)
    place.make(first)
    second = place.land("b2", 1)

    place.make(second)

    assert (place.made(first), place.made(second)) == ([(2, 1)], [(1, 1)])


def test_a_run_over_the_day_replaces_the_rows_of_its_batches(place: Place) -> None:
    for number in (1, 2, 3):
        place.tell(number, first_name="Jane")
    place.make(place.land("b1", 1))
    place.acknowledge((1, 1))
    place.make(place.land("b2", 2))
    place.make(Slice(DAY, "lookups-1"))

    counts = place.make(Slice(DAY), NOW_MS + SPACING_MS)

    assert place.made() == [(1, 1), (2, 1), (3, 1)]
    assert {row["batch_id"] for row in place.rows()} == {"day"}
    assert (counts.kept, counts.made) == (1, 2)


def test_a_run_of_look_ups_makes_every_profile_that_is_due(place: Place) -> None:
    for number in (1, 2, 3):
        place.tell(number, first_name="Jane")
    place.customers.settle([(key(2), 1)], 0)

    place.make(Slice(DAY, "lookups-1900000000000"))

    assert place.made() == [(1, 1), (3, 1)]
    assert MOST_DUE >= 10_000


def test_a_deleted_customer_is_settled_without_a_row(place: Place) -> None:
    part = place.land("b1", 1)
    place.tell(1, deleted=True)

    counts = place.make(part)

    assert (counts.nothing, place.rows(), place.refused()) == (1, [], [])
    assert place.make(part).customers == 0


def test_a_profile_that_cannot_be_valid_is_quarantined_and_settled(place: Place) -> None:
    part = place.land("b1", 1, 2)
    place.tell(1, first_name="x" * MAX_BYTES)
    place.tell(2, first_name="Ann")

    counts = place.make(part)
    [row] = place.refused()

    assert place.made() == [(2, 1)]
    assert (row["code"], row["event_name"], row["event_key"]) == ("entity_too_large", EVENT_NAME, ledger_id(key(1), 1))
    assert (row["batch_id"], row["object"], row["cure"]) == (
        "b1",
        f"customers/{ORG}/1",
        "mend the customer's longest fields",
    )
    assert counts.quarantined == {"entity_too_large": 1}
    assert sum(counts.faults.by_cause.values()) == 1
    # It is tried again when the customer changes, or when somebody asks, and the row stays beside what comes of it.
    assert place.make(part).quarantined == {}
    assert len(place.refused()) == 1
    place.tell(1, first_name="Jane")
    place.make(part, NOW_MS + SPACING_MS)
    assert (1, 2) in place.made()


def test_quarantined_events_of_the_slice_stay(place: Place) -> None:
    part = place.land("b1", 1)
    row = dict.fromkeys(QUARANTINE.names) | {
        "day": DAY,
        "batch_id": "b1",
        "lane": "live",
        "stage": "xdm",
        "code": "wrong_type",
        "detail": "d",
        "object": "o",
        "line": 1,
        "part": 0,
        "text": "{}",
    }
    events = replace(part, stage="xdm")
    place.lake.replace(QUARANTINE, events, [pa.RecordBatch.from_pylist([row], schema=QUARANTINE.schema)])
    place.tell(1, first_name="x" * MAX_BYTES)

    place.make(part)

    assert place.lake.count(QUARANTINE, events) == 1
    assert len(place.refused()) == 1


def test_an_identity_that_several_share_is_in_none_of_their_profiles(place: Place) -> None:
    part = place.land("b1", 1, 2, 3)
    for number in (1, 2):
        place.tell(number, email="shared@acme-family.com")
    place.tell(3, email="own@acme-family.com")

    place.make(part)

    held = ["Email" in orjson.loads(row["entity"])["identityMap"] for row in place.rows()]
    assert held == [False, False, True]


def test_what_is_stored_conforms_and_is_there_once(place: Place) -> None:
    part = place.land("b1", 1)
    place.tell(1, first_name="Jane")
    place.make(part)
    sound = read_back(place.lake, part, place.stage)
    [batch] = place.lake.read(XDM_PROFILES, part)
    broken = batch.to_pylist()[0] | {"entity": '{"person": {}}'}
    twice = pa.RecordBatch.from_pylist([broken, broken], schema=XDM_PROFILES.schema)
    place.lake.replace(XDM_PROFILES, part, [twice])

    assert (sound.rows, sound.looked_at, sound.faults) == (1, 1, {})
    assert read_back(place.lake, part, place.stage).faults == {
        "field_missing": 4,
        "empty_value": 2,
        "id_occurs_twice": 1,
    }


def test_coverage_tells_who_has_no_profile(place: Place) -> None:
    part = place.land("b1", 1, 2, 3, 4, 5)
    place.tell(1, first_name="Jane")
    place.customers.settle([(key(1), 1)], 0)
    place.tell(2, first_name="Ann")
    place.tell(3, first_name="x" * MAX_BYTES)
    place.tell(4, deleted=True)
    keys = ProfileMaking(place.lake, place.state, place.stage, 1).keys(part)

    place.make(part)
    found = coverage(place.lake, place.state, part, keys)

    assert (found.customers, found.settled, found.on_their_way) == (5, 2, 1)
    assert (found.without, found.unknown) == (1, 1)


@pytest.mark.parametrize(
    ("customer", "expected"), [("7", 7), ("", None), ("a7", None), ("-7", None), ("9" * 19, None), ("9" * 30, None)]
)
def test_a_customer_id_that_is_no_number_is_nobodys(customer: str, expected: int | None) -> None:
    assert customer_key(ORG, customer) == (None if expected is None else key(expected))
