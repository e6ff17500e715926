"""A live feed: small objects with current times, one a second or so.

Belongs here: pacing by the clock, the change of days, going on where an earlier feed stopped. Does not belong here: the
stories (`telling.py`), whole days (`objects.py`).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.objects import Written, land, write_day
from capillary_adobe.demo.telling import Teller

_SECONDS_PER_OBJECT = 1.0
_SECONDS_PER_DAY = 86_400
_NO_END = 1 << 60


class Trickle:
    """The same customers as in `write_day`, at a steady pace and with the times of the clock."""

    def __init__(self, landing: Path, events_per_second: float, seed: int = 1, mix: Mix = USUAL) -> None:
        if events_per_second <= 0:
            raise ValueError("a feed needs more than 0 events per second")
        self._landing = landing
        self._rate = events_per_second
        self._seed = seed
        self._mix = mix
        self._lines_per_day = int(events_per_second * _SECONDS_PER_DAY)
        self._day: date | None = None
        self._teller: Teller | None = None
        self._last_ms = 0

    def backfill_yesterday(self, events: int) -> Written:
        """Land yesterday; the customers of that day go on in the feed."""
        self._lines_per_day = max(self._lines_per_day, events)
        return write_day(self._landing, _now().date() - timedelta(days=1), events, self._seed, self._mix)

    def write_until(self, stop: threading.Event) -> Written:
        """Write until told to stop; what was written."""
        written = Written()
        begun = time.monotonic() - _SECONDS_PER_OBJECT
        while not stop.is_set():
            due = int((time.monotonic() - begun) * self._rate) - written.lines
            if due > 0:
                self._write(due, written)
            stop.wait(_SECONDS_PER_OBJECT)
        return written

    def _write(self, lines: int, written: Written) -> None:
        now = _now()
        first_ms, self._last_ms = self._last_ms, max(self._last_ms, int(now.timestamp() * 1000))
        # The lines came in since the last object, or within the last second at the start.
        first_ms = max(first_ms, self._last_ms - int(_SECONDS_PER_OBJECT * 1000))
        raws = []
        for place in range(1, lines + 1):
            teller = self._teller_of(now.date())
            arrival_ms = first_ms + (self._last_ms - first_ms) * place // lines
            line = teller.tell(arrival_ms, _NO_END if self._day == now.date() else teller.owed)
            written.count(line)
            raws.append(line.raw)
        data = b"\n".join(raws) + b"\n"
        started = self._teller_of(now.date()).started
        land(self._landing, f"{self._last_ms:013d}-{self._mark()}{started:09d}.jsonl", self._last_ms, data)
        written.objects += 1
        written.bytes += len(data)

    def _teller_of(self, today: date) -> Teller:
        """The day's stories; after midnight those of yesterday that are still under way come first."""
        if self._teller is None or (self._day != today and not self._teller.owed):
            start = self._started_before(today)
            self._teller = Teller(today, self._lines_per_day, self._seed, self._mix, ORG_ID, start)
            self._day = today
        return self._teller

    def _mark(self) -> str:
        return f"live{self._seed}-"

    def _started_before(self, today: date) -> int:
        """How many customers earlier feeds of the day have woken: nobody registers twice."""
        names = (self._landing / "events" / today.isoformat()).glob(f"*/*-{self._mark()}*.jsonl")
        return max((int(path.stem.rpartition("-")[2]) for path in names), default=0)


def _now() -> datetime:
    return datetime.now(UTC)
