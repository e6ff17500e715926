"""Verdicts on batches across days that come when their run is over: read through any of the days, and once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.adobe import DeliveryCounts, PermanentDeliveryError
from capillary_adobe.adobe.batch_judging import lock_of
from capillary_adobe.state import Receipts, State
from capillary_adobe_tests.adobe.arrivals import lines_from
from capillary_adobe_tests.adobe.delivering_days import deliver_days
from capillary_adobe_tests.adobe.road_of_days import EACH, UnhurriedRoad


@pytest.fixture
def road(tmp_path: Path, state: State) -> Iterator[UnhurriedRoad]:
    opened = UnhurriedRoad(tmp_path / "aep", state)
    yield opened
    opened.close()


def test_a_verdict_that_comes_later_is_read_through_any_of_the_days(road: UnhurriedRoad) -> None:
    days = road.days(3)
    counts: dict[str, DeliveryCounts] = {}
    impatient = road.settings.model_copy(update={"batch_wait_seconds": 0})
    assert deliver_days(impatient, road.state, days, counts=counts) == {}
    assert [one.waiting for one in counts.values()] == [EACH] * 3
    assert road.tally(days) == {day: {"pending": EACH} for day in days}
    (batch,) = road.register.open()
    road.judges()
    # While another judges it, it is left alone.
    with road.state.lock_if_free(lock_of(batch)):
        read = DeliveryCounts()
        road.lane(batch_wait_seconds=2).judge_open("2026-03-01", read, lambda _: None)
        assert (read.outcomes.total(), read.waiting) == (0, EACH)
    read = DeliveryCounts()
    road.lane().judge_open("2026-03-02", read, lambda _: None)
    assert read.outcomes == {"accepted": 3 * EACH}
    road.deliver(days)
    road.assert_arrived_once(days)


def test_a_judge_that_was_killed_midway_does_not_undo_what_was_sent_since(road: UnhurriedRoad) -> None:
    days = road.days(2)
    road.judges()
    road.emulator.faults.add(kind="batch_status", final="failed")
    assert set(deliver_days(road.settings, road.state, days)) == set(days)
    (external_id,) = {file.request_id.rpartition("/")[0] for file in Receipts(road.state).sent_since("2026-03-01", 0)}
    road.rests()
    assert deliver_days(road.settings.model_copy(update={"batch_wait_seconds": 0}), road.state, days) == {}
    (sent_again,) = road.register.open()
    # As a kill leaves it between the last file and the batch, while another run sends the entities again.
    road.register.update(external_id, judged_ms=None)
    with road.state.lock_if_free(lock_of(sent_again)), pytest.raises(PermanentDeliveryError):
        road.lane(batch_wait_seconds=0).judge_open("2026-03-02", DeliveryCounts(), lambda _: None)
    assert [one.external_id for one in road.register.open()] == [sent_again.external_id]
    assert road.tally(days) == {day: {"pending": EACH} for day in days}
    road.judges()
    road.deliver(days)
    assert len(lines_from(road.emulator.base_url, road.before)) == 2 * EACH
