"""Small files of past days are joined and dead ones removed, in a folder and on S3, and never beside a writer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.compact_job import COMPACT_JOB
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.lake import Slice
from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.lake_upkeep import KeptUp, Upkeep
from capillary_adobe.state import State
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.s3_faults import FaultyS3, faulty_s3
from capillary_adobe_tests.test_lake_rewriting import DAY, NEXT_DAY, raw, stored, write

TODAY = "2026-11-21"
NAME = RAW_EVENTS.name


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyS3]:
    with faulty_s3() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RewritableLake:
    if request.param == "folder":
        return RewritableLake(str(tmp_path / "lake"))
    running: FaultyS3 = request.getfixturevalue("running")
    running.server.use(monkeypatch)
    running.heal()
    return RewritableLake(f"s3://{running.server.bucket()}/some/lake")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def kept_up(lake: RewritableLake, state: State, days: float, seconds: float = 60) -> KeptUp:
    return Upkeep(lake, state).run(TODAY, days, seconds, lambda _: None)


def files(lake: RewritableLake, day: str) -> set[str]:
    return set(lake._place.written(NAME, day))  # pyright: ignore[reportPrivateUsage]


def version(lake: RewritableLake) -> int:
    delta = lake._look(RAW_EVENTS)  # pyright: ignore[reportPrivateUsage]
    assert delta is not None
    return delta.version()


def test_past_days_are_joined_and_what_was_replaced_stays_for_its_time(lake: RewritableLake, state: State) -> None:
    for day in (DAY, NEXT_DAY, TODAY):
        for batch in ("one", "two", "three"):
            write(lake, [f"{batch}-{day}"], day, batch)
    rows = {day: stored(lake, day) for day in (DAY, NEXT_DAY, TODAY)}

    done = kept_up(lake, state, days=1)
    assert (done.joined[NAME], done.days, done.removed.total(), done.left) == (4, {DAY, NEXT_DAY}, 0, 0)
    assert [len(files(lake, day)) for day in (DAY, NEXT_DAY, TODAY)] == [4, 4, 3]
    assert {day: stored(lake, day) for day in rows} == rows

    done = kept_up(lake, state, days=0)
    assert (done.joined.total(), done.removed[NAME]) == (0, 6)
    assert [len(files(lake, day)) for day in (DAY, NEXT_DAY, TODAY)] == [1, 1, 3]
    assert {day: stored(RewritableLake(lake.url), day) for day in rows} == rows

    before = version(lake)
    done = kept_up(lake, state, days=0)
    assert (done.joined.total(), done.removed.total()) == (0, 0)
    assert version(lake) == before


def test_a_day_that_a_run_writes_is_waited_for(tmp_path: Path, state: State) -> None:
    lake = RewritableLake(str(tmp_path / "lake"))
    for batch in ("one", "two"):
        write(lake, [batch], DAY, batch)
        write(lake, [batch], NEXT_DAY, batch)
    done: list[KeptUp] = []

    def keep_up() -> None:
        done.append(kept_up(RewritableLake(lake.url), State(str(state.engine.url)), days=0))

    at_work = threading.Thread(target=keep_up)
    with state.day_lock(NEXT_DAY):
        at_work.start()
        deadline = time.monotonic() + 30
        while lake.files(RAW_EVENTS, Slice(DAY))[0] > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        # Through with the day before, and stopped here.
        assert len(files(lake, NEXT_DAY)) == 2
        assert at_work.is_alive()
        write(lake, ["three"], NEXT_DAY, "three")
    at_work.join(60)
    assert [one.removed[NAME] for one in done] == [5]
    assert set(stored(lake, NEXT_DAY)) == {"one", "two", "three"}


def test_a_dead_runs_file_goes_when_it_is_old_and_time_bounds_a_run(tmp_path: Path, state: State) -> None:
    lake = RewritableLake(str(tmp_path / "lake"))
    for batch in ("one", "two"):
        write(lake, [batch], DAY, batch)
    left = Path(lake.uri(RAW_EVENTS)) / f"day={DAY}" / "part-of-a-dead-run.parquet"
    pq.write_table(raw(["a"]), left)
    assert kept_up(lake, state, days=1, seconds=-1).left == 1
    assert kept_up(lake, state, days=1).removed.total() == 0
    long_ago = time.time() - 25 * 3600
    os.utime(left, (long_ago, long_ago))
    done = kept_up(lake, state, days=1)
    assert (done.removed[NAME], left.exists()) == (1, False)
    assert stored(lake) == stored(RewritableLake(lake.url)) != {}


def test_the_job_tells_what_it_did_and_its_schedule_is_on(tmp_path: Path, state: State) -> None:
    lake = RewritableLake(str(tmp_path / "lake"))
    for batch in ("one", "two", "three"):
        write(lake, [batch], DAY, batch)
    resources = {"lake": LakeResource(url=lake.url), "state": StateResource(url=str(state.engine.url))}
    definitions = build_defs(resources=resources)
    told = []
    for _ in range(2):
        done = definitions.resolve_job_def(COMPACT_JOB).execute_in_process(instance=dg.DagsterInstance.ephemeral())
        [event] = [one for one in done.all_events if one.event_type_value == "STEP_OUTPUT"]
        told.append(event.step_output_data.metadata["told"].value)
    assert told[0] == "2 small files of 1 days joined, 0 old files removed"
    assert told[1] == "0 small files of 0 days joined, 0 old files removed"
    schedule = definitions.resolve_schedule_def(COMPACT_JOB)
    assert (schedule.cron_schedule, schedule.default_status) == ("0 3 * * *", dg.DefaultScheduleStatus.RUNNING)
