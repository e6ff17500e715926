"""Importing what is new at a place: file by file, past those that fail.

Belongs here: which files are new, and going on after one that cannot be imported. Does not belong here: the import of one
(`history_importing.py`), when to look (`defs/history_sensor.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from capillary_adobe.capillary.insights.places import FoundFile, Place
from capillary_adobe.history_importing import TOLD_OF_A_FILE, HistoryImportError, Imported, Progress, import_file
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.state import HistoryFile, HistoryFiles


@dataclass(frozen=True)
class NotImported:
    """A file that was left: `error` says why it failed, `reason` why it was left alone."""

    name: str
    reason: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON knows it."""
        why = {"error": self.error} if self.error else {"left_alone": self.reason}
        return {"file": self.name, **why}


def import_place(
    place: Place,
    setup: ImportSetup,
    progress: Progress,
    *,
    again: bool = False,
    import_one: Callable[[FoundFile], Imported] | None = None,
) -> Iterator[Imported | NotImported]:
    """Import the files of a place that are new, one after another in the order of their names.

    A file is known without being fetched where one of this name, size and time of change was imported. A file that fails does
    not keep the others from being imported; what concerns all of them, such as a landing store that cannot be written, does.
    `import_one` imports a file in another way than in this process alone.

    Raises:
        PlaceError: the place cannot be listed.
        LandingError, StateError: what was made cannot be kept.
    """
    known = {_looks(file) for file in HistoryFiles(setup.state).all() if file.done_ms is not None}
    for found in sorted(place.files(), key=lambda one: one.name):
        left = _left(place, found, known, setup, again=again)
        if left:
            yield NotImported(found.name, reason=left)
            continue
        try:
            if import_one is not None:
                yield import_one(found)
            else:
                yield import_file(place, found, setup, progress, again=again)
        except (*TOLD_OF_A_FILE, HistoryImportError) as error:
            yield NotImported(found.name, error=str(error))


def why_left(found: FoundFile, setup: ImportSetup) -> str | None:
    """Why a file is left alone for now: the rules say so, or it is still being written; None where it is not."""
    if setup.rules.ignores(found.name):
        return "ignored by the rules file"
    if changed_lately(found, setup.insights.settle_seconds, setup.clock()):
        return f"changed within the last {setup.insights.settle_seconds:g} seconds (INSIGHTS_SETTLE_SECONDS)"
    return None


def changed_lately(found: FoundFile, settle_seconds: float, now: float) -> bool:
    """Whether a file may still be being written; one from a place whose clock goes ahead does not wait for ever."""
    return abs(now - found.changed_ms / 1000) < settle_seconds


def _left(
    place: Place, found: FoundFile, known: set[tuple[str, str, int, int]], setup: ImportSetup, *, again: bool
) -> str | None:
    if not again and (found.name, str(place), found.size, found.changed_ms) in known:
        return "imported before"
    return why_left(found, setup)


def _looks(file: HistoryFile) -> tuple[str, str, int, int]:
    return file.name, file.place, file.size, file.changed_ms
