"""Landing objects of an import: made in the work folder first, landed when all of them are there.

Belongs here: their names, their size, their bytes, and landing them. Does not belong here: what a line says
(`history_lines.py`).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from capillary_adobe.landing.store import HISTORY, LandingStore

OBJECT_BYTES: Final = 32 * 2**20
"""Most bytes of an object, unzipped."""
# A third of the time of the usual 6, for some percent more bytes.
_LEVEL: Final = 3


@dataclass
class ObjectsToLand:
    """Objects of one version of a file, on disk: `history/<day>/<version>-<template>-<nnnn>.jsonl.gz`.

    Lines come by day and template, and keep their order. The same lines become the same bytes.
    """

    folder: Path
    version: str
    keys: list[str] = field(default_factory=list)
    _lines: list[bytes] = field(default_factory=list)
    _bytes: int = 0
    _of: tuple[str, str] | None = None
    _number: int = 0
    _digest: str = ""

    def add(self, day: str, template: str, line: bytes) -> None:
        """Append a line, which has no end of line."""
        if self._of != (day, template):
            self._close()
            self._of, self._number = (day, template), 0
        elif self._bytes + len(line) + 1 > OBJECT_BYTES:
            self._close()
            self._number += 1
        self._lines.append(line)
        self._bytes += len(line) + 1

    def finish(self) -> str:
        """Write what is left; a digest of all objects, of keys and bytes."""
        self._close()
        return self._digest

    def land(self, store: LandingStore) -> Iterator[str]:
        """Write the objects to the landing store, and tell each key when it is there.

        Raises:
            LandingError: the store cannot be written, or holds another object under a key.
        """
        for key in self.keys:
            store.write(key, (self.folder / key).read_bytes())
            yield key

    def strangers(self, store: LandingStore) -> Iterator[str]:
        """Keys of objects of this version that have landed and are not among these, byte for byte.

        Raises:
            LandingError: the store cannot be read.
        """
        keys = set(self.keys)
        for day in store.days(HISTORY):
            for found in store.list(HISTORY, day):
                if found.key.rsplit("/", 1)[1].startswith(f"{self.version[:12]}-"):
                    with store.open(found.key) as stream:
                        is_ours = found.key in keys and stream.read() == (self.folder / found.key).read_bytes()
                    if not is_ours:
                        yield found.key

    def _close(self) -> None:
        if self._of is None or not self._lines:
            return
        day, template = self._of
        key = f"{HISTORY}/{day}/{self.version[:12]}-{template or 'rows'}-{self._number:04}.jsonl.gz"
        # Without the moment at which it was made, and without a name.
        zipped = gzip.compress(b"\n".join([*self._lines, b""]), _LEVEL, mtime=0)
        file = self.folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(zipped)
        self.keys.append(key)
        self._digest = sha256(f"{self._digest} {key} {sha256(zipped).hexdigest()}".encode()).hexdigest()
        self._lines, self._bytes = [], 0
