"""A load generator for the webhook receiver: what Capillary does, only as fast as wanted, in a process of its own.

Run: `.venv/bin/python -m bench.load --url http://127.0.0.1:8790/events --header 'Authorization: …' --rate 1000 --seconds 10`.
`--rate 0` is a closed loop: every connection posts as soon as it was answered. Any other rate is an open loop, in which an
event's time counts from the moment it should have left, so that a stall is charged to all the events that it delayed.
With `--retry` an event goes again until it is acknowledged, as Capillary does: after what Retry-After tells, and almost at
once where the connection broke. SIGTERM ends the plan early; what is under way is still waited for. Each event acknowledged is
noted in `--acknowledged FILE`: its id and the SHA-256 of its body.

Belongs here: the plan, the two loops, repeats, the figures. Does not belong here: the events (`load_bodies.py`), HTTP
(`load_connection.py`), whether they landed (`landed.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop

from bench.load_bodies import Event, events
from bench.load_connection import Connection, request_head

MOST_EVENTS = 5_000_000
MOST_SECONDS = 3600.0
ANSWER_SECONDS = 30.0
"""How long Capillary waits for an answer (docs.capillarytech.com/docs/consuming-event-notifications)."""
_PAUSE_SECONDS = 0.05
_TICK_SECONDS = 0.001
_SWEEP_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to be posted. `rate` is events a second, 0 for a closed loop; `count` is the most events, whatever the time."""

    url: str
    headers: tuple[str, ...] = ()
    connections: int = 64
    rate: float = 0.0
    seconds: float = 10.0
    count: int = MOST_EVENTS
    size: int = 1500
    retry: bool = False
    drain_seconds: float = 30.0
    acknowledged: Path | None = None

    def __post_init__(self) -> None:
        if not _is_loopback(urlsplit(self.url).hostname or ""):
            raise ValueError(f"{self.url} is not on this machine: load is made against 127.0.0.1 only")
        if not (0 < self.seconds <= MOST_SECONDS and 0 < self.count <= MOST_EVENTS and 0 < self.connections <= 1000):
            raise ValueError(
                f"give up to {MOST_SECONDS:.0f} seconds, {MOST_EVENTS} events and 1000 connections, and at least one of each"
            )


@dataclass
class Figures:
    """What happened. Times are seconds from when an event should have left to its acknowledgement."""

    sent: int = 0
    acknowledged: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    broken_connections: int = 0
    unanswered: int = 0
    times: array[float] = field(default_factory=lambda: array("d"))
    first: float = 0.0
    last: float = 0.0

    def report(self) -> dict[str, Any]:
        """The figures as they are printed."""
        seconds = self.last - self.first
        spread = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
        times = np.frombuffer(self.times) if self.times else np.zeros(1)
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "not_acknowledged": self.sent - self.acknowledged,
            "by_status": {str(status): number for status, number in sorted(self.by_status.items())},
            "broken_connections": self.broken_connections,
            "unanswered": self.unanswered,
            "seconds": round(seconds, 3),
            "events_per_second": round(self.acknowledged / seconds) if seconds else 0,
            **{name: round(float(np.percentile(times, share)) * 1000, 2) for name, share in spread.items()},
            "generator_cpu_share": round(time.process_time() / (time.perf_counter() - _BEGAN), 2),
        }


_BEGAN = time.perf_counter()


class Load:
    """One run of a plan; `run` gives its figures."""

    def __init__(self, plan: Plan, note: Callable[[bytes], object]) -> None:
        self._plan = plan
        self._note = note
        self._events = events(plan.size)
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._due: deque[Event] = deque()
        self._again: list[tuple[float, int, Event]] = []
        self._order = count()
        self._open = 0
        self._ends = 0.0
        self.figures = Figures()

    async def run(self) -> Figures:
        """Post until the plan is done and, with `retry`, every event is acknowledged or the drain has taken too long."""
        plan, loop = self._plan, asyncio.get_running_loop()
        address = urlsplit(plan.url)
        head = request_head(plan.url, plan.headers, plan.size)
        made = [Connection(self, head) for _ in range(plan.connections)]
        dialling = [loop.create_task(self._keep_open(one, address.hostname or "", address.port or 80)) for one in made]
        dialled = time.perf_counter()
        while len(self._idle) < plan.connections:
            if time.perf_counter() - dialled > ANSWER_SECONDS:
                raise ValueError(f"{plan.url} takes no {plan.connections} connections: is a receiver running there?")
            await asyncio.sleep(_TICK_SECONDS)
        self.figures.first = self.figures.last = time.perf_counter()
        self._ends = self.figures.first + plan.seconds
        loop.add_signal_handler(signal.SIGTERM, self._end)
        try:
            await self._feed()
        finally:
            for task in dialling:
                task.cancel()
            for one in made:
                one.close()
        return self.figures

    async def _keep_open(self, connection: Connection, host: str, port: int) -> None:
        """Dial, and dial again whenever the other side has closed."""
        while True:
            try:
                await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._idle.append(connection)
            self._serve()
            await connection.closed()

    async def _feed(self) -> None:
        """Let events fall due until the plan ends, then wait for what is still under way."""
        swept = time.perf_counter()
        while True:
            now = time.perf_counter()
            if self._again:
                self._wake(now)
            self._serve()
            if now - swept > _SWEEP_SECONDS:
                swept = now
                self._give_up(now - ANSWER_SECONDS)
            under_way = self._busy or self._due or self._again
            if (self._is_over(now) and not under_way) or now > self._ends + self._plan.drain_seconds:
                return
            await asyncio.sleep(_TICK_SECONDS)

    def _end(self) -> None:
        self._ends = min(self._ends, time.perf_counter())

    def _due_at(self, now: float) -> float:
        """When the next new event should leave."""
        figures, rate = self.figures, self._plan.rate
        return figures.first + figures.sent / rate if rate else now

    def _is_over(self, now: float) -> bool:
        """Whether nothing new is to leave; in an open loop what was due before the end still is, however late."""
        return self._due_at(now) >= self._ends or self.figures.sent >= self._plan.count

    def _next(self) -> Event | None:
        """The event that a free connection should post now: a repeat first, then what is due."""
        if self._due:
            return self._due.popleft()
        now = time.perf_counter()
        due = self._due_at(now)
        if not self._ends or due > now or self._is_over(now):
            return None
        event = next(self._events)
        event.due = due
        self.figures.sent += 1
        return event

    def _serve(self) -> None:
        """Give work to free connections, the one that has waited longest first."""
        while self._idle:
            connection = self._idle[0]
            if not connection.is_open:
                self._idle.popleft()
                continue
            event = self._next()
            if event is None:
                return
            self._idle.popleft()
            self._busy.add(connection)
            connection.post(event)

    def _wake(self, now: float) -> None:
        while self._again and self._again[0][0] <= now:
            self._due.append(heappop(self._again)[2])

    def _repeat(self, event: Event, pause: float) -> None:
        heappush(self._again, (time.perf_counter() + pause, next(self._order), event))

    def _give_up(self, before: float) -> None:
        """Close connections whose answer has not come for so long, as Capillary does."""
        for connection in [one for one in self._busy if one.posted < before]:
            self.figures.unanswered += 1
            connection.close()

    def answered(self, connection: Connection, event: Event, status: int, retry_after: float) -> None:
        """Count an answer and let the connection go on."""
        figures = self.figures
        figures.by_status[status] += 1
        self._busy.discard(connection)
        if 200 <= status < 300:
            figures.acknowledged += 1
            figures.last = time.perf_counter()
            figures.times.append(figures.last - event.due)
            self._note(b"%b %b\n" % (event.id, sha256(event.body).hexdigest().encode()))
        elif self._plan.retry:
            self._repeat(event, max(retry_after, _PAUSE_SECONDS))
        if connection.is_open:
            self._idle.append(connection)
            self._serve()

    def lost(self, connection: Connection, event: Event | None) -> None:
        """Note that a connection has closed; its event, if it had one, was not answered."""
        self._busy.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if event is None:
            return
        self.figures.broken_connections += 1
        if self._plan.retry:
            self._repeat(event, _PAUSE_SECONDS)


def run(plan: Plan) -> Figures:
    """Carry out a plan in this process."""
    with ExitStack() as stack:
        # Unbuffered: whoever watches the file sees each acknowledgement as soon as it was given.
        note = stack.enter_context(plan.acknowledged.open("ab", buffering=0)).write if plan.acknowledged else len
        return uvloop.run(Load(plan, note).run())


def main() -> int:
    options = vars(_options())
    cpu, as_json = options.pop("cpu"), options.pop("json")
    options["headers"] = tuple(options.pop("header"))
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        report = run(Plan(**options)).report()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(report) if as_json else "\n".join(f"{name:20} {value}" for name, value in report.items()))
    return 0


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument(
        "--header", action="append", default=[], help="a header to send, 'Name: value'; may be repeated"
    )
    parser.add_argument("--connections", type=int, default=Plan.connections)
    parser.add_argument(
        "--rate", type=float, default=Plan.rate, help="events a second; 0: as fast as they are answered"
    )
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--count", type=int, default=Plan.count, help="most events")
    parser.add_argument("--size", type=int, default=Plan.size, help="bytes of a body")
    parser.add_argument("--retry", action="store_true", help="post again what was not acknowledged")
    parser.add_argument(
        "--drain-seconds", type=float, default=Plan.drain_seconds, help="longest wait for the last ones"
    )
    parser.add_argument("--acknowledged", type=Path, default=None, help="file for ids and hashes of what was taken")
    parser.add_argument("--cpu", type=int, default=None, help="core to stay on (Linux)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
