"""The words in which the durable core answers: not landed and why, what a commit came to, what a place must do.

Belongs here: the interfaces between the parts of the receiver. Does not belong here: anything that acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Reason = Literal["overload", "store", "stopping"]


class NotLanded(Exception):
    """A body is not durable and was not promised to be: its sender must send it again.

    `overload`: too much waits already; `store`: the disk or the store fails or takes too long; `stopping`: the receiver ends.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Unwritten(Exception):
    """A place could not make its bytes durable; the text says why and holds nothing of them."""


class CommitWatch(Protocol):
    """Who is told what commits came to; both are called on the loop."""

    def committed(self, events: int, size: int, seconds: float, /) -> None:
        """Bodies of that size in bytes became durable together; `seconds` since the first of them was taken."""
        ...

    def failed(self, reason: str, events: int, /) -> None:
        """Bodies that waited for one commit are not durable."""
        ...


@dataclass(frozen=True)
class Rhythm:
    """How bodies are gathered into groups that become durable together.

    A group goes as soon as one of `at_once` is free and its first body has waited `seconds`; with `events` bodies it goes
    earlier, but `apart` seconds after the one before. It takes at most `most` bodies.
    """

    at_once: int
    events: int
    seconds: float
    most: int
    apart: float = 0.0


class Spool(Protocol):
    """A body that comes in pieces and is kept on disk until it is whole. Its calls may block."""

    def append(self, piece: bytes) -> None:
        """Add a piece. Raises Unwritten."""
        ...

    def land(self, why: str) -> None:
        """Make it durable as an object of its own. Raises Unwritten."""
        ...

    def discard(self) -> None:
        """Forget it, unless it has landed."""
        ...


class Place(Protocol):
    """Where bodies become durable: a folder or a bucket. Its calls may block, so they are made in threads.

    `write_lines`, `settle`, `roll` and `close` are called by the threads that commit lines: one for a folder.
    """

    @property
    def lines(self) -> Rhythm:
        """How lines are gathered."""
        ...

    @property
    def asides(self) -> Rhythm:
        """How bodies for `aside/` are."""
        ...

    @property
    def roll_seconds(self) -> float | None:
        """How long after a commit `roll` is due; None where a commit is visible at once."""
        ...

    def open(self) -> None:
        """Make sure that it can be written. Raises LandingError or ObjectStoreError, with the cure."""
        ...

    def write_lines(self, bodies: list[bytes], deadline: float, /) -> None:
        """Make lines durable, all or none; `deadline` is by the monotonic clock. Raises Unwritten."""
        ...

    def write_asides(self, bodies: list[tuple[bytes, str]], deadline: float, /) -> None:
        """Make bodies durable, each an object of its own that ends in its reason. Raises Unwritten."""
        ...

    def spool(self) -> Spool:
        """Begin a large body. Raises Unwritten."""
        ...

    def settle(self) -> None:
        """What is due after lines were acknowledged."""
        ...

    def roll(self) -> None:
        """Make visible what is durable and not visible yet."""
        ...

    def tend(self) -> None:
        """What is due every few seconds."""
        ...

    def probe(self) -> None:
        """Find out whether it can be written again. Raises Unwritten."""
        ...

    def oldest(self) -> float | None:
        """When the oldest durable body that is not visible yet was written, by the monotonic clock."""
        ...

    def close(self) -> None:
        """Make all visible and give up every lock."""
        ...
