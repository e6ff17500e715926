"""Batches that AEP has taken over although its answer was lost: their entities are there, and are not sent again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from capillary_adobe.adobe import Delivery, Work
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.arrivals import lines_from
from capillary_adobe_tests.adobe.delivering_days import Days, deliver_days, work_of
from capillary_adobe_tests.adobe.road_of_days import Road
from capillary_adobe_tests.emulators.platform_client import eventually

IMPORT = "/data/foundation/import/batches"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path_factory.mktemp("aep"), behaviour=Behaviour(batch_seconds=0.05)) as emulator:
        yield emulator


@pytest.fixture
def road(running: RunningEmulator, state: State) -> Iterator[Road]:
    running.faults.clear()
    yield Road(running, state)
    running.faults.clear()


def ingested_and_not_told(road: Road, days: Days) -> None:
    """A run whose last call AEP carries out; its answer is lost, and AEP ingests the batch."""
    road.emulator.faults.add(kind="reset_after", path=f"{IMPORT}/", method="POST", times=None)
    assert set(deliver_days(road.impatient(), road.state, days)) == set(days)
    road.emulator.faults.clear()
    assert len(road.register.unfinished()) == 1
    wanted = sum(batch.num_rows for batch in days.values())
    eventually(lambda: len(lines_from(road.emulator.base_url, road.before)) == wanted, "ingested")


def test_days_that_are_to_be_streamed_instead_wait_for_the_verdict(road: Road) -> None:
    days = road.days(2)
    ingested_and_not_told(road, days)
    assert deliver_days(road.settings, road.state, days, route="streaming") == {}
    road.assert_arrived_once(days)


def test_what_is_held_since_was_sent_all_the_same(road: Road) -> None:
    days = road.days(2)
    ingested_and_not_told(road, days)
    first, second = days
    held, passing = days[first].slice(0, 1), days[first].slice(1)

    def read(day: str) -> Work | None:
        if day != first:
            return work_of(days)(day)
        return Work(
            day,
            lambda columns: [passing.select(columns)],
            "history",
            "batch",
            held=lambda columns: [held.select(columns)],
        )

    work = read(second)
    assert work is not None
    Delivery(road.settings, road.state).deliver(work, lambda _: None, other=read)
    road.assert_arrived_once(days)
