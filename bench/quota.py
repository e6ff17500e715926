"""The quota, measured: history uses up what live leaves of AEP's record rate, and live does not notice.

Run: `.venv/bin/python -m bench.quota [--seconds 60] [--rate 1500] [--setting R] [--postgres URL]`. An emulator allows `rate`
records a second and answers 429 above. Live micro-batches of 10 to 200 entities come about once a second, alone (A) and
beside a history that has no end (B), in turns. Prints JSON; asserts nothing about time. With a `setting` above `rate` it
shows how the pace finds the rate that AEP lets pass.

Belongs here: the traffic of both lanes and its figures. Does not belong here: delivery itself.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow as pa
import requests
import uvicorn

from capillary_adobe.adobe import Delivery, TransientDeliveryError, Work
from capillary_adobe.emulators.aep import Behaviour, Tenant, build_app
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.sending import entities, settings_for

HISTORY_DAY, LIVE_DAY = "2026-03-03", "2026-03-04"
ROUNDS = 2
SETTLING_SECONDS = 5.0
ALONE_TO_TOGETHER = 0.5
_SPAWN = multiprocessing.get_context("spawn")
_PADDING = 1250
"""Makes entities of 1.4 KB, as those of a transaction are."""
_ROWS_AT_ONCE = 500
_LIVE_FROM = 1_000_000_000
_NOBODY_WAITS = threading.Event()


@dataclass
class Figures:
    """What is counted while live traffic runs; `used` holds accepted entities and seconds of each phase B."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    used: list[tuple[int, float]] = field(default_factory=list)
    settled: list[tuple[int, float]] = field(default_factory=list)
    throttled_early: int = 0
    live_failed: int = 0


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-quota-") as folder:
        print(json.dumps(measure(Path(folder), options), indent=2))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    state_url = options.postgres or f"sqlite:///{folder / 'state.db'}"
    setting = options.setting or options.rate
    hear, tell = _SPAWN.Pipe(duplex=False)
    going, ending = _SPAWN.Event(), _SPAWN.Event()
    emulator = _SPAWN.Process(target=_emulate, args=(folder / "emulator", options.rate, tell), daemon=True)
    emulator.start()
    url = f"http://127.0.0.1:{hear.recv()}"
    given = _settings(Tenant.demo().environment(url), setting)
    history = _SPAWN.Process(target=_history, args=(given, state_url, going, ending), daemon=True)
    history.start()
    try:
        figures = _alternate(url, Delivery(given, State(state_url)), going, options.seconds)
        status = _summary(url)
    finally:
        ending.set()
        going.set()
        history.join(30)
        emulator.terminate()
        emulator.join()
    return _report(figures, status, options.rate, setting)


def _alternate(url: str, delivery: Delivery, going: Event, seconds: float) -> Figures:
    figures, live = Figures(), _Live(delivery)
    live.deliver()  # Opens the connections and the tables; not counted.
    for number in range(ROUNDS):
        figures.alone += live.run(seconds / ROUNDS * ALONE_TO_TOGETHER)
        before = _accepted(url)
        going.set()
        while _accepted(url) == before:
            _NOBODY_WAITS.wait(0.01)
        began, until = time.monotonic(), time.monotonic() + seconds / ROUNDS
        figures.beside += live.run(SETTLING_SECONDS)
        if number == 0:
            figures.throttled_early = _summary(url)["requests"].get("429", 0)
        settled, settled_at = _accepted(url), time.monotonic()
        figures.beside += live.run(until - time.monotonic())
        after, now = _accepted(url), time.monotonic()
        figures.used.append((after - before, now - began))
        figures.settled.append((after - settled, now - settled_at))
        going.clear()
        _wait_until_idle(url)
    figures.live_failed = live.failed
    return figures


class _Live:
    """Micro-batches, one after the other; the time each takes."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._chance = random.Random(7)  # noqa: S311 - the same traffic each time
        self._next = _LIVE_FROM
        self.failed = 0

    def run(self, seconds: float) -> list[float]:
        until, taken = time.monotonic() + seconds, []
        while time.monotonic() < until:
            began = time.monotonic()
            taken.append(self.deliver())
            wait = began + self._chance.uniform(0.7, 1.3) - time.monotonic()
            _NOBODY_WAITS.wait(max(0.0, min(wait, until - time.monotonic())))
        return taken

    def deliver(self) -> float:
        batch = entities(self._chance.randint(10, 200), self._next, _PADDING)
        self._next += batch.num_rows
        work = Work(LIVE_DAY, lambda columns: [batch.select(columns)], "live")
        began = time.monotonic()
        try:
            self._delivery.deliver(work, lambda _: None)
        except TransientDeliveryError:
            self.failed += 1
        return time.monotonic() - began


def _history(settings: AdobeSettings, state_url: str, going: Event, ending: Event) -> None:
    """Entities without end while `going` is set."""
    delivery, rows = Delivery(settings, State(state_url)), _endless()
    while going.wait() and not ending.is_set():

        def stream(columns: list[str]) -> Iterator[pa.RecordBatch]:
            while going.is_set() and not ending.is_set():
                yield next(rows).select(columns)

        delivery.deliver(Work(HISTORY_DAY, stream, "history", "streaming"), lambda _: None)


def _endless() -> Iterator[pa.RecordBatch]:
    start = 0
    while True:
        yield entities(_ROWS_AT_ONCE, start, _PADDING)
        start += _ROWS_AT_ONCE


def _emulate(store: Path, rate: float, tell: Connection) -> None:
    app = build_app(Tenant.demo(), store, Behaviour(max_records_per_second=rate, validate=False))
    config = uvicorn.Config(app, log_level="error", host="127.0.0.1", port=0)
    listening = config.bind_socket()
    tell.send(listening.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listening])


def _settings(environment: Mapping[str, str], rate: float) -> AdobeSettings:
    return settings_for(environment, max_records_per_second=rate, max_requests_per_second=1000)


def _summary(url: str) -> dict[str, Any]:
    return requests.get(f"{url}/summary.json", timeout=30).json()


def _accepted(url: str) -> int:
    return _summary(url)["accepted"]


def _wait_until_idle(url: str) -> None:
    """Until nothing has come for a while: what history had packed is on its way still."""
    last, since = _accepted(url), time.monotonic()
    while time.monotonic() - since < 1.0:
        _NOBODY_WAITS.wait(0.1)
        now = _accepted(url)
        if now != last:
            last, since = now, time.monotonic()


def _report(figures: Figures, status: dict[str, Any], rate: float, setting: float) -> dict[str, Any]:
    throttled = status["requests"].get("429", 0)
    alone, beside = _spread(figures.alone), _spread(figures.beside)
    return {
        "aep_allows": rate,
        "set": setting,
        "requests": status["requests"],
        "throttled": throttled,
        "throttled_after_first_seconds": throttled - figures.throttled_early,
        "quota_used": _share(figures.used, rate),
        "quota_used_once_settled": _share(figures.settled, rate),
        "live_alone": alone,
        "live_beside_history": beside,
        "ratio": {name: round(beside[name] / alone[name], 2) for name in ("p50_ms", "p95_ms")},
        "live_failed": figures.live_failed,
        "cores": os.cpu_count(),
    }


def _share(parts: list[tuple[int, float]], rate: float) -> float:
    return round(sum(count for count, _ in parts) / (rate * sum(seconds for _, seconds in parts)), 3)


def _spread(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=20)
    shown = {"p50_ms": statistics.median(seconds), "p95_ms": cuts[18], "longest_ms": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in shown.items()} | {"deliveries": len(seconds)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="length of both lanes together, over all turns")
    parser.add_argument("--rate", type=float, default=1500, help="records a second that AEP allows")
    parser.add_argument("--setting", type=float, default=0, help="ADOBE_MAX_RECORDS_PER_SECOND; 0: the rate")
    parser.add_argument("--postgres", default="", help="address of a PostgreSQL state database in place of SQLite")
    return parser.parse_args()


if __name__ == "__main__":
    main()
