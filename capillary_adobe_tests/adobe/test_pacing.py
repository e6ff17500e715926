"""Pacing: both rates are kept, from any number of threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from capillary_adobe.adobe.pacing import Pacer
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.sending import deliver, entities, settings_for, tally


def seconds_for(pacer: Pacer, requests_: int, records: int) -> float:
    began = time.monotonic()
    stopping = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: pacer.take(records, stopping), range(requests_)))
    return time.monotonic() - began


def test_the_request_rate_is_kept() -> None:
    assert 0.19 <= seconds_for(Pacer(100, 0), requests_=20, records=1000) < 1


def test_the_record_rate_is_kept() -> None:
    assert 0.38 <= seconds_for(Pacer(1000, 1000), requests_=20, records=20) < 1.5


def test_no_rate_is_no_wait() -> None:
    assert seconds_for(Pacer(0, 0), requests_=2000, records=10**6) < 1


def test_a_turn_is_given_up_at_once_when_delivery_stops() -> None:
    pacer, stopping = Pacer(0, 1), threading.Event()
    assert pacer.take(3600, stopping)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pacer.take, 1, stopping)
        stopping.set()
        assert waiting.result(timeout=5) is False


def test_a_client_at_the_limit_is_never_told_to_slow_down(tmp_path: Path, state: State) -> None:
    behaviour = Behaviour(max_records_per_second=400, max_requests_per_second=100, latency_seconds=0.01)
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator:
        settings = settings_for(
            emulator.environment, max_records_per_second=400, max_requests_per_second=100, max_request_bytes=20_000
        )
        batch = entities(800)
        began = time.monotonic()
        counts = deliver(settings, state, batch)
        elapsed = time.monotonic() - began
        summary = requests.get(f"{emulator.base_url}/summary.json", timeout=5).json()
    assert summary["requests"] == {"207": counts.requests}
    assert tally(state, batch) == {"accepted": 800}
    largest = 800 / counts.requests * 2
    assert (800 - largest) / 400 <= elapsed < 6
