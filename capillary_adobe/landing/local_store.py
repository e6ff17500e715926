"""A landing store in a folder of this machine.

Belongs here: listing, opening and writing files. Does not belong here: keys and what a listing leaves out (`store.py`).
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from capillary_adobe.landing.store import (
    LANE_FOLDERS,
    LandedObject,
    LandingError,
    is_day,
    is_hidden,
    may_hold,
    taken_error,
)
from capillary_adobe.settings import Lane

_LOG = logging.getLogger(__name__)
# What file systems without hard links answer, such as exFAT and some network shares.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


@dataclass(frozen=True)
class LocalLandingStore:
    """A folder on a local disk."""

    root: Path

    def days(self, lane: Lane) -> list[str]:
        """Days with a folder in the lane, in order."""
        return sorted({name for folder in LANE_FOLDERS[lane] for name in _names(self.root / folder) if is_day(name)})

    def list(self, lane: Lane, day: str, after: str = "") -> Iterator[LandedObject]:
        """Objects of a day whose key sorts after `after`, in key order over all folders of the lane."""
        for folder in LANE_FOLDERS[lane]:
            prefix = f"{folder}/{day}"
            if may_hold(f"{prefix}/", after):
                yield from self._walk(prefix, after)

    def _walk(self, prefix: str, after: str) -> Iterator[LandedObject]:
        folder = self.root / prefix
        # A folder sorts among files as if its name ended in the slash that its keys carry.
        with _scan(folder) as entries:
            found = sorted(
                (entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in entries if _named(entry)
            )
        for name, entry in found:
            key = f"{prefix}/{name}"
            if is_hidden(entry.name):
                continue
            if name.endswith("/"):
                if may_hold(key, after):
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

    def staged(self, keys: Iterable[str]) -> Iterator[tuple[str, BinaryIO]]:
        """Objects opened one by one in the order given; a stream is closed when the next one is asked for.

        Raises:
            LandingError: the object whose turn it is is gone or unreadable.
        """
        for key in keys:
            with self.open(key) as stream:
                yield key, stream

    def write(self, key: str, data: bytes) -> None:
        """Store an object so that a reader sees all of it or nothing; one with the same bytes may be there already.

        Raises:
            LandingError: the folder cannot be written, or another object is there under this key.
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
                taken = not _placed(whole, target) and target.read_bytes() != data
        except OSError as error:
            raise LandingError(
                f"LANDING_URL={self.root} cannot be written ({error.strerror}). Check that the folder exists, belongs to "
                "the user and has free space."
            ) from error
        if taken:
            raise taken_error(f"LANDING_URL={self.root}", key)


def _placed(whole: Path, target: Path) -> bool:
    """Give a file its name, unless something has it; whether it has it now."""
    try:
        # Not a rename, which would replace.
        os.link(whole, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS or target.exists():
            raise
        whole.replace(target)
    return True


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


def _names(folder: Path) -> list[str]:
    with _scan(folder) as entries:
        return [entry.name for entry in entries]
