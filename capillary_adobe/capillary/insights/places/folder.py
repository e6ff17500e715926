"""A folder of this machine, or one file of it.

Belongs here: listing and copying. Does not belong here: what a listing leaves out (`place.py`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capillary_adobe.capillary.insights.byte_stream import BLOCK_BYTES
from capillary_adobe.capillary.insights.places.place import (
    FoundFile,
    PlaceError,
    changed,
    gone,
    is_left_out,
    store,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderPlace:
    """A folder, or a single file. Links to files are followed, links to folders are not: they may lead in a circle."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def files(self) -> Iterator[FoundFile]:
        """Every file, by name.

        Raises:
            PlaceError: there is no such folder or file, or it cannot be listed.
        """
        try:
            is_file, is_folder = self.path.is_file(), self.path.is_dir()
        except OSError as error:
            raise _unreadable(str(self), error) from error
        if is_file:
            yield self._state(self.path.name, self.path)
        elif is_folder:
            yield from sorted(self._walk(self.path, ""))
        else:
            raise PlaceError(f"There is no folder or file {self}. Make it, or correct INSIGHTS_URL or the path given.")

    def _walk(self, folder: Path, prefix: str) -> Iterator[FoundFile]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise _unreadable(str(folder), error) from error
        for entry in entries:
            if is_left_out(entry.name) or not _is_text(entry.name, folder):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif (state := _state_of(entry)) is not None:
                yield _found(f"{prefix}{entry.name}", state)

    def fetch(self, name: str, target: Path) -> str:
        """Copy a file, and give the hex SHA-256 of its bytes.

        Raises:
            PlaceError: it is gone or cannot be read, or there is no room for the copy.
            PlaceUnavailable: it changed meanwhile.
        """
        path = self.path if self.path.is_file() else self.path / name
        before = self._state(name, path)

        def check(size: int) -> None:
            if size != before.size or self._state(name, path) != before:
                raise changed(name, self)

        return store(_blocks(path, before.size), target, check)

    def _state(self, name: str, path: Path) -> FoundFile:
        try:
            return _found(name, path.stat())
        except FileNotFoundError as error:
            raise gone(name, self) from error
        except OSError as error:
            raise _unreadable(str(path), error) from error


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    """The bytes that the file had when it was looked at, and one more if it has grown: a writer may be faster than we."""
    left = size + 1
    try:
        with path.open("rb") as file:
            while left and (block := file.read(min(left, BLOCK_BYTES))):
                left -= len(block)
                yield block
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _state_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """The state of a file; None of what is none, of a link that leads nowhere, and of what has gone since it was listed."""
    try:
        return entry.stat() if entry.is_file() else None
    except OSError as error:
        _LOG.warning("%s is left out: it cannot be looked at (%s).", entry.path, error.strerror)
        return None


def _found(name: str, state: os.stat_result) -> FoundFile:
    return FoundFile(name, state.st_size, state.st_mtime_ns // 1_000_000)


def _is_text(name: str, folder: Path) -> bool:
    """Whether a name can be noted and told."""
    try:
        name.encode()
    except UnicodeEncodeError:
        _LOG.warning("A file in %s is left out: its name is no UTF-8. Rename it.", folder)
        return False
    return True


def _unreadable(what: str, error: OSError) -> PlaceError:
    return PlaceError(f"{what} cannot be read ({error.strerror}). Give the user that imports the right to read it.")
