"""Programs that a test starts: a free port, the command line as a process, waiting until something is so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from capillary_adobe_tests.cli.conftest import OURS


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def command(
    *arguments: str, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`capillary-adobe` as a process; killed if it still runs at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DAGSTER_"))}
    with subprocess.Popen(
        [sys.executable, "-m", "capillary_adobe.cli", *arguments],
        cwd=folder,
        env={**clean, **(settings or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            pytest.fail(f"it ended with {process.returncode}: {process.communicate()}")
        if time.monotonic() > deadline:
            pytest.fail("it took too long")


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
