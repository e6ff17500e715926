"""The whole road on one machine: emulator, code server, webserver, daemon and a feed, started and ended together.

Belongs here: which programs, in what order, when each is ready, and what is said about it. Does not belong here: how a
program is run (`processes.py`) and what it finds around it (`surroundings.py`).
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Self

import requests

from capillary_adobe.demo.processes import Program, stop
from capillary_adobe.demo.surroundings import HOST, LOCATION, DemoError, Surroundings
from capillary_adobe.demo.ui import DagsterUi

MODULE = "capillary_adobe.definitions"
_READY_SECONDS = 90.0
_LOOK_SECONDS = 0.2

Say = Callable[[str], None]


class Interrupted(Exception):
    """The user has asked the demo to end."""


class Stack:
    """The programs while the context lasts; whatever ends the context ends every one of them."""

    def __init__(self, around: Surroundings, say: Say) -> None:
        self._around = around
        self._say = say
        self._programs: list[Program] = []
        self._passing: list[Program] = []
        self._asked_to_stop = threading.Event()
        self.ui = DagsterUi(around.ui_url)
        self.left_behind: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say("Stopping everything.")
        self.left_behind = stop([*self._programs, *self._passing])
        if self.left_behind:
            self._say(f"Could not be stopped: {', '.join(self.left_behind)}.")

    def start(self) -> None:
        """Start everything and wait until it works.

        Raises:
            DemoError: something did not come up; the text has the end of its log.
            Interrupted: the user did not want to wait.
        """
        around = self._around
        around.prepare()
        for remark in around.remarks():
            self._say(remark)
        if around.emulates:
            self._run("emulator", *_own("emulate", "--empty", "--port", str(around.ports.emulator)))
        self._run("code-server", *code_server_command(around.ports.code))
        if around.emulates:
            self.wait("AEP emulator", self._emulator_answers)
            self._set_up()
        self.wait("code server", self._code_server_listens)
        self._run("webserver", *_dagster("dagster_webserver", "-w", str(around.workspace)), *self._ui_address())
        self.wait("Dagster UI", self.ui.answers)
        self.wait("code location", self.ui.location_loaded)
        since = time.time()
        cut_off = self.ui.cancel_unfinished()
        if cut_off:
            self._say(f"Cut off when the demo last stopped, now marked as cancelled: {cut_off} runs.")
        self._run("daemon", *_dagster("dagster._daemon", "run", "-w", str(around.workspace)))
        self.wait("Dagster daemon", lambda: self.ui.daemons_reported(since))
        if around.feeds:
            self._run("feed", *_own("demo", "feed"))
            self.wait("first events of the feed", lambda: self._landed_since(since))

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = _READY_SECONDS) -> None:
        """Wait until something is ready, while every program runs.

        Raises:
            DemoError: it took too long, or a program ended meanwhile.
            Interrupted: the user did not want to wait.
        """
        begun = time.monotonic()
        while not ready():
            self._look(_LOOK_SECONDS)
            if time.monotonic() > begun + seconds:
                raise DemoError(
                    f"{what}: not ready after {seconds:.0f} s. The logs in {self._around.logs} tell what it was doing."
                )
        self._say(f"{what}: ready after {time.monotonic() - begun:.1f} s")

    def watch(self) -> None:
        """Stay until the user asks to end, or a program ends by itself.

        Raises:
            DemoError: a program ended; the text has the end of its log.
            Interrupted: the user asked to end.
        """
        while True:
            self._look(1.0)

    def stop_feed(self) -> None:
        """End the feed, so that what has landed can come to rest."""
        feeds = [program for program in self._programs if program.name == "feed"]
        self._programs = [program for program in self._programs if program not in feeds]
        self.left_behind += stop(feeds)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """While this lasts, Ctrl-C and a request to terminate end the demo in order instead of killing it."""

        def asked(_number: int, _frame: FrameType | None) -> None:
            self._asked_to_stop.set()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, asked) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _set_up(self) -> None:
        """Make in AEP what is not there yet, as the command does in a real sandbox.

        Raises:
            DemoError: it failed; the text has the end of its log.
            Interrupted: the user did not want to wait.
        """
        setup = self._program("setup", *_own("setup", "--yes"))
        self._passing.append(setup)
        self.wait("set-up of AEP", lambda: setup.ended() is not None)
        if setup.ended():
            raise DemoError(f"The set-up of AEP failed. The end of {setup.log}:\n{setup.last_lines()}")
        made = sum(line.startswith("created ") for line in setup.log.read_text(encoding="utf-8").splitlines())
        self._say(f"Set up in AEP: {made} objects made." if made else "Set up in AEP: everything was there.")

    def _run(self, name: str, *command: str) -> None:
        self._programs.append(self._program(name, *command))

    def _program(self, name: str, *command: str) -> Program:
        around = self._around
        return Program(name, command, around.logs / f"{name}.log", around.environment(), around.folder)

    def _look(self, seconds: float) -> None:
        if self._asked_to_stop.wait(seconds):
            raise Interrupted
        for program in self._programs:
            code = program.ended()
            if code is not None:
                raise DemoError(
                    f"{program.name} ended by itself with exit code {code}. The end of {program.log}:\n"
                    f"{program.last_lines()}"
                )

    def _emulator_answers(self) -> bool:
        try:
            return requests.get(f"{self._around.emulator_url}/summary.json", timeout=5).ok
        except requests.RequestException:
            return False

    def _code_server_listens(self) -> bool:
        try:
            socket.create_connection((HOST, self._around.ports.code), timeout=5).close()
        except OSError:
            return False
        return True

    def _ui_address(self) -> Sequence[str]:
        return ("-h", HOST, "-p", str(self._around.ports.ui))

    def _landed_since(self, since: float) -> bool:
        today = self._around.landing / "events" / datetime.now(UTC).date().isoformat()
        return any(path.stat().st_mtime >= since for path in today.glob("*/*.jsonl"))


def code_server_command(port: int) -> list[str]:
    """The command line of the code server; the location's name is the one in workspace.yaml."""
    address = ("-h", HOST, "-p", str(port))
    return _dagster("dagster", "code-server", "start", *address, "-m", MODULE, "--location-name", LOCATION)


def _dagster(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _own(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "capillary_adobe.cli", *arguments]
