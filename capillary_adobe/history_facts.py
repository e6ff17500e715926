"""Facts of an import: what its rows say of customers, kept on disk until the whole file is known to be good.

Belongs here: writing facts down and reading them back. Does not belong here: which row says what (`capillary.insights.facts`)
and the merge (`state.customers`).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp


class KeptFacts:
    """Facts in the order in which they came; a context manager. Read back after the last one was added."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "facts.gz"
        self._stream = gzip.open(self._file, "wb", compresslevel=1)  # noqa: SIM115 - closed at the end of the context
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, facts: Facts) -> None:
        """Keep the facts of one row."""
        self._stream.write(orjson.dumps([tuple(facts.key), tuple(facts.stamp), facts.fields]) + b"\n")
        self.count += 1

    def read(self) -> Iterator[Facts]:
        """All of them; none can be added any more."""
        self._stream.close()
        with gzip.open(self._file) as lines:
            for line in lines:
                key, stamp, fields = orjson.loads(line)
                yield Facts(CustomerKey(*key), Stamp(*stamp), fields)
