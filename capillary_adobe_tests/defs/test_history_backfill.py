"""The button that backfills history, and a backfill through the UI's own door whose daemon is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from capillary_adobe.defs import history_backfill
from capillary_adobe.defs.history_backfill import BACKFILL_JOB, BACKFILL_OP
from capillary_adobe.defs.road import ROAD
from capillary_adobe.defs.runs import FIRST_DAY_TAG, LAST_DAY_TAG
from capillary_adobe.demo.ui import DagsterUi
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import MicroBatches, Receipts
from capillary_adobe.state.history_days import HistoryDays
from capillary_adobe_tests.defs.dagster_programs import Programs
from capillary_adobe_tests.defs.installation import Installation, failure_of, summary
from capillary_adobe_tests.defs.test_by_day import land_history, standings

DAYS = [f"2026-10-{day:02}" for day in range(1, 7)]
REPOSITORY_NAME = "__repository__"


def press(installation: Installation, **config: str) -> tuple[dg.ExecuteInProcessResult, str]:
    """Launch the job; the run and what it told."""
    result = installation.definitions.resolve_job_def(BACKFILL_JOB).execute_in_process(
        instance=installation.instance,
        run_config={
            "ops": {BACKFILL_OP: {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )
    for event in result.all_events:
        if event.event_type_value == "STEP_OUTPUT":
            return result, str(event.step_output_data.metadata["told"].value)
    return result, failure_of(result)


def launched(installation: Installation) -> list[tuple[str, list[str]]]:
    """Title and days of every backfill, the oldest first."""
    found: list[tuple[str, list[str]]] = []
    graph = installation.definitions.resolve_asset_graph()
    for one in sorted(installation.instance.get_backfills(), key=lambda one: one.backfill_timestamp):
        subset = one.get_asset_backfill_data(graph).target_subset
        days = {stage: sorted(subset.get_partitions_subset(dg.AssetKey(stage)).get_partition_keys()) for stage in ROAD}
        assert all(each == days["raw_events"] for each in days.values())
        found.append((one.title or "", days["raw_events"]))
    return found


def end_backfills(installation: Installation) -> None:
    for one in installation.instance.get_backfills():
        installation.instance.update_backfill(one.with_status(BulkActionStatus.CANCELED))


def test_the_button_launches_what_is_not_through_and_failed_days_apart(installation: Installation) -> None:
    _, told = press(installation)
    assert told.startswith("Nothing is launched: every day")
    land_history(installation, *DAYS[:4])
    register = HistoryDays(installation.state)
    register.begin(DAYS[0], "a-run")
    register.finish(DAYS[0])
    register.begin(DAYS[1], "a-run")
    register.fail(DAYS[1], "the reason")
    register.begin(DAYS[2], "a-run-that-died")
    # Put there by hand, and read by nobody.
    installation.land(f"history/{DAYS[4]}/own.jsonl", {"eventName": "x"})
    result, told = press(installation)
    assert result.success
    assert [days for _, days in launched(installation)] == [[DAYS[2], DAYS[3], DAYS[4]], [DAYS[1]]]
    assert "Launched 3 days" in told
    assert standings(installation)[DAYS[2]] == "waiting"
    tags = installation.instance.get_backfills()[0].tags
    assert tags["dagster/max_retries"] == "2"
    # While one is at work, pressing again does nothing.
    _, told = press(installation)
    assert told.startswith("Nothing is launched: the backfill")
    assert len(launched(installation)) == 2
    end_backfills(installation)
    _, told = press(installation, first_day=DAYS[3])
    assert launched(installation)[-1][1] == [DAYS[3], DAYS[4]]


def waited_for(lock: Path) -> bool:
    """Whether somebody waits for the lock of a file."""
    lines = Path("/proc/locks").read_text("ascii").splitlines()
    return any("->" in line and f":{lock.stat().st_ino} " in line for line in lines)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who waits for a lock")
def test_two_who_press_at_once_launch_one_backfill(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    land_history(installation, *DAYS[:2])
    told: list[str] = []
    lock = installation.root / "state.db.locks" / BACKFILL_JOB
    second = threading.Thread(target=lambda: told.append(press(installation)[1]))
    look = history_backfill.days_left

    def pressed_again_meanwhile(*given: Any) -> history_backfill.Left:
        if not second.ident:
            second.start()
            while second.is_alive() and not waited_for(lock):
                time.sleep(0.01)  # a pause between two looks at the condition
        return look(*given)

    monkeypatch.setattr(history_backfill, "days_left", pressed_again_meanwhile)
    with dg.instance_for_test() as installation.instance:
        told.append(press(installation)[1])
        second.join(timeout=60)
        assert [days for _, days in launched(installation)] == [DAYS[:2]]
    first, other = sorted(told)
    assert first.startswith("Launched 2 days")
    assert other.startswith("Nothing is launched: the backfill")


def test_days_that_no_backfill_may_take_are_told(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime.now(UTC).date().isoformat()
    monkeypatch.setenv("HISTORY_START", DAYS[1])
    land_history(installation, DAYS[0], DAYS[1], today)
    _, told = press(installation)
    assert launched(installation)[0][1] == [DAYS[1]]
    assert f"{DAYS[0]} lies before HISTORY_START" in told
    monkeypatch.setenv("HISTORY_START", DAYS[5])
    end_backfills(installation)
    assert (
        f"{DAYS[0]}, and each of the 1 days that follow it to {DAYS[1]}, lies before HISTORY_START"
        in press(installation)[1]
    )
    assert f"{today} is still filling" in told
    result, told = press(installation, last_day="31.01.2025")
    assert not result.success
    assert told.startswith("last_day in the run's config is no day")


def test_a_bound_counts_as_the_day_that_it_is_however_it_is_written(installation: Installation) -> None:
    land_history(installation, *DAYS)
    _, told = press(installation, first_day="20261002", last_day="2026-W40-6")
    assert [days for _, days in launched(installation)] == [[DAYS[1], DAYS[2]]], told


def _priorities(programs: Programs) -> set[int]:
    """How far the installation's processes give way."""
    found = set[int]()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"DAGSTER_HOME={programs.home}\0".encode() in (process / "environ").read_bytes():
                found.add(os.getpriority(os.PRIO_PROCESS, int(process.name)))
    return found


@pytest.fixture
def programs(installation: Installation) -> Iterator[Programs]:
    """Code server, webserver and daemon, started as the README has it."""
    with Programs.on(installation, HISTORY_DAYS_PER_RUN="3").at_work() as found:
        yield found


LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
PRESS = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename } }"""
CANCEL = """mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"""
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"


def test_a_backfill_that_is_cancelled_resumed_and_loses_its_daemon_delivers_everything_once(
    installation: Installation, emulator: RunningEmulator, programs: Programs
) -> None:
    land_history(installation, *DAYS)
    selection = [{"path": [stage]} for stage in ROAD]
    # Else the days may be through before the daemon looks at what is to be cancelled.
    emulator.faults.add(kind="delay", path="/collection/", seconds=2, times=None)
    answer = programs.ask(LAUNCH, params={"assetSelection": selection, "partitionNames": DAYS})
    first = answer["launchPartitionBackfill"]["backfillId"]
    programs.wait("a day at work", lambda: "running" in standings(installation).values())
    programs.wait("its run giving way to live events", lambda: 10 in _priorities(programs))
    programs.ask(CANCEL, id=first)
    ui = DagsterUi(programs.url)
    programs.wait("its runs being ended", lambda: any(run.status.startswith("CANCEL") for run in ui.runs()))
    emulator.faults.clear()
    programs.wait("the end of the cancelled backfill", lambda: _backfills(programs)[first] == "CANCELED")
    # A run that was cancelled between two stages leaves its days to the next look at what is at work.
    programs.wait("no day at work", lambda: set(standings(installation).values()) <= {"waiting", "done"})
    assert standings(installation)[DAYS[5]] == "waiting"
    # Nobody takes up what was cancelled; the button does.
    assert MicroBatches(installation.state).open_days() == set()
    button = {
        "jobName": "history_backfill",
        "repositoryLocationName": "capillary_adobe",
        "repositoryName": REPOSITORY_NAME,
    }
    programs.ask(PRESS, params={"selector": button, "mode": "default", "runConfigData": {}})
    programs.wait("a day at work again", lambda: "running" in standings(installation).values())
    killed = programs.running.pop("daemon")
    killed.signal(signal.SIGKILL)
    programs.wait("the daemon's end", lambda: not killed.alive())
    programs.start_daemon()
    programs.wait("every day through", lambda: set(standings(installation).values()) == {"done"})
    programs.wait("the backfill's end", lambda: "REQUESTED" not in _backfills(programs).values())
    (second,) = set(_backfills(programs)) - {first}
    assert _backfills(programs)[second] == "COMPLETED_SUCCESS"
    runs = DagsterUi(programs.url).runs(tags=[{"key": "dagster/backfill", "value": second}])
    spans = sorted((run.tags[FIRST_DAY_TAG], run.tags[LAST_DAY_TAG]) for run in runs)
    # A run a chunk, over all stages.
    assert spans[-1] == (DAYS[3], DAYS[5])
    assert len(spans) <= 2
    seen = summary(emulator.base_url)
    assert (seen["distinct"], seen["duplicates"]) == (2 * len(DAYS), 0)
    for day in DAYS:
        balance = installation.balance(day)
        assert balance.balanced
        assert balance.delivery["accepted"] == 2
        assert Receipts(installation.state).of_day(day).accepted_twice() == 0


def _backfills(programs: Programs) -> dict[str, str]:
    found = programs.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
    return {one["id"]: one["status"] for one in found}
