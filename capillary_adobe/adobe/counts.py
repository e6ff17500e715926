"""What a delivery did, counted.

Belongs here: the counts that both lanes fill. Does not belong here: showing them (`defs`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class DeliveryCounts:
    """What a run sent; `waiting` counts entities that lie in batches AEP has not judged."""

    sent: int = 0
    requests: int = 0
    bytes: int = 0
    already_settled: int = 0
    waiting: int = 0
    batches: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
