"""A body that is too large to be held in memory: spooled to disk piece by piece, landed whole.

Belongs here: how the loop hands pieces to the disk. Does not belong here: where they lie (`in_folder.py`, `in_bucket.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from types import TracebackType
from typing import Any

from capillary_adobe.landing.receiver.outcome import NotLanded, Place, Spool, Unwritten


class LargeBody:
    """`async with committer.large() as body`: any number of `await body.write(piece)`, then `await body.land(why)`.

    Left without `land`, nothing of it stays. Memory: the piece at hand.
    """

    def __init__(
        self,
        place: Place,
        executor: Executor,
        seconds: float,
        *,
        tell: Callable[[int, float, str], None],
        stopping: Callable[[], bool],
    ) -> None:
        """`seconds`: how long the disk or the store may take; `tell` hears size, seconds, and what failed, if anything."""
        self._place = place
        self._executor = executor
        self._seconds = seconds
        self._tell = tell
        self._stopping = stopping
        self._spool: Spool | None = None
        # A call that took too long may still run when the next one comes.
        self._lock = threading.Lock()
        self._size = 0

    async def __aenter__(self) -> LargeBody:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stopping():
            self._executor.submit(self._discard)
        elif self._lock.acquire(blocking=False):
            # The threads may have ended, and the loop must not wait for a call that hangs; what that holds goes with the
            # process, or with the next receiver.
            self._lock.release()
            self._discard()

    async def write(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            NotLanded: the disk fails or takes too long, or the receiver is stopping.
        """
        await self._run(self._append, piece)
        self._size += len(piece)

    async def land(self, why: str) -> None:
        """Make it durable under `aside/`; `why` is the ending of its name.

        Raises:
            NotLanded: the disk or the store fails or takes too long, or the receiver is stopping.
        """
        seconds = await self._run(self._land, why)
        self._tell(self._size, seconds, "")

    async def _run(self, call: Callable[[Any], None], value: bytes | str) -> float:
        if self._stopping():
            raise NotLanded("stopping")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await asyncio.wait_for(loop.run_in_executor(self._executor, call, value), self._seconds)
        except (Unwritten, TimeoutError) as error:
            self._tell(self._size, self._seconds, str(error) or f"no answer within {self._seconds:g} s")
            raise NotLanded("store") from error
        return loop.time() - begun

    def _append(self, piece: bytes) -> None:
        with self._lock:
            self._begun().append(piece)

    def _land(self, why: str) -> None:
        with self._lock:
            self._begun().land(why)

    def _begun(self) -> Spool:
        if self._spool is None:
            self._spool = self._place.spool()
        return self._spool

    def _discard(self) -> None:
        with self._lock:
            if self._spool is not None:
                self._spool.discard()
                self._spool = None
