"""What each dataset received and what came of it, in numbers.

Belongs here: the counts of one dataset and of all, from reception to the lake. Does not belong here: the entities
(`accepted`) and the reasons why some never reach the lake (`demands`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

Place = Literal["waiting", "lake", "failed", "withdrawn"]
"""Where an entity is: not validated yet, in the lake, found wanting after it was received, or reverted."""


@dataclass
class DatasetCount:
    """Entities without an `_id` are accepted, but neither distinct nor duplicate.

    `seen` holds for each `_id` how many entities in the lake carry it: 16 bytes and a place in a dict for each.
    """

    accepted: int = 0
    duplicates: int = 0
    waiting: int = 0
    failed: int = 0
    in_lake: int = 0
    distinct_in_lake: int = 0
    seen: dict[bytes, int] = field(default_factory=dict, repr=False)

    def receive(self, entity_id: Any, place: Place) -> None:
        """Count an entity that has just been received, or was received before a restart and is at `place` now."""
        self.accepted += 1
        if isinstance(entity_id, str):
            digest = _digest(entity_id)
            if digest in self.seen:
                self.duplicates += 1
            else:
                self.seen[digest] = 0
        self.waiting += 1
        if place != "waiting":
            self.settle(entity_id, place)

    def settle(self, entity_id: Any, place: Place) -> None:
        """Count what came of an entity that was waiting."""
        self.waiting -= 1
        if place == "failed":
            self.failed += 1
        elif place == "lake":
            self.in_lake += 1
            self._hold(entity_id, 1)

    def withdraw(self, entity_id: Any) -> None:
        """Count an entity that was in the lake as gone."""
        self.in_lake -= 1
        self._hold(entity_id, -1)

    def _hold(self, entity_id: Any, change: int) -> None:
        if not isinstance(entity_id, str):
            return
        digest = _digest(entity_id)
        before = self.seen[digest]
        self.seen[digest] = before + change
        self.distinct_in_lake += (before + change > 0) - (before > 0)


class LakeCount:
    """All datasets."""

    def __init__(self) -> None:
        self.datasets: defaultdict[str, DatasetCount] = defaultdict(DatasetCount)

    def figures(self) -> dict[str, Any]:
        """Every number, as the summary shows it."""
        counts = self.datasets
        return {
            "accepted": sum(count.accepted for count in counts.values()),
            "duplicates": sum(count.duplicates for count in counts.values()),
            "distinct": sum(len(count.seen) for count in counts.values()),
            "by_dataset": {
                dataset_id: {"accepted": count.accepted, "distinct": len(count.seen), "duplicates": count.duplicates}
                for dataset_id, count in counts.items()
            },
            "awaiting_validation": sum(count.waiting for count in counts.values()),
            "failed_later": sum(count.failed for count in counts.values()),
            "in_lake": {
                "records": sum(count.in_lake for count in counts.values()),
                "distinct": sum(count.distinct_in_lake for count in counts.values()),
                "by_dataset": {
                    dataset_id: {"records": count.in_lake, "distinct": count.distinct_in_lake}
                    for dataset_id, count in counts.items()
                },
            },
        }


def _digest(entity_id: str) -> bytes:
    return hashlib.blake2b(entity_id.encode(), digest_size=16).digest()
