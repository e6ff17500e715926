"""The register of micro-batches: tries, ends, and what is still open."""

from __future__ import annotations

import pytest

from capillary_adobe.settings import Lane
from capillary_adobe.state import WHOLE_DAY, LandedObjects, MicroBatch, MicroBatches, State
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY, landed


def micro(name: str, day: str = DAY, lane: Lane = "live") -> MicroBatch:
    return MicroBatch(name, day, lane, "", f"events/{day}/z", objects=3, bytes=30)


@pytest.fixture
def register(state: State) -> MicroBatches:
    return MicroBatches(state)


def open_ids(register: MicroBatches, lane: Lane = "live") -> list[str]:
    return [batch.batch_id for batch in register.unfinished(lane)]


def test_each_asking_is_counted(register: MicroBatches) -> None:
    first = register.ask(micro("one"))
    second = register.ask(micro("one"))
    assert (first.attempts, second.attempts) == (1, 2)
    assert second.asked_ms >= first.asked_ms > 0
    assert (second.day, second.after_key, second.up_to_key, second.objects, second.bytes) == (
        DAY,
        "",
        f"events/{DAY}/z",
        3,
        30,
    )
    assert register.unfinished("live") == [second]


def test_lanes_are_apart_and_the_oldest_comes_first(register: MicroBatches) -> None:
    for name in ("b", "a"):
        register.ask(micro(name))
    register.ask(micro("h", lane="history"))
    # Not the one that was asked for first: its events may be the younger ones.
    assert [batch.batch_id for batch in register.unfinished("live")] == ["a", "b"]
    assert open_ids(register, "history") == ["h"]


def test_a_finished_one_is_open_no_more(register: MicroBatches) -> None:
    register.ask(micro("one"))
    register.ask(micro("two"))
    register.finish("one")
    register.finish("unknown")
    assert open_ids(register) == ["two"]


def test_a_finished_one_that_is_asked_for_again_is_open_again(register: MicroBatches) -> None:
    register.ask(micro("one"))
    register.finish("one")
    assert register.ask(micro("one")).attempts == 1
    assert open_ids(register) == ["one"]


def test_a_run_over_the_day_finishes_those_whose_objects_it_took(register: MicroBatches, state: State) -> None:
    ledger = LandedObjects(state)
    for batch in (micro("taken-over"), micro("untouched"), micro("other-day", NEXT_DAY)):
        register.ask(batch)
    ledger.take(DAY, "taken-over", landed("a"))
    whole = ledger.take_day(DAY, [])
    ledger.record_lines(WHOLE_DAY, {read.object_id: 1 for read in whole})
    ledger.take(DAY, "untouched", landed("b"))
    register.finish_day(DAY)
    assert sorted(open_ids(register)) == ["other-day", "untouched"]


def test_a_day_waits_in_the_lane_in_which_it_was_opened(register: MicroBatches) -> None:
    register.open_day(DAY, 0, "history")
    register.open_day(DAY, 3)
    assert (open_ids(register), open_ids(register, "history")) == ([], [f"{WHOLE_DAY}-{DAY}"])
    register.finish_day(DAY)
    register.open_day(DAY, 3)
    assert (open_ids(register), open_ids(register, "history")) == ([f"{WHOLE_DAY}-{DAY}"], [])
