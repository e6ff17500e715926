"""The balance of a day: what landed and was made against what became of it, and the difference by name.

Belongs here: the proof itself, counted from the tables, the ledger and the landing store. Does not belong here:
printing it (`cli.py`) and judging it (the checks in `defs`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from capillary_adobe.adobe.hold import HELD
from capillary_adobe.adobe.profile_delivery import PROFILES
from capillary_adobe.adobe.profile_status import EVENT_NAME as PROFILE_ROW
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import LandingStore, read_landed
from capillary_adobe.landing.store import LANE_FOLDERS, LandedObject
from capillary_adobe.state import LandedObjects, Outcome, State
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

UNREADABLE = "(unreadable)"
_WORD = re.compile(r"\w+")
_OF_PROFILES = [outcome.value for outcome in Outcome]
_OF_EVENTS = [outcome.value for outcome in Outcome if outcome is not Outcome.SUPERSEDED]


@dataclass(frozen=True)
class Balance:
    """A day's account. Counts are of lines up to `raw`, of entities from there on."""

    day: str
    landed_lines: int
    raw: int
    duplicates: int
    quarantined: dict[str, int]
    ignored: dict[str, int]
    entities: dict[str, int]
    delivery: dict[str, int]
    """Events by outcome."""
    profile_delivery: dict[str, int]
    """Profiles by outcome."""
    balanced: bool
    difference: int
    differences: dict[str, int]
    unread_objects: int
    oldest_unread_ms: int | None
    """When the oldest unread object landed, epoch ms."""
    maybe_twice: int
    """Entities that AEP acknowledged after a sending whose answer was lost: it may hold them twice, under one `_id`."""
    refused_by_cause: dict[str, int]
    held: dict[str, int]
    """Entities that wait for an operator, by event type and why."""
    by_event_type: dict[str, dict[str, int]]
    latency_seconds: dict[str, float | None] = field(default_factory=dict)
    """From the landing of an event to AEP's acknowledgement."""
    profile_latency_seconds: dict[str, float | None] = field(default_factory=dict)
    """From the newest value of a profile, by its source's clock, to AEP's acknowledgement."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Accounts:
    """Draws the balance of a day."""

    def __init__(self, store: LandingStore, lake: Lake, state: State) -> None:
        self._store = store
        self._lake = lake
        self._ledger = LandedObjects(state)

    def days(self) -> list[str]:
        """Every day that anything is known of, in order."""
        landed = {day for lane in LANE_FOLDERS for day in self._store.days(lane)}
        return sorted(landed | set(self._ledger.days()) | set(self._lake.days(RAW_EVENTS)))

    def unread(self, day: str) -> list[LandedObject]:
        """Landed objects of a day whose lines are not in the lake yet, or that have changed since they were read."""
        read = self._ledger.read_sizes(day)
        return [
            found for lane in LANE_FOLDERS for found in self._store.list(lane, day) if read.get(found.key) != found.size
        ]

    def balance(self, day: str, *, count_unread: bool = True) -> Balance:
        """The balance of a day. Lines of unread objects count as landed and make the difference, unless left out."""
        part = Slice(day)
        unread = self.unread(day)
        unread_lines = self._lines(unread) if count_unread else 0
        raw = self._lake.count(RAW_EVENTS, part)
        # A line that gave way is noted by the micro-batch that took its place, and once more by its own if that runs again.
        aside = self._groups(SET_ASIDE, part, "kind, reason, event_name")
        # What AEP refused is an entity with the outcome `rejected`, counted there.
        refused = {
            key: n
            for key, n in self._groups(QUARANTINE, part, "stage, code, coalesce(event_name, '')").items()
            if key[0] != "aep"
        }
        told = self._groups(
            INGESTION_STATUS, part, "kind, status, event_name, coalesce(cause, ''), coalesce(doubtful, 0) > 0"
        )
        outcomes = _summed_pairs(
            ((status, name), n) for (kind, status, name, *_), n in told.items() if kind != PROFILES
        )
        duplicates = sum(n for (kind, _, _), n in aside.items() if kind == "duplicate")
        ignored = _summed((reason, n) for (kind, reason, _), n in aside.items() if kind == "ignored")
        raw_refused = sum(n for (stage, _, _), n in refused.items() if stage == "raw")
        xdm_refused = sum(n for (stage, _, _), n in refused.items() if stage == "xdm")
        entities = self._lake.count(XDM_EVENTS, part)
        delivery = _summed(((status, n) for (status, _), n in outcomes.items()), _OF_EVENTS)
        delivery[Outcome.PENDING.value] += self._not_looked_at(XDM_EVENTS, part, entities - sum(delivery.values()))
        profiles = self._lake.count(XDM_PROFILES, part)
        of_profiles = ((status, n) for (kind, status, *_), n in told.items() if kind == PROFILES)
        profile_delivery = _summed(of_profiles, _OF_PROFILES)
        without = profiles - sum(profile_delivery.values())
        profile_delivery[Outcome.PENDING.value] += self._not_looked_at(XDM_PROFILES, part, without)
        landed = self._ledger.lines(day) + unread_lines
        differences = {
            "lines": landed - raw - duplicates - raw_refused - sum(ignored.values()),
            "enriched": raw - self._lake.count(ENRICHED_EVENTS, part),
            "entities": raw - entities - xdm_refused,
            "outcomes": entities - sum(delivery.values()),
            "profiles": profiles - sum(profile_delivery.values()),
        }
        difference = sum(abs(n) for n in differences.values())
        return Balance(
            day=day,
            landed_lines=landed,
            raw=raw,
            duplicates=duplicates,
            quarantined=_summed((code, n) for (_, code, _), n in refused.items()),
            ignored=ignored,
            entities={"events": entities, "profiles": profiles},
            delivery=delivery,
            profile_delivery=profile_delivery,
            balanced=difference == 0,
            difference=difference,
            differences={name: n for name, n in differences.items() if n},
            unread_objects=len(unread),
            oldest_unread_ms=min((found.stored_ms for found in unread), default=None),
            maybe_twice=sum(
                n for (_, status, *_, doubtful), n in told.items() if doubtful and status == Outcome.ACCEPTED
            ),
            refused_by_cause=_summed(
                (cause, n) for (_, status, _, cause, _), n in told.items() if cause and status == Outcome.REJECTED
            ),
            held=self._held(part),
            by_event_type=self._by_event_type(part, aside, refused, outcomes, profile_delivery),
            latency_seconds=self._latency(part, "events"),
            profile_latency_seconds=self._latency(part, PROFILES),
        )

    def _held(self, part: Slice) -> dict[str, int]:
        statement = (
            f"select event_name || ': ' || detail[{len(HELD) + 1}:], count(*) from rows "
            f"where starts_with(detail, '{HELD}') group by all order by all"
        )
        return dict(_query(self._lake, INGESTION_STATUS, part, statement))

    def _not_looked_at(self, table: Table, part: Slice, without_outcome: int) -> int:
        """Entities that no run has looked at since they were made: as pending as those that AEP did not answer for.

        A run writes the outcomes of its whole micro-batch at once, so where there are some, a missing one is a loss.
        """
        if without_outcome <= 0:
            return 0
        made = self._groups(table, part, "batch_id")
        told = self._groups(INGESTION_STATUS, part, "batch_id, kind")
        looked_at = {(batch,) for batch, kind in told if (kind == PROFILES) is (table is XDM_PROFILES)}
        return min(without_outcome, sum(n for batch, n in made.items() if batch not in looked_at))

    def _lines(self, unread: list[LandedObject]) -> int:
        staged = self._store.staged(found.key for found in unread)
        return sum(1 for key, stream in staged for _ in read_landed(key, stream))

    def _by_event_type(
        self,
        part: Slice,
        aside: dict[Any, int],
        refused: dict[Any, int],
        outcomes: dict[Any, int],
        profiles: dict[str, int],
    ) -> dict[str, dict[str, int]]:
        table: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (name,), n in self._groups(RAW_EVENTS, part, "event_name").items():
            table[name]["raw"] += n
            table[name]["landed"] += n
        for (kind, _, name), n in aside.items():
            table[name]["duplicates" if kind == "duplicate" else "ignored"] += n
            table[name]["landed"] += n
        for (stage, _, name), n in refused.items():
            table[name or UNREADABLE]["quarantined"] += n
            table[name or UNREADABLE]["landed"] += n if stage == "raw" else 0
        for (status, name), n in outcomes.items():
            table[name][status] += n
        for status, n in profiles.items():
            if n:
                table[PROFILE_ROW][status] += n
        return {name: dict(counts) for name, counts in sorted(table.items())}

    def _groups(self, table: Table, part: Slice, by: str) -> dict[Any, int]:
        return grouped(self._lake, table, part, by)

    def _latency(self, part: Slice, kind: str) -> dict[str, float | None]:
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        statement = (
            f"select quantile_cont((answered_ms - landed_ms) / 1000, {list(shares.values())}) from rows "
            f"where status = 'accepted' and (kind = '{PROFILES}') = {kind == PROFILES}"
        )
        found = _query(self._lake, INGESTION_STATUS, part, statement)[0][0] or [None] * len(shares)
        return {
            name: None if seconds is None else round(seconds, 3) for name, seconds in zip(shares, found, strict=True)
        }


def grouped(lake: Lake, table: Table, part: Slice, by: str) -> dict[Any, int]:
    """Rows of a slice counted by the given columns."""
    counted = _query(lake, table, part, f"select {by}, count(*) from rows group by all order by all")
    return {tuple(row[:-1]): row[-1] for row in counted}


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _query(lake: Lake, table: Table, part: Slice, statement: str) -> list[tuple[Any, ...]]:
    # What it does not name is not read: of a table of 25 columns a count by event type takes one.
    named = set(_WORD.findall(statement))
    names = [name for name in table.names if name in named] or ["day"]
    schema = pa.schema([table.schema.field(name) for name in names])
    # A database of its own takes 15 ms to open, and a balance asks a dozen times.
    with _database().cursor() as connection:
        batches = (batch.select(names).cast(schema) for batch in lake.read(table, part, names))
        connection.register("rows", pa.RecordBatchReader.from_batches(schema, batches))
        return connection.sql(statement).fetchall()


def _summed_pairs(pairs: Iterator[tuple[tuple[str, str], int]]) -> dict[tuple[str, str], int]:
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for pair, n in pairs:
        sums[pair] += n
    return sums


def _summed(pairs: Iterator[tuple[str, int]], names: list[str] | None = None) -> dict[str, int]:
    sums = dict.fromkeys(names or [], 0)
    for name, n in pairs:
        sums[name] = sums.get(name, 0) + n
    return sums
