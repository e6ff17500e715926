"""A year of history backfilled while live events come in: what live events notice of it, and what a killed daemon costs.

Run: `.venv/bin/python -m bench.backfill`; small: `--days 30 --before 60 --rate 2`. Everything runs in a folder of its own: a
stand-in for AEP, the receiver, Dagster's webserver and daemon with all sensors. Small days of history lie in the landing
store, as an import leaves them. Events are posted to the receiver at a steady rate, from before the backfill is launched
through GraphQL until well after its end, when the tables hold as many days; half-way the daemon is killed with SIGKILL and
started again.

It fails if a day does not balance, an event of history or of the receiver is missing or accepted twice, or a day of history
is not through. Latency is from the landing of an event to AEP's acknowledgement, as the balance tells it; events that
landed while there was no daemon are told apart.

Belongs here: the order of events, the expectations, the figures. Does not belong here: the programs (`demo.stack`), the
bodies (`load_bodies.py`), the poster (`load.py`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.receiver_process import SECRET
from bench.ui_backfills import UiBackfills
from capillary_adobe.backfill_progress import progress
from capillary_adobe.balance import Accounts
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.stack import Stack
from capillary_adobe.demo.surroundings import Ports, Surroundings
from capillary_adobe.demo.traffic import day_of_events
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import open_landing_store
from capillary_adobe.state import HistoryDays, SentBatches, State
from capillary_adobe.tables import INGESTION_STATUS

LAST = date(2025, 12, 31)
_SETTLE_SECONDS = 30.0
"""After a start of the daemon its sensors take so long to be at work again."""
_LONGEST_SECONDS = 6 * 3600.0
_REST_SECONDS = 600.0


@dataclass
class Moments:
    """When what happened, epoch ms; the daemon was away between each pair of `away`."""

    began_ms: int = 0
    launched_ms: int = 0
    over_ms: int = 0
    ended_ms: int = 0
    away: list[tuple[int, int]] = field(default_factory=list)

    def place(self, ms: int) -> int:
        """0 before the backfill, 1 beside it, 2 beside it and without a daemon, 3 after it."""
        if any(began <= ms <= ended for began, ended in self.away):
            return 2
        return 0 if ms < self.launched_ms else 1 if ms <= self.over_ms else 3


class _Killable(Stack):
    """The demo's programs, of which the daemon can be killed and started anew."""

    def kill_daemon(self) -> None:
        """End the daemon as a power cut would; runs at work go on."""
        (daemon,) = (one for one in self._programs if one.name == "daemon")
        self._programs.remove(daemon)
        daemon.signal(signal.SIGKILL)
        self.wait("killed daemon", lambda: not daemon.alive())

    def start_daemon(self) -> None:
        """Start it again and wait until every sensor and queue has reported."""
        since = time.time()
        self._run("daemon", sys.executable, "-m", "dagster._daemon", "run", "-w", str(self._around.workspace))
        self.wait("Dagster daemon", lambda: self.ui.daemons_reported(since))


def _import(around: Surroundings, days: Sequence[date], each: int) -> None:
    """Land the days of history and note them, as an import does."""
    store = open_landing_store(str(around.landing))
    mix = replace(Mix.clean(), other=0)
    for day in days:
        bodies = [raw for _, raw in day_of_events(day, each, mix=mix)]
        store.write(f"history/{day}/bench-0000.jsonl.gz", gzip.compress(b"\n".join(bodies) + b"\n", mtime=0))
    HistoryDays(_state(around)).imported((day.isoformat(), each) for day in days)


@contextmanager
def _posting(around: Surroundings, rate: float) -> Iterator[Callable[[], int]]:
    """Post live events at a steady rate while the context lasts; what it gives ends that and tells how many were taken."""
    command = [sys.executable, "-m", "bench.load", "--url", around.webhook_url, "--json", "--retry"]
    command += ["--header", f"Authorization: {SECRET}", "--connections", "4", "--rate", str(rate), "--seconds", "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:

        def end() -> int:
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate(timeout=60)
            return json.loads(told)["acknowledged"]

        try:
            yield end
        finally:
            process.kill()


def _state(around: Surroundings) -> State:
    return State(around.settings["STATE_URL"])


def _run(around: Surroundings, days: Sequence[date], options: argparse.Namespace) -> dict[str, Any]:
    moments = Moments()
    stack = _Killable(around, _say)
    with stack.interruptible(), stack:
        stack.start()
        state = _state(around)
        with _posting(around, options.rate) as end:
            # The first ones wait until everything has been loaded for the first time.
            stack.wait("first live events delivered", lambda: _delivered(stack), _REST_SECONDS)
            moments.began_ms = _now_ms()
            _say(f"Live events alone for {options.before} s")
            until = time.monotonic() + options.before
            stack.wait("time before the backfill", lambda: time.monotonic() > until, options.before + 60)
            moments.launched_ms = _now_ms()
            partitions = [day.isoformat() for day in days]
            UiBackfills(around.ui_url).launch(partitions, "bench.backfill", {"dagster/priority": "-1"})
            half = len(days) // 2
            stack.wait(f"{half} days through", lambda: _through(state) >= half, _LONGEST_SECONDS)
            moments.away.append(_kill(stack))
            stack.wait(
                "all days through", lambda: _through(state) == len(days) or _stopped(stack, state), _LONGEST_SECONDS
            )
            moments.over_ms = _now_ms()
            _say(f"Live events alone for {options.before} s, beside tables of {len(days)} days")
            until = time.monotonic() + options.before
            stack.wait("time after the backfill", lambda: time.monotonic() > until, options.before + 60)
            moments.ended_ms = _now_ms()
            taken = end()
        rest = _accounts(around)
        stack.wait("what has landed read", lambda: _at_rest(stack, rest), _REST_SECONDS)
    return _figures(around, days, options.events, moments, taken)


def _kill(stack: _Killable) -> tuple[int, int]:
    began_ms = _now_ms()
    stack.kill_daemon()
    stack.start_daemon()
    return began_ms, _now_ms() + int(_SETTLE_SECONDS * 1000)


def _delivered(stack: Stack) -> bool:
    return any(run.status == "SUCCESS" for run in stack.ui.runs(pipelineName="deliver_micro_batch"))


def _through(state: State) -> int:
    return progress(state).days["done"]


def _stopped(stack: _Killable, state: State) -> bool:
    """Whether nothing is at work any more although days are left."""
    found = progress(state)
    return (
        found.days["running"] == 0 and found.days["waiting"] + found.days["at_aep"] == 0 and not stack.ui.unfinished()
    )


def _accounts(around: Surroundings) -> Accounts:
    return Accounts(open_landing_store(str(around.landing)), Lake(around.settings["LAKE_URL"]), _state(around))


def _at_rest(stack: _Killable, accounts: Accounts) -> bool:
    if stack.ui.unfinished():
        return False
    live = [accounts.balance(day) for day in accounts.days() if day > LAST.isoformat()]
    return all(one.balanced and not one.delivery["pending"] and not one.delivery["failed"] for one in live)


def _figures(around: Surroundings, days: Sequence[date], each: int, moments: Moments, taken: int) -> dict[str, Any]:
    accounts, state = _accounts(around), _state(around)
    balances = {day: accounts.balance(day) for day in accounts.days()}
    at_aep = Counter(_ids_at(around.data / "emulator"))
    profiles = sum(one.profile_delivery["accepted"] for one in balances.values())
    history = {day.isoformat() for day in days}
    live = [day for day in balances if day not in history]
    found = progress(state)
    faults = [f"{day} does not balance: {one.differences}" for day, one in balances.items() if not one.balanced]
    faults += [f"{one.day} failed: {one.cause}" for one in found.failed]
    if found.days["done"] != len(days):
        faults.append(f"of {len(days)} days of history {found.days} are where they are")
    faults += [
        f"{day}: {one.entities['events']} events became entities, {one.delivery} were their outcomes"
        for day, one in balances.items()
        if one.delivery["accepted"] != one.entities["events"]
    ]
    landed = sum(one.landed_lines for day, one in balances.items() if day in history)
    if landed != len(days) * each:
        faults.append(f"{landed} lines of history were read, {len(days) * each} had landed")
    if sum(balances[day].landed_lines for day in live) != taken:
        faults.append(f"the receiver took {taken} events, {sum(balances[day].landed_lines for day in live)} landed")
    twice = sum(times > 1 for times in at_aep.values())
    if twice:
        faults.append(f"{twice} events are at AEP more than once")
    entities = sum(one.entities["events"] for one in balances.values())
    if len(at_aep) != entities:
        faults.append(f"{entities} events were made, {len(at_aep)} are at AEP")
    before, during, away, after = _latencies(Lake(around.settings["LAKE_URL"]), live, moments)
    return {
        "days": len(days),
        "events_of_history": len(days) * each,
        "live_events": taken,
        "backfill_seconds": round((moments.over_ms - moments.launched_ms) / 1000, 1),
        "profiles_sent": profiles,
        "profiles_superseded": sum(one.profile_delivery["superseded"] for one in balances.values()),
        "aep_batches": SentBatches(state).created_since(0),
        "live_before": _quantiles(before),
        "live_during": _quantiles(during),
        "live_while_the_daemon_was_away": _quantiles(away),
        "live_after": _quantiles(after),
        "ratio_p50": _ratio(before, during, 50),
        "ratio_p95": _ratio(before, during, 95),
        "ratio_p50_to_after": _ratio(after, during, 50),
        "ratio_p95_to_after": _ratio(after, during, 95),
        "load_of_the_machine": [round(one, 1) for one in os.getloadavg()],
        "faults": faults,
    }


def _ids_at(store: Path) -> Iterator[str]:
    """The `_id` of every event that the stand-in for AEP took, as often as it did."""
    with (store / "accepted.jsonl").open("rb") as lines:
        for line in lines:
            entity = json.loads(line)["entity"]
            if "eventType" in entity:
                yield entity["_id"]


def _latencies(lake: Lake, days: Sequence[str], moments: Moments) -> list[list[float]]:
    """Seconds from landing to acknowledgement of live events that landed before, during, without a daemon, and after."""
    found: list[list[float]] = [[], [], [], []]
    for day in days:
        for batch in lake.read(INGESTION_STATUS, Slice(day), ["kind", "status", "landed_ms", "answered_ms"]):
            for kind, status, landed_ms, answered_ms in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                if kind != "events" or status != "accepted" or not moments.began_ms <= landed_ms <= moments.ended_ms:
                    continue
                found[moments.place(landed_ms)].append((answered_ms - landed_ms) / 1000)
    return found


def _quantiles(seconds: list[float]) -> dict[str, float | int]:
    if not seconds:
        return {"events": 0}
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"events": len(seconds), "p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _ratio(before: list[float], during: list[float], percent: int) -> float | None:
    if not before or not during:
        return None
    return round(float(np.percentile(during, percent) / np.percentile(before, percent)), 2)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(words: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="capillary-adobe-bench-"))
    days = [LAST - timedelta(days=distance) for distance in reversed(range(options.days))]
    given = {
        "RECEIVE_HOST": "127.0.0.1",
        "RECEIVE_SECRET": SECRET,
        "HISTORY_START": days[0].isoformat(),
        "HISTORY_DAYS_PER_RUN": str(options.days_per_run),
        "ADOBE_BATCH_FROM_ENTITIES": str(options.batch_from),
    }
    around = Surroundings(folder, Ports.free(), given, past=False)
    around.landing.mkdir(parents=True, exist_ok=True)
    os.environ.pop("DAGSTER_HOME", None)
    _say(f"{options.days} days of history of {options.events} events in {folder}")
    _import(around, days, options.events)
    try:
        figures = _run(around, days, options)
    except BaseException:
        _say(f"The logs are in {around.logs}.")
        raise
    print(json.dumps(figures, indent=2))
    if figures["faults"]:
        _say(f"Faults were found; everything stays in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365, help="days of history")
    parser.add_argument("--events", type=int, default=300, help="lines of each")
    parser.add_argument("--rate", type=float, default=5.0, help="live events a second")
    parser.add_argument("--before", type=float, default=180.0, help="seconds of live events alone, before and after")
    parser.add_argument("--days-per-run", type=int, default=14, help="HISTORY_DAYS_PER_RUN")
    parser.add_argument("--batch-from", type=int, default=500, help="ADOBE_BATCH_FROM_ENTITIES")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
