"""`capillary-adobe receive` as a process of its own on a free port, and the load generator as another.

Belongs here: starting, killing and measuring them. Does not belong here: what is expected of them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import requests

ROOT = Path(__file__).parents[1]
RECEIVE = (str(Path(sys.executable).parent / "capillary-adobe"), "receive")
SECRET = "bench-secret"  # noqa: S105 - of a receiver that lives for this run on loopback
_READY_SECONDS = 30.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.02


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@dataclass
class ReceiverProcess:
    """A receiver over a landing store. It can be killed and started again; port and folder stay."""

    folder: Path
    landing_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    cpu: int | None = None
    command: tuple[str, ...] = RECEIVE
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.folder / f"receiver-{self.port}.log"

    @property
    def url(self) -> str:
        """Where events are posted."""
        return f"http://127.0.0.1:{self.port}/events"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        environment = {
            **os.environ,
            "LANDING_URL": self.landing_url,
            "RECEIVE_PORT": str(self.port),
            "RECEIVE_SECRET": SECRET,
            "PYTHONPATH": str(ROOT),
            **self.environment,
        }
        with self._log.open("ab") as log:
            # In a folder of its own: a .env of the working copy must not reach it.
            self._process = subprocess.Popen(self.command, env=environment, cwd=self.folder, stdout=log, stderr=log)
        if self.cpu is not None:
            psutil.Process(self._process.pid).cpu_affinity([self.cpu])
        self._wait_until_ready(self._process)

    def kill(self) -> None:
        """End it without warning."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end, and wait; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def words(self) -> str:
        """The end of what it has logged."""
        return self._log.read_text("utf-8", "replace")[-3000:]

    def memory_megabytes(self) -> float:
        """Its resident memory now."""
        assert self._process is not None
        return psutil.Process(self._process.pid).memory_info().rss / 1e6

    def cpu_seconds(self) -> float:
        """The processor time it has used."""
        assert self._process is not None
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).ok:
                    return
            time.sleep(_LOOK_SECONDS)  # a pause between two looks at the condition
        process.kill()
        process.wait()
        raise RuntimeError(f"the receiver does not get ready:\n{self.words()}")


def start_load(url: str, notes: Path, *options: str) -> subprocess.Popen[str]:
    """A load generator that posts to a receiver and notes what was acknowledged; see `load_report`."""
    command = [sys.executable, "-m", "bench.load", "--url", url, "--header", f"Authorization: {SECRET}", "--json"]
    command += ["--acknowledged", str(notes), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def load_report(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a load generator and read its figures."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return json.loads(output)


def post_load(url: str, notes: Path, *options: str) -> dict[str, Any]:
    """Run a load generator to its end; its figures."""
    return load_report(start_load(url, notes, *options))
