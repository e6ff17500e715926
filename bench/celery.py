"""History backfilled a day a run: by two workers of Celery, one of which is killed in the middle, and by one machine alone.

Run: `.venv/bin/python -m bench.celery`; small: `--days 20`. Needs redis-server, and PostgreSQL as the tests do. Both sides have
a PostgreSQL database for Dagster and one for the state, landing store and tables on S3 (moto), a stand-in for AEP, the shipped
`dagster.yaml` with the same number of runs in the queue, and days of the same kind. `celery` starts two workers of one run at a
time, kills one with SIGKILL when half of the days are through, and starts it again, as systemd does. `single` has Dagster
start a process for each run, and nothing is killed.

It fails if a day does not balance or is not through, or an event is missing at AEP, or there twice unknown to the receipts.

Belongs here: the order of events, the expectations, the figures. Does not belong here: the programs
(`capillary_adobe_tests.celery_cluster`), the events (`demo.traffic`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from capillary_adobe.balance import Accounts
from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.history_backfill import BACKFILL_JOB
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.traffic import day_of_events
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Lake
from capillary_adobe.landing import open_landing_store
from capillary_adobe.state import HistoryDays, State
from capillary_adobe_tests.celery_cluster import ROOT, Cluster, configuration, redis_environment, storage_environment
from capillary_adobe_tests.defs.installation import summary
from capillary_adobe_tests.s3_servers import moto_server
from capillary_adobe_tests.services import postgres_database, redis_server

LAST = date(2025, 12, 31)
_LONGEST_SECONDS = 2 * 3600.0
_IN_QUEUE = 4
"""Runs that the queue lets go at a time, on both sides: what `dagster.yaml` has for two cores."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_NO_SENSORS = {"ADOBE_VERDICT_SECONDS": "3600", "ADOBE_SCHEMA_SECONDS": "3600", "LANDING_POLL_SECONDS": "60"}


@dataclass
class Watch:
    """How many days were through when."""

    state: State
    begun: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, int]] = field(default_factory=list)

    def through(self) -> int:
        done = sum(one.standing == "done" for one in HistoryDays(self.state).all())
        self.seen.append((time.monotonic() - self.begun, done))
        return done

    def rate(self, share: float, of: int) -> float:
        """Days a minute from the first day's end until this share of all was through."""
        first = next((at, done) for at, done in self.seen if done)
        last = next((at, done) for at, done in self.seen if done >= share * of)
        return round((last[1] - first[1]) / max(last[0] - first[0], 1e-9) * 60, 1)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables of this process and all that it starts, while the context lasts."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _import(days: Sequence[date], each: int) -> None:
    """Land the days of history and note them, as an import does."""
    store = open_landing_store(os.environ["LANDING_URL"])
    mix = replace(Mix.clean(), other=0)
    for day in days:
        bodies = [raw for _, raw in day_of_events(day, each, mix=mix)]
        store.write(f"history/{day}/bench-0000.jsonl.gz", gzip.compress(b"\n".join(bodies) + b"\n", mtime=0))
    HistoryDays(State(os.environ["STATE_URL"])).imported((day.isoformat(), each) for day in days)


def _configured(*, celery: bool) -> dict[str, Any]:
    found = configuration()
    runs = found["concurrency"]["runs"]
    runs["max_concurrent_runs"] = _IN_QUEUE
    runs["tag_concurrency_limits"] = [
        one for one in runs["tag_concurrency_limits"] if one["key"] == "dagster/partition"
    ]
    if not celery:
        del found["run_launcher"], found["run_coordinator"]
        found["run_queue"] = {"dequeue_interval_seconds": 1}
    return found


def _side(folder: Path, days: Sequence[date], each: int, *, celery: bool) -> dict[str, Any]:
    cluster = Cluster(folder / "home")
    cluster.configure(_configured(celery=celery))
    state = State(os.environ["STATE_URL"])
    with RunningEmulator(folder / "emulator") as emulator, _environment(emulator.environment):
        _import(days, each)
        try:
            with cluster.instance() as instance:
                button = build_defs().resolve_job_def(BACKFILL_JOB)
                assert button.execute_in_process(instance=instance, run_config=_QUIET).success
                watch = _work(cluster, state, len(days), celery=celery)
                runs = instance.get_runs(dg.RunsFilter(tags={"capillary_adobe/backfill": "history"}))
        finally:
            cluster.stop()
        at_aep = summary(emulator.base_url)
    faults = _faults(state, at_aep, days, each)
    seconds = watch.seen[-1][0]
    return {
        "days": len(days),
        "seconds": round(seconds, 1),
        "days_a_minute": round(len(days) / seconds * 60, 1),
        "days_a_minute_of_the_first_half": watch.rate(0.5, len(days)),
        "runs": len(runs),
        "runs_lost": sum(run.status is dg.DagsterRunStatus.FAILURE for run in runs),
        "events_at_aep": at_aep["distinct"],
        "events_twice_at_aep": at_aep["duplicates"],
        "faults": faults,
    }


def _work(cluster: Cluster, state: State, days: int, *, celery: bool) -> Watch:
    if celery:
        for name in ("one", "two"):
            cluster.start_worker(name, "history")
    cluster.start_daemon()
    watch = Watch(state)
    if celery:
        cluster.wait("half of the days", lambda: watch.through() >= days // 2, _LONGEST_SECONDS)
        cluster.kill("two")
        _say("A worker is killed")
        cluster.start_worker("two", "history")
    cluster.wait("all days", lambda: watch.through() == days, _LONGEST_SECONDS)
    return watch


def _faults(state: State, at_aep: dict[str, Any], days: Sequence[date], each: int) -> list[str]:
    accounts = Accounts(open_landing_store(os.environ["LANDING_URL"]), Lake(os.environ["LAKE_URL"]), state)
    balances = {day.isoformat(): accounts.balance(day.isoformat()) for day in days}
    faults = [f"{day} does not balance: {one.differences}" for day, one in balances.items() if not one.balanced]
    faults += [f"{day}: {one.landed_lines} lines read" for day, one in balances.items() if one.landed_lines != each]
    made = sum(one.entities["events"] for one in balances.values())
    accepted = sum(one.delivery["accepted"] for one in balances.values())
    if not made == accepted == at_aep["distinct"]:
        faults.append(f"{made} events were made, {accepted} acknowledged, {at_aep['distinct']} are at AEP")
    named = sum(one.maybe_twice for one in balances.values())
    if at_aep["duplicates"] > named:
        faults.append(f"{at_aep['duplicates']} events are at AEP twice, the receipts name {named}")
    return faults


def _ratio(one: float, other: float) -> float | None:
    """None where there were too few days for a rate."""
    return round(one / other, 2) if other else None


def _say(words: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


def main() -> int:
    options = _options()
    days = [LAST - timedelta(days=distance) for distance in reversed(range(options.days))]
    folder = Path(tempfile.mkdtemp(prefix="capillary-adobe-bench-"))
    sides: dict[str, dict[str, Any]] = {}
    with redis_server() as redis, moto_server() as server:
        for side in options.sides:
            bucket = server.bucket()
            with postgres_database() as database, postgres_database() as state:
                settings = {
                    "LANDING_URL": f"s3://{bucket}/landing",
                    "LAKE_URL": f"s3://{bucket}/lake",
                    "STATE_URL": state,
                    "HISTORY_START": days[0].isoformat(),
                    "HISTORY_DAYS_PER_RUN": "1",
                    "ADOBE_MAX_RECORDS_PER_SECOND": "0",
                    "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
                    "CAPILLARY_CURRENCY": "INR",
                    "PYTHONPATH": str(ROOT),
                }
                found = {**server.environment, **storage_environment(database), **redis_environment(redis)}
                with _environment({**found, **_NO_SENSORS, **settings}):
                    chosen = days if side == "celery" else days[: options.single_days]
                    _say(f"{side}: {len(chosen)} days of {options.events} events, in {folder}")
                    sides[side] = _side(folder / side, chosen, options.events, celery=side == "celery")
    faults = any(one["faults"] for one in sides.values())
    figures: dict[str, Any] = {"events_a_day": options.events, **sides}
    if len(sides) == len(_SIDES):
        names = ("days_a_minute", "days_a_minute_of_the_first_half")
        figures["ratios"] = {name: _ratio(sides["celery"][name], sides["single"][name]) for name in names}
    figures["load_of_the_machine"] = [round(one, 1) for one in os.getloadavg()]
    print(json.dumps(figures, indent=2))
    if faults:
        _say(f"Faults were found; logs stay in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


_SIDES = ("celery", "single")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=200, help="days of history, a run each")
    parser.add_argument(
        "--single-days", type=int, default=60, help="days of the single machine, for a rate to compare with"
    )
    parser.add_argument("--events", type=int, default=50, help="lines of each")
    parser.add_argument("--sides", nargs="+", choices=_SIDES, default=list(_SIDES), help="which to measure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
