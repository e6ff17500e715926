"""The lines of a CSV file, a megabyte at a time.

Belongs here: decoding, cutting at ends of lines, lines that are too long. Does not belong here: encodings
(`encodings.py`), records (`rows.py`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final, NamedTuple

from capillary_adobe.capillary.insights.byte_stream import ByteStream
from capillary_adobe.capillary.insights.encodings import UNDECODABLE, decoder

PIECE_BYTES: Final = 2**20
MAX_LINE_CHARS: Final = 2**20
"""A line of at most so many characters is read whole; one of twice as many is not."""
SHOWN_CHARS: Final = 2**16
"""What is kept of a line that is too long."""
TOO_LONG: Final = "\udcfe"
"""Stands where something was left out of a line; no decoder makes it."""
NUL: Final = "\0"
_BOM: Final = "\ufeff"


class Piece(NamedTuple):
    """Whole lines with their ends, and whether the file ends with them.

    `has_faults` is whether something in them is a NUL, could not be decoded, or was left out.
    """

    lines: list[str]
    is_last: bool
    has_faults: bool


def pieces(stream: ByteStream, encoding: str | None, name: str) -> Iterator[Piece]:
    """The lines of a file; at least one piece, without lines where the file is empty.

    Lines end in a line feed, with or without a carriage return before it; in a file that begins without any, in a
    carriage return.

    Raises:
        ExportUnreadable: the encoding is not known; whatever the stream raises.
    """
    data = stream.read(PIECE_BYTES)
    decode = decoder(data, encoding, name).decode
    is_last = len(data) < PIECE_BYTES
    text = decode(data, is_last).removeprefix(_BOM)
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    while True:
        cut = len(text) if is_last else text.rfind(end) + 1
        if cut or is_last:
            ready = text[:cut]
            yield Piece(_lines(ready, end), is_last, UNDECODABLE in ready or NUL in ready or TOO_LONG in ready)
        if is_last:
            return
        held = text[cut:]
        if len(held) > MAX_LINE_CHARS:
            held = held[:SHOWN_CHARS] + TOO_LONG
        data = stream.read(PIECE_BYTES)
        is_last = len(data) < PIECE_BYTES
        text = held + decode(data, is_last)


def _lines(text: str, end: str) -> list[str]:
    if end == "\n":
        # Not splitlines, which cuts at a dozen other characters too.
        return list(io.StringIO(text, newline="\n"))
    lines = [line + end for line in text.split(end)]
    last = lines.pop()
    return lines if last == end else [*lines, last.removesuffix(end)]
