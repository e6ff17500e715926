"""Where the tables of the lake lie, and all that differs between a local folder and S3.

Belongs here: what the lake asks of a place, the local folder, and its failures in plain words. Does not belong here: rows
and commits (`lake.py`), S3 (`lake_on_s3.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from capillary_adobe.lake_files import LakeFile, lake_file

_SCHEME: Final = "s3://"


class LakeError(Exception):
    """The lake cannot be read or written; the text names the place and the cure."""


class LakeUnavailable(LakeError):
    """The store behind the lake gives no answer, or none that lasts: the same may succeed a little later."""


class LakePlace(Protocol):
    """What the tables need of the place they lie in."""

    @property
    def options(self) -> dict[str, str] | None:
        """How delta-rs reaches it, beyond the address."""
        ...

    def uri(self, name: str) -> str:
        """Address of a table."""
        ...

    def admit_writing(self) -> None:
        """Return where several writers at once are safe here.

        Raises:
            LakeError: they are not, or nothing can be written at all.
        """
        ...

    def put_in_place(self, name: str, make: Callable[[Path], None]) -> None:
        """Put the empty table that `make` writes into a folder in place whole, unless another writer was first.

        Two creations in the same place are both committed, the second as a change of the first one's metadata, and that
        fails every write under way.

        Raises:
            LakeError, OSError: it could not be put there; another writer may have been first.
        """
        ...

    def file(self, name: str, path: str, size: int) -> AbstractContextManager[LakeFile]:
        """A file of a table, by its path under the table and its bytes.

        Raises:
            LakeError, OSError, pa.ArrowException: it cannot be read, now or while it is read.
        """
        ...

    def days(self, name: str) -> list[str]:
        """Every day of a table that has files, whether or not a current row is in them.

        Raises:
            LakeError, OSError: the place cannot be listed.
        """
        ...

    def written(self, name: str, day: str) -> dict[str, float]:
        """Every file that lies in a day of a table, those of no version too: its path and when it was written, epoch s.

        Raises:
            LakeError, OSError: the place cannot be listed.
        """
        ...

    def remove(self, name: str, paths: list[str]) -> None:
        """Remove files of a table for good; one that is gone already is no error.

        Raises:
            LakeError, OSError: one cannot be removed.
        """
        ...

    def holds_commit(self, name: str, after: int, mark: str) -> bool:
        """Whether one of the commits behind a version carries a mark, which only a store far away leaves in doubt."""
        ...

    def failure(self, name: str, error: Exception) -> LakeError:
        """What is wrong with a table, and the cure."""
        ...


def open_place(url: str) -> LakePlace:
    """The place behind `LAKE_URL`.

    Raises:
        LakeError: the address is of a kind that is not supported.
    """
    if url.startswith(_SCHEME):
        # Here, since boto3 takes 0.15 s that every command would pay.
        from capillary_adobe.lake_on_s3 import S3Place

        return S3Place.at(url)
    if "://" in url:
        raise LakeError(f"LAKE_URL={url} is not supported: give the path of a local folder, or s3://<bucket>/<prefix>.")
    return LocalPlace(url)


def first_line(error: Exception) -> str:
    """The gist of an error of the libraries, whose later lines repeat what a call was given."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


@dataclass(frozen=True)
class LocalPlace:
    """A folder on a local disk."""

    url: str
    options: None = None

    def uri(self, name: str) -> str:
        """Address of a table."""
        return f"{self.url.rstrip('/')}/{name}"

    def admit_writing(self) -> None:
        """A file system renames without replacing, so any number of writers may come."""

    def put_in_place(self, name: str, make: Callable[[Path], None]) -> None:
        """Make the table aside and rename it, which succeeds for one writer only.

        Raises:
            OSError: the folder cannot be written, or the table is there already.
        """
        aside = Path(self.url) / f".{name}-{uuid4()}"
        try:
            aside.mkdir(parents=True)
            make(aside)
            aside.rename(self.uri(name))
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def file(self, name: str, path: str, size: int) -> AbstractContextManager[LakeFile]:  # noqa: ARG002 - S3 needs the size
        """A file of a table."""
        return lake_file(f"{self.uri(name)}/{path}")

    def days(self, name: str) -> list[str]:
        """Every day of a table that has files."""
        return sorted(path.name.removeprefix("day=") for path in Path(self.uri(name)).glob("day=*"))

    def written(self, name: str, day: str) -> dict[str, float]:
        """Every file that lies in a day of a table."""
        table = Path(self.uri(name))
        found = (path for path in (table / f"day={day}").rglob("*") if path.is_file())
        return {str(path.relative_to(table)): path.stat().st_mtime for path in found}

    def remove(self, name: str, paths: list[str]) -> None:
        """Remove files of a table for good."""
        for path in paths:
            (Path(self.uri(name)) / path).unlink(missing_ok=True)

    def holds_commit(self, name: str, after: int, mark: str) -> bool:  # noqa: ARG002 - the answer is always the same
        """Never in doubt: the answer of a disk is not lost."""
        return False

    def failure(self, name: str, error: Exception) -> LakeError:
        """What is wrong with a table, and the cure."""
        return LakeError(
            f"The table {name} under LAKE_URL={self.url} cannot be read or written ({first_line(error)}). Check that the "
            "folder exists, belongs to the user that runs Dagster and has free space."
        )
