"""Processes of their own for tests that kill them, or have several at once, without a start of Python for each.

Belongs here: forking them from one process that has the package loaded, with pipes to talk through. Does not belong here: what
they do, and programs as an operator starts them.

A start that loads the package takes 1.3 s of a core, a fork 20 ms.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        __name__,
        "capillary_adobe_tests.adobe.arrivals",
        "capillary_adobe_tests.adobe.sending",
        "capillary_adobe_tests.adobe.sending_profiles",
        "capillary_adobe_tests.history_imports",
        "capillary_adobe_tests.landing.receiver.landed",
        "capillary_adobe_tests.state.knowing",
    ]
)


class Forked:
    """A process that runs a text of Python, as `python -c` does; killed if it still runs when the context ends."""

    def __init__(self, code: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        settings = dict(os.environ if environment is None else environment)
        self.stdin = os.fdopen(ours_in, "w")
        self.stdout = os.fdopen(ours_out)
        self._process = FORKING.Process(
            target=_run, args=(code, arguments, settings, str(Path.cwd()), _Pipe(theirs_in), _Pipe(theirs_out))
        )
        self._process.start()
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.wait()

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, once it has ended; None if it has not by then."""
        self._process.join(seconds)
        if self._process.exitcode is not None:
            self.stdin.close()
            self.stdout.close()
        return self._process.exitcode

    def end(self) -> str:
        """What it still says until it ends by itself."""
        self.stdin.close()
        said = self.stdout.read()
        self.wait()
        return said


class _Pipe:
    """The end of a pipe that goes to the process; a number of its own there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _detached, (DupFd(self._number),)


def _detached(handle: Any) -> int:
    return handle.detach()


def _run(
    code: str, arguments: tuple[str, ...], settings: Mapping[str, str], folder: str, reads: int, writes: int
) -> None:
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(folder)
    # Where files go is remembered from the first question on.
    tempfile.tempdir = None
    sys.argv = ["-c", *arguments]
    with os.fdopen(reads) as sys.stdin, os.fdopen(writes, "w") as sys.stdout:
        exec(compile(code, "<forked>", "exec"), {"__name__": "__main__"})  # noqa: S102 - a text of the tests' own
