"""A file that is appended to and synced, locked while its owner lives, and moved to where it is seen.

Belongs here: what makes bytes and names survive a crash. Does not belong here: where files lie and what is in them.

The lock is flock's: the kernel gives it up when its process ends, however it ends. So a file without a lock has no owner.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

# Data and size reach the disk; the time of change, which costs a second write, need not. macOS has only the long form.
_sync = getattr(os, "fdatasync", os.fsync)
_BLOCK_BYTES = 64 * 1024


class DurableFile:
    """A file that this process owns. `length`: the bytes that are durable; `spent`: it must not be written any more."""

    def __init__(self, path: Path, descriptor: int, length: int) -> None:
        self.path = path
        self.length = length
        self.spent = False
        self.moved = False
        self._descriptor = descriptor

    @classmethod
    def begin(cls, path: Path) -> DurableFile | None:
        """A new file; None where another process took it for one without owner before it was locked.

        Raises:
            OSError: it cannot be made.
        """
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        return cls(path, descriptor, 0) if _locked(path, descriptor) else None

    @classmethod
    def take_over(cls, path: Path) -> DurableFile | None:
        """A file that has no owner; None where it has one, or has gone.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        return cls(path, descriptor, os.fstat(descriptor).st_size) if _locked(path, descriptor) else None

    def append(self, data: bytes) -> None:
        """Add bytes and make them durable.

        Raises:
            OSError: none of them counts; the file is cut back, and `spent` where it must not be written again.
        """
        try:
            self.write(data)
        except OSError:
            self._cut_back()
            raise
        self.sync()
        self.length += len(data)

    def write(self, data: bytes) -> None:
        """Add bytes that need not be durable yet.

        Raises:
            OSError: only part of them may be there.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            OSError: it is not; the file is spent.
        """
        try:
            _sync(self._descriptor)
        except OSError:
            # The kernel tells of pages it could not write once, drops them, and calls the next sync a success.
            self.spent = True
            self._cut_back()
            raise

    def drop_half_line(self) -> None:
        """Cut off what stands behind the last line: no line without its end was ever acknowledged.

        Raises:
            OSError: it is there still.
        """
        end, whole = self.length, 0
        while end and not whole:
            start = max(0, end - _BLOCK_BYTES)
            whole = os.pread(self._descriptor, end - start, start).rfind(b"\n") + 1
            end = start + whole
        if end < self.length:
            os.ftruncate(self._descriptor, end)
            self.length = end

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.length)
        except OSError:
            self.spent = True

    def move(self, target: Path) -> None:
        """Give it its final name; the folders are still to be synced.

        Raises:
            OSError: it has its old name still.
        """
        self.path.rename(target)
        self.path = target
        self.moved = True

    def remove(self) -> None:
        """Forget it.

        Raises:
            OSError: it cannot be removed.
        """
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Give up the lock."""
        # It is given up all the same, and what counts was synced before.
        with suppress(OSError):
            os.close(self._descriptor)


def _locked(path: Path, descriptor: int) -> bool:
    """Lock a file that was just opened; closed again where another has it, or had it and moved it away."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: they are not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems sync names at once and know no sync of a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def make_folders(root: Path, folder: Path) -> None:
    """Make a folder under a root that exists, each name on the way durable, whoever made it.

    Raises:
        OSError: it cannot be made.
    """
    above = root
    for part in folder.relative_to(root).parts:
        below = above / part
        with suppress(FileExistsError):
            below.mkdir()
        sync_folder(above)
        above = below
