"""Names of landed objects: they sort by the moment of their visibility and are unique over all receivers.

Belongs here: names and keys. Does not belong here: writing anything.
"""

from __future__ import annotations

import secrets
import threading
import time

from capillary_adobe.landing.store import landed_key

_COUNTS = 10**6
# A clock that is set back by less, as time services do, must not name an object before the last one.
_CLOCK_STEP_MS = 60_000


class Names:
    """The names that one receiver gives; may be asked by any thread."""

    def __init__(self) -> None:
        self._receiver = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._count = 0
        self._moment_ms = 0

    def key(self, folder: str, ending: str) -> str:
        """The key of an object that becomes visible now: `events/2026-11-26/02/1795661234567-9f3a61c2-000017.jsonl`."""
        moment_ms, name = self._next()
        return landed_key(folder, moment_ms, name + ending)

    def hidden(self, ending: str) -> str:
        """The name of a file that nobody is to see yet."""
        return self._next()[1] + ending

    def _next(self) -> tuple[int, str]:
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._moment_ms or self._moment_ms - now > _CLOCK_STEP_MS:
                self._moment_ms = now
            self._count = (self._count + 1) % _COUNTS
            return self._moment_ms, f"{self._moment_ms:013d}-{self._receiver}-{self._count:06d}"
