"""Which reader an object asks for by its key.

Belongs here: that choice. Does not belong here: the readers (`records.py`) and the keys (`store.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from capillary_adobe.landing.records import Record, read_records, read_whole
from capillary_adobe.landing.store import is_aside


def read_landed(key: str, stream: BinaryIO) -> Iterator[Record]:
    """Yield the records of a landed object: those of its lines, or of the one body that lies aside."""
    return read_whole(stream) if is_aside(key) else read_records(stream)
