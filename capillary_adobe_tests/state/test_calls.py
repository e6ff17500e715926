"""Calls a minute: never more than the limit in any 60 seconds, as whoever is called counts them, whatever runs beside."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.pacing import CAPILLARY_API, Limits, Pacer
from capillary_adobe.settings import Lane
from capillary_adobe.state import State
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.forked import Forked

NOW = 1_795_000_000.0
LIMIT = 5
EXAMPLE = itertools.count()
# Takes as many turns as there are at once, and tells how many.
TAKER = """
import sys, threading
from capillary_adobe.pacing import CAPILLARY_API, Limits, Pacer
from capillary_adobe.state import State
state = State(sys.argv[1])
pacer = Pacer(state, CAPILLARY_API, Limits(calls_per_minute=40), "live")
state.engine
print("ready", flush=True)
sys.stdin.readline()
taken = 0
while pacer.take(1, threading.Event(), 0.0):
    taken += 1
    pacer.answered()
print(taken, flush=True)
"""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def pacer(state: State, clock: Clock, lane: Lane = "live", limit: int = LIMIT, service: str = CAPILLARY_API) -> Pacer:
    return Pacer(state, service, Limits(calls_per_minute=limit), lane, clock)


def taken(one: Pacer) -> bool:
    return bool(one.take(1, threading.Event(), 0.0))


def most_within(moments: list[float], seconds: float) -> int:
    ordered = sorted(moments)
    return max((sum(first <= one < first + seconds for one in ordered) for first in ordered), default=0)


# Seconds until the next try, its lane, seconds until the call arrives, seconds from there to its answer.
steps = st.tuples(
    st.floats(0, 30), st.sampled_from(["live", "history"]), st.floats(0, 25), st.one_of(st.none(), st.floats(0, 30))
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(steps, min_size=1, max_size=30))
def test_no_minute_holds_more_than_the_limit_however_long_calls_take(
    tmp_path: Path, plan: list[tuple[float, Lane, float, float | None]]
) -> None:
    # A service for each example: a database for each takes longer than the example.
    state, clock, service = State(f"sqlite:///{tmp_path}/state.db"), Clock(), f"service {next(EXAMPLE)}"
    arrivals: list[float] = []
    answers: list[tuple[float, Pacer]] = []
    for wait, lane, way, back in plan:
        until = clock.now + wait
        for moment, answered in sorted((one for one in answers if one[0] <= until), key=lambda one: one[0]):
            clock.now = moment
            answered.answered()
        answers = [one for one in answers if one[0] > until]
        clock.now = until
        # One for each call: like runs and threads that know nothing of each other.
        one = pacer(state, clock, lane, service=service)
        if taken(one):
            arrivals.append(clock.now + way)
            # A process that was killed never tells.
            if back is not None:
                answers.append((clock.now + way + back, one))
    state.engine.dispose()
    assert most_within(arrivals, 60) <= LIMIT
    assert max(Counter(int(one) // 60 for one in arrivals).values(), default=0) <= LIMIT


def test_the_quota_is_used_up_and_comes_back(state: State) -> None:
    clock = Clock()
    one = pacer(state, clock)
    for _ in range(LIMIT):
        assert taken(one)
        one.answered()
    assert not taken(one)
    clock.now += 60.4
    assert not taken(one)
    clock.now += 0.2
    assert [taken(pacer(state, clock)) for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]


def test_what_runs_beside_keeps_apart_and_leaves_a_tenth(state: State) -> None:
    clock = Clock()
    beside = pacer(state, clock, "history", 20)
    assert taken(beside)
    beside.answered()
    assert not taken(beside), "the next one comes after its share of the minute"
    for _ in range(17):
        clock.now += 3
        assert taken(beside)
        beside.answered()
    clock.now += 3
    assert not taken(beside), "two are left to live"
    live = [pacer(state, clock, "live", 20) for _ in range(3)]
    assert [taken(one) for one in live] == [True, True, False]


def test_one_call_a_minute_still_serves_both_lanes(state: State) -> None:
    clock = Clock()
    for lane in ("history", "live"):
        one = pacer(state, clock, lane, 1)
        assert taken(one)
        one.answered()
        clock.now += 61


def test_there_is_no_turn_before_the_deadline_and_the_words_say_why(state: State) -> None:
    clock = Clock()
    one = pacer(state, clock, limit=1)
    assert taken(one)
    one.answered()
    began = time.monotonic()
    turn = one.take(1, threading.Event(), time.monotonic() + 50)
    assert time.monotonic() - began < 5
    assert turn.words == "the 1 calls a minute of CAPILLARY_LOOKUP_CALLS_PER_MINUTE are used up"


def test_a_killed_call_and_a_clock_set_back_do_not_count_for_ever(state: State) -> None:
    clock = Clock()
    assert taken(pacer(state, clock, limit=1))
    clock.now += 120
    assert not taken(pacer(state, clock, limit=1))
    clock.now += 61
    assert taken(pacer(state, clock, limit=1))
    clock.now -= 86_400
    assert not taken(pacer(state, clock, limit=1))
    clock.now += 181
    assert taken(pacer(state, clock, limit=1))


def test_a_request_that_was_not_waited_for_counts_and_says_nothing(state: State) -> None:
    clock = Clock()
    for _ in range(10):
        one = pacer(state, clock, limit=10)
        assert taken(one)
        one.unanswered()
    turn = pacer(state, clock, limit=10).take(1, threading.Event(), 0.0)
    assert "used up" in turn.words
    clock.now += 60.6
    assert taken(pacer(state, clock, limit=10))


def test_processes_share_the_quota(url: str) -> None:
    State(url).engine.dispose()
    with Forked(TAKER, url) as one, Forked(TAKER, url) as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
        assert int(one.end()) + int(other.end()) == 40


@pytest.mark.parametrize("report", ["failed", "throttled"])
def test_every_end_of_a_call_starts_its_minute(state: State, report: str) -> None:
    clock = Clock()
    one = pacer(state, clock, limit=1)
    assert taken(one)
    clock.now += 30
    one.failed("503") if report == "failed" else one.throttled(None)
    clock.now += 60.4
    assert not taken(pacer(state, clock, limit=1))
    clock.now += 0.2
    assert taken(pacer(state, clock, limit=1))
