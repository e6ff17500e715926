"""Set-up interrupted at every step, in every way, and run again: exactly one of each object."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe_tests.adobe.setup.place import COUNT, EVERYTHING, Place, actions
from capillary_adobe_tests.emulators.platform_client import eventually

PATIENT = 4.0


class Killed(BaseException):
    """Ends a run as a signal would, where nothing can catch it."""


@pytest.mark.parametrize("kind", ["reset_before", "status"])
def test_a_creation_that_never_happens_stops_the_run_and_the_next_one_goes_on(place: Place, kind: str) -> None:
    for done in range(COUNT):
        place.emulator.faults.clear()
        place.emulator.faults.add(kind=kind, status=500, path="/data/", method="POST", skip=1)
        if done == COUNT - 1:
            break
        with pytest.raises(TransientDeliveryError, match="Run `capillary-adobe setup` again"):
            place.apply()
        assert sum(place.counts().values()) == done + 1
    place.apply()

    assert place.counts() == EVERYTHING
    assert actions(place.setup().plan()) == {"exists": COUNT}


def test_a_creation_whose_answer_is_lost_is_found_again_by_the_next_run(place: Place) -> None:
    for done in range(COUNT):
        place.emulator.faults.clear()
        place.emulator.faults.add(kind="reset_after", path="/data/", method="POST")
        with pytest.raises(TransientDeliveryError, match="Set-up stopped at the"):
            place.apply()
        assert sum(place.counts().values()) == done + 1
    place.emulator.faults.clear()
    place.apply()

    assert place.counts() == EVERYTHING


def test_a_run_killed_after_each_step_goes_on(place: Place) -> None:
    def killed(_words: str) -> None:
        raise Killed

    for _ in range(COUNT):
        with pytest.raises(Killed):
            place.setup().apply(killed)
    place.apply()

    assert place.counts() == EVERYTHING
    assert place.told == []


@pytest.mark.parametrize("kind", ["reset_after", "reset_before"])
def test_within_the_budget_a_run_heals_itself(place: Place, kind: str) -> None:
    for place_in_order in (0, 9):
        place.emulator.faults.add(kind=kind, path="/data/", method="POST", skip=place_in_order)

    place.apply(retry_budget_seconds=PATIENT)

    assert place.counts() == EVERYTHING
    assert len(place.told) == COUNT


def test_two_set_ups_at_once_make_everything_once(place: Place) -> None:
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(place.apply, retry_budget_seconds=PATIENT) for _ in range(3)]
        done = [one.result() for one in running]

    assert place.counts() == EVERYTHING
    assert sum(len(plan.changes) for plan in done) == COUNT


def test_a_list_that_cannot_be_read_makes_nothing(place: Place) -> None:
    place.apply()
    place.emulator.faults.add(kind="status", status=503, path="/data/foundation/catalog", method="GET", times=None)

    with pytest.raises(TransientDeliveryError, match="Set-up stopped looking at the dataset Capillary events: "):
        place.apply()

    place.emulator.faults.clear()
    assert place.counts() == EVERYTHING


def test_a_process_killed_while_aep_answers_goes_on(place: Place) -> None:
    place.emulator.faults.add(kind="delay", path="/data/foundation/flowservice/connections", method="POST", seconds=3)
    url = place.state.engine.url.render_as_string(hide_password=False)
    settings = place.emulator.environment | {"STATE_URL": url}
    with subprocess.Popen(
        [sys.executable, "-m", "capillary_adobe.cli", "setup", "--yes"],
        env={"PATH": "", **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        eventually(lambda: place.counts().get("streaming connection"), "the connection")
        process.send_signal(signal.SIGKILL)
    place.emulator.faults.clear()

    place.apply()

    assert place.counts() == EVERYTHING
