"""When the lines of a day land.

Belongs here: the day's rhythm and the row of lines that follows it. Does not belong here: what the lines say
(`telling.py`).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from datetime import date
from itertools import accumulate

from capillary_adobe.demo.days import HOUR_MS, utc_start
from capillary_adobe.demo.dice import dice
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.telling import Line, Teller

_CLOCK = 1
# How busy each UTC hour is: stores from the Gulf to the Pacific, quiet while all of them are closed.
_BUSY = (3, 4, 5, 6, 7, 8, 8, 9, 9, 9, 8, 9, 10, 11, 10, 9, 7, 5, 3, 2, 2, 1, 1, 2)
_BOUNDS = tuple(accumulate(_BUSY, initial=0))


def day_of_lines(day: date, lines: int, seed: int, mix: Mix, org_id: int) -> Iterator[Line]:
    """The lines of a UTC day in the order in which they land."""
    teller = Teller(day, lines, seed, mix, org_id)
    for told, arrival_ms in enumerate(arrivals(day, lines, seed)):
        yield teller.tell(arrival_ms, lines - told)


def arrivals(day: date, lines: int, seed: int) -> Iterator[int]:
    """When each line of a day lands, epoch ms, in order."""
    rng = dice(seed, day.toordinal(), _CLOCK)
    start_ms = utc_start(day.toordinal())
    for place in range(lines):
        share = (place + rng.random()) / lines * _BOUNDS[-1]
        hour = min(bisect(_BOUNDS, share) - 1, len(_BUSY) - 1)
        yield start_ms + int((hour + (share - _BOUNDS[hour]) / _BUSY[hour]) * HOUR_MS)
