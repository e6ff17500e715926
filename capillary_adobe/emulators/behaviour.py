"""How the emulator answers: the shape of its answers, its limits and its pace.

Belongs here: what a user of the emulator may choose, and the arithmetic of a rate. Does not belong here: the answers
themselves (`answers`) and the organisation that is played (`tenant`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

AnswerShape = Literal["tutorial", "sink", "spec"]


@dataclass(frozen=True)
class Behaviour:
    """What may be chosen. A rate of 0 is no limit.

    `answer_shape` picks one of three forms that Adobe's own sources give to the items of a 207 answer: its tutorial,
    the test data of its Kafka sink, or its OpenAPI specification.
    """

    answer_shape: AnswerShape = "tutorial"
    token_seconds: int = 86399
    max_requests_per_second: float = 0
    max_records_per_second: float = 0
    latency_seconds: float = 0


class Rate:
    """A token bucket that holds one second's worth."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._capacity = max(per_second, 1.0)
        self._credit = self._capacity
        self._filled_at = time.monotonic()

    def take(self, count: int) -> bool:
        """Spend `count`, or say no and spend nothing."""
        if not self._per_second:
            return True
        self._fill()
        # A request larger than the bucket would never pass: it needs a full bucket and leaves a debt.
        if self._credit < min(count, self._capacity):
            return False
        self._credit -= count
        return True

    def _fill(self) -> None:
        now = time.monotonic()
        self._credit = min(self._capacity, self._credit + (now - self._filled_at) * self._per_second)
        self._filled_at = now
