"""Reading finished runs for their failures: each once, in the order in which they ended, whatever their number.

Belongs here: which runs, the place up to which they are read, the time budget. Does not belong here: what a run tells
(`run_problems.py`).

Dagster's own run-status sensors are not used. They go on to the next run when their function fails, so what a broken database
kept from being noted would be lost; they take five runs a tick; success and failure are read by two sensors in no common order,
so an old failure could be noted after its end; and they begin with what ends after their first tick. Here the place stands in
the state database and moves in the same transaction as what is noted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import orjson

from capillary_adobe.defs.run_problems import READ, RunProblems
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts, Problem, Well

LOOK: Final = "runs"
"""Under which name the place is kept."""

_FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_AT_ONCE: Final = 20
# What failed before an installation had this sensor is old news.
_FIRST_LOOK_BACK_SECONDS: Final = 3600.0
# Runs are marked with the clocks of several processes, and may become visible a little out of order.
_OVERLAP_SECONDS: Final = 30.0


@dataclass
class Place:
    """Up to which run's end everything is read (seconds since 1970), and which runs near it are, with their ends."""

    at: float
    seen: dict[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, now: float) -> Place:
        """A place as it was kept; one that cannot be read begins anew."""
        try:
            kept = orjson.loads(text)
            return cls(float(kept["at"]), {str(run): float(end) for run, end in kept["seen"].items()})
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            return cls(now - _FIRST_LOOK_BACK_SECONDS)

    def text(self) -> str:
        """For keeping."""
        return orjson.dumps({"at": self.at, "seen": self.seen}).decode()

    def move(self, records: Sequence[dg.RunRecord]) -> None:
        """Note that these runs are read."""
        ends = {one.dagster_run.run_id: one.update_timestamp.timestamp() for one in records}
        self.at = max([self.at, *ends.values()])
        near = {**self.seen, **ends}
        self.seen = {run: end for run, end in near.items() if end >= self.at - _OVERLAP_SECONDS}


class RunReading:
    """Reads what has finished since the last time."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        location: dg.RepositoryDefinition,
        state: State,
        window_ms: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._instance = instance
        self._location = location
        self._alerts = Alerts(state, clock)
        self._window_ms = window_ms
        self._clock = clock

    def read(self, seconds: float, ours: str | None = None) -> int:
        """Note what finished runs tell, for as long as there are some and this time lasts; returns how many were read.

        `ours` is the name of the code location; runs of others are left out.
        """
        deadline = time.monotonic() + seconds
        known = self._alerts.look(LOOK)
        place = Place.parse(known.position if known else "", self._clock())
        count = 0
        while True:
            records = self._next(place)
            seen: list[Problem | Well] = []
            for record in records:
                seen += self._of(record.dagster_run, ours)
            place.move(records)
            through = len(records) < _AT_ONCE
            self._alerts.note(seen, self._window_ms, LOOK, place.text(), through=through)
            count += len(records)
            if through or time.monotonic() > deadline:
                return count

    def _next(self, place: Place) -> list[dg.RunRecord]:
        since = datetime.fromtimestamp(place.at - _OVERLAP_SECONDS, UTC)
        found = self._instance.get_run_records(
            dg.RunsFilter(statuses=_FINISHED, updated_after=since),
            limit=_AT_ONCE + len(place.seen),
            order_by="update_timestamp",
            ascending=True,
        )
        return [one for one in found if place.seen.get(one.dagster_run.run_id) != one.update_timestamp.timestamp()][
            :_AT_ONCE
        ]

    def _of(self, run: dg.DagsterRun, ours: str | None) -> list[Problem | Well]:
        origin = run.remote_job_origin
        if origin is not None and ours not in (None, origin.location_name):
            return []
        told = RunProblems(run, self._location)
        entries = self._instance.all_logs(run.run_id, of_type=READ)
        try:
            return told.told(entries)
        except Exception as error:  # noqa: BLE001 - one run of a form nobody foresaw would keep every later one from being read
            return [told.unread(error, int(self._clock() * 1000))]
