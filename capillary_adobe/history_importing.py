"""Importing one file of history: from the place where it arrived to lines in the landing store and entries in the ledger.

Belongs here: the order of the steps, what makes an import stop, and what is told of it. Does not belong here: each step
(`history_reading.py`, `history_sorting.py`, `history_lines.py`, `history_objects.py`), several files (`history_place.py`).

Everything is made in the work folder first and counted; only what balances, and of which each event type has its watermark,
goes on: facts of customers, objects, ledger. Whoever is killed on the way begins anew and lands the same objects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.insights.opened import ExportUnreadable
from capillary_adobe.capillary.insights.places import FoundFile, Place, PlaceError, changed
from capillary_adobe.capillary.insights.rules import RulesError
from capillary_adobe.capillary.insights.templates import TemplateUnknown
from capillary_adobe.history_counts import NO_DAY, Counts, summed
from capillary_adobe.history_facts import KeptFacts
from capillary_adobe.history_lines import Lines
from capillary_adobe.history_objects import ObjectsToLand
from capillary_adobe.history_reading import BEFORE_START, FirstReading, Reading
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.history_sorting import Staging
from capillary_adobe.history_work import work_folder
from capillary_adobe.landing.store import LandingError
from capillary_adobe.state import Customers, Erasures, FileDay, HistoryFile, HistoryFiles, StateError
from capillary_adobe.state.history_files import import_lock

Progress = Callable[[str], None]
TOLD_OF_A_FILE: Final = (PlaceError, ExportUnreadable, TemplateUnknown)
"""Errors of one file, whose text is for the operator; they leave other files alone."""
_OBJECTS_A_WORD: Final = 100


class HistoryImportError(Exception):
    """A file cannot be imported as things are; the text names it and the cure."""


class ImportHindered(HistoryImportError):
    """The machine stood in the way, such as a full disk: the same import may succeed later."""


TOLD_PLAINLY: Final = (*TOLD_OF_A_FILE, HistoryImportError, RulesError)
"""Errors of an import whose text is for the operator, beside those of the stores."""


@dataclass(frozen=True)
class Imported:
    """What became of a file. `already` says that nothing was done, since this version was imported before.

    `follows` is the version of the same name before it. `facts` are what its rows said of customers, `changed_customers` those
    of whom something was new. Sums in `totals` are by `<event type>.<measure>`.
    """

    file: HistoryFile
    days: list[FileDay]
    already: bool = False
    follows: str | None = None
    objects: int = 0
    facts: int = 0
    changed_customers: int = 0
    ignored_files: list[str] = field(default_factory=list)
    first_before_start: str | None = None
    seconds: float = 0.0

    @property
    def templates(self) -> list[str]:
        """Names of the templates of which there was a row."""
        return sorted({day.template for day in self.days})

    @property
    def events(self) -> int:
        """Events."""
        return sum(day.events for day in self.days)

    @property
    def event_rows(self) -> int:
        """Rows that events were made of."""
        return sum(day.event_rows for day in self.days)

    @property
    def lines(self) -> int:
        """Lines in the landing store: events, and rows refused."""
        return sum(day.lines for day in self.days)

    @property
    def by_event_type(self) -> dict[str, int]:
        """Events by type."""
        return summed(day.by_event_type for day in self.days)

    @property
    def quarantined(self) -> dict[str, int]:
        """Rows of which no event could be made, by reason code."""
        return summed(day.quarantined for day in self.days)

    @property
    def ignored(self) -> dict[str, int]:
        """Rows that are deliberately no event, by reason."""
        return summed(day.ignored for day in self.days)

    @property
    def before_start(self) -> int:
        """Rows that lie before HISTORY_START."""
        return sum(day.ignored.get(BEFORE_START, 0) for day in self.days if day.day == NO_DAY)

    @property
    def event_days(self) -> list[str]:
        """Days that have an event, in order."""
        return sorted({day.day for day in self.days if day.events})

    @property
    def totals(self) -> dict[str, Decimal]:
        """Sums of what the events tell, such as `transactionAdded.amount`."""
        found: dict[str, Decimal] = {}
        for day in self.days:
            for name, total in day.totals.items():
                found[name] = found.get(name, Decimal(0)) + total
        return dict(sorted(found.items()))

    def as_dict(self) -> dict[str, Any]:
        """The numbers as JSON knows them."""
        days = self.event_days
        return {
            "file": self.file.name,
            "version": self.file.version,
            "follows": self.follows,
            "already_imported": self.already,
            "templates": self.templates,
            "rows": self.file.rows,
            "events": self.events,
            "event_rows": self.event_rows,
            "by_event_type": self.by_event_type,
            "quarantined": self.quarantined,
            "ignored": self.ignored,
            "ignored_files": self.ignored_files,
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
            "days": len(days),
            "first_day_before_history_start": self.first_before_start,
            "totals": {name: str(total) for name, total in self.totals.items()},
            "objects": self.objects,
            "facts": self.facts,
            "changed_customers": self.changed_customers,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Made:
    """What is made of a file in the work folder, counted and checked; nothing has landed."""

    reading: Reading
    counts: Counts
    objects: ObjectsToLand
    digest: str
    facts: KeptFacts


def import_file(
    place: Place, found: FoundFile, setup: ImportSetup, progress: Progress, *, again: bool = False
) -> Imported:
    """Import one file; a version that was imported before is left alone, unless it is to be imported `again`.

    Imports of the same bytes wait for one another.

    Raises:
        PlaceError: the file cannot be fetched.
        ExportUnreadable, TemplateUnknown: it is no export that can be read.
        HistoryImportError: a watermark is missing, the work folder or its memory do not suffice, the rows do not balance, or
            parts of another import of this file have landed.
        LandingError, StateError: what was made cannot be kept; the import can be repeated.
    """
    started = time.perf_counter()
    files = HistoryFiles(setup.state, setup.clock)
    with _folder(setup) as folder:
        path, version = _fetched(place, found, folder)
        progress(f"{found.name}: {path.stat().st_size:,} bytes fetched, version {version[:12]}")
        with setup.state.day_lock(import_lock(version)):
            known = files.find(version)
            if known is not None and known.done_ms is not None and not again:
                return Imported(known, files.days(version), already=True, follows=_follows(files, known))
            file = files.begin(HistoryFile(version, found.name, str(place), found.size, found.changed_ms))
            try:
                return _imported(file, path, folder, setup, progress, started)
            except Exception as error:
                files.fail(version, _words(error))
                raise


def look_into(place: Place, found: FoundFile, setup: ImportSetup, progress: Progress) -> tuple[HistoryFile, Made]:
    """What an import would make of a file; nothing is kept, and a missing watermark is no error.

    Raises:
        PlaceError, ExportUnreadable, TemplateUnknown, HistoryImportError: as `import_file` does.
    """
    with _folder(setup) as folder:
        path, version = _fetched(place, found, folder)
        now_ms = int(setup.clock() * 1000)
        file = HistoryFile(version, found.name, str(place), found.size, found.changed_ms, begun_ms=now_ms)
        return file, _made(file, path, folder, setup, progress)


def without_watermark(event_types: set[str], setup: ImportSetup) -> list[str]:
    """Those of the event types that share no natural key with their webhook twin and have no watermark."""
    shared = {event.name for event in shipped_catalogue() if event.natural_key is not None} | setup.rules.shared_keys
    return sorted(name for name in event_types - shared if setup.rules.watermark(name) is None)


def _fetched(place: Place, found: FoundFile, folder: Path) -> tuple[Path, str]:
    """The file here, and its version; as long as it was when it was found, since a longer one is being written anew."""
    path = folder / "export"
    version = place.fetch(found.name, path)
    if path.stat().st_size != found.size:
        raise changed(found.name, place)
    return path, version


def _imported(
    file: HistoryFile, path: Path, folder: Path, setup: ImportSetup, progress: Progress, started: float
) -> Imported:
    made = _made(file, path, folder, setup, progress)
    _demand_watermarks(file, made.counts, setup)
    files = HistoryFiles(setup.state, setup.clock)
    _demand_the_same(file, made, setup)
    # Before the merge: from then on the import counts as begun, so that nobody forgets what its days will be told.
    files.land(file.version, made.digest)
    merged = Customers(setup.state, setup.max_customers, setup.clock).merge(made.facts.read())
    Erasures(setup.state).note(merged.deleted, int(setup.clock() * 1000))
    progress(f"{file.name}: {merged.facts:,} facts of customers merged")
    for number, _ in enumerate(made.objects.land(setup.landing), 1):
        if number % _OBJECTS_A_WORD == 0 or number == len(made.objects.keys):
            progress(f"{file.name}: {number:,} of {len(made.objects.keys):,} objects landed")
    files.finish(file.version, made.reading.rows, made.counts.days())
    done = files.find(file.version) or file
    return Imported(
        done,
        made.counts.days(),
        follows=_follows(files, done),
        objects=len(made.objects.keys),
        facts=merged.facts,
        changed_customers=merged.changed,
        ignored_files=made.reading.ignored_files,
        first_before_start=made.reading.first_before_start,
        seconds=time.perf_counter() - started,
    )


def _made(file: HistoryFile, path: Path, folder: Path, setup: ImportSetup, progress: Progress) -> Made:
    """Read, sort and make objects in the work folder.

    Raises:
        HistoryImportError: rows are not accounted for, or memory or disk do not suffice.
    """
    counts = Counts(file.version)
    staging = Staging(folder, setup.insights.memory_bytes)
    with KeptFacts(folder) as facts:
        reader = FirstReading(setup, staging, facts, counts, file.begun_ms, file.changed_ms, progress)
        reading = reader.read(path, file.name)
        path.unlink()
        progress(f"{file.name}: {reading.rows:,} rows read; sorting them")
        objects = ObjectsToLand(folder, file.version)
        for number, line in enumerate(Lines(setup, reading, counts, file.version).of(staging.in_order()), 1):
            objects.add(*line)
            if number % 100_000 == 0:
                progress(f"{file.name}: {number:,} lines made")
        digest = objects.finish()
    _demand_balance(file, reading.rows, counts)
    return Made(reading, counts, objects, digest, facts)


def _demand_balance(file: HistoryFile, rows: int, counts: Counts) -> None:
    accounted = sum(day.rows for day in counts.days())
    if rows != accounted:
        raise HistoryImportError(
            f"{file.name}: {rows} rows were read and {accounted} are accounted for. Nothing has landed. This is a fault of the "
            "software; report it with the template of the file."
        )


def _demand_watermarks(file: HistoryFile, counts: Counts, setup: ImportSetup) -> None:
    missing = without_watermark(counts.event_types(), setup)
    if missing:
        lines = "\n".join(f"  {name}: <date or moment from which on webhooks tell of it>" for name in missing)
        raise HistoryImportError(
            f"{file.name} tells of {', '.join(missing)}, which webhooks and exports name differently, and no watermark "
            "says where the one ends and the other begins. Nothing has landed. Set it in the file of INSIGHTS_RULES, or "
            f"`default:` for all types, then import again:\nlive_from:\n{lines}"
        )


def _demand_the_same(file: HistoryFile, made: Made, setup: ImportSetup) -> None:
    """Refuse to land beside other objects of the same file, of an import under other rules, settings or software."""
    if file.landing in (None, made.digest):
        return
    key = next(made.objects.strangers(setup.landing), None)
    if key is not None:
        raise HistoryImportError(
            f"{file.name}: an import of this file under other rules, settings or software has landed objects that differ, "
            f"such as {key}. Move all objects history/*/{file.version[:12]}-* out of the landing store, then import again; "
            "materialize those of their days anew that have been worked on."
        )


def _follows(files: HistoryFiles, file: HistoryFile) -> str | None:
    before = files.before(file)
    return before.version if before is not None else None


@contextmanager
def _folder(setup: ImportSetup) -> Iterator[Path]:
    """A work folder, and what its disk and DuckDB's memory have to say, in plain words."""
    place = f"INSIGHTS_WORK_FOLDER={setup.insights.work_folder}"
    try:
        with work_folder(setup.insights.work_folder) as folder:
            yield folder
    except OSError as error:
        raise ImportHindered(
            f"{place} cannot be used ({error.strerror or 'the disk cannot be written'}). It takes about four times the size of "
            "the largest export, zipped; make room, or name another folder that belongs to the user, then import again."
        ) from error


def _words(error: Exception) -> str:
    """Why an import stopped, for the ledger; of an error that nobody foresaw only its kind, as its text may hold values."""
    if isinstance(error, (*TOLD_PLAINLY, LandingError, StateError)):
        return str(error)
    return f"The import stopped at {type(error).__name__}; the log of the run tells more."
