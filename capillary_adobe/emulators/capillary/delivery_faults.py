"""What can go wrong on request between the notification service and a webhook.

Belongs here: these faults and the choice of the attempts they hit. Does not belong here: faults of the API (`faults` of
the package above), and what a webhook itself does wrong.
"""

from __future__ import annotations

import random
import threading
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["delay", "lose_answer", "duplicate"]

KINDS: dict[Kind, str] = {
    "delay": "post `seconds` later, holding the connection",
    "lose_answer": "post, and take the answer for one that never came: the event is posted again",
    "duplicate": "post once more after the webhook took it",
}
"""Every kind and its effect."""


class DeliveryFault(BaseModel):
    """One fault. Of the attempts it meets, each is hit with probability `share`, until `times` of them were hit; None
    stands for every one and for ever. The same `seed` chooses alike.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    times: int | None = Field(default=1, ge=1)
    share: float | None = Field(default=None, ge=0, le=1)
    seed: int = 0
    seconds: float = Field(default=1.0, ge=0)


class DeliveryFaults:
    """The faults in force; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[DeliveryFault, random.Random]] = []
        self._fired: list[int] = []

    def add(self, **fields: Any) -> dict[str, Any]:
        """Add one; a ValueError says what is wrong with it."""
        fault = DeliveryFault(**fields)
        with self._lock:
            self._armed.append((fault, random.Random(fault.seed)))  # noqa: S311 - chance on request
            self._fired.append(0)
        return fault.model_dump()

    def clear(self) -> int:
        """Remove all; the answer is how many there were."""
        with self._lock:
            count = len(self._armed)
            self._armed.clear()
            self._fired.clear()
        return count

    def overview(self) -> list[dict[str, Any]]:
        """Every fault with how many attempts it hit."""
        with self._lock:
            return [
                fault.model_dump() | {"fired": fired}
                for (fault, _), fired in zip(self._armed, self._fired, strict=True)
            ]

    def hit(self, kind: Kind) -> DeliveryFault | None:
        """The fault of a kind that hits this attempt."""
        with self._lock:
            for place, (fault, chance) in enumerate(self._armed):
                if fault.kind != kind or (fault.times is not None and self._fired[place] >= fault.times):
                    continue
                if fault.share is None or chance.random() < fault.share:
                    self._fired[place] += 1
                    return fault
        return None
