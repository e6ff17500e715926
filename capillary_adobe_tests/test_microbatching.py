"""Micro-batching: every landed object in a micro-batch, once, in order, whatever happens to cursor, writer and runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.microbatching import (
    LONGEST_PAUSE_MS,
    Cursor,
    LaneCursor,
    MicroBatcher,
    out_of_range,
)
from capillary_adobe.settings import LandingSettings, Lane, load
from capillary_adobe.state import WHOLE_DAY, MicroBatch
from capillary_adobe_tests.batching import DAY, NEXT_DAY, SWEEP_MS, Bench, at, event
from capillary_adobe_tests.examples import examples


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.state.engine.dispose()


def test_what_lies_behind_the_mark_is_asked_for_once(bench: Bench) -> None:
    first = [bench.land(event(name)) for name in "abc"]
    assert bench.work() == [first]
    assert bench.tick() is None
    assert "nothing new" in bench.words
    second = [bench.land(event("d")), bench.land(event("a", hour=7))]
    assert bench.work() == [second]
    assert bench.cursor.lane("live").after_key == second[-1]


def test_an_empty_store_asks_for_nothing(bench: Bench) -> None:
    assert bench.tick() is None
    assert bench.tick("history") is None


def test_micro_batches_are_capped_by_objects(tmp_path: Path) -> None:
    bench = Bench(tmp_path, batch_max_objects=3)
    keys = [bench.land(event(f"{n:02}")) for n in range(8)]
    assert bench.work() == [keys[:3], keys[3:6], keys[6:]]


def test_micro_batches_are_capped_by_bytes_but_never_empty(tmp_path: Path) -> None:
    bench = Bench(tmp_path, batch_max_bytes=100)
    keys = [bench.land(event(f"{n:02}"), size) for n, size in enumerate([60, 40, 1, 500, 99, 2])]
    assert bench.work() == [keys[:2], keys[2:3], keys[3:4], keys[4:5], keys[5:]]


def test_a_micro_batch_tells_what_is_in_it(bench: Bench) -> None:
    keys = [bench.land(event("a"), 30), bench.land(event("b"), 40)]
    batch = bench.tick()
    assert batch is not None
    assert (batch.day, batch.lane, batch.objects, batch.bytes) == (DAY, "live", 2, 70)
    assert (batch.after_key, batch.up_to_key, batch.attempts) == ("", keys[-1], 1)
    assert batch.batch_id.startswith(f"live-{DAY}-")


def test_an_object_that_may_still_be_written_waits_with_all_behind_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settle_seconds=5)
    old, young, later = bench.land(event("a")), bench.land(event("b"), age_ms=4_000), bench.land(event("c"))
    assert bench.work() == [[old]]
    bench.now_ms += 2_000
    assert bench.work() == [[young, later]]


def test_the_old_day_is_emptied_before_the_new_one_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settle_seconds=5, batch_max_objects=2)
    bench.now_ms = at(DAY, 23)
    begun = [bench.land(event("a", hour=23))]
    assert bench.work() == [begun]
    bench.now_ms = at(NEXT_DAY, 0)
    rest = [bench.land(event(name, hour=23)) for name in "bcd"]
    rest.append(bench.land(event("e", hour=23), age_ms=1_000))
    new = [bench.land(event("a", NEXT_DAY))]
    assert bench.run(bench.tick()) == rest[:2]
    assert bench.run(bench.tick()) == rest[2:3]
    # Not the new day while the old one has an object that is being written.
    bench.options = bench.options.model_copy(update={"sweep_seconds": 10**6})
    bench.cursor.lane("live").swept_ms = bench.now_ms
    assert bench.tick() is None
    bench.now_ms += 10_000
    assert bench.work() == [rest[3:], new]
    assert bench.cursor.lane("live").day == NEXT_DAY


def test_a_late_object_with_a_smaller_name_is_found_by_the_sweep(bench: Bench) -> None:
    bench.land(event("m"))
    assert bench.work() == [[event("m")]]
    late = bench.land(event("a"))
    assert bench.tick() is None, "the sweep has just been"
    bench.now_ms += SWEEP_MS
    assert bench.work() == [[late]]
    bench.now_ms += SWEEP_MS
    assert bench.work() == []


def test_a_late_object_of_a_recent_day_is_found_by_the_sweep(bench: Bench) -> None:
    bench.land(event("m"))
    bench.work()
    bench.now_ms = at(NEXT_DAY)
    bench.land(event("m", NEXT_DAY))
    late = bench.land(event("z"))
    runs = bench.work()
    bench.now_ms += SWEEP_MS
    assert [late] in [*runs, *bench.work()]


@pytest.mark.parametrize("older", range(1, 7))
def test_late_objects_of_older_days_are_found_by_turns(tmp_path: Path, older: int) -> None:
    bench = Bench(tmp_path, sweep_days=3)
    days = [f"2026-02-{n:02}" for n in range(1, older + 4)]
    for day in days:
        bench.land(event("m", day))
    for _ in range(older + 1):
        bench.work()
        bench.now_ms += SWEEP_MS
    for day in days[:older]:
        late = bench.land(event("a", day))
        bench.read.clear()
        for _ in range(older):
            bench.work()
            bench.now_ms += SWEEP_MS
        assert bench.read == [late]


def test_an_unfinished_micro_batch_is_asked_for_again_with_growing_pauses(bench: Bench) -> None:
    bench.land(event("a"))
    first = bench.tick()
    assert first is not None
    pauses: list[int] = []
    asked = first
    for _ in range(9):
        # `asked_ms` is the time of the clock; the bench's clock follows it.
        bench.now_ms = asked.asked_ms
        pause = 0
        step = int(load(LandingSettings).retry_seconds * 1000)
        while (again := next(iter(_due(bench, asked.asked_ms + pause)), None)) is None:
            pause += step
            assert pause <= LONGEST_PAUSE_MS
        assert again.batch_id == first.batch_id
        pauses.append(pause)
        asked = bench.register.ask(again)
    assert pauses[:4] == [15_000, 30_000, 60_000, 120_000]
    assert pauses[-1] == LONGEST_PAUSE_MS
    assert pauses == sorted(pauses)


def _due(bench: Bench, now_ms: int) -> list[MicroBatch]:
    batcher = MicroBatcher(bench.store, bench.ledger, bench.register, bench.options, bench.first_day)
    proposal = batcher.propose("live", LaneCursor(DAY, "~", swept_ms=2**62), now_ms)
    return [proposal.batch] if proposal.batch else []


def test_a_dead_run_does_not_hold_up_the_next_objects(bench: Bench) -> None:
    bench.land(event("a"))
    dead = bench.tick()
    assert dead is not None
    bench.take(dead)
    bench.now_ms = dead.asked_ms  # its pause has just begun
    bench.cursor = Cursor({"live": LaneCursor(_day_of(bench.now_ms))})
    fresh = bench.land(event("b", _day_of(bench.now_ms)))
    assert bench.run(bench.tick()) == [fresh]
    assert "1 micro-batches wait" in (bench.words if bench.tick() is None else "")
    bench.now_ms += LONGEST_PAUSE_MS
    again = bench.tick()
    assert again is not None
    assert (again.batch_id, again.attempts) == (dead.batch_id, 2)
    assert bench.run(again) == [event("a")]


def _day_of(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "not json",
        "[]",
        "7",
        '{"live": 5}',
        '{"live": {"day": 5}}',
        '{"live": {"day": "2026-03-04", "swept_ms": "x"}}',
        '{"other": {}}',
    ],
)
def test_a_lost_cursor_starts_anew_and_reads_nothing_twice(bench: Bench, text: str | None) -> None:
    keys = [bench.land(event(f"{n:03}")) for n in range(5)]
    assert bench.work() == [keys]
    bench.cursor = Cursor.parse(text)
    assert bench.work() == []
    missed, new = bench.land(event("000-a")), bench.land(event("zzz"))
    assert bench.work() == [[new]]
    bench.now_ms += SWEEP_MS
    assert bench.work() == [[missed]]
    assert len(bench.read) == len(set(bench.read)) == 7


def test_a_cursor_that_was_not_stored_reads_nothing_twice(bench: Bench) -> None:
    bench.land(event("a"))
    before = bench.cursor
    batch = bench.tick()
    bench.run(batch)
    bench.cursor = before  # the cursor was never stored
    assert bench.work() == []
    bench.cursor = Cursor({"live": LaneCursor(DAY)})  # or an older one was
    assert bench.tick() is None, "what is behind the mark has been taken"


def test_what_a_run_over_the_day_has_read_is_not_asked_for_again(bench: Bench) -> None:
    bench.land(event("a"))
    whole = bench.ledger.take_day(DAY, bench.store.list("live", DAY))
    bench.ledger.record_lines(WHOLE_DAY, {one.object_id: 1 for one in whole})
    assert bench.work() == []
    late = bench.land(event("b"))
    assert bench.work() == [[late]]


@pytest.mark.parametrize("lane", ["live", "history"])
def test_a_late_object_of_a_day_that_is_run_as_a_whole_holds_up_no_other_day(bench: Bench, lane: Lane) -> None:
    folder = "events" if lane == "live" else "history"
    bench.land(f"{folder}/{DAY}/12/1.jsonl")
    assert bench.work(lane)
    bench.now_ms = at(NEXT_DAY)
    bench.register.open_day(DAY, 1, "history" if lane == "live" else "live")
    late = bench.land(f"{folder}/{DAY}/13/2.jsonl")
    new = bench.land(f"{folder}/{NEXT_DAY}/11/1.jsonl")
    assert bench.work(lane) == [[new]]
    bench.register.finish(f"{WHOLE_DAY}-{DAY}")
    bench.now_ms += SWEEP_MS
    assert bench.work(lane) == [[late]]


def test_history_is_found_on_every_day_and_only_in_its_lane(tmp_path: Path) -> None:
    bench = Bench(tmp_path, batch_max_objects=2)
    keys = [bench.land(f"history/2026-01-{n:02}/part-{part}.jsonl") for n in (3, 9, 20) for part in "abc"]
    bench.land(event("live"))
    assert bench.work("history") == [keys[:2], keys[2:3], keys[3:5], keys[5:6], keys[6:8], keys[8:]]
    assert bench.work("live") == [[event("live")]]
    more = [bench.land("history/2026-01-03/part-0.jsonl"), bench.land("history/2026-01-15/part-0.jsonl")]
    bench.now_ms += SWEEP_MS
    found = bench.work("history")
    assert sorted(key for run in found for key in run) == more


def test_days_without_a_partition_are_left_alone_and_reported(bench: Bench) -> None:
    bench.first_day = date(2026, 3, 1)
    for day in ("2025-12-31", "2026-02-30", "2026-02-28", "2026-03-09"):
        bench.land(event("a", day))
        bench.land(f"history/{day}/a.jsonl")
    inside = bench.land(event("a", "2026-03-02"))
    assert bench.work() == [[inside]]
    assert bench.work("history") == []
    assert out_of_range(bench.store.days("live"), bench.first_day, bench.now_ms) == [
        "2 days, 2025-12-31 to 2026-02-28, lie before HISTORY_START, their objects wait",
        "2026-03-09 lies in the future, its objects wait",
    ]


def test_a_lane_that_is_left_to_others_gives_only_what_has_begun(bench: Bench) -> None:
    bench.land("history/2026-01-03/a.jsonl")
    begun = bench.tick("history")
    assert begun is not None
    bench.register.open_day("2026-01-05", 1, "history")
    more = bench.land("history/2026-01-04/a.jsonl")
    bench.now_ms = int(time.time() * 1000) + 4 * LONGEST_PAUSE_MS
    left = MicroBatcher(
        bench.store,
        bench.ledger,
        bench.register,
        bench.options,
        bench.first_day,
        {"history": "it waits for a backfill"},
    )
    mark = bench.cursor.lane("history")
    asked: list[MicroBatch] = []
    for _ in range(6):
        bench.now_ms += 10 * SWEEP_MS
        batch = left.propose("history", mark, bench.now_ms).batch
        if batch is not None:
            asked.append(batch)
            bench.register.finish(batch.batch_id) if batch.whole_day else bench.run(batch)
    assert [(one.day, one.whole_day) for one in asked] == [("2026-01-03", False), ("2026-01-05", True)]
    assert left.propose("history", mark, bench.now_ms).words == "it waits for a backfill"
    bench.work("history")
    bench.now_ms += 10 * SWEEP_MS
    bench.work("history")
    assert bench.read[-1] == more


def test_waiting_counts_what_has_piled_up(bench: Bench) -> None:
    batcher = MicroBatcher(bench.store, bench.ledger, bench.register, bench.options, bench.first_day)
    assert batcher.waiting("live", LaneCursor()) == 0
    for name in "abcd":
        bench.land(event(name))
    assert batcher.waiting("live", LaneCursor(DAY, event("b"))) == 2
    assert batcher.waiting("live", LaneCursor(DAY), most=3) == 3


def aside(name: str, day: str = DAY, hour: int = 0) -> str:
    return f"aside/{day}/{hour:02}/{name}.unreadable"


def test_a_body_that_landed_aside_is_found_by_the_sweep_and_the_mark_stays(bench: Bench) -> None:
    lines = bench.land(event("m"))
    assert bench.work() == [[lines]]
    body = bench.land(aside("n", hour=1))
    assert bench.tick() is None, "the sweep has just been"
    bench.now_ms += SWEEP_MS
    assert bench.work() == [[body]]
    assert bench.cursor.lane("live").after_key == lines


def test_a_new_day_begins_with_what_lies_aside(bench: Bench) -> None:
    keys = [bench.land(aside("a")), bench.land(event("a"))]
    assert bench.work() == [keys]
    assert bench.cursor.lane("live").after_key == keys[-1]


@pytest.mark.parametrize("begun", [False, True])
def test_bodies_that_land_aside_all_the_time_never_hold_up_the_lines(bench: Bench, *, begun: bool) -> None:
    if begun:
        bench.land(event("m"))
        bench.work()
    landed = []
    for number in range(20):
        # There is always one that its writer may still be busy with.
        bench.now_ms += SWEEP_MS // 10
        landed.append(bench.land(aside(f"{number:02}"), age_ms=500))
        landed.append(bench.land(event(f"{number:02}")))
        bench.work()
        assert landed[-1] in bench.read or begun
    bench.now_ms += SWEEP_MS
    bench.work()
    assert sorted(bench.read) == sorted({*landed, *([event("m")] if begun else [])})


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["land", "land aside"]), st.integers(0, 2), st.integers(0, 40)),
        st.tuples(st.sampled_from(["work", "tick", "later", "lose cursor", "whole day"]), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_happens_every_object_is_read_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"), batch_max_objects=3, sweep_days=1)
    landed: set[str] = set()
    for step, day, number in steps:
        match step:
            case "land":
                landed.add(bench.land(event(f"{number:02}", f"2026-03-{2 + day:02}")))
            case "land aside":
                landed.add(bench.land(aside(f"{number:02}", f"2026-03-{2 + day:02}")))
            case "work":
                bench.work()
            case "tick":
                bench.tick()  # asked for, but its run never starts
            case "later":
                bench.now_ms += SWEEP_MS
            case "lose cursor":
                bench.cursor = Cursor()
            case _:
                whole = bench.ledger.take_day(DAY, bench.store.list("live", DAY))
                bench.ledger.record_lines(WHOLE_DAY, {one.object_id: 1 for one in whole})
                bench.register.finish_day(DAY)
    everything_known: set[str] = set()
    for _ in range(8):
        bench.now_ms += SWEEP_MS
        bench.work()
        everything_known = {key for day in ("02", "03", "04") for key in bench.ledger.read_sizes(f"2026-03-{day}")}
    assert everything_known == landed
    bench.state.engine.dispose()
