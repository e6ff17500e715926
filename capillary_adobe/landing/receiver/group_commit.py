"""Group commit: bodies that wait at the same time become durable together.

Belongs here: gathering, the limits of what may wait, deadlines, and telling everybody who waits. Does not belong here:
how bytes become durable (`in_folder.py`, `in_bucket.py`).

All of it runs on the loop but `_write`. What one body costs is kept small: its future, and two appends; timers, threads and
calls back to the loop are paid once a group.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

from capillary_adobe.landing.receiver.logs import Seldom
from capillary_adobe.landing.receiver.outcome import CommitWatch, NotLanded, Reason, Rhythm, Unwritten

_LOG = logging.getLogger(__name__)

Body = TypeVar("Body")


class _Group(Generic[Body]):
    """Bodies that become durable together, and who waits for them."""

    __slots__ = ("bodies", "due", "expired", "expiry", "futures", "sent", "since", "size", "timer")

    def __init__(self, since: float) -> None:
        self.bodies: list[Body] = []
        self.futures: list[asyncio.Future[None]] = []
        self.size = 0
        self.since = since
        self.sent = 0.0
        self.due = False
        self.expired = False
        self.timer: asyncio.Handle | None = None
        self.expiry: asyncio.TimerHandle | None = None


class GroupCommit(Generic[Body]):
    """A queue whose bodies become durable in groups."""

    def __init__(
        self,
        write: Callable[[list[Body], float], None],
        rhythm: Rhythm,
        *,
        executor: Executor,
        watch: CommitWatch,
        commit_seconds: float,
        most_events: int,
        most_bytes: int,
        settle: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        """`settle` runs in the thread that wrote, after those who wait were told; `after` on the loop, when they were."""
        self._write_bodies = write
        self._rhythm = rhythm
        self._executor = executor
        self._watch = watch
        self._commit_seconds = commit_seconds
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._settle = settle
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._gathering: _Group[Body] | None = None
        self._ready: deque[_Group[Body]] = deque()
        self._flying: set[_Group[Body]] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self._sent = 0.0
        self._failures = Seldom("Events cannot be made durable; they are refused for now, to be sent again")
        self._recoveries = Seldom("Events are made durable again")
        self.waiting_events = 0
        self.waiting_bytes = 0
        self.failing = ""

    def put(self, body: Body, size: int) -> asyncio.Future[None]:
        """Queue a body; the future is done when it is durable, and has NotLanded where it is not."""
        future = self._loop.create_future()
        if self._stopping:
            future.set_exception(NotLanded("stopping"))
            return future
        if self._full(size):
            future.set_exception(NotLanded("overload"))
            return future
        group = self._gathering or self._gather()
        group.bodies.append(body)
        group.futures.append(future)
        group.size += size
        self.waiting_events += 1
        self.waiting_bytes += size
        count = len(group.bodies)
        if count == self._rhythm.most:
            self._gathering = None
            self._ready.append(group)
            self._send()
        elif count == self._rhythm.events:
            self._hurry(group)
        return future

    def _full(self, size: int) -> bool:
        # Whatever its size, a body that waits alone is taken: it would be refused for ever.
        return self.waiting_events >= self._most_events or (
            self.waiting_events > 0 and self.waiting_bytes + size > self._most_bytes
        )

    def oldest(self) -> float | None:
        """When the oldest body that is not durable yet was taken, by the monotonic clock."""
        waiting = [group.since for group in (*self._flying, *self._ready) if not group.expired]
        if self._gathering is not None:
            waiting.append(self._gathering.since)
        return min(waiting, default=None)

    def refuse(self) -> None:
        """Take nothing more, and let go what was taken."""
        self._stopping = True
        self._send()
        self._tell_idle()

    async def drain(self) -> None:
        """Return when all that was taken is durable or too late."""
        # By then the deadline of every group has passed; one that hangs in the store must not hold up the end.
        with_margin = self._commit_seconds + 1
        try:
            await asyncio.wait_for(self._idle.wait(), with_margin)
        except TimeoutError:
            _LOG.warning("A commit still hangs in the store; nothing in it was acknowledged.")

    def _gather(self) -> _Group[Body]:
        group: _Group[Body] = _Group(time.monotonic())
        self._gathering = group
        if self._rhythm.seconds:
            self._plan(group, self._rhythm.seconds)
        else:
            # The turn of the loop is given to others that are ready to share the commit.
            group.timer = self._loop.call_soon(self._due, group)
        group.expiry = self._loop.call_later(self._commit_seconds, self._expire, group)
        return group

    def _hurry(self, group: _Group[Body]) -> None:
        """A group has enough bodies to go before its time."""
        wait = self._sent + self._rhythm.apart - time.monotonic()
        if wait <= 0:
            self._due(group)
        elif wait < group.since + self._rhythm.seconds - time.monotonic():
            self._plan(group, wait)

    def _plan(self, group: _Group[Body], seconds: float) -> None:
        if group.timer is not None:
            group.timer.cancel()
        group.timer = self._loop.call_later(seconds, self._due, group)

    def _due(self, group: _Group[Body]) -> None:
        group.due = True
        self._send()

    def _send(self) -> None:
        """Let groups go while there is room for them."""
        while len(self._flying) < self._rhythm.at_once:
            group = self._next()
            if group is None:
                return
            self._flying.add(group)
            group.sent = self._sent = time.monotonic()
            self._executor.submit(self._write, group)

    def _next(self) -> _Group[Body] | None:
        while self._ready:
            group = self._ready.popleft()
            if not group.expired:
                return group
        group = self._gathering
        if group is None:
            return None
        if group.due or self._stopping:
            self._gathering = None
            return group
        return None

    def _write(self, group: _Group[Body]) -> None:
        """In a thread."""
        failure = ""
        try:
            self._write_bodies(group.bodies, group.since + self._commit_seconds)
        except Unwritten as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - a bug must leave nobody waiting
            # Whatever it is, nobody may be left waiting, and nothing may be called durable.
            _LOG.exception("A commit failed for a reason that is not foreseen.")
            failure = type(error).__name__
        self._loop.call_soon_threadsafe(self._landed, group, failure)
        if self._settle is not None and not failure:
            self._settle()

    def _landed(self, group: _Group[Body], failure: str) -> None:
        self._flying.discard(group)
        self._forget(group)
        self._send()
        if failure:
            self._fail(group, failure)
        elif not group.expired:
            self._succeed(group)
        else:
            self.recovered()
        if self._after is not None:
            self._after()
        self._tell_idle()

    def _succeed(self, group: _Group[Body]) -> None:
        for future in group.futures:
            if not future.done():
                future.set_result(None)
        self.recovered()
        self._watch.committed(len(group.bodies), group.size, time.monotonic() - group.since)

    def _fail(self, group: _Group[Body], why: str) -> None:
        self._failures.note(why)
        self.failing = why
        if not group.expired:
            self._refuse(group, "store")

    def _refuse(self, group: _Group[Body], reason: Reason) -> None:
        for future in group.futures:
            if not future.done():
                future.set_exception(NotLanded(reason))
        self._watch.failed(reason, len(group.futures))

    def recovered(self) -> None:
        """The place can be written again."""
        if self.failing:
            self._recoveries.note(self.failing)
            self.failing = ""

    def _expire(self, group: _Group[Body]) -> None:
        """A group has waited too long: its senders send again. What is being written may land all the same."""
        if self.failing or self._hangs():
            self._fail(group, f"no answer within {self._commit_seconds:g} s")
        else:
            # Commits succeed, but more is sent than they can take.
            self._refuse(group, "overload")
        group.expired = True
        group.futures.clear()
        if group not in self._flying:
            if group is self._gathering:
                self._gathering = None
            self._forget(group)
            # A ready group is passed over when its turn comes; its bodies need not be kept until then.
            group.bodies.clear()
        self._tell_idle()

    def _hangs(self) -> bool:
        """Whether a commit takes so long that the store is to blame, and not the number of those who wait for it."""
        longest = time.monotonic() - self._commit_seconds / 2
        return any(group.sent < longest for group in self._flying)

    def _forget(self, group: _Group[Body]) -> None:
        for handle in (group.timer, group.expiry):
            if handle is not None:
                handle.cancel()
        self.waiting_events -= len(group.bodies)
        self.waiting_bytes -= group.size

    def _tell_idle(self) -> None:
        if self._stopping and not (self._flying or self._ready or self._gathering):
            self._idle.set()
