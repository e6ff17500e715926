"""Two receivers on one landing store, and the sensor at work meanwhile: every event is taken up, and once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.landed import account
from bench.receiver_process import ReceiverProcess
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_sensor import Operator
from capillary_adobe_tests.endurance.loads import load, wait_until

_NEVER = "3600"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are taken as soon as they are seen, and every tick may sweep."""
    monkeypatch.setenv("LANDING_SETTLE_SECONDS", "0")
    monkeypatch.setenv("LANDING_SWEEP_SECONDS", "1")


@pytest.fixture
def operator(installation: Installation) -> Operator:
    return Operator(installation)


def test_the_sensor_misses_nothing_of_two_receivers_and_takes_nothing_twice(
    tmp_path: Path, installation: Installation, operator: Operator, emulator: RunningEmulator
) -> None:
    landing = str(installation.landing_root)
    # They roll at moments of their own, the second one so often that it meets the other's.
    quick, slow = {"RECEIVE_ROLL_SECONDS": "0.05"}, {"RECEIVE_ROLL_SECONDS": "0.7"}
    runs = 0
    with (
        ReceiverProcess(tmp_path, landing, slow) as one,
        load(one.url, tmp_path / "one", rate=100) as to_one,
        # It looks for what the dead have left as soon as it starts, and must leave alone what the first is writing.
        ReceiverProcess(tmp_path, landing, quick) as other,
        load(other.url, tmp_path / "other", rate=100) as to_other,
    ):
        while to_one.acknowledged < 400 or to_other.acknowledged < 400 or runs < 3:
            runs += take_up(operator)
        figures = [to_one.end(), to_other.end()]
    promised = to_one.ids() | to_other.ids()
    wait_until(lambda: not take_up(operator) and set(raw_ids(installation)) >= promised)
    assert [figure["not_acknowledged"] for figure in figures] == [0, 0]
    assert_once(installation, emulator, promised)


def test_what_a_killed_receiver_leaves_the_other_one_lands(
    tmp_path: Path, installation: Installation, operator: Operator, emulator: RunningEmulator
) -> None:
    landing = str(installation.landing_root)
    killed = ReceiverProcess(tmp_path, landing, {"RECEIVE_ROLL_SECONDS": _NEVER})
    with (
        ReceiverProcess(tmp_path, landing),
        killed,
        load(killed.url, tmp_path / "acknowledged", rate=200) as posting,
    ):
        posting.wait_for(100)
        posting.end()
        killed.kill()
        wait_until(lambda: not account(posting.notes, landing).missing)
        wait_until(lambda: not take_up(operator) and set(raw_ids(installation)) >= posting.ids())
    assert_once(installation, emulator, posting.ids())


def take_up(operator: Operator) -> int:
    """A tick of the sensor and the runs that it asks for; how many."""
    requests = operator.tick().requests
    for request in requests:
        assert operator.run(request)
    return len(requests)


def raw_ids(installation: Installation) -> Counter[str]:
    days = installation.store.days("live")
    return Counter(row["event_id"] for day in days for row in installation.rows(RAW_EVENTS, day))


def assert_once(installation: Installation, emulator: RunningEmulator, promised: set[str]) -> None:
    came_out = raw_ids(installation)
    assert set(came_out) == promised
    assert set(came_out.values()) == {1}
    for day in installation.store.days("live"):
        balance = installation.balance(day)
        assert balance.balanced, balance.differences
        assert (balance.duplicates, balance.quarantined) == (0, {})
    assert summary(emulator.base_url)["duplicates"] == 0
