"""The ledger of landed objects: who has which, and what is read."""

from __future__ import annotations

import pytest

from capillary_adobe.state import WHOLE_DAY, LandedObjects, State
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY, landed


@pytest.fixture
def ledger(state: State) -> LandedObjects:
    return LandedObjects(state)


def names(found) -> list[str]:
    return [read.key.rpartition("/")[2] for read in found]


def test_an_object_belongs_to_the_micro_batch_that_took_it_first(ledger: LandedObjects) -> None:
    assert names(ledger.take(DAY, "one", landed("b", "a"))) == ["a", "b"]
    assert names(ledger.take(DAY, "two", landed("a", "b", "c"))) == ["c"]
    assert names(ledger.take(DAY, "one", landed("a", "b", "c"))) == ["a", "b"]
    assert ledger.take(DAY, "three", landed("a")) == []


def test_what_is_taken_is_given_with_its_lane_and_time(ledger: LandedObjects) -> None:
    (live,) = ledger.take(DAY, "one", landed("a"))
    (history,) = ledger.take(DAY, "two", landed("a", lane="history"))
    assert (live.lane, live.stored_ms, history.lane) == ("live", 1_000, "history")
    assert live.object_id != history.object_id


def test_days_and_lanes_are_apart(ledger: LandedObjects) -> None:
    ledger.take(DAY, "one", landed("a"))
    ledger.take(DAY, "two", landed("z", lane="history"))
    ledger.take(NEXT_DAY, "three", landed("b", day=NEXT_DAY))
    assert ledger.known_keys(DAY, "live") == {f"events/{DAY}/a"}
    assert ledger.known_keys(DAY, "history") == {f"history/{DAY}/z"}
    assert ledger.known_keys(NEXT_DAY, "live") == {f"events/{NEXT_DAY}/b"}
    assert ledger.known_keys(NEXT_DAY, "history") == set()
    assert ledger.days() == [DAY, NEXT_DAY]


def test_lines_count_once_they_are_recorded(ledger: LandedObjects) -> None:
    one, two = ledger.take(DAY, "one", landed("a", "b"))
    assert (ledger.lines(DAY), ledger.read_sizes(DAY).keys()) == (0, set())
    ledger.record_lines("one", {one.object_id: 5})
    assert (ledger.lines(DAY), ledger.read_sizes(DAY).keys()) == (5, {one.key})
    ledger.record_lines("one", {one.object_id: 5, two.object_id: 0})
    assert (ledger.lines(DAY), ledger.read_sizes(DAY).keys()) == (5, {one.key, two.key})
    ledger.record_lines("one", {})
    assert ledger.lines(NEXT_DAY) == 0


def test_a_run_over_the_day_sees_everything_and_takes_it_over_when_it_is_done(ledger: LandedObjects) -> None:
    ledger.take(DAY, "one", landed("a"))
    whole = ledger.take_day(DAY, landed("c", "b"))
    assert names(whole) == ["a", "b", "c"]
    assert names(ledger.take(DAY, "one", landed("a"))) == ["a"], "a run that has not finished changes nothing"
    ledger.record_lines(WHOLE_DAY, {read.object_id: 1 for read in whole})
    assert ledger.take(DAY, "one", landed("a", "b", "c")) == []
    assert ledger.known_keys(DAY, "live") == {read.key for read in whole}


def test_what_a_dead_run_over_the_day_left_is_free_for_a_micro_batch(ledger: LandedObjects) -> None:
    done, _ = ledger.take_day(DAY, landed("a", "b"))
    assert ledger.known_keys(DAY, "live") == set()
    ledger.record_lines(WHOLE_DAY, {done.object_id: 3})
    assert ledger.known_keys(DAY, "live") == {done.key}
    assert names(ledger.take(DAY, "one", landed("a", "b", "c"))) == ["b", "c"]


def test_more_objects_than_one_statement_takes(ledger: LandedObjects) -> None:
    many = landed(*(f"{n:05}" for n in range(2_500)))
    assert [read.key for read in ledger.take(DAY, "one", many)] == [found.key for found in many]
    assert ledger.take(DAY, "two", many) == []
    assert len(ledger.known_keys(DAY, "live")) == 2_500
