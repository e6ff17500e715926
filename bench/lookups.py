"""Look-ups, measured: live events do not notice a quota, failures and an outage of Capillary's API, and all get their answers.

Run: `.venv/bin/python -m bench.lookups [--events 100000] [--customers 30000] [--calls 1000] [--errors 0.05] [--outage 600]
[--policy hold|deliver] [--speed 1]`. An emulated Capillary allows `calls` a minute, fails a share of them, and is down for
`outage` seconds after the first fifth. Events come evenly over `--seconds`, in micro-batches, through the stage that enriches
them, while runs of look-ups follow one another. With `speed` 10 everything is ten times as fast: quota, pauses, outage,
holding; the figures are then told in the time of the emulated world. Prints JSON; exit code 1 if an event is left without its
customer's state, or the quota was exceeded.

Belongs here: the traffic, the emulator's faults and the figures. Does not belong here: look-ups and enrichment themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as with_other
from pathlib import Path
from typing import Any

import pyarrow as pa

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.names import NO_NAMES
from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.known_elsewhere import Elsewhere, Rules
from capillary_adobe.looked_up_answers import Answers
from capillary_adobe.looking_up import Asked, LookUps
from capillary_adobe.settings import CapillaryApiSettings, CapillarySettings, IdentitySettings, LookupSettings, load
from capillary_adobe.state import MicroBatch, MicroBatches, State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe_tests.capillary.events import event, raw_batch

DAY = "2026-03-01"
_FIRST = 1_000_000
_RUN_SECONDS = 20.0


class Clock:
    """The time of the emulated world, in seconds since 1970: `speed` times as fast as ours."""

    def __init__(self, speed: float) -> None:
        self._began = time.time()
        self._speed = speed

    def __call__(self) -> float:
        return self._began + (time.time() - self._began) * self._speed


class Everybody:
    """A population of which every customer is known by the id."""

    def customer(self, customer_id: int) -> dict[str, Any] | None:
        """A customer as v2 tells it."""
        program = {"programId": 973, "loyaltyPoints": customer_id % 1000, "currentSlab": "Gold", "slabSNo": 2}
        profile = {"firstName": "Name", "source": "INSTORE", "identifiers": [], "commChannels": [], "fields": {}}
        return {"id": customer_id, "profiles": [profile], "loyaltyProgramDetails": [program]}

    def transaction(self, transaction_id: int) -> dict[str, Any] | None:
        """None: no bill is asked for."""
        del transaction_id
        return None

    def organisation(self) -> Mapping[Any, Iterable[dict[str, Any]]]:
        """Nothing."""
        return {}


@dataclass
class Figures:
    """What is counted; durations in our own seconds."""

    alone: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    inline: int = 0
    enriched: int = 0
    without: int = 0
    runs: list[Asked] = field(default_factory=list)


class Road:
    """The stage that enriches events, with what leads to another try of a micro-batch."""

    def __init__(self, state: State, clock: Clock, look_ups: LookUps) -> None:
        self._state = state
        self._clock = clock
        self._look_ups = look_ups
        self._register = MicroBatches(state, clock)
        self._awaited = Awaited(state)
        self._batches: dict[str, pa.RecordBatch] = {}

    def land(self, number: int, customers: Iterable[int], figures: Figures) -> None:
        """A new micro-batch with an event of each customer."""
        now_ms = int(self._clock() * 1000)
        found = [
            event(eventId=f"{number}-{place}", createdAt=now_ms - 500, data=_of(customer))
            for place, customer in enumerate(customers)
        ]
        batch = raw_batch(found)
        landed = batch.schema.get_field_index("landed_ms")
        rows = batch.set_column(landed, batch.schema.field(landed), pa.array([now_ms] * batch.num_rows, pa.int64()))
        name = f"live-{DAY}-{number:06}"
        self._batches[name] = rows
        self._register.ask(MicroBatch(name, DAY, "live", "", "z", 1, 1))
        figures.alone.append(_timed(lambda: self._enrich(rows, looks_up=False)))
        figures.live.append(_timed(lambda: self._run(name, figures)))

    def again(self, figures: Figures) -> bool:
        """The oldest micro-batch whose time has come, once more; False where there is none."""
        due = next(iter(self._register.unfinished("live")), None)
        if due is not None:
            self._register.ask(due)
            figures.again.append(_timed(lambda: self._run(due.batch_id, figures)))
        return due is not None

    @property
    def open(self) -> int:
        """Micro-batches that are not through."""
        return len(self._batches)

    def _run(self, name: str, figures: Figures) -> None:
        rows, elsewhere, asked = self._enrich(self._batches[name], looks_up=True)
        figures.inline += asked.answered
        self._awaited.note(DAY, name, elsewhere.waits.items())
        until_ms = self._awaited.until(DAY, name)
        if until_ms is not None:
            self._register.wait(name, until_ms)
            self._awaited.let_go(int(self._clock() * 1000))
            return
        self._register.finish(name)
        del self._batches[name]
        known = sum(row is not None for row in rows)
        figures.enriched += known
        figures.without += len(rows) - known

    def _enrich(self, batch: pa.RecordBatch, *, looks_up: bool) -> tuple[list[str | None], Elsewhere, Asked]:
        rules = with_other(Rules.of_environment(int(self._clock() * 1000)), customers=looks_up)
        elsewhere = Elsewhere(self._state, rules, IdentitySettings(), NO_NAMES)
        wanted = elsewhere.want([batch])
        asked = self._look_ups.ask_now(wanted) if looks_up else Asked()
        found = list(enrich([batch], CapillarySettings(), elsewhere.names, elsewhere.known))
        return [row for part in found for row in part.column("looked_up").to_pylist()], elsewhere, asked


def _of(customer: int) -> dict[str, Any]:
    return {"customerIdentifiers": {"customerId": _FIRST + customer}}


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one run."""
    quota = int(options.calls * options.speed)
    # Capillary refuses from its limit on; ours is the same, so that any call too many would show.
    behaviour = Behaviour(requests_per_minute=quota)
    with RunningCapillary(folder / "capillary", behaviour, population=Everybody()) as capillary:
        given = {
            **capillary.environment,
            "CAPILLARY_LOOKUP_CALLS_PER_MINUTE": str(quota),
            "CAPILLARY_LOOKUP_CONNECTIONS": str(options.connections),
            "CAPILLARY_LOOKUP_POLICY": options.policy,
            "CAPILLARY_LOOKUP_HOLD_MINUTES": str(options.hold),
            "CAPILLARY_LOOKUP_INLINE_SECONDS": str(options.inline),
            "CAPILLARY_LOOKUP_RUN_SECONDS": str(_RUN_SECONDS),
        }
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            return _measured(folder, options, capillary)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _measured(folder: Path, options: argparse.Namespace, capillary: RunningCapillary) -> dict[str, Any]:
    state = State(options.postgres or f"sqlite:///{folder / 'state.db'}")
    clock, figures = Clock(options.speed), Figures()
    look_ups = LookUps(state, load(LookupSettings), load(CapillaryApiSettings), Answers.of(state), clock)
    road = Road(state, clock, look_ups)
    capillary.faults.add(kind="status", status=500, path="/v2/", share=options.errors, times=None, seed=options.seed)
    over = threading.Event()
    worker = threading.Thread(target=_look_up, args=(look_ups, figures, over))
    outage = threading.Thread(target=_fail, args=(capillary, options))
    began = time.monotonic()
    worker.start()
    outage.start()
    try:
        _traffic(road, options, figures)
        # Each customer who was wanted is answered, also where no event has waited for it.
        while road.open or look_ups.counts().waiting:
            if not road.again(figures):
                time.sleep(0.2)
    finally:
        over.set()
        worker.join()
        outage.join()
    return _told(options, figures, capillary, time.monotonic() - began)


def _traffic(road: Road, options: argparse.Namespace, figures: Figures) -> None:
    """Events evenly over the time; every customer has one, the others are anybody's."""
    chance = random.Random(options.seed)  # noqa: S311 - traffic
    customers = [*range(options.customers)]
    customers += chance.choices(range(options.customers), k=options.events - options.customers)
    chance.shuffle(customers)
    step = options.per_batch
    pause = options.seconds / options.speed * step / options.events
    began = time.monotonic()
    for number, start in enumerate(range(0, len(customers), step)):
        road.land(number, customers[start : start + step], figures)
        due = began + (number + 1) * pause
        # One that has waited between two new ones, as the sensor has it.
        road.again(figures)
        time.sleep(max(0.0, due - time.monotonic()))


def _look_up(look_ups: LookUps, figures: Figures, over: threading.Event) -> None:
    while not over.is_set():
        figures.runs.append(look_ups.drain())
        over.wait(0.2)


def _fail(capillary: RunningCapillary, options: argparse.Namespace) -> None:
    time.sleep(options.seconds / options.speed / 5)
    capillary.faults.add(kind="status", status=502, times=None)
    time.sleep(options.outage / options.speed)
    capillary.faults.clear()
    capillary.faults.add(
        kind="status", status=500, path="/v2/", share=options.errors, times=None, seed=options.seed + 1
    )


def _told(options: argparse.Namespace, figures: Figures, capillary: RunningCapillary, seconds: float) -> dict[str, Any]:
    rates, speed = capillary.rates(), options.speed
    return {
        "events": options.events,
        "customers": options.customers,
        "policy": options.policy,
        "speed": speed,
        "minutes": round(seconds * speed / 60, 1),
        "outage_minutes": round(options.outage / 60, 1),
        "enriched": figures.enriched,
        "without": figures.without,
        "answered_in_line": figures.inline,
        "answered_by_runs": sum(run.answered for run in figures.runs),
        "failed_calls": sum(run.failed for run in figures.runs),
        "given_up": sum(run.given_up for run in figures.runs),
        "calls": rates.calls,
        "quota_calls_a_minute": int(options.calls * speed),
        "most_calls_in_60_seconds": rates.most_in_60_seconds,
        "stage_without_look_ups_seconds": _spread(figures.alone),
        "stage_with_look_ups_seconds": _spread(figures.live),
        "micro_batches": len(figures.live),
        "micro_batches_asked_again": len(figures.again),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        "max": round(ordered[-1], 3),
    }


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--customers", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=1800.0, help="over how long the events come")
    parser.add_argument("--per-batch", type=int, default=500)
    parser.add_argument("--calls", type=float, default=1000.0, help="calls a minute that Capillary allows")
    parser.add_argument("--errors", type=float, default=0.05, help="share of calls that fail")
    parser.add_argument("--outage", type=float, default=600.0, help="seconds")
    parser.add_argument("--policy", choices=["hold", "deliver"], default="hold")
    parser.add_argument("--hold", type=float, default=120.0, help="CAPILLARY_LOOKUP_HOLD_MINUTES")
    parser.add_argument("--inline", type=float, default=1.0, help="CAPILLARY_LOOKUP_INLINE_SECONDS")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--postgres", help="address of an empty state database")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, print, judge."""
    options = options_of()
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-lookups-") as folder:
        told = measure(Path(folder), options)
    print(json.dumps(told, indent=2))
    kept = told["most_calls_in_60_seconds"] <= told["quota_calls_a_minute"]
    return 0 if kept and (options.policy == "deliver" or not told["without"]) else 1


if __name__ == "__main__":
    sys.exit(main())
