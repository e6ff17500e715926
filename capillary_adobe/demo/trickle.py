"""A live feed: a few lines with current times, once a second or so.

Belongs here: pacing by the clock, the change of days, going on where an earlier feed stopped. Does not belong here: the
stories (`telling.py`), whole days (`objects.py`), where the lines go (`outlets.py`).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta

from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.objects import Written, write_day
from capillary_adobe.demo.outlets import Outlet
from capillary_adobe.demo.telling import Teller
from capillary_adobe.landing import LandingStore

_SECONDS_PER_TURN = 1.0
_SECONDS_PER_DAY = 86_400
_NO_END = 1 << 60


class Trickle:
    """The same customers as in `write_day`, at a steady pace and with the times of the clock."""

    def __init__(self, outlet: Outlet, events_per_second: float, seed: int = 1, mix: Mix = USUAL) -> None:
        if events_per_second <= 0:
            raise ValueError("a feed needs more than 0 events per second")
        self._outlet = outlet
        self._rate = events_per_second
        self._seed = seed
        self._mix = mix
        self._lines_per_day = int(events_per_second * _SECONDS_PER_DAY)
        self._day: date | None = None
        self._teller: Teller | None = None
        self._last_ms = 0

    def backfill_yesterday(self, landing: LandingStore, events: int) -> Written:
        """Land yesterday as objects; the customers of that day go on in the feed."""
        self._lines_per_day = max(self._lines_per_day, events)
        return write_day(landing, _now().date() - timedelta(days=1), events, self._seed, self._mix)

    def write_until(self, stop: threading.Event) -> Written:
        """Write until told to stop; what was written."""
        written = Written()
        begun = time.monotonic() - _SECONDS_PER_TURN
        while not stop.is_set():
            due = int((time.monotonic() - begun) * self._rate) - written.lines
            if due > 0:
                self._write(due, written)
            stop.wait(_SECONDS_PER_TURN)
        return written

    def _write(self, lines: int, written: Written) -> None:
        now = _now()
        first_ms, self._last_ms = self._last_ms, max(self._last_ms, int(now.timestamp() * 1000))
        # The lines came in since the last turn, or within the last second at the start.
        first_ms = max(first_ms, self._last_ms - int(_SECONDS_PER_TURN * 1000))
        raws = []
        for place in range(1, lines + 1):
            teller = self._teller_of(now.date())
            arrival_ms = first_ms + (self._last_ms - first_ms) * place // lines
            line = teller.tell(arrival_ms, _NO_END if self._day == now.date() else teller.owed)
            written.count(line)
            raws.append(line.raw)
        written.bytes += self._outlet.hand_over(self._last_ms, raws, self._teller_of(now.date()).started)
        written.objects += 1

    def _teller_of(self, today: date) -> Teller:
        """The day's stories; after midnight those of yesterday that are still under way come first."""
        if self._teller is None or (self._day != today and not self._teller.owed):
            start = self._outlet.started(today)
            self._teller = Teller(today, self._lines_per_day, self._seed, self._mix, ORG_ID, start)
            self._day = today
        return self._teller


def _now() -> datetime:
    return datetime.now(UTC)
