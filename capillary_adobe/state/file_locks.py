"""Locks on files: one process at a time under a name, on one machine. They end with their process.

Belongs here: waiting for such a lock, and trying for one. Does not belong here: what is locked (`database.py`), and locks of
PostgreSQL, which are its own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock of a file and hold it; the file stays.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a file that stays, as of `locked`.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        # To be written, since over NFS nobody can lock what he only reads.
        with path.open("r+") as file:
            return not _try(file)
    except FileNotFoundError:
        return False


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of a file if nobody does, and tell whether; the file goes with the lock.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as first:
        file = first
        held = _try(file)
        # Whoever had the lock has taken the file away since it was opened.
        while held and not _is_at(file, path):
            file.close()
            file = path.open("w")
            held = _try(file)
        with file:
            try:
                yield held
            finally:
                if held:
                    path.unlink(missing_ok=True)


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
