"""Faults: what can go wrong on request, and which request it hits.

Belongs here: the description of a fault, the list of those in force and the choice of the requests they hit. Does not
belong here: the effects (`fault_layer` for those on the connection and the answer, `collection` and `batches` for those
on what is processed) and the endpoint that adds faults (`control`).
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "status",
    "delay",
    "reset_before",
    "reset_after",
    "slow_body",
    "partial",
    "short_items",
    "html",
    "revoke_token",
    "batch_status",
]

KINDS: dict[Kind, str] = {
    "status": "answer with `status`, `headers` and `body`; nothing is processed",
    "delay": "process everything, but answer, or cut the connection, `seconds` later; adds to another fault",
    "reset_before": "cut the connection; nothing is processed",
    "reset_after": "process everything, then cut the connection in place of the answer",
    "slow_body": "let the body of the answer trickle over `seconds`",
    "partial": "answer 207, but refuse `places` or `share_of_messages` of its messages with `status`",
    "short_items": "take all messages, answer 207, but leave out the items at `places`, or the first one",
    "html": "answer 200 with an HTML page, as proxies do; nothing is processed",
    "revoke_token": "from this request on its token is invalid",
    "batch_status": "the batch that is completed next ends with `final` and `errors`; adds to another fault",
}
"""Every kind and its effect."""

_ONLY_ON: dict[Kind, tuple[str, str]] = {
    "partial": ("POST", "/collection/batch/"),
    "short_items": ("POST", "/collection/batch/"),
}
_NEED_TOKEN: tuple[Kind, ...] = ("revoke_token",)


class Fault(BaseModel):
    """One fault. It hits requests whose path begins with `path` and whose method is `method`.

    Of those, `skip` pass first; each further one is hit with probability `share`, until `times` of them were hit; None
    stands for every one and for ever. The same `seed` chooses alike.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    path: str = "/"
    method: str | None = None
    skip: int = Field(default=0, ge=0)
    times: int | None = Field(default=1, ge=1)
    share: float | None = Field(default=None, ge=0, le=1)
    seed: int = 0
    status: int = Field(default=503, ge=100, le=599)
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    seconds: float = Field(default=1.0, ge=0)
    places: list[int] | None = None
    share_of_messages: float | None = Field(default=None, ge=0, le=1)
    final: str = "failed"
    errors: list[dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _partial_is_of_something(self) -> Fault:
        if self.kind == "partial" and (self.places is None) == (self.share_of_messages is None):
            raise ValueError("a partial answer needs either places or share_of_messages")
        return self

    def concerns(self, method: str, path: str, *, has_token: bool) -> bool:
        """Whether a request is one that the fault can hit."""
        only_method, only_path = _ONLY_ON.get(self.kind, (method, ""))
        return (
            path.startswith(self.path)
            and path.startswith(only_path)
            and method == only_method
            and self.method in (None, method)
            and (has_token or self.kind not in _NEED_TOKEN)
        )


@dataclass
class _Armed:
    number: int
    fault: Fault
    chance: random.Random
    met: int = 0
    fired: int = 0

    def hits(self) -> bool:
        self.met += 1
        if self.met <= self.fault.skip or (self.fault.times is not None and self.fired >= self.fault.times):
            return False
        if self.fault.share is not None and self.chance.random() >= self.fault.share:
            return False
        self.fired += 1
        return True


@dataclass(frozen=True)
class Hit:
    """A fault that hits a request, with the chance that is left to it for its messages."""

    fault: Fault
    chance: random.Random

    def places(self, count: int) -> set[int]:
        """Which of so many messages it concerns."""
        if self.fault.places is not None:
            return {place for place in self.fault.places if 0 <= place < count}
        if self.fault.share_of_messages is None:
            return {0} if count else set()
        return {place for place in range(count) if self.chance.random() < self.fault.share_of_messages}


class Faults:
    """The faults in force, in the order they were added; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._armed: list[_Armed] = []

    def add(self, **fields: Any) -> dict[str, Any]:
        """Add a fault, given by the fields of `Fault`; a ValueError says what is wrong with them."""
        fault = Fault(**fields)
        with self._lock:
            armed = _Armed(next(self._numbers), fault, random.Random(fault.seed))  # noqa: S311 - chance on request
            self._armed.append(armed)
        return _listed(armed)

    def clear(self) -> int:
        """Remove all faults; the answer is how many there were."""
        with self._lock:
            count = len(self._armed)
            self._armed.clear()
        return count

    def overview(self) -> list[dict[str, Any]]:
        """Every fault with how many requests it met and how many of them it hit."""
        with self._lock:
            return [_listed(armed) for armed in self._armed]

    def on(self, method: str, path: str, *, has_token: bool) -> list[Hit]:
        """What hits a request: any number of delays and revocations, and at most one other fault at the end.

        A request that one fault hits is not met by those after it.
        """
        found: list[Hit] = []
        with self._lock:
            for armed in self._armed:
                if armed.fault.kind == "batch_status" or not armed.fault.concerns(method, path, has_token=has_token):
                    continue
                if armed.hits():
                    found.append(Hit(armed.fault, armed.chance))
                    if armed.fault.kind not in ("delay", "revoke_token"):
                        break
        return found

    def at_completion(self, method: str, path: str) -> Fault | None:
        """What decides on the end of the batch that a request completes."""
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if fault.kind == "batch_status" and fault.concerns(method, path, has_token=True) and armed.hits():
                    return fault
        return None


def _listed(armed: _Armed) -> dict[str, Any]:
    described = armed.fault.model_dump(exclude_unset=True)
    return {"id": armed.number} | described | {"met": armed.met, "fired": armed.fired}
