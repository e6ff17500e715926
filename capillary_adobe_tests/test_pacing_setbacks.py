"""Pacing against an AEP that refuses: its 429s slow everybody down, the breaker spares a dead one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.pacing import Limits, Pacer, Turn, Verdict
from capillary_adobe.state import Paces, State
from capillary_adobe_tests.paced import NOLIMIT, NOON, RATE, RECORDS, Clock, now_or_never, pacer, view


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def break_it(breaking: Pacer, words: str = "503") -> None:
    for _ in range(5):
        breaking.failed(words)


def test_parallel_429s_count_once_a_second(state: State, clock: Clock) -> None:
    pacers = [pacer(state, RECORDS, clock=clock) for _ in range(4)]
    for pace in pacers:
        pace.throttled(None)
    assert view(state, clock).factor == pytest.approx(0.7)
    assert not now_or_never(pacers[0])
    assert now_or_never(pacers[0]).words.endswith("lowered to 70% since AEP throttles leaves no room")
    clock.now += 0.9
    pacers[1].throttled(None)
    assert view(state, clock).factor == pytest.approx(0.718)
    clock.now += 0.1
    pacers[2].throttled(None)
    assert view(state, clock).factor == pytest.approx(0.72 * 0.7)


def test_the_rate_recovers_by_time_alone_and_never_above_the_settings(state: State, clock: Clock) -> None:
    pace = pacer(state, RECORDS, clock=clock)
    for _ in range(30):
        pace.throttled(None)
        clock.now += 1
    assert view(state, clock).factor == pytest.approx(0.05 + 0.02, abs=0.001)
    stored = Paces(state).read("inlet")
    clock.now += 10
    assert view(state, clock).factor == pytest.approx(0.27, abs=0.001)
    clock.now += 1000
    assert view(state, clock).factor == 1.0
    assert Paces(state).read("inlet") == stored
    assert now_or_never(pace, 800)
    assert not now_or_never(pace, 10)


def test_a_lowered_rate_is_kept(state: State, clock: Clock) -> None:
    pace, granted = pacer(state, RECORDS, clock=clock), 0
    pace.throttled(None)
    for _ in range(100):
        clock.now += 0.02
        while now_or_never(pace, 10):
            granted += 10
    # 2 s at 70 %, and what comes back meanwhile.
    assert 1400 <= granted + 10 <= 1400 + 0.02 * 2**2 / 2 * RATE + 20


@pytest.mark.parametrize("limits", [pytest.param(RECORDS, id="rate"), pytest.param(NOLIMIT, id="no-rate")])
def test_a_pause_that_aep_asks_for_holds_everybody(state: State, clock: Clock, limits: Limits) -> None:
    first = pacer(state, limits, clock=clock)
    first.throttled(6)
    first.throttled(2)
    second = pacer(state, limits, "history", clock)
    clock.now += 5.9
    for pace in (first, second):
        assert now_or_never(pace) == Turn(Verdict.TOO_LATE, "AEP asks to wait until 12:03:10 UTC")
    assert view(state, clock).paused_until == NOON + 6
    clock.now += 0.2
    assert now_or_never(first)
    assert view(state, clock).paused_until is None
    first.throttled(10**9)
    assert view(state, clock).paused_until == clock.now + 3600


def test_without_a_rate_pauses_grow_while_aep_throttles_again(state: State, clock: Clock) -> None:
    pace, pauses = pacer(state, NOLIMIT, clock=clock), []
    for _ in range(8):
        for _ in range(3):
            pace.throttled(None)
        until = view(state, clock).paused_until
        assert until is not None
        pauses.append(until - clock.now)
        clock.now = until + 0.1
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
    clock.now += 31
    pace.throttled(None)
    assert view(state, clock).paused_until == pytest.approx(clock.now + 0.5)
    assert view(state, clock).factor == 1.0


@pytest.mark.parametrize("limits", [pytest.param(RECORDS, id="rate"), pytest.param(NOLIMIT, id="no-rate")])
def test_five_failures_in_a_row_open_the_breaker_for_everybody(state: State, clock: Clock, limits: Limits) -> None:
    first, second = pacer(state, limits, clock=clock), pacer(state, limits, "history", clock)
    for pace in (first, second, first, second):
        pace.failed("no answer")
        clock.now += 1
    assert now_or_never(first)
    assert view(state, clock).down_since is None
    clock.now += 116
    second.failed("503")
    for pace in (first, second, pacer(state, limits, clock=clock)):
        turn = now_or_never(pace)
        assert turn.verdict is Verdict.TOO_LATE
        assert turn.words == "AEP has not answered since 2026-11-25 12:03:04 UTC (503); next try at 12:05:09"
    seen = view(state, clock)
    assert (seen.down_since, seen.next_try, seen.words, seen.failures) == (NOON, clock.now + 5, "503", 5)


def test_an_answer_in_between_starts_the_count_again(state: State, clock: Clock) -> None:
    first, second = pacer(state, RECORDS, clock=clock), pacer(state, RECORDS, clock=clock)
    for _ in range(4):
        first.failed("503")
    second.answered()
    for _ in range(4):
        first.failed("503")
    assert now_or_never(first)


def test_an_answer_closes_the_breaker_that_others_opened(state: State, clock: Clock) -> None:
    opens, closes = pacer(state, RECORDS, clock=clock), pacer(state, RECORDS, clock=clock)
    assert now_or_never(closes)
    break_it(opens)
    assert not now_or_never(opens)
    closes.answered()
    assert now_or_never(opens)
    assert view(state, clock).words == ""


def test_each_failed_trial_doubles_the_cool_down(state: State, clock: Clock) -> None:
    pace = pacer(state, RECORDS, clock=clock)
    break_it(pace)
    for cool_down in (5, 10, 20, 40, 60, 60):
        assert view(state, clock).next_try == pytest.approx(clock.now + cool_down)
        clock.now += cool_down - 0.01
        assert not now_or_never(pace)
        clock.now += 0.02
        assert now_or_never(pace)
        assert not now_or_never(pace)
        pace.failed("no answer")
    clock.now += 60.1
    assert now_or_never(pace)
    pace.answered()
    break_it(pace)
    assert view(state, clock).next_try == clock.now + 5


def test_a_late_failure_of_an_earlier_request_is_no_failed_trial(state: State, clock: Clock) -> None:
    pace, other = pacer(state, RECORDS, clock=clock), pacer(state, RECORDS, clock=clock)
    break_it(pace)
    clock.now += 5
    assert now_or_never(pace)
    other.failed("timed out")
    assert view(state, clock).next_try == clock.now + 5
    assert view(state, clock).words == "timed out"
    pace.failed("503")
    assert view(state, clock).next_try == clock.now + 10
