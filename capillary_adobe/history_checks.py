"""Files and days of history counted again: rows of a file, its lines in the landing store, and what the ledger says of a day.

Belongs here: counting, and what does not agree. Does not belong here: sums of money and points (`history_totals.py`), days
without events and the overlap with webhooks (`history_coverage.py`), and how a claim is shown (`defs/history_checks.py`).
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.store import HISTORY
from capillary_adobe.state import LandedObjects
from capillary_adobe.state.history_files import FileDay, HistoryFile, HistoryFiles

_SHORT = 12
# How objects are named that hold rows of no template.
_NO_TEMPLATE = "rows"
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class FileAccount:
    """The rows of a file against what became of them, and its lines against those that stand in the landing store.

    `lines` and `landed` are by `<template> <day>`; `differences` says in words what does not agree.
    """

    rows: int
    accounted: int
    lines: int
    landed: int
    objects: int
    differences: tuple[str, ...] = ()


@dataclass
class DayLanded:
    """The lines of exports that a run has read of a day, against those that imports wrote there.

    Objects are `unread` while no run has taken them, `unfinished` while the import that writes them has not ended, and
    `others` where no import that is known wrote them. `differing` are versions whose lines do not agree, short.
    """

    imported: int = 0
    read: int = 0
    unread: int = 0
    unfinished: int = 0
    others: int = 0
    differing: list[str] = field(default_factory=list)


def account_of_file(file: HistoryFile, days: list[FileDay], store: LandingStore) -> FileAccount:
    """Count a file again: rows from the ledger, lines from the landing store, object by object.

    Raises:
        LandingError: the landing store cannot be read.
    """
    expected: Counter[str] = Counter()
    for one in days:
        if one.lines:
            expected[f"{one.template or _NO_TEMPLATE} {one.day}"] += one.lines
    found: Counter[str] = Counter()
    objects = 0
    for day in sorted({name.rpartition(" ")[2] for name in expected}):
        keys = _objects_of(store, day, file.version)
        objects += len(keys)
        for key, stream in store.staged(keys):
            found[f"{_template_of(key)} {day}"] += lines_in(stream)
    accounted = sum(one.rows for one in days)
    words = [f"{file.rows} rows read, {accounted} accounted for"] if accounted != file.rows else []
    words += [
        f"{name}: {expected[name]} lines written, {found[name]} in the landing store"
        for name in sorted(expected | found)
        if expected[name] != found[name]
    ]
    return FileAccount(file.rows, accounted, expected.total(), found.total(), objects, tuple(words))


def landed_of_day(day: str, store: LandingStore, files: HistoryFiles, objects: LandedObjects) -> DayLanded:
    """Hold the lines that runs have read of a day's history against those that imports wrote there.

    Raises:
        LandingError: the landing store cannot be read.
    """
    known = {file.version[:_SHORT]: file for file in files.all()}
    expected = _lines_by_version(day, files, known.values())
    read = objects.lines_by_key(day, HISTORY)
    account = DayLanded(imported=expected.total())
    found: Counter[str] = Counter()
    for key in {*read, *(one.key for one in store.list("history", day))}:
        version = _version_of(key)
        file = known.get(version)
        lines = read.get(key)
        account.others += file is None
        account.unfinished += file is not None and file.done_ms is None
        account.unread += lines is None
        if file is not None and file.done_ms is not None and lines is not None:
            found[version] += lines
    account.read = found.total()
    account.differing = sorted(version for version in expected | found if expected[version] != found[version])
    return account


def holds_history(day: str, files: HistoryFiles) -> bool:
    """Whether an import has written lines to a day."""
    return any(one.lines for one in files.days(day=day))


def unfinished_versions(files: HistoryFiles) -> set[str]:
    """Versions, short, of which an import has begun and none has ended."""
    return {file.version[:_SHORT] for file in files.all() if file.done_ms is None}


def lines_in(stream: BinaryIO) -> int:
    """Lines of a compressed object; of one that ends early, those before the damage."""
    lines = 0
    try:
        with gzip.GzipFile(fileobj=stream) as text:
            while chunk := text.read(_CHUNK_BYTES):
                lines += chunk.count(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return lines
    return lines


def _lines_by_version(day: str, files: HistoryFiles, known: Iterable[HistoryFile]) -> Counter[str]:
    done = {file.version for file in known if file.done_ms is not None}
    lines: Counter[str] = Counter()
    for one in files.days(day=day):
        if one.version in done and one.lines:
            lines[one.version[:_SHORT]] += one.lines
    return lines


def _objects_of(store: LandingStore, day: str, version: str) -> list[str]:
    prefix = f"{HISTORY}/{day}/{version[:_SHORT]}-"
    keys: list[str] = []
    for one in store.list("history", day, after=prefix):
        if not one.key.startswith(prefix):
            break
        keys.append(one.key)
    return keys


def _version_of(key: str) -> str:
    return key.rpartition("/")[2].partition("-")[0]


def _template_of(key: str) -> str:
    """`history/<day>/<version>-<template>-<number>.jsonl.gz`."""
    return key.rpartition("/")[2].partition("-")[2].rpartition("-")[0]
