"""The head of a CSV file: delimiter and names of the columns.

Belongs here: finding the delimiter out, and headers that are of no use. Does not belong here: rows (`rows.py`), what a
column means (`templates.py`).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple, Protocol

from capillary_adobe.capillary.insights.encodings import UNDECODABLE
from capillary_adobe.capillary.insights.form import Form
from capillary_adobe.capillary.insights.lines import NUL, TOO_LONG
from capillary_adobe.capillary.insights.unreadable import ExportUnreadable

_DELIMITERS: Final = (",", ";", "\t", "|")


class Records(Protocol):
    """What the csv module's reader is: `line_num` counts the lines that it took."""

    @property
    def line_num(self) -> int: ...  # noqa: D102 - the class tells

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class Dialect(NamedTuple):
    """How cells stand in a file."""

    delimiter: str
    quote: str
    escape: str | None = None

    def records(self, lines: Iterable[str]) -> Records:
        """The csv module's reader over lines."""
        if self.escape is not None:
            lines = _alone_doubled(lines, self.escape, self.quote)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, escapechar=self.escape, strict=True)


def _alone_doubled(lines: Iterable[str], escape: str, quote: str) -> Iterator[str]:
    """Lines whose escapes before anything but a quote or an escape are doubled: csv would drop them, as of `\\N`."""
    sign = re.escape(escape)
    found = re.compile(f"{sign}([{sign}{re.escape(quote)}]?)")
    for line in lines:
        yield found.sub(lambda one: one[0] if one[1] else escape * 2, line)


class Heading(NamedTuple):
    """The header as it stands in the file, the number of lines up to its end, and how to read what follows.

    `names` are the cells without blanks around them, empty ones at the end left out.
    """

    cells: list[str]
    names: list[str]
    lines: int
    dialect: Dialect


def read_heading(lines: list[str], form: Form, name: str) -> Heading:
    """The heading of a file that begins with these lines; blank lines before it are passed over.

    Without a told delimiter it is the one of comma, semicolon, tab and bar that makes the most cells of the header, one
    under which the row after it has as many cells going first.

    Raises:
        ExportUnreadable: there is none, or its names are unreadable, blank or doubled.
    """
    blank = next((place for place, line in enumerate(lines) if line.strip()), None)
    if blank is None:
        raise ExportUnreadable(
            "header_missing", f"The export {name} is empty: it has not even a header. Export it again."
        )
    candidates = (form.delimiter,) if form.delimiter else _DELIMITERS
    found = [tried for one in candidates if (tried := _tried(lines[blank:], Dialect(one, form.quote, form.escape)))]
    if not found:
        raise _unreadable(name, "its quotes do not close")
    _, cells, count, dialect = max(found, key=lambda one: one[0])
    return Heading(cells, _names(cells, name), blank + count, dialect)


def _tried(lines: list[str], dialect: Dialect) -> tuple[tuple[bool, int], list[str], int, Dialect] | None:
    reader = dialect.records(lines)
    try:
        cells = next(reader)
    except (csv.Error, StopIteration):
        return None
    count = reader.line_num
    try:
        agrees = next((len(row) == len(cells) for row in islice(reader, 1)), True)
    except csv.Error:
        agrees = False
    return (len(cells) > 1 and agrees, len(cells)), cells, count, dialect


def _names(cells: list[str], name: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    text = "".join(names)
    if NUL in text:
        raise _unreadable(name, "it holds NUL characters, as UTF-16 without its mark does; tell form.encoding")
    if UNDECODABLE in text or TOO_LONG in text:
        raise _unreadable(name, "it is none of the file's encoding, or no text at all; tell form.encoding")
    if not all(names):
        place = names.index("") + 1
        raise ExportUnreadable(
            "header_blank", f"Column {place} of the export {name} has no name. Give every column of the export a name."
        )
    doubled = next((one for one, count in Counter(names).items() if count > 1), None)
    if doubled is not None:
        # Not the name itself, which in a file without a header is a value of a row.
        first, second = [place for place, one in enumerate(names, 1) if one == doubled][:2]
        raise ExportUnreadable(
            "header_doubled",
            f"Columns {first} and {second} of the export {name} have one name. Rename or leave out one of them in the export.",
        )
    return names


def _unreadable(name: str, why: str) -> ExportUnreadable:
    return ExportUnreadable(
        "header_unreadable",
        f"The header of the export {name} cannot be read: {why}. In the file of INSIGHTS_RULES, `form` tells "
        "delimiter, quote, escape and encoding.",
    )
