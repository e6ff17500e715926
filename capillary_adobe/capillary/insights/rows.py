"""The rows of a CSV file, read so that a broken row is one broken row.

Belongs here: records, and the lines they cost. Does not belong here: lines (`lines.py`), the header (`heading.py`),
what a column means (`templates.py`), what a cell holds (`cells.py`).

The csv module reads in its strict mode. A record that it refuses, or that spans lines and does not match the header,
costs the line on which it begins and no more: reading goes on at the next line. So a quote that is never closed cannot
swallow the rest of a file. Memory holds a megabyte of the file, and what a record under way adds to it.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

from capillary_adobe.capillary.insights.encodings import UNDECODABLE
from capillary_adobe.capillary.insights.form import Form
from capillary_adobe.capillary.insights.heading import Heading, read_heading
from capillary_adobe.capillary.insights.lines import MAX_LINE_CHARS, NUL, SHOWN_CHARS, TOO_LONG, Piece, pieces
from capillary_adobe.capillary.insights.model import BadRow, Row
from capillary_adobe.capillary.insights.opened import CsvFile

_FAULTS: Final = {
    TOO_LONG: ("row_too_large", f"A line of more than {MAX_LINE_CHARS:,} characters."),
    UNDECODABLE: ("not_in_encoding", "Bytes that are none of the file's encoding."),
    NUL: ("row_with_nul", "A NUL character."),
}
_RAGGED: Final = "row_ragged"
_READABLE: Final = str.maketrans({TOO_LONG: "…", UNDECODABLE: "\ufffd", NUL: "\ufffd"})


def read_rows(csv_file: CsvFile, form: Form) -> CsvRows:
    """The header of a file and its rows; what the form does not tell is found out.

    Raises:
        ExportUnreadable: there is no header of use, or the encoding is not known; so does the iteration, where the file
        turns out
            to be damaged.
    """
    found = pieces(csv_file.stream, form.encoding, csv_file.name)
    first = next(found)
    return CsvRows(found, first, read_heading(first.lines, form, csv_file.name))


class CsvRows:
    """The rows behind a header; iterate once.

    `header` are the names of the columns as the file has them, without blanks around. `count` is the number of rows
    given so far, good and bad. Blank lines, rows of empty cells and repetitions of the header are no rows.

    A row with fewer cells than the header is bad, since a line that was cut short looks so; empty cells beyond the
    header are taken.
    """

    def __init__(self, found: Iterator[Piece], first: Piece, heading: Heading) -> None:
        self.header = heading.names
        self.count = 0
        self._pieces = found
        self._first = first._replace(lines=first.lines[heading.lines :])
        self._heading = heading

    def __iter__(self) -> Iterator[Row | BadRow]:
        piece, line = self._first, self._heading.lines + 1
        while True:
            rest = yield from self._rows(piece, line)
            if piece.is_last:
                return
            line += len(piece.lines) - len(rest)
            following = next(self._pieces)
            piece = following._replace(
                lines=rest + following.lines, has_faults=following.has_faults or (bool(rest) and piece.has_faults)
            )

    def _rows(self, piece: Piece, line: int) -> Generator[Row | BadRow, None, list[str]]:
        """The rows of a piece whose first line has this number; returns the lines of a record that does not end in it."""
        start = 0
        while start < len(piece.lines):
            start, error = yield from self._records(piece.lines, start, line, has_faults=piece.has_faults)
            if error is None:
                continue
            if not piece.is_last and error.reaches_end:
                rest = piece.lines[start:]
                if sum(map(len, rest)) <= MAX_LINE_CHARS:
                    return rest
            self.count += 1
            first = piece.lines[start : start + 1]
            yield _faulty(first, line + start) or BadRow(line + start, _shown(first), "row_malformed", error.words)
            start += 1
        return []

    def _records(
        self, lines: list[str], start: int, line: int, *, has_faults: bool
    ) -> Generator[Row | BadRow, None, tuple[int, _Broken | None]]:
        """The rows of the lines from `start` on, up to their end or a record that is none; returns where it ended.

        `line` is the number of the first of the lines.
        """
        header, width, heading = self.header, len(self.header), self._heading.cells
        # Not a slice, which each broken row would copy once more.
        reader = self._heading.dialect.records(map(lines.__getitem__, range(start, len(lines))))
        before, make = start, tuple.__new__
        try:
            for cells in reader:
                end = before + reader.line_num
                if len(cells) == width and not has_faults and cells != heading:
                    # Not strict: the line before has made sure of it, and it costs as much again. So does `Row(…)`.
                    if texts := {name: text for name, text in zip(header, cells, strict=False) if text}:
                        self.count += 1
                        yield make(Row, (line + start, texts))
                elif judged := self._judged(cells, lines[start:end], line + start):
                    self.count += 1
                    yield judged
                    if end - start > 1 and isinstance(judged, BadRow) and judged.code == _RAGGED:
                        return start + 1, None
                start = end
        except csv.Error as error:
            return start, _Broken(f"No record of CSV: {error}.", before + reader.line_num == len(lines))
        return start, None

    def _judged(self, cells: list[str], lines: list[str], line: int) -> Row | BadRow | None:
        """What a record is that may not be a row; None for what is none."""
        if faulty := _faulty(lines, line):
            return faulty
        width = len(self.header)
        if cells == self._heading.cells or not any(cells) or not "".join(lines).strip():
            return None
        if len(cells) < width or any(cells[width:]):
            words = f"{len(cells)} cells where the header has {width}."
            return BadRow(line, _shown(lines[:1]), _RAGGED, words)
        return Row(line, {name: text for name, text in zip(self.header, cells, strict=False) if text})


class _Broken(NamedTuple):
    """Why a record is none, and whether it may go on behind the lines that were there."""

    words: str
    reaches_end: bool


def _faulty(lines: list[str], line: int) -> BadRow | None:
    for mark, (code, words) in _FAULTS.items():
        if any(mark in one for one in lines):
            return BadRow(line, _shown(lines), code, words)
    return None


def _shown(lines: list[str]) -> str:
    return "".join(lines)[:SHOWN_CHARS].rstrip("\r\n").translate(_READABLE)
