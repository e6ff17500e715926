"""Bodies as they come in: held in memory up to a limit, and counted while they are.

Belongs here: reading pieces, and the memory that all bodies together may take. Does not belong here: what becomes of a body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive

from capillary_adobe.landing.receiver.outcome import NotLanded


class ClientGone(Exception):
    """The connection ended before the body did; nothing of it may land."""


class Memory:
    """What unfinished bodies hold of the bytes that may wait. `waiting` tells what whole bodies hold."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0
        self.waiting: Callable[[], int] = int

    @contextmanager
    def hold(self) -> Iterator[Held]:
        """Hold bytes while the context lasts."""
        held = Held(self)
        try:
            yield held
        finally:
            held.release()

    def take(self, size: int) -> None:
        """Count bytes that have come in.

        Raises:
            NotLanded: there is no room for them.
        """
        held = self.taken + self.waiting()
        # What comes alone is taken whatever its size: refused, it would come again for ever, with the queue behind it.
        if held and held + size > self._most:
            raise NotLanded("overload")
        self.taken += size


class Held:
    """What one body holds."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._size = 0

    def add(self, size: int) -> None:
        """More of the body has come. Raises NotLanded where there is no room."""
        self._memory.take(size)
        self._size += size

    def release(self) -> None:
        """The pieces are held by somebody else now, or by nobody."""
        self._memory.taken -= self._size
        self._size = 0


class Incoming:
    """A body that comes in pieces; `more` tells whether another one follows."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.more = True

    async def piece(self) -> bytes:
        """The next one.

        Raises:
            ClientGone: the client has gone.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.more = message["more_body"]
        return message["body"]
