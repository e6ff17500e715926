"""The whole road on one machine, from a local Capillary to a local AEP, started and ended together.

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

from capillary_adobe.demo.past import write_past
from capillary_adobe.demo.processes import Program, stop
from capillary_adobe.demo.surroundings import HOST, LOCATION, DemoError, Surroundings
from capillary_adobe.demo.ui import DagsterUi

MODULE = "capillary_adobe.definitions"
REPORT_GROUP = "report"
_DELIVERY_JOB = "deliver_micro_batch"
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
        self._passing: dict[str, Program] = {}
        self._asked_to_stop = threading.Event()
        self.ui = DagsterUi(around.ui_url)
        self.left_behind: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say("Stopping everything.")
        self.left_behind = stop([*self._programs, *self._passing.values()])
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
        if around.feeds and around.past and write_past(around, datetime.now(UTC).date()):
            self._say("Insights+ exports of the month before yesterday: made, to be imported by history_sensor.")
        since = time.time()
        # All of them at once: each takes seconds to import what it needs, and waits for nobody.
        self._run_the_outside()
        self._run("code-server", *code_server_command(around.ports.code))
        self._wait_for_the_outside()
        if around.feeds:
            # While Dagster starts, so that there is something to read at the daemon's first look.
            self._run("feed", *_own("demo", "feed", "--capillary", around.capillary_url, "--story", str(around.story)))
        self.wait("code server", self._code_server_listens)
        self._run("webserver", *_dagster("dagster_webserver", "-w", str(around.workspace)), *self._ui_address())
        self.wait("Dagster UI", self.ui.answers)
        self.wait("code location", self.ui.location_loaded)
        daemon_since = time.time()
        cut_off = self.ui.cancel_unfinished()
        if cut_off:
            self._say(f"Cut off when the demo last stopped, now marked as cancelled: {cut_off} runs.")
        if around.feeds:
            # Else stores and programs would have no names before the first night.
            self.ui.materialize("reference")
        self._run("daemon", *_dagster("dagster._daemon", "run", "-w", str(around.workspace)))
        self.wait("Dagster daemon", lambda: self.ui.daemons_reported(daemon_since))
        if around.feeds:
            self.wait("first events by the receiver", lambda: self._received_since(since))

    def _run_the_outside(self) -> None:
        """What is not Dagster's: both emulators and the receiver."""
        around = self._around
        if around.emulates:
            self._run("emulator", *_own("emulate", "--empty", "--port", str(around.ports.emulator)))
        if around.feeds:
            self._run("capillary", *_own("emulate-capillary", "--demo", "--port", str(around.ports.capillary)))
        if around.receives:
            self._run("receiver", *_own("receive"))

    def _wait_for_the_outside(self) -> None:
        """Until they work, and what is set up once at AEP and at Capillary is there."""
        around = self._around
        if around.emulates:
            self.wait("AEP emulator", lambda: _answers(f"{around.emulator_url}/summary.json"))
            self._begin("setup", *_own("setup", "--yes"))
        if around.receives:
            self.wait("receiver", lambda: _answers(f"{around.receiver_url}/readyz"))
        if around.feeds:
            self.wait("Capillary emulator", lambda: _answers(f"{around.capillary_url}/control"))
            self._begin("subscribe", *_own("subscribe", "--yes"))
        if around.emulates:
            made = sum(line.startswith("created ") for line in self._printed("setup", "set-up of AEP"))
            self._say(f"Set up in AEP: {made} objects made." if made else "Set up in AEP: everything was there.")
        if around.feeds:
            self._printed("subscribe", "webhook at Capillary")

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
        """Stay until the user asks to end, or a program ends by itself; once there is something to tell, write the report.

        Raises:
            DemoError: a program ended; the text has the end of its log.
            Interrupted: the user asked to end.
        """
        reported = False
        while True:
            self._look(1.0)
            reported = reported or self._report_begun()

    def _report_begun(self) -> bool:
        """Have the report written, once a micro-batch was delivered; the schedule would do it within the hour."""
        try:
            if self.ui.runs(pipelineName=_DELIVERY_JOB, statuses=["SUCCESS"]):
                self.ui.materialize(REPORT_GROUP)
                return True
        except requests.RequestException:
            # The webserver is busy, and is asked again.
            return False
        return False

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

    def _begin(self, name: str, *command: str) -> None:
        """Start a program that ends by itself."""
        self._passing[name] = self._program(name, *command)

    def _printed(self, name: str, what: str) -> list[str]:
        """What a program that ends by itself has printed, once it has ended.

        Raises:
            DemoError: it failed; the text has the end of its log.
            Interrupted: the user did not want to wait.
        """
        program = self._passing[name]
        self.wait(what, lambda: program.ended() is not None)
        if program.ended():
            raise DemoError(f"The {what} failed. The end of {program.log}:\n{program.last_lines()}")
        return program.log.read_text(encoding="utf-8").splitlines()

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

    def _code_server_listens(self) -> bool:
        try:
            socket.create_connection((HOST, self._around.ports.code), timeout=5).close()
        except OSError:
            return False
        return True

    def _ui_address(self) -> Sequence[str]:
        return ("-h", HOST, "-p", str(self._around.ports.ui))

    def _received_since(self, since: float) -> bool:
        today = self._around.landing / "events" / datetime.now(UTC).date().isoformat()
        return any(path.stat().st_mtime >= since for path in today.glob("*/*.jsonl"))


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def code_server_command(port: int) -> list[str]:
    """The command line of the code server; the location's name is the one in workspace.yaml."""
    address = ("-h", HOST, "-p", str(port))
    return _dagster("dagster", "code-server", "start", *address, "-m", MODULE, "--location-name", LOCATION)


def _dagster(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _own(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "capillary_adobe.cli", *arguments]
