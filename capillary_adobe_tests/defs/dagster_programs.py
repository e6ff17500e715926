"""Dagster's three programs on an installation: code server, webserver and daemon, started as the README has it.

Belongs here: their folder, environment and life, and questions to the UI's own API. Does not belong here: any expectation.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from capillary_adobe.demo.processes import Program, stop
from capillary_adobe.demo.ui import DagsterUi
from capillary_adobe_tests.defs import impatient_daemon
from capillary_adobe_tests.defs.installation import Installation

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Programs:
    """Dagster's three programs on an installation."""

    installation: Installation
    environment: dict[str, str]
    home: Path
    running: dict[str, Program] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def on(cls, installation: Installation, **settings: str) -> Programs:
        """Their folder, with its `dagster.yaml`, and what they find in their environment; nothing is started yet."""
        home = installation.root / "home"
        home.mkdir(parents=True)
        shutil.copy(REPOSITORY / "dagster.yaml", home)
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "LANDING_URL": str(installation.landing_root),
            "LAKE_URL": installation.lake.url,
            "STATE_URL": installation.state_url,
            "HISTORY_START": "2026-01-01",
            **settings,
        }
        return cls(installation, environment, home)

    @contextmanager
    def at_work(self) -> Iterator[Programs]:
        """Start them, each once the former one answers; they are gone afterwards."""
        with ExitStack() as held:
            for name in ("code", "ui"):
                listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
                self.ports[name] = listener.getsockname()[1]
        workspace = (REPOSITORY / "workspace.yaml").read_text("utf-8").replace("4266", str(self.ports["code"]))
        (self.home / "workspace.yaml").write_text(workspace, "utf-8")
        address = ("-h", "127.0.0.1", "-p", str(self.ports["code"]))
        definitions = ("-m", "capillary_adobe.definitions", "--location-name", "capillary_adobe")
        try:
            self.start("code-server", "dagster", "code-server", "start", *address, *definitions)
            self.wait("code server", lambda: _listens(self.ports["code"]))
            ui = DagsterUi(self.url)
            served = ("-w", str(self.home / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(self.ports["ui"]))
            self.start("webserver", "dagster_webserver", *served)
            self.wait("webserver", ui.answers)
            self.wait("code location", ui.location_loaded)
            self.start_daemon()
            yield self
        finally:
            assert stop(list(self.running.values())) == []

    def start(self, name: str, *command: str) -> None:
        """Start one of them, in the place of a former one."""
        log = self.home / f"{name}-{time.time_ns()}.log"
        self.running[name] = Program(name, [sys.executable, "-m", *command], log, self.environment, self.home)

    def start_daemon(self) -> None:
        """Start the daemon, which looks at backfills every second."""
        self.start("daemon", impatient_daemon.__name__, "run", "-w", str(self.home / "workspace.yaml"))

    @property
    def url(self) -> str:
        """Where the UI is."""
        return f"http://127.0.0.1:{self.ports['ui']}"

    def ask(self, question: str, **variables: Any) -> dict[str, Any]:
        """A question to the UI's own API."""
        body = {"query": question, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=body, timeout=120).json()
        assert not answer.get("errors"), answer
        return answer["data"]

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = 240.0) -> None:
        """Wait until something is so, while every program runs."""
        deadline = time.monotonic() + seconds
        while not ready():
            for program in self.running.values():
                assert program.ended() is None, program.last_lines(40)
            logs = "\n".join(program.last_lines(8) for program in self.running.values())
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{logs}"
            time.sleep(0.2)  # a pause between two looks at the condition


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
