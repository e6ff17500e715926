"""From the bytes of a landed object to its records: one JSON value each, or the reason why there is none.

Belongs here: compression, byte-order marks, line ends, arrays, values without line breaks, values over several lines,
objects that are one body. Does not belong here: what a value means (`capillary`).

Every byte that is neither white space nor what stands between values (commas, the brackets of an array) ends up in
exactly one record, readable or not: that is what makes a day's balance provable. Memory is bounded by
`MAX_RECORD_BYTES`, whatever the size of the object.
"""

from __future__ import annotations

import io
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple, NoReturn

import orjson

CHUNK_BYTES = 4 * 2**20
# AEP takes at most 1 MB for an entity, so a longer single record could never be delivered; the room above it is for
# arrays and values without line breaks.
MAX_RECORD_BYTES = 32 * 2**20
# Lines of an object that may be read ahead in vain. 4,000 lines that each open an object and never close it took 9 s, and the
# time grows with their square; a value that was cut short costs no more lines than it has.
PATIENCE_LINES = 500_000
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n\0"
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31


class Record(NamedTuple):
    """One record: its place (line from 1, part from 0), its text, and its value or the code of what is wrong."""

    line: int
    part: int
    text: bytes
    value: Any
    problem: str | None


def read_records(stream: BinaryIO) -> Iterator[Record]:
    """Yield the records of an object, compressed or not.

    Problems: `not_json`, `not_utf8`, `record_too_large`, `object_damaged` (compressed data that ends or breaks early).
    """
    chunks = _Chunks(stream)
    lines = _Lines(chunks)
    for line in lines:
        # The fast path of nearly every line: one JSON object, nothing else.
        try:
            value = orjson.loads(line.text)
        except orjson.JSONDecodeError:
            yield from _recovered(line, lines)
            continue
        if type(value) is list:
            yield from _elements(line.number, line.part, value)
        else:
            yield Record(line.number, line.part, line.text, value, None)
    if chunks.damaged:
        yield Record(lines.number + 1, 0, b"", None, "object_damaged")


def read_whole(stream: BinaryIO) -> Iterator[Record]:
    """Yield the record of an object that is one body, compressed or not: the elements of an array, else exactly one.

    A body is never torn: what is no single value stays together with its reason, an empty body among them. Problems as in
    `read_records`.
    """
    raw = b"".join(_up_to_limit(iter(lambda: stream.read(CHUNK_BYTES), b"")))
    chunks = _Chunks(io.BytesIO(raw))
    text = b"".join(_up_to_limit(chunks))
    if max(len(raw), len(text)) > MAX_RECORD_BYTES:
        yield Record(1, 0, text, None, "record_too_large")
    elif chunks.damaged:
        yield Record(1, 0, text or raw, None, "object_damaged")
    else:
        yield from _one_body(text)


def _up_to_limit(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces until they are more than one record may have."""
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if size > MAX_RECORD_BYTES:
            return


def _one_body(text: bytes) -> Iterator[Record]:
    bare = text.removeprefix(_BOM).strip(_BLANK)
    try:
        value = orjson.loads(bare)
    except orjson.JSONDecodeError:
        value = _lone_value(bare.decode("utf-8", "surrogateescape"))
    else:
        if type(value) is not list:
            yield Record(1, 0, text, value, None)
            return
    if type(value) is list:
        yield from _elements(1, 0, value)
    elif value is None:
        yield _unread(1, 0, text.decode("utf-8", "surrogateescape"))
    else:
        for record in _elements(1, 0, [value]):
            yield record._replace(text=text)


def _lone_value(text: str) -> Any | None:
    """The one object or array of a text that the stricter parser refused, or None where there is not exactly one."""
    found = list(islice(_values(text), 2))
    return found[0][0] if len(found) == 1 and _behind_gap(text, found[0][1]) == len(text) else None


class _Chunks:
    """The bytes of an object in pieces, decompressed where they are gzip; `damaged` tells of an early end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.damaged = False

    def __iter__(self) -> Iterator[bytes]:
        first = self._stream.read(CHUNK_BYTES)
        # A stream may give less than was asked for, even less than the two bytes that tell.
        while 0 < len(first) < len(_GZIP) and (more := self._stream.read(CHUNK_BYTES)):
            first += more
        pieces = chain([first], iter(lambda: self._stream.read(CHUNK_BYTES), b""))
        yield from self._gunzipped(pieces) if first.startswith(_GZIP) else pieces

    def _gunzipped(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        # Not the gzip module: at a cut it raises and takes along what it had already decompressed.
        member = zlib.decompressobj(_GZIP_WINDOW)
        for piece in pieces:
            data = piece
            while data:
                before = member.copy()
                try:
                    yield member.decompress(data, CHUNK_BYTES)
                except zlib.error:
                    self.damaged = True
                    yield from _up_to_the_damage(before, data)
                    return
                data = member.unconsumed_tail
                if member.eof:
                    data = member.unused_data.lstrip(b"\0")
                    member = zlib.decompressobj(_GZIP_WINDOW) if data else member
        self.damaged = not member.eof


def _up_to_the_damage(member: Any, data: bytes) -> Iterator[bytes]:
    """What can be decompressed, byte by byte: a call that fails keeps back all that it had made."""
    with suppress(zlib.error):
        for place in range(len(data)):
            yield member.decompress(data[place : place + 1])


class _Line(NamedTuple):
    """A line and its number; `part` is above 0 where earlier records of the line have been read already."""

    number: int
    part: int
    text: bytes


class _Lines:
    """Non-blank lines with their numbers; a line over the limit comes in pieces of the limit's size."""

    def __init__(self, chunks: _Chunks) -> None:
        self._chunks = chunks
        self._ahead: list[_Line] = []
        self._source = self._read()
        self._carried: tuple[int, bytes] = (0, b"")
        self.number = 0
        self.patience = PATIENCE_LINES

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        return self._ahead.pop() if self._ahead else next(self._source)

    def put_back(self, lines: list[_Line]) -> None:
        """Give back lines that were read ahead."""
        self._ahead.extend(reversed(lines))

    def carry(self, part: int, rest: bytes) -> None:
        """Leave the rest of a piece, whose last value goes on in the next piece of its line, for that piece."""
        self._carried = (part, rest)

    def _read(self) -> Iterator[_Line]:
        rest = b""
        number = part = 0
        for chunk in self._chunks:
            *whole, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else [rest + chunk]
            for line in whole:
                number += 1
                self.number = number
                if stripped := _stripped(line):
                    yield _Line(number, part, stripped)
                part = 0
            if len(rest) > MAX_RECORD_BYTES:
                self._carried = (part + 1, b"")
                yield _Line(number + 1, part, rest.removeprefix(_BOM))
                part, rest = self._carried
        if stripped := _stripped(rest):
            self.number = number + 1
            yield _Line(number + 1, part, stripped)


def _stripped(line: bytes) -> bytes:
    """Without byte-order mark and trailing blanks; leading blanks stay, they tell indented text."""
    line = line.removeprefix(_BOM).rstrip(_BLANK)
    return line if line.lstrip(_BLANK) else b""


def _elements(line: int, part: int, values: list[Any]) -> Iterator[Record]:
    for offset, value in enumerate(values):
        try:
            yield Record(line, part + offset, orjson.dumps(value), value, None)
        except TypeError:
            # Half surrogates and deep nesting are JSON to the standard library alone.
            text = _ascii(value)
            problem = "not_utf8" if _BAD_BYTE.search(text) else "not_json"
            yield Record(line, part + offset, text, None, problem)


# How bytes that are no UTF-8 look once they were read as text and written again.
_BAD_BYTE = re.compile(rb"\\udc[89a-f][0-9a-f]")


def _ascii(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"(nested too deeply to be written)"


def _recovered(line: _Line, lines: _Lines) -> Iterator[Record]:
    """Records of a line that is not one JSON value: several values, or the beginning of one over several lines."""
    # Bytes that are no UTF-8 spoil the value they stand in, and not its neighbours.
    text = line.text.decode("utf-8", "surrogateescape")
    part = line.part
    end = 0
    for value, behind in _values(text):
        end = behind
        for record in _elements(line.number, part, value if isinstance(value, list) else [value]):
            part += 1
            yield record
    remainder = text[_behind_gap(text, end) :].rstrip()
    is_piece = len(line.text) > MAX_RECORD_BYTES
    if is_piece and end:
        lines.carry(part, text[end:].encode("utf-8", "surrogateescape"))
    elif remainder:
        spanning = None if is_piece else _spanning_value(remainder, lines)
        if spanning is not None:
            yield from _elements(line.number, part, spanning if isinstance(spanning, list) else [spanning])
        else:
            yield _unread(line.number, part, remainder)


def _unread(number: int, part: int, text: str) -> Record:
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > MAX_RECORD_BYTES // 2:
        return Record(number, part, raw, None, "record_too_large")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return Record(number, part, raw, None, "not_utf8")
    return Record(number, part, raw, None, "not_json")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """A number as orjson reads it: one value, whatever the form that its event was written in."""
    read = float(text)
    if math.isinf(read):
        raise ValueError("a number is infinite as double")
    return read


def _whole(text: str) -> int | float:
    read = int(text) if len(text) <= _LONGEST_WHOLE else None
    return read if read is not None and read in _WHOLE else _finite(text)


_LONGEST_WHOLE = 20
_WHOLE = range(-(2**63), 2**64)
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)
_GAP = re.compile(r"[\s,\x00\ufeff]*")


def _values(text: str) -> Iterator[tuple[Any, int]]:
    """Whole values at the beginning of a text, each with the place behind it."""
    place = 0
    while True:
        start = _behind_gap(text, place)
        # Only objects and arrays stand without a separator; a bare word or number is no event.
        if start >= len(text) or text[start] not in "{[":
            return
        try:
            value, place = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield value, place


def _behind_gap(text: str, place: int) -> int:
    found = _GAP.match(text, place)
    return found.end() if found else place


_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def _depth(text: str, depth: int) -> tuple[int, bool]:
    """The depth behind a text that begins at a depth, strings left out, and whether it came down to nothing within."""
    closes = False
    for sign in _STRUCTURE.findall(text):
        if sign in ("{", "["):
            depth += 1
        elif sign in ("}", "]"):
            depth -= 1
            closes = closes or depth <= 0
    return depth, closes


def _spanning_value(start: str, lines: _Lines) -> Any | None:
    """The value that begins here and ends on a later line; None gives every line read back.

    A line that was cut short must not swallow the good lines after it, so a value is given up as soon as a line begins
    with the same bracket in the first column: indented text never does.
    """
    depth, closes = _depth(start, 0)
    if start[0] not in "{[" or closes or lines.patience <= 0:
        return None
    gathered = [start]
    taken: list[_Line] = []
    size = len(start)
    for line in lines:
        taken.append(line)
        size += len(line.text)
        if line.text.startswith(start[0].encode()) or size > MAX_RECORD_BYTES:
            break
        text = line.text.decode("utf-8", "surrogateescape")
        depth, closes = _depth(text, depth)
        gathered.append(text)
        if closes:
            try:
                value, end = _DECODER.raw_decode("\n".join(gathered))
            except (ValueError, RecursionError):
                break
            # What follows on the last line is read as a line of its own.
            rest = "\n".join(gathered)[end:].encode("utf-8", "surrogateescape")
            lines.put_back([line._replace(text=rest)])
            return value
    lines.patience -= len(taken)
    lines.put_back(taken)
    return None
