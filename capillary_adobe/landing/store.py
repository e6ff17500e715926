"""Landing stores: list the keys of a day after a key, open an object, write one atomically; nothing else is recorded.

Belongs here: the interface and the local folder. Does not belong here: reading the content (`records.py`).

A key is `<lane folder>/<YYYY-MM-DD>/<HH>/<name>`; the lane folder is `events` for the live lane and `history` for the
history lane, whose objects may lie directly under their day. Keys of one day sort by arrival.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol

from capillary_adobe.settings import Lane

LANE_FOLDERS: dict[Lane, str] = {"live": "events", "history": "history"}
_KEY_TIME = re.compile(r"[^/]+/(\d{4}-\d{2}-\d{2})/(?:([01]\d|2[0-3])/)?")


class LandingError(Exception):
    """The landing store cannot be read or written; the text names the place and the cure."""


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class LandedObject:
    """An object of the store: key, size in bytes, and when it was stored, epoch ms."""

    key: str
    size: int
    stored_ms: int


class LandingStore(Protocol):
    """What the road needs of a landing store."""

    def days(self, lane: Lane) -> list[str]:
        """Days with a folder in the lane, in order."""
        ...

    def list(self, lane: Lane, day: str, after: str = "") -> Iterator[LandedObject]:
        """Objects of a day whose key sorts after `after`, in key order."""
        ...

    def open(self, key: str) -> BinaryIO:
        """The bytes of an object as stored."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Store an object so that a reader sees all of it or nothing."""
        ...


def lane_of(key: str) -> Lane:
    """The lane a key belongs to."""
    return "history" if key.startswith(f"{LANE_FOLDERS['history']}/") else "live"


def open_landing_store(url: str) -> LandingStore:
    """The store behind `LANDING_URL`.

    Raises:
        LandingError: the address is of a kind that is not supported.
    """
    if "://" in url:
        raise LandingError(f"LANDING_URL={url} is not supported: give the path of a local folder.")
    return LocalLandingStore(Path(url))


@dataclass(frozen=True)
class LocalLandingStore:
    """A folder on a local disk."""

    root: Path

    def days(self, lane: Lane) -> list[str]:
        """Days with a folder in the lane, in order."""
        folder = self.root / LANE_FOLDERS[lane]
        return sorted(name for name in _names(folder) if _is_day(name))

    def list(self, lane: Lane, day: str, after: str = "") -> Iterator[LandedObject]:
        """Objects of a day whose key sorts after `after`, in key order."""
        yield from self._walk(f"{LANE_FOLDERS[lane]}/{day}", after)

    def _walk(self, prefix: str, after: str) -> Iterator[LandedObject]:
        folder = self.root / prefix
        # A folder sorts among files as if its name ended in the slash that its keys carry.
        with _scan(folder) as entries:
            found = sorted(
                (entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in entries if _named(entry)
            )
        for name, entry in found:
            key = f"{prefix}/{name}"
            # Writers hide what is not complete behind a dot, an underscore or a .tmp ending.
            if name[0] in "._" or entry.name.endswith(".tmp"):
                continue
            if name.endswith("/"):
                if not after or key + "\U0010ffff" > after:
                    yield from self._walk(key.rstrip("/"), after)
            elif key > after:
                try:
                    state = entry.stat()
                except FileNotFoundError:
                    # Renamed since the folder was read, or a link that leads nowhere.
                    continue
                yield LandedObject(key, state.st_size, state.st_mtime_ns // 1_000_000)

    def open(self, key: str) -> BinaryIO:
        """The bytes of an object as stored.

        Raises:
            LandingError: the object is gone or unreadable.
        """
        try:
            return (self.root / key).open("rb")
        except OSError as error:
            raise LandingError(
                f"The landed object {key} cannot be read ({error.strerror}). Landed objects must stay until their day is "
                "delivered; put it back or give the user that runs Dagster the right to read it."
            ) from error

    def write(self, key: str, data: bytes) -> None:
        """Store an object so that a reader sees all of it or nothing.

        Raises:
            LandingError: the folder cannot be written.
        """
        target = self.root / key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as hidden:
                whole = Path(hidden) / "object.tmp"
                with whole.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                whole.replace(target)
        except OSError as error:
            raise LandingError(
                f"LANDING_URL={self.root} cannot be written ({error.strerror}). Check that the folder exists, belongs to "
                "the user and has free space."
            ) from error


def _named(entry: os.DirEntry[str]) -> bool:
    """Whether the name can be a key; one that is no UTF-8 could be noted in no table and would stop every tick."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        _LOG.warning("An object under %s is left out: its name is no UTF-8. Rename it.", Path(entry.path).parent)
        return False
    return True


def _scan(folder: Path) -> AbstractContextManager[Iterable[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        # A folder that does not exist lists as empty: nothing has landed there yet.
        return nullcontext(())
    except OSError as error:
        raise LandingError(
            f"The landing folder {folder} cannot be listed ({error.strerror}). Give the user that runs Dagster the right "
            "to read it."
        ) from error


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def _names(folder: Path) -> list[str]:
    with _scan(folder) as entries:
        return [entry.name for entry in entries]


@cache
def latest_event_ms(key: str) -> int:
    """The moment after which nothing in the object can have happened: the end of the hour or day its key names.

    Taken from the key and not from a clock, so that a rebuilt partition judges its events as the first run did.
    """
    match = _KEY_TIME.match(key)
    if match is None or not _is_day(match[1]):
        raise LandingError(f"The key {key} names no day: objects lie under <lane>/<YYYY-MM-DD>/.")
    day, hour = match.groups()
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    if lane_of(key) == "history":
        # Exports are cut by the event's date in the organisation's zone, up to a day away from UTC.
        end = start + timedelta(days=2)
    else:
        end = start + (timedelta(hours=int(hour) + 1) if hour else timedelta(days=1))
    return int(end.timestamp() * 1000)
