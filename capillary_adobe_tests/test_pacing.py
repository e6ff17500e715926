"""Pacing: both rates are kept and used up, live goes first, AEP's 429s slow everybody down, the breaker spares a dead AEP."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.emulators.behaviour import Rate
from capillary_adobe.pacing import Limits, Pacer, Turn, Verdict
from capillary_adobe.settings import Lane
from capillary_adobe.state import Paces, PaceView, State
from capillary_adobe_tests.adobe.sending import deliver, entities, settings_for, tally

RATE = 1000
NOLIMIT = Limits(0, 0)
RECORDS = Limits(0, RATE)
# 2026-11-25 12:03:04 UTC
NOON = 1_795_608_184.0
EXAMPLE = itertools.count()

steps = st.tuples(
    st.one_of(st.floats(0, 0.6), st.floats(-8, 0)),
    st.sampled_from(["live", "history"]),
    st.integers(1, int(0.8 * RATE)),
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pacer(
    state: State, limits: Limits, lane: Lane = "live", clock: Callable[[], float] = time.time, service: str = "inlet"
) -> Pacer:
    return Pacer(state, service, limits, lane, clock)


def now_or_never(pacer: Pacer, records: int = 1) -> Turn:
    return pacer.take(records, threading.Event(), 0.0)


def patient(pacer: Pacer, records: int = 1) -> Turn:
    return pacer.take(records, threading.Event(), time.monotonic() + 60)


def view(state: State, clock: Clock) -> PaceView:
    found = Paces(state).look("inlet", clock.now)
    assert found is not None
    return found


def break_it(breaking: Pacer, words: str = "503") -> None:
    for _ in range(5):
        breaking.failed(words)


def seconds_for(pacer: Pacer, requests_: int, records: int) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: patient(pacer, records), range(requests_)))
    return time.monotonic() - began


def test_the_request_rate_is_kept(state: State) -> None:
    assert 0.38 <= seconds_for(pacer(state, Limits(50, 0)), requests_=60, records=1000) < 5


def test_the_record_rate_is_kept(state: State) -> None:
    assert 0.38 <= seconds_for(pacer(state, Limits(1000, 1000)), requests_=60, records=20) < 5


def test_no_rate_is_no_wait_and_no_row(state: State) -> None:
    assert seconds_for(pacer(state, NOLIMIT), requests_=2000, records=10**6) < 2
    assert Paces(state).read("inlet") is None


def test_a_request_larger_than_the_bucket_needs_a_full_one_and_leaves_a_debt(state: State, clock: Clock) -> None:
    pace = pacer(state, RECORDS, clock=clock)
    assert now_or_never(pace, 2000)
    clock.now += 1.1
    assert not now_or_never(pace)
    clock.now += 0.11
    assert now_or_never(pace)
    assert not now_or_never(pace, 2000)
    clock.now += 0.8
    assert now_or_never(pace, 2000)


def test_one_request_carries_a_quarter_second_at_most(state: State, clock: Clock) -> None:
    assert pacer(state, NOLIMIT).records_per_request is None
    assert pacer(state, Limits(9, 0)).records_per_request is None
    assert pacer(state, Limits(0, 1)).records_per_request == 1
    pace = pacer(state, RECORDS, clock=clock)
    assert pace.records_per_request == 250
    pace.throttled(None)
    assert pace.records_per_request == 175


@pytest.mark.parametrize("limits", [pytest.param(RECORDS, id="rate"), pytest.param(NOLIMIT, id="pause")])
def test_a_turn_is_given_up_at_once_when_delivery_stops(state: State, limits: Limits) -> None:
    pace, stopping = pacer(state, limits), threading.Event()
    assert pace.take(100_000, stopping, 0.0)
    pace.throttled(60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pace.take, 1, stopping, time.monotonic() + 3600)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        began = time.monotonic()
        stopping.set()
        assert waiting.result(timeout=5).verdict is Verdict.STOPPED
        # A wait is cut up into seconds; this one did not sit one out.
        assert time.monotonic() - began < 0.5
    assert pace.take(1, stopping, 0.0).verdict is Verdict.STOPPED


def test_what_cannot_come_before_the_deadline_is_answered_at_once_in_plain_words(state: State) -> None:
    pace = pacer(state, RECORDS)
    assert now_or_never(pace, 30_000)
    began = time.monotonic()
    turn = pace.take(1, threading.Event(), began + 10)
    assert turn == Turn(Verdict.TOO_LATE, "the rate of ADOBE_MAX_RECORDS_PER_SECOND leaves no room")
    assert time.monotonic() - began < 1
    one = pacer(state, Limits(1, 0), service="other")
    assert now_or_never(one)
    assert now_or_never(one).words == "the rate of ADOBE_MAX_REQUESTS_PER_SECOND leaves no room"


def test_live_empties_the_bucket_and_history_leaves_half_of_it(state: State, clock: Clock) -> None:
    history, live = pacer(state, RECORDS, "history", clock), pacer(state, RECORDS, "live", clock)
    for records in (250, 10):
        taken = {"live": 0, "history": 0}
        while now_or_never(history, records):
            taken["history"] += records
        while now_or_never(live, 10):
            taken["live"] += 10
        assert taken["history"] > 0
        assert taken["live"] >= 400
        assert taken["live"] + taken["history"] == 800
        clock.now += 0.8


def test_live_never_waits_because_of_history_which_gets_all_the_rest(state: State, clock: Clock) -> None:
    history, live = pacer(state, RECORDS, "history", clock), pacer(state, RECORDS, "live", clock)
    granted = {"live": 0, "history": 0}
    seconds = 20
    for tick in range(seconds * 50):
        while now_or_never(history, 100):
            granted["history"] += 100
        # Half of the rate, in requests of the largest size.
        if tick % 25 == 0:
            assert now_or_never(live, 250)
            granted["live"] += 250
        clock.now += 0.02
    assert granted["live"] == seconds * RATE // 2
    assert granted["history"] >= 0.95 * seconds * RATE / 2


def history_alone(pace: Pacer) -> float:
    """Share of the rate that four threads use, the first filling of the bucket aside."""
    until, granted = time.monotonic() + 3, []

    def work(_number: int) -> None:
        while pace.take(50, threading.Event(), until):
            granted.append(time.monotonic())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    steady = [at for at in sorted(granted) if at > min(granted) + 0.5]
    return (len(steady) - 1) * 50 / RATE / (steady[-1] - steady[0])


def test_history_alone_uses_the_rate_up(state: State) -> None:
    pace = pacer(state, RECORDS, "history")
    # A machine that is busy with other things may wake threads too late; not each time.
    assert any(history_alone(pace) >= 0.97 for _ in range(4))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(asked=st.lists(steps, max_size=40))
def test_no_window_ever_exceeds_the_rate_and_history_is_finally_served(
    state: State, asked: list[tuple[float, Lane, int]]
) -> None:
    clock, service, elapsed = Clock(), str(next(EXAMPLE)), 0.0
    pacers: dict[Lane, Pacer] = {
        "live": pacer(state, RECORDS, "live", clock, service),
        "history": pacer(state, RECORDS, "history", clock, service),
    }
    granted: list[tuple[float, int]] = []
    for step, lane, records in asked:
        clock.now += step
        elapsed += max(0.0, step)
        if now_or_never(pacers[lane], records):
            granted.append((elapsed, records))
    for first, (since, _) in enumerate(granted):
        total = 0
        for at, records in granted[first:]:
            total += records
            assert total <= RATE * (at - since + 0.8) + 1
    # A clock that went back a little is waited for.
    clock.now += 8.0 * len(asked)
    for _ in range(3):
        assert now_or_never(pacers["history"], 250)
        clock.now += 0.65


def test_what_the_pacer_grants_aeps_own_bucket_holds(state: State) -> None:
    aep, pacers = Rate(RATE), [pacer(state, RECORDS, lane) for lane in ("live", "history")]
    until, refused, lock = time.monotonic() + 3, [], threading.Lock()

    def work(number: int) -> None:
        while pacers[number % 2].take(60 + number, threading.Event(), until):
            with lock:
                refused.extend([] if aep.take(60 + number) else [number])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert refused == []


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


def test_a_client_at_the_limit_is_never_told_to_slow_down(tmp_path: Path, state: State) -> None:
    behaviour = Behaviour(max_records_per_second=400, max_requests_per_second=100, latency_seconds=0.01)
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator:
        settings = settings_for(
            emulator.environment, max_records_per_second=400, max_requests_per_second=100, max_request_bytes=20_000
        )
        batch = entities(800)
        began = time.monotonic()
        counts = deliver(settings, state, batch)
        elapsed = time.monotonic() - began
        summary = requests.get(f"{emulator.base_url}/summary.json", timeout=5).json()
    assert summary["requests"] == {"207": counts.requests}
    assert tally(state, batch) == {"accepted": 800}
    # All but what the bucket held at first.
    assert (800 - 0.8 * 400) / 400 <= elapsed < 8
