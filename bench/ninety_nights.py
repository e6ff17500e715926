"""The simulated days, one after the other, in a process whose clock `ninety_days.py` has shifted.

Run by `ninety_days.py`, with a plan as JSON in its first argument. For each line on its input it plays the next day and the
night after it, and prints what came of them as a line of JSON.

Belongs here: one day as an installation goes through it, and its night. Does not belong here: the programs around it and what
is measured (`ninety_days.py`), copies (`ninety_copies.py`).
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from bench.ninety_copies import Copies
from bench.ninety_sizes import rows_of
from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.defs.close_schedule import CLOSE_JOB
from capillary_adobe.defs.compact_job import COMPACT_JOB
from capillary_adobe.defs.purge_job import PURGE_JOB
from capillary_adobe.defs.resources import default_resources
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.traffic import day_of_events
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.tables import TABLES

_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
_DAY_SECONDS = 86_400
_LANDING_SENSOR = "landing_sensor"


@dataclass(frozen=True)
class Plan:
    """What is played: where, which days, how much of each."""

    folder: str
    first_day: str
    clock: str
    location: str
    storage: str | None
    runs: int
    real_every: int
    events: int
    commits: int

    def day(self, number: int) -> date:
        """The day of a number, from 0 on."""
        return date.fromisoformat(self.first_day) + timedelta(days=number)


class Days:
    """Plays days on an installation."""

    def __init__(self, plan: Plan, instance: dg.DagsterInstance) -> None:
        self._plan, self._instance = plan, instance
        self._root = Path(plan.folder)
        self._definitions = build_defs()
        self._copies = Copies(instance)
        self._lake = Lake(os.environ["LAKE_URL"])
        self._landing = LocalLandingStore(Path(os.environ["LANDING_URL"]))
        self._cursor: str | None = None
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._observed: dg.AssetObservation
        self._last: tuple[str, date]
        """The last run of a micro-batch that went the real road, and its day."""

    def play(self, number: int) -> dict[str, Any]:
        """A day and its night; what the jobs of the night told, and how long everything took."""
        self._seconds.clear()
        day = self._plan.day(number)
        is_real = number % self._plan.real_every == 0
        if is_real:
            self._last = self._micro_batch(day), day
        else:
            self._set_clock(datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC))
        run_id, of_day = self._last
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        pause = _DAY_SECONDS / self._plan.runs
        ends = [midnight + (place + 1) * pause for place in range(self._plan.runs - is_real)]
        with self._timed("copies"):
            self._copies.of_run(run_id, of_day.isoformat(), day.isoformat(), ends)
            self._observe(day, len(ends))
        with self._timed("ticks"):
            self._ticks(midnight)
        with self._timed("commits"):
            self._commit_again(of_day)
        self._age(midnight + _DAY_SECONDS / 2)
        return {"day": day.isoformat(), **self._night(day + timedelta(days=1))}

    def _micro_batch(self, day: date) -> str:
        """Land the day's events and have them read as the sensor asks for it; the run."""
        lines = [raw for _, raw in day_of_events(day, self._plan.events, mix=replace(Mix.clean(), other=0))]
        # At the end of the day, or its later events would lie in the future.
        self._set_clock(datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC))
        now = time.time()
        key = f"events/{day}/23/{int(now * 1000)}-0.jsonl"
        self._landing.write(key, b"\n".join(lines) + b"\n")
        os.utime(self._landing.root / key, (now, now))
        with self._timed("tick"):
            asked = self._asked()
        if len(asked) != 1:
            raise SystemExit(f"{day}: {len(asked)} micro-batches were asked for, an object had landed")
        return self._execute(JOB, asked[0]).run_id

    def _asked(self) -> list[dg.RunRequest]:
        """A tick of the landing sensor, with its observation put down as the daemon does."""
        with dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursor,
            resources=default_resources(),
            repository_def=self._definitions.get_repository_def(),
        ) as context:
            found = self._definitions.resolve_sensor_def(_LANDING_SENSOR).evaluate_tick(context)
        self._cursor = found.cursor
        for event in found.asset_events:
            assert isinstance(event, dg.AssetObservation)
            self._observed = event
            self._instance.report_runless_asset_event(event)
        return list(found.run_requests or [])

    def _observe(self, day: date, times: int) -> None:
        """The observations that would have gone with the copies."""
        event = self._observed
        of_day = dg.AssetObservation(event.asset_key, partition=day.isoformat(), metadata=event.metadata)
        for _ in range(times):
            self._instance.report_runless_asset_event(of_day)

    def _execute(self, job: str, request: dg.RunRequest | None = None) -> dg.ExecuteInProcessResult:
        asked = request or dg.RunRequest()
        run_config = {**dict(asked.run_config or {}), "loggers": _QUIET}
        with self._timed(job):
            return self._definitions.resolve_job_def(job).execute_in_process(
                instance=self._instance,
                partition_key=asked.partition_key,
                run_config=run_config,
                tags=asked.tags,
                asset_selection=asked.asset_selection,
            )

    def _ticks(self, midnight: float) -> None:
        """Ticks of every sensor at its interval; each micro-batch is one of the landing sensor that ran."""
        for sensor in self._definitions.get_repository_def().sensor_defs:
            step = sensor.minimum_interval_seconds or 30
            moments = [midnight + second for second in range(0, _DAY_SECONDS, step)]
            every = max(1, len(moments) // self._plan.runs)
            ran = moments[::every] if sensor.name == _LANDING_SENSOR else []
            skipped = sorted(set(moments) - set(ran))
            for status, some in ((TickStatus.SUCCESS, ran), (TickStatus.SKIPPED, skipped)):
                self._copies.of_ticks(sensor.name, self._plan.location, status, some)
            self._copies.purge_ticks(self._instance, sensor.name, self._plan.location, midnight + _DAY_SECONDS)

    def _commit_again(self, day: date) -> None:
        """Replace the rows of a micro-batch by the same, as often as other micro-batches would have committed."""
        for table in TABLES:
            found = list(self._lake.read(table, Slice(day.isoformat())))
            if not found:
                continue
            batch_id = found[0]["batch_id"][0].as_py()
            part = Slice(day.isoformat(), batch_id)
            rows = list(self._lake.read(table, part))
            for _ in range(self._plan.commits):
                self._lake.replace(table, part, rows)

    def _age(self, moment: float) -> None:
        """Give what was written now the moment at which it was, by the shifted clock: the file system has another one."""
        now = time.time()
        for path in self._root.joinpath("lake").rglob("*"):
            if path.is_file() and path.stat().st_mtime > now + _DAY_SECONDS:
                os.utime(path, (moment, moment))

    def _night(self, morning: date) -> dict[str, Any]:
        """The jobs of the night, in the order of their schedules."""
        self._set_clock(datetime(morning.year, morning.month, morning.day, 3, tzinfo=UTC))
        compacted = _told(self._execute(COMPACT_JOB))
        before = self._rows()
        purged = _told(self._execute(PURGE_JOB))
        removed = before - self._rows()
        with dg.build_schedule_context(
            instance=self._instance,
            scheduled_execution_time=datetime(morning.year, morning.month, morning.day, 4, 30, tzinfo=UTC),
            resources=default_resources(),
            repository_def=self._definitions.get_repository_def(),
        ) as context:
            asked = self._definitions.resolve_schedule_def(CLOSE_JOB).evaluate_tick(context).run_requests or []
        closed = [self._closed(self._execute(CLOSE_JOB, request)) for request in asked]
        return {
            "compacted": compacted,
            "purged": purged,
            "rows_purged": removed,
            "closed": closed,
            "seconds": {name: round(seconds, 2) for name, seconds in self._seconds.items()},
        }

    def _rows(self) -> int:
        """Rows of runs and events."""
        if self._plan.storage is not None:
            return sum(rows_of(self._plan.storage).values())
        home = Path(os.environ["DAGSTER_HOME"]) / "history"
        return sum(sum(rows_of(f"sqlite:///{home / name}").values()) for name in ("runs.db", "runs/index.db"))

    @staticmethod
    def _closed(result: dg.ExecuteInProcessResult) -> str:
        (made,) = result.asset_materializations_for_node("closed_days")
        return str(made.metadata["told"].value)

    def _set_clock(self, moment: datetime) -> None:
        """Move the clock of this process to a moment, from which it goes on."""
        clock = Path(self._plan.clock)
        # The file system's clock is not shifted.
        clock.touch()
        with clock.open("r+b") as file:
            file.write(struct.pack("=q", round(moment.timestamp() - clock.stat().st_mtime)))
        if abs(time.time() - moment.timestamp()) > 60:
            raise SystemExit(f"the clock is at {datetime.now(UTC)} and should be at {moment}: it cannot be shifted")

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._seconds[name] += time.monotonic() - started


def _told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = (one for one in result.all_events if one.event_type_value == "STEP_OUTPUT")
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def main() -> int:
    plan = Plan(**json.loads(sys.argv[1]))
    with dg.DagsterInstance.get() as instance:
        days = Days(plan, instance)
        for number, _ in enumerate(sys.stdin):
            print(json.dumps(days.play(number)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
