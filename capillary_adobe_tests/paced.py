"""A pacer by a clock that is set by hand, and what tests ask of it.

Belongs here: what the tests of the pacing share. Does not belong here: assertions on rates.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from capillary_adobe.pacing import Limits, Pacer, Turn
from capillary_adobe.settings import Lane
from capillary_adobe.state import Paces, PaceView, State

RATE = 1000
NOLIMIT = Limits(0, 0)
RECORDS = Limits(0, RATE)
# 2026-11-25 12:03:04 UTC
NOON = 1_795_608_184.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def pacer(
    state: State, limits: Limits, lane: Lane = "live", clock: Callable[[], float] = time.time, service: str = "inlet"
) -> Pacer:
    return Pacer(state, service, limits, lane, clock)


def now_or_never(pacer: Pacer, records: int = 1) -> Turn:
    return pacer.take(records, threading.Event(), 0.0)


def view(state: State, clock: Clock) -> PaceView:
    found = Paces(state).look("inlet", clock.now)
    assert found is not None
    return found
