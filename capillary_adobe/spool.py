"""A spool: rows set aside on disk while the main rows stream by.

Belongs here: the temporary Arrow file that keeps side rows out of memory. Does not belong here: what the rows mean.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from capillary_adobe.lake import ROWS_PER_GROUP
from capillary_adobe.tables import Table

# Rows of the quarantine hold up to 1 MiB of text each.
_CHARACTERS_IN_MEMORY = 32 * 2**20


class Spool:
    """Rows of one table, written once and then read once; gone when closed."""

    def __init__(self, table: Table) -> None:
        self._schema = table.schema
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed on exit
        self._writer = pa.ipc.new_stream(self._file, self._schema)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: dict[str, Any]) -> None:
        """Add a row."""
        self._rows.append(row)
        self._characters += sum(len(value) for value in row.values() if type(value) is str)
        if len(self._rows) >= ROWS_PER_GROUP or self._characters >= _CHARACTERS_IN_MEMORY:
            self._flush()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in the order added; nothing can be added after."""
        self._flush()
        self._writer.close()
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            yield from reader

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()
            self._characters = 0
