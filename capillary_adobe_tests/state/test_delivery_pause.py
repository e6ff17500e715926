"""The switch of delivery: what is held is let go by a resume and by nothing else, and never held behind it."""

from __future__ import annotations

import time

from capillary_adobe.state import MicroBatch, MicroBatches, State
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe.state.microbatches import whole_day_id

DAY, NEXT_DAY = "2026-11-19", "2026-11-20"


def asked(state: State, *numbers: int, day: str = DAY) -> list[str]:
    register = MicroBatches(state)
    batches = [MicroBatch(f"live-{day}-{number:03}", day, "live", "", f"key-{number}", 1, 1) for number in numbers]
    return [register.ask(batch).batch_id for batch in batches]


def unfinished(state: State) -> list[str]:
    return [one.batch_id for one in MicroBatches(state).unfinished("live")]


def test_what_is_held_is_asked_for_after_the_resume_with_no_try_spent(state: State) -> None:
    switch = DeliveryPause(state)
    assert switch.find() is None
    first, second, done = asked(state, 1, 2, 3)
    asked(state, 1)
    paused, new = switch.pause(" a new sandbox ")
    assert new
    assert paused.words.endswith("(a new sandbox)")
    assert abs(paused.since_ms - time.time() * 1000) < 60_000
    # A second press leaves it as it is.
    assert switch.pause("again") == (paused, False)
    MicroBatches(state).finish(done)
    assert all(switch.hold(one) for one in (first, done))
    assert unfinished(state) == [second]
    assert switch.held() == 1

    # Another process.
    resumed = DeliveryPause(state).resume()
    assert (resumed.was_paused, resumed.micro_batches, resumed.whole_days) == (True, 1, ())
    assert unfinished(state) == [first, second]
    assert [one.attempts for one in MicroBatches(state).unfinished("live")] == [0, 1]
    assert switch.find() is None
    again = switch.resume()
    assert (again.was_paused, again.micro_batches) == (False, 0)


def test_nothing_is_held_behind_the_resume(state: State) -> None:
    switch = DeliveryPause(state)
    switch.pause("")
    [first] = asked(state, 1)
    switch.resume()
    assert not switch.hold(first)
    assert unfinished(state) == [first]


def test_a_day_with_many_is_asked_for_as_a_whole(state: State) -> None:
    switch = DeliveryPause(state)
    switch.pause("")
    for one in [*asked(state, *range(21)), *asked(state, 1, day=NEXT_DAY)]:
        assert switch.hold(one)
    resumed = switch.resume()
    assert (resumed.micro_batches, resumed.whole_days) == (22, (DAY,))
    assert MicroBatches(state).open_days() == {DAY}
    # An older day does not hold up live events.
    assert [one.batch_id for one in MicroBatches(state).unfinished("history")] == [whole_day_id(DAY)]
