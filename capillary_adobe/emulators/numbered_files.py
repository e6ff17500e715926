"""Lines spread over files with a number in their name.

Belongs here: beginning the next file when one is full. Does not belong here: what the lines say.
"""

from __future__ import annotations

from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson


class NumberedFiles:
    """Writes JSON lines to `name` with its `{}` replaced by 0, 1, ...; makes no file before there is a line for it."""

    def __init__(self, folder: Path, name: str, lines_per_file: int) -> None:
        self._folder = folder
        self._name = name
        self._lines_per_file = lines_per_file
        self._file: BufferedWriter | None = None
        self.lines = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, content: object) -> None:
        """Add a line."""
        number, place = divmod(self.lines, self._lines_per_file)
        if place == 0:
            self._begin(number)
        line = orjson.dumps(content) + b"\n"
        if self._file is not None:
            self._file.write(line)
        self.lines += 1
        self.size += len(line)

    def _begin(self, number: int) -> None:
        if self._file is not None:
            self._file.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = (self._folder / self._name.format(number)).open("wb")
