"""The programs that the demo runs: each in a process group of its own, its output in a log file.

Belongs here: starting, watching and ending them, with everything they started in turn. Does not belong here: which
programs there are and in what order (`stack.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_GRACE_SECONDS = 6.0
_KILL_SECONDS = 4.0
_LOOK_SECONDS = 0.05
_ENDED = frozenset({"Z", "X"})


class Program:
    """One running program."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - a command of this package's own making
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        # The first process of a new session leads its group, and what it starts stays in there.
        self._group = self._process.pid

    def ended(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program and everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._group, number)

    def alive(self) -> bool:
        """Whether the program, or anything it started, still runs."""
        if self._process.poll() is None:
            return True
        return any(group == self._group and state not in _ENDED for group, state in _groups())


def stop(programs: Sequence[Program]) -> list[str]:
    """End the programs with everything they started, by force if need be; the names of those that outlived it."""
    for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        left = [program for program in programs if program.alive()]
        for program in left:
            program.signal(number)
        _wait_for(left, seconds)
    return [program.name for program in programs if program.alive()]


def _wait_for(programs: Sequence[Program], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(program.alive() for program in programs) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _groups() -> list[tuple[int, str]]:
    """Process group and state of every process. A dead one that nobody has collected still has a place in its group."""
    if Path("/proc/self/stat").exists():
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    # Behind the name, which may hold anything and ends with the last bracket: state, parent, group.
                    state, _, group = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
                    found.append((int(group), state))
        return found
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,state="], capture_output=True, text=True, check=True)  # noqa: S607
    return [(int(group), state[:1]) for group, state in map(str.split, listed.stdout.splitlines())]
