"""What history covers: days without events, and how exports and webhooks overlap and meet at the watermark.

Belongs here: finding gaps and overlaps, in figures. Does not belong here: cutting the overlap
(`capillary.insights.watermark`), and how a claim is shown (`defs/history_checks.py`).
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from capillary_adobe.capillary.history_line import SHAPE
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.state.history_files import FileDay, HistoryFiles
from capillary_adobe.tables import RAW_EVENTS, SET_ASIDE, Table

LIVE_COVERS = "live_covers"
HISTORY_COVERS = "history_covers"
# An event type that happens on fewer of its days is missed by nobody on one of them.
_DAILY_SHARE = 0.5
# Landing days after the watermark on which the first webhook event of a type is looked for.
_LOOKED_AHEAD = 8
_HOUR_MS = 3_600_000
_MEMORY = "200MB"


@dataclass(frozen=True)
class Coverage:
    """First and last day with an event, how many have one, and those between that have none."""

    first: str = ""
    last: str = ""
    days: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def daily(self) -> bool:
        """Whether it happens so often that a day without it says something."""
        return self.days > _DAILY_SHARE * (self.days + len(self.missing))


@dataclass
class Overlap:
    """Webhooks and exports of one event type on one day of history.

    Counts are of events: ignored by the watermark, and found in both lanes by their key. `both_deliver` events stand on one
    side of the watermark with events of the other source. `gap_hours` lie between the last event of history and the first one
    of the webhook behind the watermark; None where the day is not the last of history, or no such event is there.
    """

    history_ignored: int = 0
    live_ignored: int = 0
    history_repeats_live: int = 0
    live_repeats_history: int = 0
    both_deliver: int = 0
    gap_hours: float | None = None


def coverage(days: Collection[str]) -> Coverage:
    """What some days cover."""
    if not days:
        return Coverage()
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    every = ((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))
    return Coverage(first.isoformat(), last.isoformat(), len(days), [day for day in every if day not in days])


def coverage_by_type(days: Iterable[FileDay]) -> dict[str, Coverage]:
    """What files cover, by event type."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for one in days:
        for name, events in one.by_event_type.items():
            if one.day and events:
                found[name].add(one.day)
    return {name: coverage(on) for name, on in sorted(found.items())}


def days_with_events(days: Iterable[FileDay]) -> set[str]:
    """Days of files that hold an event of any type."""
    return {one.day for one in days if one.day and one.events}


def overlap_of_day(
    day: str, lake: Lake, files: HistoryFiles, watermark: Callable[[str], int | None], zone: ZoneInfo
) -> dict[str, Overlap]:
    """The overlap of webhooks and exports on a day of history, by event type.

    Raises:
        LakeError: a table cannot be read.
    """
    found: defaultdict[str, Overlap] = defaultdict(Overlap)
    with (
        tempfile.TemporaryDirectory(prefix="overlap-") as folder,
        closing(duckdb.connect(config={"memory_limit": _MEMORY, "threads": 2, "temp_directory": folder})) as database,
    ):
        tables = _Tables(database, lake, day)
        for name, lane, reason, events in tables.ignored():
            if lane == "history" and reason == LIVE_COVERS:
                found[name].history_ignored += events
            elif lane == "live" and reason == HISTORY_COVERS:
                found[name].live_ignored += events
        for name, lane, events in tables.repeats():
            if lane == "history":
                found[name].history_repeats_live += events
            else:
                found[name].live_repeats_history += events
        told = {one for counted in files.days(day=day) for one in counted.by_event_type}
        marks = {name: mark for name in told if (mark := watermark(name)) is not None}
        if marks:
            for name, events in tables.both_deliver(marks):
                found[name].both_deliver += events
            for name, mark in _ending_on(day, marks, files, zone).items():
                found[name].gap_hours = tables.gap_hours(name, mark)
    return dict(sorted(found.items()))


def _ending_on(day: str, marks: Mapping[str, int], files: HistoryFiles, zone: ZoneInfo) -> dict[str, int]:
    """The event types whose history ends with a day, and their watermarks."""
    last = {name: datetime.fromtimestamp((mark - 1) / 1000, zone).date().isoformat() for name, mark in marks.items()}
    ending = {name for name in marks if day <= last[name]}
    # Mostly the next day has them all; the ledger of years would else be read for every one of their days.
    for one in files.days_after(day) if ending else ():
        ending -= {name for name in one.by_event_type if name in ending and one.day <= last[name]}
        if not ending:
            break
    return {name: mark for name, mark in marks.items() if name in ending}


class _Tables:
    """Questions to the tables about a day, answered by DuckDB."""

    def __init__(self, database: duckdb.DuckDBPyConnection, lake: Lake, day: str) -> None:
        self._db = database
        self._lake = lake
        self._day = day
        self._take("aside", SET_ASIDE, [day], ["event_name", "lane", "kind", "reason", "event_key"])

    def ignored(self) -> list[Any]:
        """Events that were ignored: event type, lane, reason, number."""
        return self._db.sql(
            "select event_name, lane, reason, count(*) from aside where kind = 'ignored' group by all"
        ).fetchall()

    def repeats(self) -> list[Any]:
        """Repeats of events that the other lane had told: event type, lane of the repeat, number."""
        days = self._db.sql("select distinct reason from aside where kind = 'duplicate'").fetchall()
        self._db.execute(
            "create or replace table wanted as select distinct event_key from aside where kind = 'duplicate'"
        )
        self._take(
            "firsts", RAW_EVENTS, [one for (one,) in days], ["event_key", "lane"], "semi join wanted using (event_key)"
        )
        return self._db.sql(
            "select event_name, aside.lane, count(distinct event_key) from aside join firsts using (event_key) "
            "where kind = 'duplicate' and aside.lane != firsts.lane group by all"
        ).fetchall()

    def both_deliver(self, marks: Mapping[str, int]) -> list[Any]:
        """Raw events on the side of the watermark that is the other source's, where that one tells of them, too."""
        self._marks(marks)
        of = date.fromisoformat(self._day)
        # A webhook lands on the day of the event in UTC, or on the one after.
        around = [(of + timedelta(days=n)).isoformat() for n in (-1, 0, 1)]
        self._take(
            "events",
            RAW_EVENTS,
            around,
            ["day", "event_name", "created_ms", "envelope"],
            "semi join marks using (event_name)",
        )
        return self._db.execute(
            f"""
            with history as (
                select event_name, min(created_ms) as first_ms, max(created_ms) as last_ms from events
                where envelope = '{SHAPE}' and day = $day group by all
            )
            select event_name, count(*) from events join marks using (event_name) join history using (event_name)
            where (envelope != '{SHAPE}' and created_ms < mark and created_ms between first_ms and last_ms)
                or (envelope = '{SHAPE}' and day = $day and created_ms >= mark)
            group by all
            """,
            {"day": self._day},
        ).fetchall()

    def gap_hours(self, name: str, mark: int) -> float | None:
        """Hours between the last event of history on the day and the first webhook event behind the watermark."""
        last = self._edge("max", name, [self._day], f"envelope = '{SHAPE}' and created_ms < {mark}")
        begin = datetime.fromtimestamp(mark / 1000, UTC).date().isoformat()
        ahead = [one for one in self._lake.days(RAW_EVENTS) if one >= begin][:_LOOKED_AHEAD]
        first = self._edge("min", name, ahead, f"envelope != '{SHAPE}' and created_ms >= {mark}")
        return None if last is None or first is None else round((first - last) / _HOUR_MS, 1)

    def _edge(self, which: str, name: str, days: list[str], where: str) -> int | None:
        self._marks({name: 0})
        self._take(
            "near", RAW_EVENTS, days, ["event_name", "created_ms", "envelope"], "semi join marks using (event_name)"
        )
        return self._db.sql(f"select {which}(created_ms) from near where {where}").fetchall()[0][0]

    def _marks(self, marks: Mapping[str, int]) -> None:
        self._db.execute("create or replace table marks (event_name varchar, mark bigint)")
        self._db.executemany("insert into marks values (?, ?)", [list(pair) for pair in marks.items()])

    def _take(self, name: str, table: Table, days: Iterable[str], columns: list[str], only: str = "") -> None:
        """Make a table of the rows of some days."""
        part = table.schema.empty_table().select(columns)
        self._db.register("part", part)
        self._db.execute(f"create or replace table {name} as select * from part")
        self._db.unregister("part")
        for day in days:
            for batch in self._lake.read(table, Slice(day), columns):
                self._db.register("part", batch)
                self._db.execute(f"insert into {name} select part.* from part {only}")
                self._db.unregister("part")
