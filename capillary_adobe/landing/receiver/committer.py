"""The committer: takes bodies as they come and tells when each is durable.

Belongs here: the two roads (lines and asides), what is due now and then, start and end. Does not belong here: HTTP (`app.py`),
gathering (`group_commit.py`), where bytes go (`in_folder.py`, `in_bucket.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from capillary_adobe.landing.receiver.group_commit import GroupCommit
from capillary_adobe.landing.receiver.in_folder import FolderPlace
from capillary_adobe.landing.receiver.large_body import LargeBody
from capillary_adobe.landing.receiver.logs import Seldom
from capillary_adobe.landing.receiver.outcome import CommitWatch, NotLanded, Place, Unwritten
from capillary_adobe.landing.store import LandingError
from capillary_adobe.settings import ReceiverSettings

# One for asides, so that they wait for each other and not for the lines; the others for large bodies and what is tended.
_SIDE_THREADS: Final = 4
# What may wait for `aside/`, as a part of what may wait as lines: each costs a file or a put of its own.
_ASIDE_PART: Final = 4
_TEND_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 1.0

_LOG = logging.getLogger(__name__)


def open_committer(settings: ReceiverSettings, landing_url: str, watch: CommitWatch) -> Committer:
    """The committer of a landing store; `start` it on the loop that is to run it.

    Raises:
        LandingError: the address is of a kind that is not supported.
        ObjectStoreError: it is no address of S3, or S3 cannot be used as the environment says.
    """
    return Committer(settings, _place(settings, landing_url), watch)


def _place(settings: ReceiverSettings, landing_url: str) -> Place:
    if landing_url.startswith("s3://"):
        # Here, since boto3 takes 0.15 s that a folder need not pay.
        from capillary_adobe.landing.receiver.in_bucket import BucketPlace

        return BucketPlace(landing_url, settings)
    if "://" in landing_url:
        raise LandingError(
            f"LANDING_URL={landing_url} is not supported: give the path of a local folder, or s3://<bucket>/<prefix>."
        )
    return FolderPlace(Path(landing_url), settings)


class Committer:
    """Bodies in, durable objects out. One per process; all calls on the loop that started it."""

    def __init__(self, settings: ReceiverSettings, place: Place, watch: CommitWatch) -> None:
        self._settings = settings
        self._place = place
        self._watch = watch
        self._line_threads = ThreadPoolExecutor(place.lines.at_once, "receiver-lines")
        self._side_threads = ThreadPoolExecutor(_SIDE_THREADS, "receiver-side")
        self._roll_timer: asyncio.TimerHandle | None = None
        self._large_failing = ""
        self._large_failures = Seldom("A large body cannot be made durable; it is refused for now, to be sent again")
        self._stopping = False

    async def start(self) -> None:
        """Make sure that the store can be written, and land what dead receivers left.

        Raises:
            LandingError: the folder cannot be written.
            ObjectStoreError: the bucket cannot be.
        """
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._side_threads, self._place.open)
        settings = self._settings
        self._lines: GroupCommit[bytes] = GroupCommit(
            self._place.write_lines,
            self._place.lines,
            executor=self._line_threads,
            watch=self._watch,
            commit_seconds=settings.commit_seconds,
            most_events=settings.queue_events,
            most_bytes=settings.queue_bytes,
            settle=self._place.settle,
            after=self._plan_roll,
        )
        self._asides: GroupCommit[tuple[bytes, str]] = GroupCommit(
            self._place.write_asides,
            self._place.asides,
            executor=self._side_threads,
            watch=self._watch,
            commit_seconds=settings.commit_seconds,
            most_events=max(1, settings.queue_events // _ASIDE_PART),
            most_bytes=max(settings.max_body_bytes, settings.queue_bytes // _ASIDE_PART),
        )
        self._tending = self._loop.create_task(self._tend())

    def land_line(self, body: bytes) -> asyncio.Future[None]:
        """Queue a body that `stands_as_line`; the future is done when it is durable, and has NotLanded where it is not."""
        return self._lines.put(body, len(body))

    def land_aside(self, body: bytes, why: str) -> asyncio.Future[None]:
        """The same for any body, as an object of its own; `why` is the ending of its name."""
        return self._asides.put((body, why), len(body))

    def large(self) -> LargeBody:
        """A body that comes in pieces; it is an object of its own.

        Raises:
            NotLanded: the receiver is stopping.
        """
        if self._stopping:
            raise NotLanded("stopping")
        return LargeBody(
            self._place,
            self._side_threads,
            self._settings.commit_seconds,
            tell=self._large_told,
            stopping=lambda: self._stopping,
        )

    def _large_told(self, size: int, seconds: float, failure: str) -> None:
        self._large_failing = failure
        if failure:
            self._large_failures.note(failure)
            self._watch.failed("store", 1)
        else:
            self._watch.committed(1, size, seconds)

    @property
    def waiting_events(self) -> int:
        """Bodies that were taken and are not durable yet."""
        return self._lines.waiting_events + self._asides.waiting_events

    @property
    def waiting_bytes(self) -> int:
        """Their bytes."""
        return self._lines.waiting_bytes + self._asides.waiting_bytes

    def oldest_unlanded_seconds(self) -> float:
        """Age of the oldest body taken that no reader of the store can see yet; 0 where all are seen."""
        moments = (self._lines.oldest(), self._asides.oldest(), self._place.oldest())
        oldest = min((moment for moment in moments if moment is not None), default=None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def failing(self) -> str:
        """Why the last commit failed; empty where it did not, or the store can be written again."""
        return self._lines.failing or self._asides.failing or self._large_failing

    async def stop(self) -> None:
        """Take nothing more, make durable what was taken, and make all of it visible."""
        self._stopping = True
        for road in (self._lines, self._asides):
            road.refuse()
        await asyncio.gather(self._lines.drain(), self._asides.drain())
        self._tending.cancel()
        with suppress(asyncio.CancelledError):
            await self._tending
        if self._roll_timer is not None:
            self._roll_timer.cancel()
        closing = self._loop.run_in_executor(self._line_threads, self._place.close)
        with suppress(TimeoutError):
            await asyncio.wait_for(closing, self._settings.commit_seconds)
        self._line_threads.shutdown(wait=False)
        self._side_threads.shutdown(wait=False)

    def _plan_roll(self) -> None:
        if self._roll_timer is None and self._place.roll_seconds is not None:
            self._roll_timer = self._loop.call_later(self._place.roll_seconds, self._roll)

    def _roll(self) -> None:
        rolled = self._loop.run_in_executor(self._line_threads, self._place.roll)
        rolled.add_done_callback(lambda _: self._rolled())

    def _rolled(self) -> None:
        self._roll_timer = None
        # What could not be moved, or was written meanwhile.
        if self._place.oldest() is not None:
            self._plan_roll()

    async def _tend(self) -> None:
        tended = self._loop.time()
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            if self.failing():
                await self._loop.run_in_executor(self._side_threads, self._probe)
            if self._loop.time() - tended >= _TEND_SECONDS:
                await self._loop.run_in_executor(self._side_threads, self._place.tend)
                tended = self._loop.time()

    def _probe(self) -> None:
        """Without traffic nothing else would find out: a proxy sends none to a receiver that is not ready."""
        try:
            self._place.probe()
        except Unwritten:
            return
        self._loop.call_soon_threadsafe(self._recovered)

    def _recovered(self) -> None:
        self._lines.recovered()
        self._asides.recovered()
        self._large_failing = ""
