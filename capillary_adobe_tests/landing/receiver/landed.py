"""What a committer has made of bodies: running one, and reading back what lies in its store.

Belongs here: the two doors. Does not belong here: any expectation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.receiver.committer import Committer, open_committer
from capillary_adobe.landing.receiver.lines import stands_as_line
from capillary_adobe.landing.receiver.outcome import NotLanded
from capillary_adobe.settings import ReceiverSettings

_READY_SECONDS = 20.0


@dataclass
class Watched:
    """What a committer told of its commits."""

    committed_groups: list[tuple[int, int]] = field(default_factory=list)
    failed_groups: list[tuple[str, int]] = field(default_factory=list)

    def committed(self, events: int, size: int, seconds: float, /) -> None:
        assert seconds >= 0
        self.committed_groups.append((events, size))

    def failed(self, reason: str, events: int, /) -> None:
        self.failed_groups.append((reason, events))


@asynccontextmanager
async def committing(url: str | Path, watch: Watched | None = None, **settings: Any) -> AsyncIterator[Committer]:
    """A committer that runs, and is stopped at the end."""
    committer = open_committer(ReceiverSettings(**settings), str(url), watch or Watched())
    await committer.start()
    try:
        yield committer
    finally:
        await committer.stop()


def take(committer: Committer, body: bytes) -> asyncio.Future[None]:
    """Land a body as the HTTP side does: as a line where it can be one."""
    return committer.land_line(body) if stands_as_line(body) else committer.land_aside(body, "unreadable")


async def outcome(future: asyncio.Future[None]) -> str:
    """`landed`, or why not."""
    try:
        await future
    except NotLanded as error:
        return error.reason
    return "landed"


async def outcomes(futures: list[asyncio.Future[None]]) -> list[str]:
    """The same of several."""
    return [await outcome(future) for future in futures]


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + _READY_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.005)


def event(number: int, size: int = 60) -> bytes:
    """A body that tells its number."""
    bare = orjson.dumps({"id": number, "x": ""})
    return bare[:-2] + b"x" * max(0, size - len(bare)) + b'"}'


def numbers(data: bytes) -> list[int]:
    """The numbers of events in the bytes of an object; each line must be whole."""
    return [orjson.loads(line)["id"] for line in data.splitlines()]


def today_in(store: LandingStore) -> list[tuple[str, bytes]]:
    """Every object of the live lane with its key, in key order."""
    days = store.days("live")
    assert set(days) <= {f"{datetime.now(UTC):%Y-%m-%d}", *days[:1]}
    return [(found.key, store.open(found.key).read()) for day in days for found in store.list("live", day)]


def lines_in(store: LandingStore) -> bytes:
    """The bytes of all objects under `events/`, in key order."""
    return b"".join(data for key, data in today_in(store) if key.startswith("events/"))


def asides_in(store: LandingStore) -> list[tuple[str, bytes]]:
    """Reason and bytes of all objects under `aside/`, in key order."""
    return [(key.rpartition(".")[2], data) for key, data in today_in(store) if key.startswith("aside/")]
