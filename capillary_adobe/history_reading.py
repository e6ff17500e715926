"""The first reading of an export: each row to its day and key, on disk; what it says of customers beside it.

Belongs here: going through the CSV files of an export once. Does not belong here: opening them (`capillary.insights.opened`),
what a row means (`capillary.insights.becoming`), what becomes of the rows of one event (`history_lines.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from capillary_adobe.capillary.insights.becoming import facts_of, place_row, told_day
from capillary_adobe.capillary.insights.model import BadRow, Placed, Row, RowIgnored, RowRefused
from capillary_adobe.capillary.insights.opened import open_export
from capillary_adobe.capillary.insights.rows import read_rows
from capillary_adobe.capillary.insights.templates import Matched, find_template
from capillary_adobe.history_counts import NO_DAY, Counts
from capillary_adobe.history_facts import KeptFacts
from capillary_adobe.history_setup import ImportSetup, utc_day
from capillary_adobe.history_sorting import Staged, Staging

BEFORE_START: Final = "before_history_start"
IN_FUTURE: Final = "time_in_future"
# More lines than a CSV file of any size has: the place of a row is that of its file times this, and its line.
_LINES_A_FILE: Final = 10**10
_ROWS_A_WORD: Final = 100_000
_DATE_IN_NAME: Final = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")


class ReadCsv(NamedTuple):
    """A CSV file of the export: its name within the place, its header, its template and our names of its columns.

    `names_bytes` is what the names of all columns take in a line, at each row.
    """

    name: str
    header: list[str]
    matched: Matched
    names_bytes: int


@dataclass
class Reading:
    """What the first reading found; `rows` are those that the reader of CSV counted."""

    files: list[ReadCsv] = field(default_factory=list)
    rows: int = 0
    ignored_files: list[str] = field(default_factory=list)
    first_before_start: str | None = None

    def file_at(self, place: int) -> ReadCsv:
        """The file of a row."""
        return self.files[place // _LINES_A_FILE]

    def content_of(self, row: Staged) -> dict[str, str] | str:
        """The cells of a row as the file has them, without empty ones; its text where it could not be read."""
        content = orjson.loads(row.payload)
        if isinstance(content, str):
            return content
        return {name: text for name, text in zip(self.file_at(row.place).header, content, strict=True) if text}


@dataclass(frozen=True)
class FirstReading:
    """How an export is read first: from where, in which setup, to where its rows go.

    `begun_ms` is when the import of this version first began, so that a repeat judges as the first one did; `changed_ms`
    when the file was last changed.
    """

    setup: ImportSetup
    staging: Staging
    facts: KeptFacts
    counts: Counts
    begun_ms: int
    changed_ms: int
    progress: Callable[[str], None]

    def read(self, path: Path, name: str) -> Reading:
        """Go through all CSV files of an export.

        Raises:
            ExportUnreadable: it cannot be opened, or a file in it is no CSV.
            TemplateUnknown: a file of it is of no template that is read.
        """
        found = Reading()
        for csv in open_export(path, name, self.setup.insights):
            if self.setup.rules.ignores(csv.name):
                found.ignored_files.append(csv.name)
                continue
            rows = read_rows(csv, self.setup.rules.form)
            matched = find_template(rows.header, csv.name, self.setup.rules)
            file = ReadCsv(csv.name, rows.header, matched, len(orjson.dumps(rows.header)))
            found.files.append(file)
            self._take(file, rows, (len(found.files) - 1) * _LINES_A_FILE, found)
            found.rows += rows.count
        return found

    def _take(self, file: ReadCsv, rows: Iterable[Row | BadRow], before: int, found: Reading) -> None:
        template, header = file.matched.template.name, file.header
        as_of_ms = self._as_of_ms(file.name)
        today, arrival = self.setup.day_of(self.begun_ms), utc_day(self.begun_ms)
        for number, row in enumerate(rows, 1):
            if number % _ROWS_A_WORD == 0:
                self.progress(f"{file.name}: {number:,} rows read")
            place = before + row.line
            if isinstance(row, BadRow):
                self.staging.add(Staged(arrival, template, "", place, row.code, row.detail, _compact(row.text)))
                continue
            named = Row(place, file.matched.named(row.cells))
            payload = _compact(list(map(row.cells.get, header)))
            try:
                day, key = self._placed(template, named, as_of_ms, today, found)
            except RowRefused as why:
                day = self._day_of_refused(template, named, today) or arrival
                self.staging.add(Staged(day, template, "", place, why.code, why.detail, payload))
            except RowIgnored as why:
                self.counts.ignored(template, NO_DAY, why.reason)
            else:
                self.staging.add(Staged(day, template, key, place, None, None, payload))

    def _placed(self, template: str, row: Row, as_of_ms: int, today: str, found: Reading) -> Placed:
        """Day and key of a row; what it says of its customer is kept though it becomes no event."""
        try:
            placed = place_row(template, row, self.setup.context)
        except RowIgnored:
            self._keep_facts(template, row, as_of_ms)
            raise
        if placed.day > today:
            raise RowRefused(IN_FUTURE, "its day was still to come when the import began")
        self._keep_facts(template, row, as_of_ms)
        if placed.day < self.setup.first_day:
            found.first_before_start = min(placed.day, found.first_before_start or placed.day)
            raise RowIgnored(BEFORE_START)
        return placed

    def _day_of_refused(self, template: str, row: Row, today: str) -> str | None:
        """The day that a refused row tells, if it has a partition."""
        day = told_day(template, row, self.setup.context)
        return day if day is not None and self.setup.first_day <= day <= today else None

    def _keep_facts(self, template: str, row: Row, as_of_ms: int) -> None:
        for facts in facts_of(template, row, as_of_ms, self.setup.context, self.setup.profiles):
            self.facts.add(facts)

    def _as_of_ms(self, name: str) -> int:
        """As of when an export of customers holds: the day in its name, from its beginning on; else when it was changed."""
        zone = self.setup.context.zone
        last = datetime.fromtimestamp(self.changed_ms / 1000, zone).date()
        told = (_day(year, month, of_month) for year, _, month, of_month in _DATE_IN_NAME.findall(name))
        days = [day for day in told if day is not None and day <= last]
        if not days:
            return self.changed_ms
        return int(datetime.combine(days[-1], time(), zone).timestamp() * 1000)


def _compact(content: str | list[str | None]) -> bytes:
    """A row as bytes of their own: what orjson gives keeps the four kilobytes in which it was made."""
    return bytes(memoryview(orjson.dumps(content)))


def line_at(place: int) -> int:
    """The line of the file on which the row at a place begins."""
    return place % _LINES_A_FILE


def _day(year: str, month: str, of_month: str) -> date | None:
    try:
        return date(int(year), int(month), int(of_month))
    except ValueError:
        return None
