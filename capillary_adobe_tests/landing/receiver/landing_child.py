"""A process that lands events until it is killed, and notes what was acknowledged where no kill can take it back.

Belongs here: that process, and a limit on its files. Does not belong here: any expectation.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from zlib import crc32

import orjson

from capillary_adobe_tests.forked import FORKING
from capillary_adobe_tests.landing.receiver.landed import committing, outcome, take

_SENDERS = 12
_ASIDE_EACH = 20
_SIZES = (50, 1500, 1500, 1500, 80_000)


@contextmanager
def landing_child(landing: Path, notes: Path, seed: int, largest_file: int = 0) -> Iterator[BaseProcess]:
    """A child that lands events named after its seed; `notes` has the name of each that was acknowledged, one a line."""
    child = FORKING.Process(target=_land_on, args=(landing, notes, seed, largest_file))
    child.start()
    try:
        yield child
    finally:
        child.kill()
        child.join()


def _land_on(landing: Path, notes: Path, seed: int, largest_file: int) -> None:
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    asyncio.run(_land(landing, notes, seed))


def body_of(name: str) -> bytes:
    """The body that a child sends under a name: most are events of the usual size, some are large."""
    size = _SIZES[crc32(name.encode()) % len(_SIZES)]
    return orjson.dumps({"id": name, "x": "y" * size})


async def _land(landing: Path, notes: Path, seed: int) -> None:
    # Short notes, since a kill cuts long writes in two.
    descriptor = os.open(notes, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    async with committing(landing, roll_seconds=0.02, roll_bytes=100_000) as committer:

        async def send(sender: int) -> None:
            for number in count():
                name = f"{seed}-{sender}-{number}"
                aside = number % _ASIDE_EACH == 0
                future = committer.land_aside(body_of(name), "headers") if aside else take(committer, body_of(name))
                if await outcome(future) == "landed":
                    os.write(descriptor, f"{name}\n".encode())

        await asyncio.gather(*(send(sender) for sender in range(_SENDERS)))
