"""Fetching many objects of S3 ahead of their reader: most are small, and each costs a round trip.

Belongs here: how far ahead, in which order, in how much memory. Does not belong here: reading one (`s3_reading.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO, Final, cast

from capillary_adobe.landing.s3_reading import BUFFER_BYTES, S3Stream, opened
from capillary_adobe.landing.store import LandingError
from capillary_adobe.s3_address import S3Address

# Together at most AHEAD times IN_MEMORY_BYTES in memory and AHEAD times STAGED_BYTES on disk.
AHEAD: Final = 16
THREADS: Final = 8
IN_MEMORY_BYTES: Final = 2 * 2**20
STAGED_BYTES: Final = 64 * 2**20


def staged(client: Any, address: S3Address, keys: Iterable[str]) -> Iterator[tuple[str, BinaryIO]]:
    """Each object in the order given, closed when the next is asked for; up to AHEAD are fetched or being fetched.

    Raises:
        LandingError: the object whose turn it is cannot be read.
    """
    waiting: deque[tuple[str, Future[BinaryIO | None]]] = deque()
    pool = ThreadPoolExecutor(THREADS, "landing-fetch")
    try:
        for key in keys:
            waiting.append((key, pool.submit(_fetched, client, address, key)))
            if len(waiting) == AHEAD:
                yield from _next(client, address, waiting)
        while waiting:
            yield from _next(client, address, waiting)
    finally:
        pool.shutdown(cancel_futures=True)
        for _, future in waiting:
            if not future.cancelled():
                with suppress(LandingError):
                    _close(future.result())


def _next(
    client: Any, address: S3Address, waiting: deque[tuple[str, Future[BinaryIO | None]]]
) -> Iterator[tuple[str, BinaryIO]]:
    key, future = waiting.popleft()
    with future.result() or opened(client, address, key) as stream:
        yield key, stream


def _fetched(client: Any, address: S3Address, key: str) -> BinaryIO | None:
    """The whole object, in memory or on disk; None for one so large that it is read when its turn comes."""
    with S3Stream(client, address, key) as stream:
        if stream.size > STAGED_BYTES:
            return None
        whole = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 -- the reader closes it
        try:
            shutil.copyfileobj(stream, whole, BUFFER_BYTES)
        except OSError as error:
            whole.close()
            raise LandingError(
                f"The landed object {key} cannot be kept while it is read ({error.strerror}). Make room under "
                f"{tempfile.gettempdir()}, or set TMPDIR to a place that has it."
            ) from error
        whole.seek(0)
        return cast("BinaryIO", whole)


def _close(stream: BinaryIO | None) -> None:
    if stream is not None:
        stream.close()
