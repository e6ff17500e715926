"""The balance: an exact day, and every kind of loss called by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from capillary_adobe.adobe.hold import HELD
from capillary_adobe.balance import UNREADABLE, Accounts, Balance
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.state import LandedObjects, State
from capillary_adobe.tables import (
    ENRICHED_EVENTS,
    INGESTION_STATUS,
    QUARANTINE,
    RAW_EVENTS,
    SET_ASIDE,
    XDM_EVENTS,
    XDM_PROFILES,
    Table,
)

DAY = "2026-03-04"
# Twelve lines: seven events, two duplicates, one ignored, two unreadable. Of the seven one is not fit for AEP; of the six
# entities AEP took three, refused one, failed one and did not answer for one.
NAMES = ["pointsIssued"] * 4 + ["tierUpgraded"] * 3
OUTCOMES = ["accepted", "accepted", "accepted", "rejected", "failed", "pending"]


class Day:
    """A landing store, tables and state in which the day above was worked on."""

    def __init__(self, folder: Path) -> None:
        self.store = LocalLandingStore(folder / "landing")
        self.lake = Lake(str(folder / "lake"))
        self.state = State(f"sqlite:///{folder}/state.db")
        self.accounts = Accounts(self.store, self.lake, self.state)
        self.write(RAW_EVENTS, [{"event_name": name} for name in NAMES])
        self.write(ENRICHED_EVENTS, [{"event_name": name} for name in NAMES])
        self.write(XDM_EVENTS, [{"event_name": name} for name in NAMES[:6]])
        statuses = zip(NAMES, OUTCOMES, strict=False)
        self.write(
            INGESTION_STATUS,
            [
                {
                    "event_name": name,
                    "status": status,
                    "landed_ms": 1_000,
                    "answered_ms": 1_000 + 1_000 * n,
                    # A lost answer before the acknowledgement, and one that nothing has followed yet.
                    "doubtful": 1 if n in (1, 5) else 0,
                    "cause": "aep_wrong_type:/x" if status == "rejected" else None,
                    "detail": f"{HELD}its rule is paused." if status == "pending" else None,
                }
                for n, (name, status) in enumerate(statuses)
            ],
        )
        self.write(
            SET_ASIDE,
            [
                {"kind": "duplicate", "reason": DAY, "event_name": "pointsIssued"},
                {"kind": "duplicate", "reason": "2026-03-01", "event_name": "tierUpgraded"},
                {"kind": "ignored", "reason": "group", "event_name": "groupJoined"},
            ],
        )
        self.write(
            QUARANTINE,
            [
                {"stage": "raw", "code": "not_json", "event_name": None},
                {"stage": "raw", "code": "event_unknown", "event_name": "surprise"},
                {"stage": "xdm", "code": "wrong_type", "event_name": "tierUpgraded"},
                # The entity with the outcome `rejected`, counted there.
                {"stage": "aep", "code": "aep_wrong_type", "event_name": "pointsIssued"},
            ],
        )
        self.land("a.jsonl", 7)
        self.land("b.jsonl", 5)
        ledger = LandedObjects(self.state)
        first, second = ledger.take(DAY, "b1", self.store.list("live", DAY))
        ledger.record_lines("b1", {first.object_id: 7, second.object_id: 5})

    def write(self, table: Table, rows: list[dict[str, Any]], batch_id: str = "b1") -> None:
        """Replace a micro-batch's rows."""
        place = {"day": DAY, "batch_id": batch_id}
        filled = [self._filled(table, {"line": number} | row | place) for number, row in enumerate(rows, 1)]
        batch = pa.RecordBatch.from_pylist(filled, schema=table.schema)
        self.lake.replace(table, Slice(DAY, batch_id), [batch])

    def lose(self, table: Table, row: int, batch_id: str = "b1") -> None:
        """Lose one row of a table."""
        kept = self.lake.table(table, Slice(DAY, batch_id), table.names).to_pylist()
        del kept[row]
        self.write(table, kept, batch_id)

    def land(self, name: str, lines: int) -> None:
        """Store an object of so many lines."""
        self.store.write(f"events/{DAY}/00/{name}", b'{"a": 1}\n' * lines)

    def balance(self) -> Balance:
        """The balance of the day."""
        return self.accounts.balance(DAY)

    def _filled(self, table: Table, row: dict[str, Any]) -> dict[str, Any]:
        def something(kind: pa.DataType) -> Any:
            if pa.types.is_string(kind):
                return "x"
            return [] if pa.types.is_list(kind) else kind == pa.bool_() if kind == pa.bool_() else 1

        empty = {column.name: something(column.type) if column.required else None for column in table.columns}
        return empty | {name: value for name, value in row.items() if name in empty}


@pytest.fixture
def day(tmp_path: Path):
    made = Day(tmp_path)
    yield made
    made.state.engine.dispose()


def test_an_exact_day(day: Day) -> None:
    found = day.balance().as_dict()
    assert found == {
        "day": DAY,
        "landed_lines": 12,
        "raw": 7,
        "duplicates": 2,
        "quarantined": {"event_unknown": 1, "not_json": 1, "wrong_type": 1},
        "ignored": {"group": 1},
        "entities": {"events": 6, "profiles": 0},
        "delivery": {"accepted": 3, "rejected": 1, "failed": 1, "pending": 1},
        "profile_delivery": {"accepted": 0, "rejected": 0, "failed": 0, "pending": 0, "superseded": 0},
        "balanced": True,
        "difference": 0,
        "differences": {},
        "unread_objects": 0,
        "oldest_unread_ms": None,
        "maybe_twice": 1,
        "refused_by_cause": {"aep_wrong_type:/x": 1},
        "held": {"tierUpgraded: its rule is paused.": 1},
        "by_event_type": {
            UNREADABLE: {"quarantined": 1, "landed": 1},
            "groupJoined": {"ignored": 1, "landed": 1},
            "pointsIssued": {"raw": 4, "landed": 5, "duplicates": 1, "accepted": 3, "rejected": 1},
            "surprise": {"quarantined": 1, "landed": 1},
            "tierUpgraded": {
                "raw": 3,
                "landed": 4,
                "duplicates": 1,
                "quarantined": 1,
                "failed": 1,
                "pending": 1,
            },
        },
        "latency_seconds": {"p50": 1.0, "p95": 1.9, "p99": 1.98},
        "profile_latency_seconds": {"p50": None, "p95": None, "p99": None},
    }
    assert sum(counts.get("landed", 0) for counts in found["by_event_type"].values()) == found["landed_lines"]


def test_profiles_have_an_account_of_their_own(day: Day) -> None:
    told = day.lake.table(INGESTION_STATUS, Slice(DAY), INGESTION_STATUS.names).to_pylist()
    statuses = ["accepted", "superseded", "rejected"]
    rows = [
        {"event_name": "(profile)", "kind": "profiles", "status": status, "landed_ms": 0, "answered_ms": 5000}
        for status in statuses
    ]
    day.write(XDM_PROFILES, [{"revision": n} for n in range(3)])
    day.write(INGESTION_STATUS, told + rows)
    # Rows of a micro-batch that no run has looked at are pending, not lost.
    day.write(XDM_PROFILES, [{"revision": 9}], "b2")
    day.write(QUARANTINE, [{"stage": "profile", "code": "wrong_type", "event_name": "(profile)"}], "b3")
    found = day.balance()
    assert found.balanced, found.differences
    assert found.entities == {"events": 6, "profiles": 4}
    assert found.delivery == {"accepted": 3, "rejected": 1, "failed": 1, "pending": 1}
    assert found.profile_delivery == {"accepted": 1, "rejected": 1, "failed": 0, "pending": 1, "superseded": 1}
    assert (found.latency_seconds["p50"], found.profile_latency_seconds["p50"]) == (1.0, 5.0)
    assert found.by_event_type["(profile)"] == {
        "quarantined": 1,
        "landed": 0,
        "accepted": 1,
        "rejected": 1,
        "pending": 1,
        "superseded": 1,
    }
    day.write(INGESTION_STATUS, told + rows[:2])
    assert day.balance().differences == {"profiles": 1}


LOSSES: dict[str, tuple[Callable[[Day], None], dict[str, int]]] = {
    "raw row": (lambda day: day.lose(RAW_EVENTS, 2), {"lines": 1, "enriched": -1, "entities": -1}),
    "enriched row": (lambda day: day.lose(ENRICHED_EVENTS, 0), {"enriched": 1}),
    "entity": (lambda day: day.lose(XDM_EVENTS, 5), {"entities": 1, "outcomes": -1}),
    "outcome of an accepted entity": (lambda day: day.lose(INGESTION_STATUS, 0), {"outcomes": 1}),
    "outcome of a pending entity": (lambda day: day.lose(INGESTION_STATUS, 5), {"outcomes": 1}),
    "duplicate": (lambda day: day.lose(SET_ASIDE, 0), {"lines": 1}),
    "ignored event": (lambda day: day.lose(SET_ASIDE, 2), {"lines": 1}),
    "quarantined line": (lambda day: day.lose(QUARANTINE, 0), {"lines": 1}),
    "quarantined entity": (lambda day: day.lose(QUARANTINE, 2), {"entities": 1}),
    "object that nobody has read": (lambda day: day.land("c.jsonl", 4), {"lines": 4}),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_is_named(day: Day, loss: str) -> None:
    lose, differences = LOSSES[loss]
    lose(day)
    found = day.balance()
    assert not found.balanced
    assert found.differences == differences
    assert found.difference == sum(abs(n) for n in differences.values())


def test_losses_that_cancel_out_in_a_sum_are_still_found(day: Day) -> None:
    day.lose(ENRICHED_EVENTS, 0)
    day.lose(XDM_EVENTS, 0)
    day.land("c.jsonl", 1)
    day.write(SET_ASIDE, [{"kind": "ignored", "reason": "group", "event_name": "e"}] * 5)
    found = day.balance()
    assert found.differences == {"lines": -1, "enriched": 1, "entities": 1, "outcomes": -1}
    assert found.difference == 4


def test_entities_that_no_run_has_looked_at_are_pending(day: Day) -> None:
    for table in (RAW_EVENTS, ENRICHED_EVENTS, XDM_EVENTS):
        day.write(table, [{"event_name": "pointsIssued"}] * 3, "b2")
    day.land("c.jsonl", 3)
    ledger = LandedObjects(day.state)
    (third,) = ledger.take(DAY, "b2", day.store.list("live", DAY))
    ledger.record_lines("b2", {third.object_id: 3})
    found = day.balance()
    assert found.balanced
    assert found.delivery == {"accepted": 3, "rejected": 1, "failed": 1, "pending": 4}
    day.lose(INGESTION_STATUS, 0)
    assert day.balance().differences == {"outcomes": 1}


def test_unread_objects_are_counted_in_lines_only_where_asked(day: Day) -> None:
    day.land("c.jsonl", 4)
    day.store.write(f"history/{DAY}/d.jsonl", b'{"a": 1}\nbroken\n')
    found = day.balance()
    assert (found.unread_objects, found.landed_lines, found.differences) == (2, 18, {"lines": 6})
    quick = day.accounts.balance(DAY, count_unread=False)
    assert (quick.unread_objects, quick.landed_lines, quick.balanced) == (2, 12, True)
    assert [one.key for one in day.accounts.unread(DAY)] == [f"events/{DAY}/00/c.jsonl", f"history/{DAY}/d.jsonl"]


def test_a_day_of_nothing_balances(day: Day) -> None:
    found = day.accounts.balance("2026-03-05")
    assert found.balanced
    assert (found.landed_lines, found.by_event_type) == (0, {})
    assert found.latency_seconds == {"p50": None, "p95": None, "p99": None}


def test_every_day_that_anything_is_known_of(day: Day) -> None:
    day.store.write("events/2026-03-09/00/a.jsonl", b"{}\n")
    day.store.write("history/2020-01-01/a.jsonl", b"{}\n")
    assert day.accounts.days() == ["2020-01-01", DAY, "2026-03-09"]
