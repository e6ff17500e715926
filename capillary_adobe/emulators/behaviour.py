"""How the emulator answers: the shape of its answers, its limits and its pace.

Belongs here: what a user of the emulator may choose, and the arithmetic of a rate. Does not belong here: the answers
themselves (`answers`) and the organisation that is played (`tenant`).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

AnswerShape = Literal["tutorial", "sink", "spec"]


@dataclass(frozen=True)
class Behaviour:
    """What may be chosen. A rate of 0 is no limit.

    `answer_shape` picks one of three forms that Adobe's own sources give to the items of a 207 answer: its tutorial,
    the test data of its Kafka sink, or its OpenAPI specification.

    `batch_seconds` is the time from the completion of a batch to its final status; `synonyms` picks the other two of
    Adobe's four words for that status, `active` and `failure`. `validate` checks streamed messages after the answer,
    in windows of `validation_seconds`; `validation_errors_key` picks the other of two documented forms of what is then
    said about each. `records_per_file` divides the files of failed records and of row errors. `schema_cache_seconds` is how
    long entities may still be held against a schema that was changed; Adobe asks for a patience of 15 minutes.
    `profile_reorder_seconds` is how far records of a profile that follow one another may change places on their way into
    the profile store: AEP promises no order. `work_order_seconds` is the time that a work order of Data Hygiene takes.
    """

    answer_shape: AnswerShape = "tutorial"
    token_seconds: int = 86399
    max_requests_per_second: float = 0
    max_records_per_second: float = 0
    latency_seconds: float = 0
    batch_seconds: float = 1.0
    batches_per_minute: int = 0
    max_files: int = 25_000
    max_file_bytes: int = 256_000_000
    max_part_bytes: int = 512_000_000
    synonyms: bool = False
    validate: bool = True
    validation_seconds: float = 0.5
    validation_errors_key: bool = False
    records_per_file: int = 5_000
    schema_cache_seconds: float = 0
    profile_reorder_seconds: float = 0
    work_order_seconds: float = 1.0

    @property
    def good_status(self) -> str:
        """The final status of a batch that was ingested."""
        return "active" if self.synonyms else "success"

    @property
    def bad_status(self) -> str:
        """The final status of a batch that was not."""
        return "failure" if self.synonyms else "failed"


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


class Allowance:
    """So many in any 60 seconds."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Use one, or say no."""
        if not self._per_minute:
            return True
        now = time.monotonic()
        while self._taken and self._taken[0] <= now - 60:
            self._taken.popleft()
        if len(self._taken) >= self._per_minute:
            return False
        self._taken.append(now)
        return True
