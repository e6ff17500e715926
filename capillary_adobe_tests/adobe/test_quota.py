"""The quota in small: a history without end beside live micro-batches, two processes on one state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow as pa
import requests

from capillary_adobe.adobe import Delivery, Work
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.sending import deliver, entities, settings_for, tally
from capillary_adobe_tests.forked import FORKING

RATE = 1500
HISTORY_DAY = "2026-03-03"
LIVE_SIZES = (10, 200, 60, 120, 200)
LIVE_FROM = 1_000_000


def history(settings: AdobeSettings, state_url: str, ending: Event, tell: Connection) -> None:
    """Deliver entities until told to end; tells how many there were, and how many of them were accepted."""
    offered = 0

    def stream(columns: list[str]) -> Iterator[pa.RecordBatch]:
        nonlocal offered
        while not ending.is_set():
            yield entities(500, offered, padding=200).select(columns)
            offered += 500

    work = Work(HISTORY_DAY, stream, "history", "streaming")
    counts = Delivery(settings, State(state_url)).deliver(work, lambda _: None)
    tell.send((offered, counts.outcomes["accepted"]))


def summary(emulator: RunningEmulator) -> dict[str, Any]:
    return requests.get(f"{emulator.base_url}/summary.json", timeout=10).json()


def wait_for(emulator: RunningEmulator, count: int, alive: Callable[[], bool], ending: Event) -> None:
    while summary(emulator)["accepted"] < count:
        assert alive(), "history ended of itself"
        ending.wait(0.02)


def settings_at_the_limit(emulator: RunningEmulator) -> AdobeSettings:
    # What is on its way while the machine stalls fills the inlet's bucket to the brim and is taken from it afterwards. Of two
    # such senders that is 750 records at most, and the pacer's bucket of 1200 is never emptied below 400: 1500 suffice.
    limits = {"max_records_per_second": RATE, "max_requests_per_second": 1000, "connections": 1}
    return settings_for(emulator.environment, retry_budget_seconds=30, **limits)


def test_live_is_never_starved_and_the_limit_never_hit(tmp_path: Path, state: State) -> None:
    behaviour = Behaviour(max_records_per_second=RATE, validate=False)
    batches = [entities(size, LIVE_FROM + 1000 * number, padding=200) for number, size in enumerate(LIVE_SIZES)]
    ending, (hear, tell) = FORKING.Event(), FORKING.Pipe(duplex=False)
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator:
        settings = settings_at_the_limit(emulator)
        process = FORKING.Process(target=history, args=(settings, f"sqlite:///{tmp_path}/state.db", ending, tell))
        process.start()
        try:
            wait_for(emulator, 1, process.is_alive, ending)
            for batch in batches:
                # A live delivery that history starves gives up when its retry budget is spent.
                assert deliver(settings, state, batch).outcomes == {"accepted": batch.num_rows}
                assert process.is_alive()
                # Each finds the bucket as history leaves it.
                wait_for(emulator, summary(emulator)["accepted"] + RATE // 2, process.is_alive, ending)
        finally:
            ending.set()
            process.join(60)
        assert process.exitcode == 0
        offered, accepted = hear.recv()
        seen = summary(emulator)
    assert set(seen["requests"]) == {"207"}
    assert offered == accepted
    assert seen["accepted"] == seen["distinct"] == accepted + sum(LIVE_SIZES)
    assert all(tally(state, batch) == {"accepted": batch.num_rows} for batch in batches)


def test_two_histories_share_one_rate(tmp_path: Path, state: State) -> None:
    behaviour = Behaviour(max_records_per_second=RATE, validate=False)
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator:
        settings = settings_at_the_limit(emulator)

        def run(number: int) -> int:
            rows = entities(2000, number * 10_000, padding=200)
            work = Work(f"2026-03-{number + 1:02d}", lambda columns: [rows.select(columns)], "history", "streaming")
            return Delivery(settings, state).deliver(work, lambda _: None).outcomes["accepted"]

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(run, range(2))) == [2000, 2000]
        assert set(summary(emulator)["requests"]) == {"207"}
