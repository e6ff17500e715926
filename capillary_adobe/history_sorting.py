"""Sorting out of core: the rows of an export, far more than memory holds, in the order of their events.

Belongs here: rows on disk, and how they come back in order. Does not belong here: where a row belongs
(`capillary.insights.becoming`) and what its event is.

Rows are sorted in pieces as large as memory allows, and the pieces merged. DuckDB sorts faster, but its merge holds blocks of
every piece at once: 1.2 GB of rows did not pass with 128 MB, and what 20 GB take nobody promises.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from capillary_adobe.parts import in_parts

MERGED_AT_ONCE: Final = 200
"""Most pieces that are read at the same time; each is an open file."""
# Rows that are read of a piece at once, less where they are large.
_ROWS_READ: Final = 256
_BYTES_READ: Final = 2**18
# What Python's objects of a row take beside its payload, as measured.
_BYTES_A_ROW: Final = 700
_SCHEMA: Final = pa.schema(
    [
        ("day", pa.string()),
        ("template", pa.string()),
        ("key", pa.string()),
        ("place", pa.int64()),
        ("code", pa.string()),
        ("detail", pa.string()),
        ("payload", pa.binary()),
    ]
)


class Staged(NamedTuple):
    """A row on its way: the day on which it lands, its template, the key that rows of one event share, its place in the file.

    `code` is why it is refused, with `detail`; such a row has an empty key. `payload` is the row itself, as bytes. Rows are in
    the order of their first four fields, which no two share.
    """

    day: str
    template: str
    key: str
    place: int
    code: str | None
    detail: str | None
    payload: bytes


class Staging:
    """Rows of one export, first taken in the order of the file, then read in that of their events.

    `folder` takes them, compressed. `memory_bytes` is what the rows of a piece may take.
    """

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._numbers = count()
        self._pieces: list[Path] = []
        self._waiting: list[Staged] = []
        self._waiting_bytes = 0

    def add(self, row: Staged) -> None:
        """Take a row."""
        self._waiting.append(row)
        self._waiting_bytes += len(row.payload) + _BYTES_A_ROW
        if self._waiting_bytes >= self._memory_bytes:
            self._set_down()

    def in_order(self) -> Iterator[Staged]:
        """The rows by day, template, key and place; no row can be added any more.

        Raises:
            OSError: the disk does not suffice.
        """
        if self._waiting:
            self._set_down()
        while len(self._pieces) > MERGED_AT_ONCE:
            first, self._pieces = self._pieces[:MERGED_AT_ONCE], self._pieces[MERGED_AT_ONCE:]
            self._pieces.append(self._written(_merged(first)))
            for piece in first:
                piece.unlink()
        yield from _merged(self._pieces)

    def _set_down(self) -> None:
        self._waiting.sort()
        self._pieces.append(self._written(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0

    def _written(self, rows: Iterable[Staged]) -> Path:
        piece = self._folder / f"rows-{next(self._numbers)}"
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.OSFile(str(piece), "wb") as file, pa.ipc.new_stream(file, _SCHEMA, options=options) as writer:
            for some in in_parts(rows, _ROWS_READ):
                for part in _halved(some):
                    writer.write_batch(_batch(part))
        return piece


def _merged(pieces: list[Path]) -> Iterator[Staged]:
    with ExitStack() as stack:
        yield from heapq.merge(*[_read(stack, piece) for piece in pieces])


def _read(stack: ExitStack, piece: Path) -> Iterator[Staged]:
    reader = pa.ipc.open_stream(stack.enter_context(pa.OSFile(str(piece))))
    for batch in reader:
        yield from map(Staged._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _halved(rows: list[Staged]) -> Iterator[list[Staged]]:
    """The rows in lists that are not too large to be held of many pieces at once."""
    if len(rows) > 1 and sum(len(row.payload) for row in rows) > _BYTES_READ:
        middle = len(rows) // 2
        yield from _halved(rows[:middle])
        yield from _halved(rows[middle:])
    else:
        yield rows


def _batch(rows: list[Staged]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), _SCHEMA, strict=True)
    return pa.record_batch([pa.array(values, field.type) for values, field in columns], schema=_SCHEMA)
