"""What an import needs of a place, and what every place has in common.

Belongs here: the interface, its errors, what a listing leaves out, storing what is fetched. Does not belong here: a
kind of place.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart", ".crdownload")
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


class PlaceError(Exception):
    """A place, or a file in it, cannot be used as asked; the text names it and the cure."""


class PlaceUnavailable(PlaceError):
    """The place did not answer, or a file there is still being written: the same call may succeed a little later."""


@dataclass(frozen=True, order=True)
class FoundFile:
    """A file at a place: its path below the place, separated by slashes, its size in bytes, when it last changed, epoch ms."""

    name: str
    size: int
    changed_ms: int


class Place(Protocol):
    """Where exports arrive; as text, its address without secrets. It holds no connection between two calls."""

    def files(self) -> Iterator[FoundFile]:
        """Every file of the place and its sub-folders, by name; hidden and unfinished ones left out.

        Raises:
            PlaceError: it cannot be listed.
        """
        ...

    def fetch(self, name: str, target: Path) -> str:
        """Store a file of the place here, and give the hex SHA-256 of its bytes.

        `target` is there when all of the file is, and not before.

        Raises:
            PlaceError: the file is gone or cannot be read, or there is no room for it here.
            PlaceUnavailable: the place does not answer, or the file changed meanwhile.
        """
        ...


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is none: hidden, or named as what is not complete."""
    return name.startswith((".", "_")) or name.lower().endswith(_UNFINISHED)


def store(blocks: Iterable[bytes], target: Path, check: Callable[[int], None]) -> str:
    """Write blocks to a file and give their hex SHA-256; it gets its name once `check` has passed the number of bytes.

    Raises:
        PlaceError: the file cannot be written; whatever the blocks and `check` raise.
    """
    part = target.with_name(f".{target.name}.part")
    digest, size = hashlib.sha256(), 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for block in blocks:
                file.write(block)
                digest.update(block)
                size += len(block)
        check(size)
        part.replace(target)
    except OSError as error:
        kind = PlaceUnavailable if error.errno in _FULL else PlaceError
        raise kind(
            f"{target.parent} cannot be written ({error.strerror}). Make room there, give the user the right to write, or name "
            "another folder in INSIGHTS_WORK_FOLDER."
        ) from error
    finally:
        # What went wrong matters more.
        with suppress(OSError):
            part.unlink()
    return digest.hexdigest()


def changed(name: str, place: Place) -> PlaceUnavailable:
    """What to say of a file that is not what it was when it was found, or its fetch began."""
    return PlaceUnavailable(
        f"The export {name} at {place} changed while it was fetched: it is still being written. Import it later; if it "
        "repeats, raise INSIGHTS_SETTLE_SECONDS."
    )


def gone(name: str, place: Place) -> PlaceError:
    """What to say of a file that is not there."""
    return PlaceError(f"The export {name} is not at {place}. Correct the name, or put it back until it is imported.")
