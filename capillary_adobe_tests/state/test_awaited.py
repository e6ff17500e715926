"""Micro-batches that wait for look-ups: they block nobody, and come back with the answers, or when their time is up."""

from __future__ import annotations

import pytest

from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import MicroBatch, MicroBatches, State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe.state.lookups import LIVE, LookupQueue, Wanted
from capillary_adobe.state.microbatches import whole_day_id
from capillary_adobe_tests.state.taking import DAY

UNTIL_MS = 1_000_000


class Clock:
    seconds = 1.0

    def __call__(self) -> float:
        return self.seconds


def customer(number: int) -> Wanted:
    return Wanted.of_customer(CustomerKey(7, number))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def register(state: State, clock: Clock) -> MicroBatches:
    return MicroBatches(state, clock)


@pytest.fixture
def awaited(state: State) -> Awaited:
    LookupQueue(state).want([customer(number) for number in range(9)], LIVE, 0)
    return Awaited(state)


def open_ids(register: MicroBatches) -> list[str]:
    return [batch.batch_id for batch in register.unfinished("live")]


def waits(register: MicroBatches, awaited: Awaited, *numbers: int, name: str = "one") -> None:
    register.ask(MicroBatch(name, DAY, "live", "", f"events/{DAY}/z", 3, 30))
    awaited.note(DAY, name, [(customer(number), UNTIL_MS) for number in numbers])
    register.wait(name, UNTIL_MS)


def test_it_is_not_asked_for_until_its_time_is_up(register: MicroBatches, awaited: Awaited, clock: Clock) -> None:
    waits(register, awaited, 1, 2)
    assert open_ids(register) == []
    clock.seconds = UNTIL_MS / 1000
    [batch] = register.unfinished("live")
    assert (batch.waited, batch.attempts) == (True, 0)
    again = register.ask(batch)
    assert (again.waited, again.attempts) == (False, 1)


def test_half_of_the_answers_let_it_go(register: MicroBatches, awaited: Awaited, clock: Clock) -> None:
    waits(register, awaited, 1, 2, 3)
    waits(register, awaited, 4, name="other")
    awaited.answered([customer(1)], 900)
    assert open_ids(register) == []
    awaited.answered([customer(2)], 950)
    assert open_ids(register) == ["one"]
    awaited.answered([customer(4)], 950)
    assert open_ids(register) == ["one", "other"]


def test_answers_that_came_before_it_waited_let_it_go_too(register: MicroBatches, awaited: Awaited) -> None:
    register.ask(MicroBatch("one", DAY, "live", "", f"events/{DAY}/z", 3, 30))
    awaited.note(DAY, "one", [(customer(1), UNTIL_MS)])
    awaited.answered([customer(1)], 900)
    register.wait("one", UNTIL_MS)
    awaited.let_go(950)
    assert open_ids(register) == ["one"]


def test_answers_that_came_while_its_events_were_made_let_it_go_too(register: MicroBatches, awaited: Awaited) -> None:
    """They are noted before anybody waits for them; once they held a micro-batch for as long as it may be held."""
    awaited.answered([customer(1)], 900)
    waits(register, awaited, 1)
    awaited.let_go(950)
    assert open_ids(register) == ["one"]


def test_what_is_done_is_not_opened_by_an_answer(register: MicroBatches, awaited: Awaited) -> None:
    waits(register, awaited, 1)
    register.finish("one")
    awaited.answered([customer(1)], 900)
    assert open_ids(register) == []


def test_the_first_of_its_events_tells_how_long(awaited: Awaited) -> None:
    assert awaited.until(DAY, "one") is None
    awaited.note(DAY, "one", [(customer(1), 500), (customer(2), 400), (customer(1), 450)])
    assert awaited.until(DAY, "one") == 400
    awaited.note(DAY, "one", [])
    assert awaited.until(DAY, "one") is None


def test_a_whole_day_that_waits_keeps_no_micro_batch_of_it_from_running(
    register: MicroBatches, awaited: Awaited, clock: Clock
) -> None:
    waits(register, awaited, 1)
    register.open_day(DAY, 3)
    awaited.note(DAY, None, [(customer(1), UNTIL_MS)])
    assert awaited.until(DAY, "one") is None
    register.wait(whole_day_id(DAY), UNTIL_MS)
    assert register.open_days() == set()
    clock.seconds = UNTIL_MS / 1000
    assert register.open_days() == {DAY}
