"""The doors of the demo traffic: a day as lines, a day as landed objects, a live feed.

Belongs here: the public names and their order of use. Does not belong here: how any of it is made.

    day_of_events(day, events)     the lines of a day, for whoever lands them by another way
    write_day(landing, day, events) the same lines as objects of a landing store
    Trickle(outlet, per second)    a feed with current times, into a `LandingOutlet` or a `CapillaryOutlet`

`Broken` names what can be wrong with a line, `broken_line` makes one such line.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from capillary_adobe.demo.broken import ORG_ID, Broken, broken_line
from capillary_adobe.demo.envelopes import Shape
from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.objects import Written, write_day
from capillary_adobe.demo.rhythm import day_of_lines
from capillary_adobe.demo.trickle import Trickle

__all__ = [
    "ORG_ID",
    "USUAL",
    "Broken",
    "Mix",
    "Shape",
    "Trickle",
    "Written",
    "broken_line",
    "day_of_events",
    "write_day",
]


def day_of_events(
    day: date, events: int, seed: int = 1, mix: Mix = USUAL, org_id: int = ORG_ID
) -> Iterator[tuple[int, bytes]]:
    """The lines of a UTC day: when each lands, epoch ms, and its bytes without line end.

    `events` is the number of lines, duplicates and broken ones included. The same arguments give the same lines; days
    with the same number of lines and the same seed tell the customers' stories on.
    """
    return ((line.arrival_ms, line.raw) for line in day_of_lines(day, events, seed, mix, org_id))
