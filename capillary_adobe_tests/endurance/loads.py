"""Load on receivers, as the tests of endurance share it: a generator that runs beside, and what it was promised.

Belongs here: starting, watching and ending a load. Does not belong here: any expectation.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.landed import acknowledged
from bench.receiver_process import load_report, start_load

_LONGEST_SECONDS = 600
_DRAIN_SECONDS = 60
_LOOK_SECONDS = 0.005
_NOTE_BYTES = 36 + 1 + 64 + 1
"""Length of a line in the generator's notes: an id and a hash."""


class Load:
    """A load under way; `end` asks it to end and gives its figures."""

    def __init__(self, process: subprocess.Popen[str], notes: Path) -> None:
        self._process = process
        self.notes = notes

    @property
    def acknowledged(self) -> int:
        """How many events were acknowledged so far."""
        return self.notes.stat().st_size // _NOTE_BYTES if self.notes.exists() else 0

    def wait_for(self, count: int) -> None:
        """Wait until so many events were acknowledged."""
        wait_until(lambda: self.acknowledged >= count or self._process.poll() is not None)
        assert self._process.poll() is None, "the load ended too early"

    def end(self) -> dict[str, Any]:
        """Let it post nothing new, wait until all is acknowledged, and read its figures."""
        if self._process.poll() is None:
            self._process.terminate()
        return load_report(self._process)

    def ids(self) -> set[str]:
        """The events that were acknowledged."""
        return set(acknowledged(self.notes))


@contextmanager
def load(url: str, notes: Path, *, rate: float, connections: int = 16) -> Iterator[Load]:
    """Small events at a steady rate, sent again until they are acknowledged, until the end of the block at the latest."""
    options = ["--rate", str(rate), "--connections", str(connections), "--size", "1000", "--retry"]
    options += ["--seconds", str(_LONGEST_SECONDS), "--drain-seconds", str(_DRAIN_SECONDS)]
    process = start_load(url, notes, *options)
    try:
        yield Load(process, notes)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fails where it does not come."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "what was waited for has not come"
        time.sleep(_LOOK_SECONDS)  # a pause between two looks at the condition
