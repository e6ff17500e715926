"""Bytes that come in blocks of any size, read as a file would be.

Belongs here: reading, and looking ahead. Does not belong here: where the blocks come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

BLOCK_BYTES: Final = 2**18


class ByteStream:
    """Bytes from an iterator of blocks; holds a block, and what was looked at ahead."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = b""

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay; fewer than `count` only at the end."""
        self._fill(count)
        return self._held[:count]

    def read(self, count: int = -1, /) -> bytes:
        """The next bytes; fewer than `count` only at the end, all that are left where `count` is negative."""
        if count < 0:
            return b"".join(self.blocks())
        self._fill(count)
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def blocks(self) -> Iterator[bytes]:
        """What is left, in blocks as they come."""
        if self._held:
            held, self._held = self._held, b""
            yield held
        yield from self._blocks

    def drain(self) -> None:
        """Read to the end and keep nothing."""
        for _ in self.blocks():
            pass

    def _fill(self, count: int) -> None:
        pieces, length = [self._held], len(self._held)
        while length < count and (piece := next(self._blocks, None)) is not None:
            pieces.append(piece)
            length += len(piece)
        if len(pieces) > 1:
            self._held = b"".join(pieces)


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of an open file in blocks."""
    while block := file.read(BLOCK_BYTES):
        yield block
