"""A machine without systemd: services are started, watched and stopped by what their units say.

Belongs here: what a unit's lines mean for a process. Does not belong here: shutting services off from each other, which only
systemd does, and any expectation.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from capillary_adobe_tests.deploy.units import Unit, here, service


class Machine:
    """Services in a folder; `elsewhere` says where what the units name lies here. Whatever still runs at the end is killed."""

    def __init__(self, root: Path, elsewhere: Mapping[str, str]) -> None:
        self._root = root
        self._elsewhere = dict(elsewhere)
        self._running: dict[str, psutil.Popen] = {}

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_error: object) -> None:
        for name in list(self._running):
            _signal(_family(self._running[name]), signal.SIGKILL)
            self._running.pop(name).wait()

    def start(self, *names: str) -> None:
        """Start services in their order, each when the one before counts as started."""
        for unit in _in_order([service(name) for name in names]):
            self._start(unit)

    def watch(self) -> None:
        """Start again what has ended, as Restart= says."""
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                unit = service(name)
                assert unit.one("Restart") == "always", self.log(name)
                self._start(unit)

    def process(self, name: str) -> psutil.Popen:
        """The main process of a service."""
        return self._running[name]

    def stop(self, *names: str) -> list[str]:
        """Stop services, the last started first; the processes that were not at an end within TimeoutStopSec."""
        return [left for unit in reversed(_in_order([service(name) for name in names])) for left in self._stop(unit)]

    def log(self, name: str) -> str:
        """What a service has said."""
        return (self._root / f"{name}.log").read_text(errors="replace")

    def _start(self, unit: Unit) -> None:
        name = unit.path.stem
        environment = self._environment(unit)
        with (self._root / f"{name}.log").open("ab") as log:
            self._running[name] = psutil.Popen(
                self._command(unit.one("ExecStart")),
                cwd=self._root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        for line in unit.lines["ExecStartPost"]:
            seconds = float(unit.one("TimeoutStartSec"))
            subprocess.run(
                self._command(line), env=environment, cwd=self._root, capture_output=True, timeout=seconds, check=True
            )

    def _stop(self, unit: Unit) -> list[str]:
        process = self._running[unit.path.stem]
        everything = _family(process)
        whole = (unit.lines["KillMode"] or ["control-group"])[0] == "control-group"
        _signal(everything if whole else [process], signal.Signals[unit.one("KillSignal")])
        _, left = psutil.wait_procs(everything, float(unit.one("TimeoutStopSec")))
        at_work = [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        told = [f"{unit.path.stem}: {_told(one)}" for one in at_work]
        _signal(at_work, signal.SIGKILL)
        process.wait()
        del self._running[unit.path.stem]
        return told

    def _command(self, line: str) -> list[str]:
        return shlex.split(here(line, self._elsewhere))

    def _environment(self, unit: Unit) -> dict[str, str]:
        """What systemd gives, the unit's files, and where Python finds the sources under test."""
        given = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        for place in unit.lines["EnvironmentFile"]:
            lines = Path(here(place, self._elsewhere)).read_text().splitlines()
            given |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        return given | {"HOME": str(self._root)}


def _family(process: psutil.Popen) -> list[psutil.Process]:
    """The process and all that it has started, orphans too: systemd knows them by their control group, here a session does."""
    found = []
    for one in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(one.pid) == process.pid:
                found.append(one)
    return found


def _told(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return f"{process.ppid()} > {process.pid} {process.status()} {shlex.join(process.cmdline())[-300:]}"
    return "gone meanwhile"


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _in_order(units: list[Unit]) -> list[Unit]:
    """Units so that each comes behind those that its After= names."""
    names = {unit.name for unit in units}
    return sorted(units, key=lambda unit: len(names & set(unit.words("After"))))
