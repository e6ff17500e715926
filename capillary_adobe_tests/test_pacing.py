"""Pacing: both rates are kept and used up, and live goes first."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
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
from capillary_adobe.state import Paces, State
from capillary_adobe_tests.adobe.sending import deliver, entities, settings_for, tally
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.paced import NOLIMIT, RATE, RECORDS, Clock, now_or_never, pacer

EXAMPLE = itertools.count()

steps = st.tuples(
    st.one_of(st.floats(0, 0.6), st.floats(-8, 0)),
    st.sampled_from(["live", "history"]),
    st.integers(1, int(0.8 * RATE)),
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def patient(pacer: Pacer, records: int = 1) -> Turn:
    return pacer.take(records, threading.Event(), time.monotonic() + 60)


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
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
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
