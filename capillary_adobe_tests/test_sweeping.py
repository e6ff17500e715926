"""The sweep over a store that lists slowly: it goes on where it ran out of time, and rests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe import microbatching
from capillary_adobe.landing import LandedObject
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.settings import Lane
from capillary_adobe.state import WHOLE_DAY
from capillary_adobe_tests.batching import DAY, NEXT_DAY, SWEEP_MS, Bench, at, event

HOUR_MS = 3_600_000


class Slow(LocalLandingStore):
    """A folder that lists as a distant bucket does."""

    def list(self, lane: Lane, day: str, after: str = "") -> Iterator[LandedObject]:
        for found in super().list(lane, day, after):
            time.sleep(0.002)
            yield found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.now_ms = at(DAY, 12)
    yield made
    made.state.engine.dispose()


def aside(name: str, hour: int, day: str = DAY) -> str:
    return f"aside/{day}/{hour:02}/{name}.unreadable"


def test_a_sweep_without_time_goes_on_at_the_next_tick(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    days = ["2026-03-02", "2026-03-03", DAY]
    for day in days:
        for number in range(5):
            bench.land(event(f"{number}", day))
    bench.work()
    bench.now_ms += SWEEP_MS
    late = [bench.land(event("4-late", day)) for day in days]
    # Each tick has time for one object.
    monkeypatch.setattr(microbatching, "BUDGET_SECONDS", 0.0)
    bench.read.clear()
    for _ in range(40):
        bench.run(bench.tick())
    assert bench.read == late
    assert bench.cursor.lane("live").sweep_day == ""
    bench.now_ms += 5_000
    assert bench.tick() is None
    assert bench.cursor.lane("live").swept_ms == bench.now_ms - 5_000


def test_a_sweep_of_many_days_without_time_comes_to_an_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        bench.land(f"history/2026-01-{number + 1:02}/a")
    bench.work("history")
    bench.now_ms += SWEEP_MS
    late = [bench.land(f"history/2026-01-{number + 1:02}/a-late") for number in (2, 5)]
    monkeypatch.setattr(microbatching, "BUDGET_SECONDS", 0.0)
    bench.read.clear()
    ticks = 0
    while bench.cursor.lane("history").swept_ms < bench.now_ms and ticks < 40:
        bench.run(bench.tick("history"))
        ticks += 1
    assert bench.read == late
    assert 7 < ticks < 40


def test_a_day_that_is_gone_half_way_through_a_sweep_is_no_hindrance(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2026-03-02", "2026-03-03", DAY):
        bench.land(event("a", day))
    bench.work()
    bench.now_ms += SWEEP_MS
    bench.cursor.lane("live").sweep_day = "2026-02-01"
    bench.cursor.lane("live").sweep_key = event("a", "2026-02-01")
    late = bench.land(event("b", "2026-03-02"))
    assert bench.work() == [[late]]


def test_a_sweep_rests_ten_times_as_long_as_it_took(bench: Bench) -> None:
    for number in range(100):
        bench.land(event(f"{number:03}", hour=11))
    bench.work()
    bench.store = Slow(bench.store.root)
    bench.now_ms += SWEEP_MS
    assert bench.tick() is None
    rest_ms = bench.cursor.lane("live").whole_sweep_ms - bench.now_ms
    assert rest_ms >= 10 * 200
    # What is of the last two hours is found meanwhile, the other at the next sweep.
    bench.cursor.lane("live").whole_sweep_ms = bench.now_ms + 3 * SWEEP_MS
    old, new = (
        bench.land(event("000-late", hour=9)),
        [bench.land(aside("a", 11)), bench.land(event("000-late", hour=11))],
    )
    bench.now_ms += SWEEP_MS
    assert bench.work() == [[one] for one in new]
    bench.now_ms += SWEEP_MS
    assert bench.work() == []
    bench.now_ms += SWEEP_MS
    assert bench.work() == [[old]]


def test_the_last_hour_of_yesterday_belongs_to_the_last_hour(bench: Bench) -> None:
    bench.land(event("m", hour=23))
    bench.now_ms = at(DAY, 23)
    bench.work()
    bench.now_ms = at(NEXT_DAY, 0) + 60_000
    bench.land(event("m", NEXT_DAY))
    bench.work()
    bench.cursor.lane("live").whole_sweep_ms = bench.now_ms + HOUR_MS
    bench.now_ms += SWEEP_MS
    late = [bench.land(aside("a", 23)), bench.land(event("a", hour=23)), bench.land(event("a", NEXT_DAY))]
    too_old = bench.land(event("a", hour=22))
    bench.work()
    assert set(late) <= set(bench.read)
    assert too_old not in bench.read


def test_late_objects_of_both_folders_are_two_micro_batches(bench: Bench) -> None:
    bench.land(event("m"))
    bench.work()
    bench.now_ms += SWEEP_MS
    late = [bench.land(aside("a", 0)), bench.land(event("a"))]
    assert bench.work() == [[one] for one in late]


def test_a_receiver_that_is_always_late_does_not_keep_a_sweep_from_its_end(bench: Bench) -> None:
    """Its clock is 20 s behind: whatever it lands is behind the mark, and each tick finds more of it."""
    older = bench.land(event("m", "2026-03-01"))
    for day in ("2026-03-02", "2026-03-03"):
        bench.land(event("m", day))
    bench.work()
    assert older in bench.read
    late = [bench.land(aside("late", 0)), bench.land(event("late", "2026-03-01"))]
    for second in range(0, 600, 5):
        bench.now_ms += 5_000
        bench.land(event(f"{second + 20:06}-punctual", hour=12))
        bench.land(event(f"{second:06}-behind", hour=12))
        bench.run(bench.tick())
    assert set(late) <= set(bench.read)
    bench.now_ms += 2 * SWEEP_MS
    bench.work()
    assert len(set(bench.read)) == len(bench.read) == 3 + 2 + 2 * 120


def test_a_late_object_takes_along_none_of_another_folder_that_is_being_written(bench: Bench) -> None:
    bench.land(event("m"))
    bench.work()
    bench.now_ms += SWEEP_MS
    young, late = bench.land(aside("a", 11), age_ms=0), bench.land(event("a"))
    assert bench.work() == [[late]]
    bench.now_ms += SWEEP_MS
    assert bench.work() == [[young]]


def test_behind_a_run_over_the_whole_day_the_ledger_is_asked_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not once for each micro-batch that the day would have been: a tick has 60 s for 500,000 objects, too."""
    bench.land(event("0"))
    bench.work()
    for number in range(1, 9):
        bench.land(event(f"{number}"))
    taken = bench.ledger.take_day(DAY, bench.store.list("live", DAY))
    bench.ledger.record_lines(WHOLE_DAY, {one.object_id: 1 for one in taken})
    new = bench.land(event("9"))
    asked: list[str] = []
    whole = bench.ledger.known_keys

    def counted(day: str, lane: Lane) -> set[str]:
        asked.append(day)
        return whole(day, lane)

    monkeypatch.setattr(bench.ledger, "known_keys", counted)
    bench.options = bench.options.model_copy(update={"batch_max_objects": 1})
    assert bench.run(bench.tick()) == [new]
    assert asked == [DAY]
