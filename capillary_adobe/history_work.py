"""Work folders: where an import puts what it fetches, sorts and is about to land, and what dead imports left behind.

Belongs here: a folder for each import, and who may remove whose. Does not belong here: what lies in it.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = "import-"
_LOCK: Final = "lock"


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards; leftovers of imports that died go before it is made.

    An import holds a lock on its folder, which ends with its process, so that what is locked belongs to a living one.

    Raises:
        OSError: the folder cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(parent):
        _remove_leftovers(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = (folder / _LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


@contextmanager
def _one_at_a_time(parent: Path) -> Iterator[None]:
    """So that nobody takes a folder for a leftover that is made just now and not locked yet."""
    with (parent / f".{_LOCK}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            with (folder / _LOCK).open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError, NotADirectoryError):
            # A living import's, or one that has just removed its own.
            continue
