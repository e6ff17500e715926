"""Calls that came in: when, so that a limit of calls a minute can be held against them.

Belongs here: their moments. Does not belong here: refusing them (`access`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

_MOST_KEPT = 1_000_000
_MINUTE = 60


class Rates(NamedTuple):
    """How many calls there were, and the most of them in any 60 seconds and in any minute of the clock."""

    calls: int
    most_in_60_seconds: int
    most_in_a_minute: int


class Calls:
    """The latest million calls, for tokens as for anything else; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: deque[float] = deque(maxlen=_MOST_KEPT)

    def came(self) -> None:
        """Note one."""
        with self._lock:
            self._moments.append(time.time())

    def rates(self) -> Rates:
        """What they come to."""
        with self._lock:
            moments = sorted(self._moments)
        most, first = 0, 0
        for last, moment in enumerate(moments):
            while moment - moments[first] >= _MINUTE:
                first += 1
            most = max(most, last - first + 1)
        by_minute = Counter(int(moment) // _MINUTE for moment in moments)
        return Rates(len(moments), most, max(by_minute.values(), default=0))


class CallCounter:
    """The layer that notes every call of the API, whatever becomes of it."""

    def __init__(self, app: ASGIApp, calls: Calls, prefixes: tuple[str, ...]) -> None:
        self._app = app
        self._calls = calls
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note it, and pass it on."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefixes):
            self._calls.came()
        await self._app(scope, receive, send)
