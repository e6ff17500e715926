"""One Parquet file of the lake, read row group by row group in the reader's own thread.

Belongs here: how many rows and bytes are held at once, from a disk or over a network that costs a round trip a request.
Does not belong here: which files and which rows (`lake.py`), where they lie (`lake_storage.py`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

# Small row groups keep writer and reader below 0.5 GB each for a partition of any size; the library's
# default of a million rows took 1 GB for 400,000 (measured, deltalake 1.6).
ROWS_PER_GROUP: Final = 5_000
# Rows held at once end here too: five thousand events of nearly 1 MB each would be 5 GB.
BYTES_AT_ONCE: Final = 16 * 2**20
# The end of a file holds its footer. A micro-batch's file is smaller, so that one request brings it whole.
_END_BYTES: Final = 256 * 2**10
# Wanted columns that lie nearer than this to each other come with one request: a round trip costs as much as these bytes.
_GAP_BYTES: Final = 512 * 2**10
# A row group beyond this is read piece by piece instead of fetched ahead.
_AHEAD_BYTES: Final = 32 * 2**20
_PIECE_BYTES: Final = 4 * 2**20

Fetch = Callable[[int, int], bytes]
"""The bytes of a file from the first offset to before the second."""


class RangedFile(io.RawIOBase):
    """A file of which pieces are fetched: its end once, the spans that were asked for ahead, and whatever else is read."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._at = 0
        start = max(0, size - _END_BYTES)
        self._end = (start, fetch(start, size))
        self._ahead: list[tuple[int, bytes]] = []

    def fetch_ahead(self, spans: list[tuple[int, int]]) -> None:
        """Hold these spans, and no others any more."""
        self._ahead.clear()
        self._ahead += [(start, self._fetch(start, stop)) for start, stop in spans if start < self._end[0]]

    def readable(self) -> bool:
        """As the interface wants it."""
        return True

    def seekable(self) -> bool:
        """As the interface wants it."""
        return True

    def tell(self) -> int:
        """The place in the file."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place in the file."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""
        start = self._at
        stop = self._size if size < 0 else min(start + size, self._size)
        if stop <= start:
            return b""
        self._at = stop
        for first, held in (self._end, *self._ahead):
            if first <= start and stop <= first + len(held):
                return held[start - first : stop - first]
        return self._fetch(start, stop)


@dataclass(frozen=True)
class LakeFile:
    """An open file."""

    parquet: pq.ParquetFile
    ranged: RangedFile | None

    @property
    def names(self) -> list[str]:
        """Names of the columns stored."""
        return self.parquet.schema_arrow.names

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of at most `ROWS_PER_GROUP`."""
        size = self._rows_at_once()
        for number in range(self.parquet.metadata.num_row_groups):
            if self.ranged is not None:
                self.ranged.fetch_ahead(self._spans(number, columns))
            yield from self.parquet.iter_batches(size, row_groups=[number], columns=columns)

    def matching(
        self, looked_at: list[str], wanted: Callable[[pa.RecordBatch], pa.BooleanArray]
    ) -> Iterator[pa.RecordBatch]:
        """The rows for which `wanted` says so of some columns; the others are read of row groups that have such rows."""
        size = self._rows_at_once()
        for number in range(self.parquet.metadata.num_row_groups):
            if self.ranged is not None:
                self.ranged.fetch_ahead(self._spans(number, looked_at))
            masks = [wanted(rows) for rows in self.parquet.iter_batches(size, row_groups=[number], columns=looked_at)]
            if not any(mask.true_count for mask in masks):
                continue
            if self.ranged is not None:
                self.ranged.fetch_ahead(self._spans(number, self.names))
            whole = self.parquet.iter_batches(size, row_groups=[number])
            yield from (rows.filter(mask) for rows, mask in zip(whole, masks, strict=True))

    def _rows_at_once(self) -> int:
        """As many rows as `BYTES_AT_ONCE` holds, by the largest row group of the file."""
        metadata = self.parquet.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        widest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1.0)
        return max(1, min(ROWS_PER_GROUP, int(BYTES_AT_ONCE / max(1.0, widest))))

    def _spans(self, number: int, columns: list[str]) -> list[tuple[int, int]]:
        """Where the wanted columns of a row group lie, neighbours joined; nothing where that is too much to hold."""
        group = self.parquet.metadata.row_group(number)
        chunks = [group.column(index) for index in range(group.num_columns)]
        wanted = sorted(_span(chunk) for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
        joined: list[tuple[int, int]] = []
        for start, stop in wanted:
            if joined and start - joined[-1][1] <= _GAP_BYTES:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
        return joined if sum(stop - start for start, stop in joined) <= _AHEAD_BYTES else []


@contextmanager
def lake_file(source: str | RangedFile) -> Iterator[LakeFile]:
    """The file at a path, or one that is fetched."""
    if isinstance(source, str):
        with pq.ParquetFile(source, pre_buffer=False) as parquet:
            yield LakeFile(parquet, None)
        return
    # Buffered, since a column of a row group that is not held would else be asked for in one piece of any size.
    with source, pq.ParquetFile(source, pre_buffer=False, buffer_size=_PIECE_BYTES) as parquet:
        yield LakeFile(parquet, source)


def _span(chunk: pq.ColumnChunkMetaData) -> tuple[int, int]:
    dictionary = chunk.dictionary_page_offset
    start = chunk.data_page_offset if dictionary is None else min(dictionary, chunk.data_page_offset)
    return start, start + chunk.total_compressed_size
