"""Pacing: keep requests and records below their rates.

Belongs here: waiting for one's turn. Does not belong here: what is sent.
"""

from __future__ import annotations

import threading
import time


class Pacer:
    """Two rates kept at once; safe to share between threads. A rate of 0 is no limit."""

    def __init__(self, requests_per_second: float, records_per_second: float) -> None:
        self._requests = requests_per_second
        self._records = records_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, records: int, stopping: threading.Event) -> bool:
        """Wait until a request with this many records may leave; False when `stopping` came first."""
        cost = max(
            1 / self._requests if self._requests else 0.0,
            records / self._records if self._records else 0.0,
        )
        with self._lock:
            turn = max(time.monotonic(), self._free_at)
            self._free_at = turn + cost
        return not stopping.wait(max(0.0, turn - time.monotonic()))
