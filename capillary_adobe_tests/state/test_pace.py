"""Pace: what time does to a row, and one row for every process: the rate is shared, and so is the breaker's one trial."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.pacing import Limits, Pacer
from capillary_adobe.state import Paces, PaceView, State
from capillary_adobe.state.pace import CAPACITY_SECONDS, CLOCK_SLACK_SECONDS, RECOVERY, Pace
from capillary_adobe_tests.forked import Forked

NOW = 1_795_000_000.0
LONG = 60.0

# Takes turns for some seconds, and tells when each was granted.
TAKER = """
import sys, threading, time
from capillary_adobe.pacing import Limits, Pacer
from capillary_adobe.state import State
url, lane, rate, records, seconds = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
state = State(url)
pacer = Pacer(state, "streaming", Limits(0, rate), lane)
state.engine
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + seconds
while pacer.take(int(records), threading.Event(), until):
    print(time.time(), flush=True)
"""
# Asks once, by a clock that is ahead, and tells the verdict; then stays, as if it waited for an answer.
ASKER = """
import sys, threading, time
from capillary_adobe.pacing import Limits, Pacer
from capillary_adobe.state import State
url, ahead = sys.argv[1], float(sys.argv[2])
state = State(url)
pacer = Pacer(state, "streaming", Limits(0, 0), "live", lambda: time.time() + ahead)
state.engine
print("ready", flush=True)
sys.stdin.readline()
turn = pacer.take(1, threading.Event(), 0.0)
print(turn.verdict.name, flush=True)
for line in sys.stdin:
    getattr(pacer, line.strip())()
    print("done", flush=True)
"""

moments = st.floats(0, 100)
factors = st.floats(0.05, 1)


@contextmanager
def processes(script: str, arguments: list[list[str]]) -> Iterator[list[Forked]]:
    """Processes that begin together."""
    with ExitStack() as stack:
        started = [stack.enter_context(Forked(script, *each)) for each in arguments]
        for process in started:
            assert read(process) == "ready"
        for process in started:
            tell(process, "go")
        yield started


def read(process: Forked) -> str:
    return process.stdout.readline().strip()


def tell(process: Forked, line: str) -> None:
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def rounded(view: PaceView | None) -> PaceView:
    assert view is not None
    return replace(view, factor=round(view.factor, 6))


@given(factor=factors, steps=st.lists(moments, max_size=6))
def test_however_often_one_looks_the_same_credit_comes_in(factor: float, steps: list[float]) -> None:
    # A debt so deep that the capacity does not matter.
    looked = Pace("s", NOW, records=-1000.0, requests=-1000.0, factor=factor)
    once = replace(looked)
    for step in steps:
        looked.advance(looked.noted_at + step)
    once.advance(looked.noted_at)
    assert looked.factor == pytest.approx(once.factor, abs=1e-6)
    assert looked.records == pytest.approx(once.records, abs=1e-4)
    assert looked.requests == looked.records


@given(factor=factors, credit=st.floats(0.01, 200))
def test_the_time_until_some_credit_is_told_exactly(factor: float, credit: float) -> None:
    row = Pace("s", 0.0, records=-1000.0, factor=factor)
    row.advance(row.seconds_to_earn(credit))
    assert row.records == pytest.approx(-1000 + credit, abs=1e-6)


@given(factor=factors, left=st.floats(-5, CAPACITY_SECONDS), passed=moments)
def test_a_bucket_never_overflows_and_the_rate_never_exceeds_the_set_one(
    factor: float, left: float, passed: float
) -> None:
    row = Pace("s", NOW, records=left, factor=factor)
    row.advance(NOW + passed)
    assert row.records <= row.capacity <= CAPACITY_SECONDS
    assert row.records <= max(left, left + passed) + 1e-6
    assert row.factor == pytest.approx(min(1, factor + RECOVERY * passed), abs=1e-6)


def test_a_clock_a_little_behind_refills_nothing_twice() -> None:
    row = Pace("s", NOW, records=0.0)
    for now in (NOW + 0.1, NOW - 1, NOW + 0.1, NOW - 1, NOW + 0.1):
        assert row.advance(now) is False
    assert row.records == pytest.approx(0.1)


def test_a_clock_set_back_by_hours_refills_nothing_and_stalls_nothing(state: State) -> None:
    paces = Paces(state)
    with paces.hold("s", lambda: NOW) as row:
        row.records, row.factor, row.throttled_at = 0.0, 0.5, NOW
        row.paused_until, row.down_since, row.next_try = NOW + 3, NOW - 4, NOW + 5
    back = NOW - 7200
    with paces.hold("s", lambda: back) as row:
        assert row.records == 0.0
        assert row.factor == 0.5
        assert (row.noted_at, row.throttled_at, row.paused_until) == (back, back, back + 3)
        assert (row.down_since, row.next_try) == (back - 4, back + 5)
    with paces.hold("s", lambda: back + 0.2) as row:
        assert row.records == pytest.approx(0.1, abs=0.001)


def test_what_only_time_has_changed_is_not_written(state: State) -> None:
    paces = Paces(state)
    for later in (0.0, 1.0, 2.0):
        with paces.hold("s", lambda later=later: NOW + later) as row:
            row.records = min(row.records, 0.25)
            row.factor = 0.5 if not later else row.factor
    stored = paces.read("s")
    assert stored is not None
    assert stored.noted_at == NOW + 2
    with paces.hold("s", lambda: NOW + 9) as row:
        assert row.noted_at == NOW + 9
    assert paces.read("s") == stored


def test_a_failure_while_the_row_is_held_changes_nothing(state: State) -> None:
    paces = Paces(state)
    with paces.hold("s", lambda: NOW) as row:
        row.records = 0.5

    def fail() -> None:
        with paces.hold("s", lambda: NOW) as row:
            row.records = 0.1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert paces.read("s") == replace(Pace("s", NOW), records=0.5)


def test_threads_change_a_new_row_one_after_the_other(state: State) -> None:
    def count() -> None:
        for _ in range(10):
            with Paces(state).hold("s", time.time) as row:
                row.failures += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Paces(state).hold("s", time.time) as row:
        assert row.failures == 40


def test_a_look_tells_how_a_service_stands(state: State) -> None:
    paces = Paces(state)
    assert paces.look("s", NOW) is None
    with paces.hold("s", lambda: NOW) as row:
        row.factor, row.paused_until, row.failures, row.down_since, row.words = 0.5, NOW + 3, 2, NOW, "503"
    assert rounded(paces.look("s", NOW + 1)) == PaceView(0.52, NOW + 3, 2, None, None, "")
    with paces.hold("s", lambda: NOW + 1) as row:
        row.next_try = NOW + 6
    assert rounded(paces.look("s", NOW + 4)) == PaceView(0.58, None, 2, NOW, NOW + 6, "503")
    assert paces.look("other", NOW) is None


def test_several_processes_share_one_rate_and_use_it_up(url: str, state: State) -> None:
    rate, records, seconds = 1000, 100, 3.0
    lanes = ("history", "history", "history", "live")
    began = time.time()
    with processes(TAKER, [[url, lane, str(rate), str(records), str(seconds)] for lane in lanes]) as takers:
        granted = sorted(float(line) for taker in takers for line in taker.stdout)
        assert all(taker.wait(LONG) == 0 for taker in takers)
    assert granted[0] >= began
    for first, since in enumerate(granted):
        within = [at for at in granted[first:] if at <= since + 1]
        # AEP's bucket holds a second's worth: what a process was slow to tell of lies within that.
        assert len(within) * records <= rate * (within[-1] - since + 1)
    spent = granted[-1] - granted[0]
    assert len(granted) * records <= rate * (spent + CAPACITY_SECONDS + 0.1)
    # Less than the whole of it, because the machine may be busy with other things.
    assert len(granted) * records >= rate * spent * 0.9


@pytest.mark.parametrize("limits", [Limits(0, 0), Limits(0, 1000)], ids=["no-rate", "rate"])
def test_threads_get_one_trial_and_a_lost_one_is_replaced(state: State, limits: Limits) -> None:
    now = [NOW]
    pacers = [Pacer(state, "streaming", limits, "live", lambda: now[0]) for _ in range(3)]
    for number in range(5):
        pacers[number % 3].failed("503")
    for _ in range(2):
        now[0] += 5.1
        with ThreadPoolExecutor(9) as pool:
            turns = list(pool.map(lambda number: pacers[number % 3].take(1, threading.Event(), 0.0), range(9)))
        assert sum(map(bool, turns)) == 1


def test_an_answer_writes_nothing_where_nothing_is_to_be_reset(state: State) -> None:
    now, paces = [NOW], Paces(state)
    pacer = Pacer(state, "streaming", Limits(0, 1000), "live", lambda: now[0])
    pacer.answered()
    assert paces.read("streaming") is None
    assert pacer.take(1, threading.Event(), 0.0)
    stored = paces.read("streaming")
    now[0] += 1
    pacer.answered()
    assert paces.read("streaming") == stored


def test_those_who_wait_for_a_breaker_go_on_when_it_closes(state: State) -> None:
    pacer = Pacer(state, "streaming", Limits(0, 0), "live")
    for _ in range(5):
        pacer.failed("503")
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(pacer.take, 1, threading.Event(), time.monotonic() + LONG) for _ in range(2)]
        assert wait(waiting, timeout=0.3).done == set()
        Pacer(state, "streaming", Limits(0, 0), "live").answered()
        began = time.monotonic()
        assert all(turn.result(timeout=10) for turn in waiting)
        # The breaker's cool-down is longer.
        assert time.monotonic() - began < 4


def test_a_breaker_gives_one_trial_over_all_processes_and_replaces_one_that_died(url: str, state: State) -> None:
    breaks = Pacer(state, "streaming", Limits(0, 0), "live")
    for _ in range(5):
        breaks.failed("503")
    with processes(ASKER, [[url, "1"]] * 2) as early:
        assert {read(process) for process in early} == {"TOO_LATE"}
    with processes(ASKER, [[url, str(6)]] * 4) as asking:
        verdicts = [read(process) for process in asking]
        assert Counter(verdicts) == {"GRANTED": 1, "TOO_LATE": 3}
    # All of them were killed, the one with the trial among them.
    with processes(ASKER, [[url, str(6)]] * 2) as too_early:
        assert {read(process) for process in too_early} == {"TOO_LATE"}
    with processes(ASKER, [[url, str(12 + CLOCK_SLACK_SECONDS)]] * 3) as later:
        verdicts = [read(process) for process in later]
        assert Counter(verdicts) == {"GRANTED": 1, "TOO_LATE": 2}
        trial = later[verdicts.index("GRANTED")]
        tell(trial, "answered")
        assert read(trial) == "done"
    view = Paces(state).look("streaming", time.time())
    assert view is not None
    assert view.next_try is None
    assert view.failures == 0
    with processes(ASKER, [[url, "12"]] * 2) as after:
        assert {read(process) for process in after} == {"GRANTED"}
