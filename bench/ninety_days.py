"""Ninety days of micro-batches, simulated: whether what is kept stays bounded, and whether the UI stays fast.

Run: `.venv/bin/python -m bench.ninety_days [--days N] [--runs N] [--postgres URL]`; small: `--days 18 --runs 24 --keep-days 5`.
It needs a C compiler, `cc`, on Linux. Prints JSON; exit code 1 if something grows that should not, a
night's job leaves something undone, a day is not closed, or a page of the UI is slow.

Nothing is waited for. Every fifth day a micro-batch goes the real road, from landed objects over a tick of the sensor to a
local emulator, under a clock that is shifted; of its run, copies are put into Dagster's storage until each day has as many as
wanted (`--runs`; 288 are one every five minutes), with an observation of the sensor each and a tick of every sensor at its
interval. The tables get commits as of `--commits` micro-batches a day. Then the night's jobs run as their schedules have it:
`compact_tables`, `purge_runs`, `close_day`. At a ninth, a third, two thirds and the end of the days a webserver is started on
the installation and asked what the pages of the UI ask.

Belongs here: the course, the verdict, the report. Does not belong here: a day (`ninety_nights.py`), copies
(`ninety_copies.py`), counting (`ninety_sizes.py`), questions (`ninety_questions.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from bench.ninety_nights import Plan
from bench.ninety_questions import webserver
from bench.ninety_sizes import of_lake, of_state, of_storage
from capillary_adobe.emulators.aep import RunningEmulator

ROOT = Path(__file__).parents[1]
LOCATION = "capillary_adobe"
_CLOCK = "ninety_clock.c"
# The jobs of the nights and the runs that stay shown are a few a day; a day's own rows vary as much.
_STEADY = 1.25
_SLOWEST_MS = 1000.0
# From which day on as much goes each night as comes each day, where that is not RETENTION_RUN_DAYS: what dagster.yaml says of
# ticks, and a week of the tables' files and logs.
_SETTLED = {"rows of job_ticks": 16, "bytes of the index": 16, "log of": 10, "dead files of": 10}


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="capillary-adobe-bench-"))
    with ExitStack() as stack:
        storage = stack.enter_context(_database(options.postgres)) if options.postgres else None
        report = measure(folder, options, storage)
    print(json.dumps(report, indent=2))
    if report["faults"]:
        print(f"Faults were found; everything stays in {folder}.", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def measure(folder: Path, options: argparse.Namespace, storage: str | None) -> dict[str, Any]:
    """Play the days and look at a few of them."""
    # The last night lies before the present, or files would be younger than the clock says.
    plan = Plan(
        folder=str(folder),
        first_day=(datetime.now(UTC).date() - timedelta(days=options.days + 3)).isoformat(),
        clock=str(folder / "clock"),
        location=LOCATION,
        storage=storage,
        runs=options.runs,
        real_every=min(options.real_every, int(options.keep_days)),
        events=options.events,
        commits=options.commits,
    )
    looks: dict[int, dict[str, Any]] = {}
    nights: list[dict[str, Any]] = []
    started = time.monotonic()
    with RunningEmulator(folder / "emulator") as emulator:
        environment = _environment(folder, plan, emulator.environment, storage, options.keep_days)
        for number, night in enumerate(_nights(plan, environment, options.days), 1):
            nights.append(night)
            _say(f"day {number} of {options.days}, {time.monotonic() - started:.0f} s: {night['purged']['told']}")
            _say(f"seconds of this day: {night['seconds']}")
            if number in _days_looked_at(options.days):
                looks[number] = _look(folder, plan, environment, number, storage)
                _say(f"day {number}: {json.dumps(_bounded(looks[number]))}")
    shown = {key: value for key, value in asdict(plan).items() if key not in ("folder", "clock", "storage")}
    return {
        "plan": shown | {"days": options.days, "kept_days": options.keep_days},
        "kept_in": "PostgreSQL" if storage else "SQLite",
        "looks": looks,
        "ratios": _ratios(looks),
        "nights": _summed(nights),
        "seconds": round(time.monotonic() - started),
        "load_of_the_machine": [round(one, 1) for one in os.getloadavg()],
        "faults": _faults(looks, nights, options),
    }


def _nights(plan: Plan, environment: Mapping[str, str], days: int) -> Iterator[dict[str, Any]]:
    """Each day's account, as soon as its night is over."""
    Path(plan.clock).write_bytes(bytes(8))
    shifted = {"LD_PRELOAD": _clock(Path(plan.folder)), "BENCH_CLOCK": plan.clock}
    with (
        Path(plan.folder, "nights.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "bench.ninety_nights", json.dumps(asdict(plan))],
            env={**environment, **shifted},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for _ in range(days):
                process.stdin.write("next\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"the days stopped; see {log.name}")
                yield json.loads(line)
        finally:
            process.kill()


def _look(folder: Path, plan: Plan, environment: Mapping[str, str], number: int, storage: str | None) -> dict[str, Any]:
    newest = plan.day(number - 1)
    with webserver(folder, environment, LOCATION) as asking:
        since = datetime(newest.year, newest.month, newest.day, tzinfo=UTC).timestamp()
        pages = asking.measure(newest.isoformat(), since)
    return {
        "storage": of_storage(Path(environment["DAGSTER_HOME"]), storage),
        "lake": of_lake(folder / "lake"),
        "state": of_state(folder / "state.db"),
        "pages": pages,
    }


def _days_looked_at(days: int) -> list[int]:
    return sorted({max(1, days * part // 9) for part in (1, 3, 6, 9)})


def _ratios(looks: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The last look to those before it."""
    last = max(looks)
    return {
        f"day {last} to day {day}": {
            name: round(value / figures[name], 2)
            for name, value in _bounded(looks[last]).items()
            if (figures := _bounded(looks[day])).get(name)
        }
        for day in looks
        if day != last
    }


def _bounded(look: Mapping[str, Any]) -> dict[str, float]:
    """What should not grow once the time of retention has passed."""
    storage, lake = look["storage"], look["lake"]
    rows = storage["rows"]
    names = ("runs", "run_tags", "event_logs", "asset_event_tags", "asset_check_executions", "job_ticks", "snapshots")
    return {
        **{f"rows of {name}": rows[name] for name in names},
        "bytes of the index": storage["index_bytes"],
        "files of runs": storage["files_of_runs"],
        "bytes of runs": storage["bytes_of_runs"],
        "files of output": storage["output_files"],
        **{f"log of {name}": figures["log_files"] for name, figures in lake.items()},
        **{f"dead files of {name}": figures["files"] - figures["files_in_use"] for name, figures in lake.items()},
        **{f"ms of {name}": figures["warm_ms"] for name, figures in look["pages"].items()},
    }


def _summed(nights: list[dict[str, Any]]) -> dict[str, Any]:
    """What the nights' jobs took and did, in all and in the last night."""
    purge_seconds = sum(one["seconds"]["purge_runs"] for one in nights)
    removed = sum(one["purged"]["removed_runs"] for one in nights)
    rows = sum(max(0, one["rows_purged"]) for one in nights)
    return {
        "runs_purged": removed,
        "bytes_purged": sum(one["purged"]["removed_bytes"] for one in nights),
        "events_of_no_run_purged": sum(one["purged"]["removed_events_of_no_run"] for one in nights),
        "rows_purged": rows,
        "purge_seconds": round(purge_seconds, 1),
        "purge_seconds_of_the_last_night": nights[-1]["seconds"]["purge_runs"],
        "runs_purged_a_second": round(removed / purge_seconds, 1),
        "rows_purged_a_second": round(rows / purge_seconds),
        "compact_seconds_of_the_last_night": nights[-1]["seconds"]["compact_tables"],
        "close_seconds_of_the_last_night": nights[-1]["seconds"]["close_day"],
        "last_night": nights[-1],
    }


def _faults(
    looks: Mapping[int, Mapping[str, Any]], nights: list[dict[str, Any]], options: argparse.Namespace
) -> list[str]:
    faults: list[str] = []
    for night in nights:
        faults += [f"{night['day']}: {words}" for words in night["closed"] if "is closed" not in words]
        if not night["closed"]:
            faults.append(f"{night['day']}: nobody asked for it to be closed")
        left = night["purged"]["left_for_the_next_run"] + night["compacted"]["left_for_the_next_run"]
        if left:
            faults.append(f"{night['day']}: the jobs of the night left {left} for the next")
    last = max(looks)
    for day in [day for day in looks if day < last][-1:]:
        before, now = _bounded(looks[day]), _bounded(looks[last])
        faults += [
            f"{name} grew from {before.get(name, 0)} on day {day} to {value} on day {last}"
            for name, value in now.items()
            if day > _settled(name, options.keep_days) and value > _most(name, before.get(name, 0), options.days)
        ]
    return faults


def _settled(name: str, keep_days: float) -> float:
    """The day from which on a figure should not grow."""
    return max(keep_days, *(day for start, day in _SETTLED.items() if name.startswith(start)), 0)


def _most(name: str, before: float, days: int) -> float:
    """Up to what a figure has not grown; a page may take a second on any machine."""
    return max(before * _STEADY, _SLOWEST_MS) if name.startswith("ms of ") else before * _STEADY + days


def _environment(
    folder: Path, plan: Plan, aep: Mapping[str, str], storage: str | None, keep_days: float
) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    configuration = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    if storage is not None:
        configuration["storage"] = {"postgres": {"postgres_url": storage}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(configuration), "utf-8")
    return {
        **os.environ,
        **aep,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "LANDING_URL": str(folder / "landing"),
        "LAKE_URL": str(folder / "lake"),
        "STATE_URL": f"sqlite:///{folder / 'state.db'}",
        "HISTORY_START": date.fromisoformat(plan.first_day).isoformat(),
        "LANDING_SETTLE_SECONDS": "0",
        "CAPILLARY_ORG_TIMEZONE": "UTC",
        "CAPILLARY_CURRENCY": "INR",
        "RETENTION_RUN_DAYS": str(keep_days),
        # The token bucket remembers moments of a clock that leaps.
        "ADOBE_MAX_REQUESTS_PER_SECOND": "0",
        "ADOBE_MAX_RECORDS_PER_SECOND": "0",
    }


@contextmanager
def _database(url: str) -> Iterator[str]:
    """A database of its own on a server of PostgreSQL, which is gone afterwards."""
    server = sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    name = f"ninety_days_{os.getpid()}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def _clock(folder: Path) -> str:
    """The library that shifts the clock, compiled."""
    library = folder / "clock.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(Path(__file__).with_name(_CLOCK))]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            "The clock of the simulated days cannot be compiled: install a C compiler (Debian: `apt-get install gcc`)."
        ) from error
    return str(library)


def _say(words: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--runs", type=int, default=288, help="micro-batches a day")
    parser.add_argument(
        "--real-every", type=int, default=5, help="days from one with a micro-batch of its own to the next"
    )
    parser.add_argument("--events", type=int, default=60, help="lines that land on such a day")
    parser.add_argument("--commits", type=int, default=6, help="commits to each table a day")
    parser.add_argument("--keep-days", type=float, default=30, help="RETENTION_RUN_DAYS")
    parser.add_argument("--postgres", help="address of a server of PostgreSQL on which a database may be created")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
