"""A look at exports: what each file is and what an import would make of it, without importing.

Belongs here: columns found and not found, watermarks that are wanted. Does not belong here: going through the file
(`history_importing.py`), words (`history_statement.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from capillary_adobe.capillary.insights.places import Place
from capillary_adobe.history_importing import (
    TOLD_OF_A_FILE,
    HistoryImportError,
    Imported,
    Progress,
    look_into,
    without_watermark,
)
from capillary_adobe.history_place import NotImported
from capillary_adobe.history_reading import ReadCsv
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.state import HistoryFiles


@dataclass(frozen=True)
class LookedCsv:
    """A CSV file of an export: `columns` are our names by header, `unread` headers that mean nothing to us, `absent` ours."""

    name: str
    template: str
    columns: dict[str, str]
    unread: list[str]
    absent: list[str]


@dataclass(frozen=True)
class Looked:
    """What an export holds, and what an import would make of it.

    `wanted` are event types of it that want a watermark and have none.
    """

    would_be: Imported
    files: list[LookedCsv]
    wanted: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The findings as JSON knows them."""
        left_out = ("objects", "facts", "changed_customers", "seconds")
        numbers = {name: value for name, value in self.would_be.as_dict().items() if name not in left_out}
        return {**numbers, "files": [vars(one) for one in self.files], "watermark_wanted_for": self.wanted}


def look_at_place(place: Place, setup: ImportSetup, progress: Progress) -> Iterator[Looked | NotImported]:
    """Look at every file of a place, those that were imported before as well.

    Raises:
        PlaceError: the place cannot be listed.
    """
    files = HistoryFiles(setup.state)
    for found in sorted(place.files(), key=lambda one: one.name):
        if setup.rules.ignores(found.name):
            yield NotImported(found.name, reason="ignored by the rules file")
            continue
        try:
            file, made = look_into(place, found, setup, progress)
        except (*TOLD_OF_A_FILE, HistoryImportError) as error:
            yield NotImported(found.name, error=str(error))
            continue
        known = files.find(file.version)
        would_be = Imported(
            replace(file, rows=made.reading.rows),
            made.counts.days(),
            already=known is not None and known.done_ms is not None,
            ignored_files=made.reading.ignored_files,
            first_before_start=made.reading.first_before_start,
        )
        wanted = without_watermark(made.counts.event_types(), setup)
        yield Looked(would_be, [_looked(csv) for csv in made.reading.files], wanted)


def _looked(csv: ReadCsv) -> LookedCsv:
    columns, template = dict(csv.matched.columns), csv.matched.template
    found = set(columns.values())
    return LookedCsv(
        csv.name,
        template.name,
        columns,
        [header for header in csv.header if header not in columns],
        [name for name in template.columns if name not in found],
    )
