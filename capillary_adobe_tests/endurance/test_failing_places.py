"""A store that fails for a while, and a disk that fills up, under load: nobody is lied to, and everything gets in later."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Literal

import pytest
import requests

from bench.landed import account
from bench.receiver_process import ReceiverProcess
from capillary_adobe_tests.endurance.loads import load, wait_until
from capillary_adobe_tests.s3_faults import Fault, Request, faulty_s3
from capillary_adobe_tests.services import missing

FAILING_SECONDS = 3.0
_DISK_BYTES = 8 * 2**20
_ROOM_BYTES = 400_000


class Failure:
    """A store that fails in every way: it answers 503, stores and says nothing, breaks off, or hangs."""

    def __init__(self) -> None:
        self._ways: Iterator[Fault | Literal["hang"]] = cycle(
            [(503, "<Error><Code>SlowDown</Code></Error>"), "lost", "cut", "hang"]
        )
        self._is_over = threading.Event()
        self.met = 0

    def close(self) -> None:
        """Be well from now on."""
        self._is_over.set()

    def __call__(self, _request: Request) -> Fault | None:
        if self._is_over.is_set():
            return None
        self.met += 1
        way = next(self._ways)
        if way != "hang":
            return way
        self._is_over.wait()
        return "lost"


def test_a_store_that_fails_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_s3() as store, closing(Failure()) as failure:
        store.server.use(monkeypatch)
        url = f"s3://{store.server.bucket()}/landing"
        environment = {"RECEIVE_COMMIT_SECONDS": "1", "RECEIVE_RETRY_AFTER_SECONDS": "1"}
        with (
            ReceiverProcess(tmp_path, url, environment) as receiver,
            load(receiver.url, tmp_path / "acknowledged", rate=100) as posting,
        ):
            posting.wait_for(50)
            store.fault = failure
            failing_until = time.monotonic() + FAILING_SECONDS
            wait_until(lambda: not is_ready(receiver))
            wait_until(lambda: time.monotonic() > failing_until)
            failure.close()
            wait_until(lambda: is_ready(receiver))
            posting.wait_for(posting.acknowledged + 50)
            figures = posting.end()
        found = account(posting.notes, url)
    assert failure.met > 0
    assert figures["by_status"]["429"] > 0
    assert set(figures["by_status"]) == {"200", "429"}
    assert (figures["not_acknowledged"], figures["broken_connections"]) == (0, 0)
    assert found.missing == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        missing("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_and_is_freed_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (_DISK_BYTES - _ROOM_BYTES))
    landing = small_disk / "landing"
    environment = {"RECEIVE_RETRY_AFTER_SECONDS": "1"}
    with (
        ReceiverProcess(tmp_path, str(landing), environment) as receiver,
        load(receiver.url, tmp_path / "acknowledged", rate=300) as posting,
    ):
        wait_until(lambda: not is_ready(receiver))
        full_at = posting.acknowledged
        ballast.unlink()
        wait_until(lambda: is_ready(receiver))
        posting.wait_for(posting.acknowledged + 50)
        figures = posting.end()
    assert 0 < full_at * 1000 <= _ROOM_BYTES
    assert set(figures["by_status"]) == {"200", "429"}
    assert (figures["not_acknowledged"], figures["broken_connections"]) == (0, 0)
    assert account(posting.notes, str(landing)).missing == []


def is_ready(receiver: ReceiverProcess) -> bool:
    return requests.get(f"http://127.0.0.1:{receiver.port}/readyz", timeout=10).ok
