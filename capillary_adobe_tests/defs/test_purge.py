"""Old runs are purged on both storages of Dagster, and what the UI shows as newest stays."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunStorageSqlMetadata
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.tags import BACKFILL_ID_TAG, PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG, WILL_RETRY_TAG

from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.purge_job import PURGE_JOB, PURGE_OP
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.run_purging import AT_WORK, NEWEST, PARENT, TO_BE_RETRIED, RunPurging
from capillary_adobe_tests.services import postgres_database

DAYS = dg.DailyPartitionsDefinition("2026-10-01")
FIRST, SECOND, THIRD = "2026-10-01", "2026-10-02", "2026-10-03"
OUTSIDE = dg.AssetKey("outside")
CHECK = dg.AssetCheckKey(dg.AssetKey("thing"), "is_fine")


class ThingConfig(dg.Config):
    broken: bool = False
    passed: bool = True


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec(CHECK.name, asset="thing")])
def thing(context: dg.AssetExecutionContext, config: ThingConfig) -> dg.MaterializeResult:
    print("something that is captured")  # noqa: T201
    if config.broken:
        raise dg.Failure("broken")
    return dg.MaterializeResult(
        metadata={"rows": 1}, tags={"kind": "test"}, check_results=[dg.AssetCheckResult(passed=config.passed)]
    )


@dg.op
def little() -> None:
    """Do nothing."""


@dg.job
def small() -> None:
    little()


class Place:
    """An instance, the home that names it, and runs in it."""

    def __init__(self, home: Path, storage: dict[str, Any] | None) -> None:
        self.home = home
        (home / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, **(storage or {})}))
        self.instance = dg.DagsterInstance.from_config(str(home))
        self.state_url = f"sqlite:///{home / 'state.db'}"
        self.resources = {"state": StateResource(url=self.state_url)}

    def make(self, day: str, tags: dict[str, str] | None = None, **config: bool) -> str:
        job = dg.Definitions([thing]).resolve_implicit_global_asset_job_def()
        found = job.execute_in_process(
            instance=self.instance,
            partition_key=day,
            run_config=dg.RunConfig(ops={"thing": ThingConfig(**config)}),
            tags=tags,
            raise_on_error=False,
        )
        return found.run_id

    def do(self, tags: dict[str, str] | None = None) -> str:
        return small.execute_in_process(instance=self.instance, tags=tags).run_id

    def observe(self, day: str) -> None:
        """What a sensor reports, under no run."""
        self.instance.report_runless_asset_event(
            dg.AssetObservation(OUTSIDE, partition=day, metadata={"objects": 1}, tags={"kind": "test"})
        )

    def age(self, days: float) -> None:
        """Put back the moment at which every run ended and every event of no run was reported."""
        runs, events = self.instance.run_storage, self.instance.event_log_storage
        assert isinstance(runs, SqlRunStorage)
        assert isinstance(events, SqlEventLogStorage)
        then = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        with runs.connect() as connection:
            connection.execute(sa.update(RunsTable).values(update_timestamp=then))
        of_no_run = sa.update(SqlEventLogStorageTable).where(SqlEventLogStorageTable.c.run_id == "")
        for place in (events.index_connection, lambda: events.run_connection("")):
            with place() as connection:
                connection.execute(of_no_run.values(timestamp=then))

    def of_no_run(self) -> tuple[int, int]:
        """Events of no run: in the index, and in the file that SQLite has for them."""
        events = self.instance.event_log_storage
        assert isinstance(events, SqlEventLogStorage)
        counted = sa.select(sa.func.count()).where(SqlEventLogStorageTable.c.run_id == "")
        with events.index_connection() as connection:
            index = connection.execute(counted).scalar_one()
        with events.run_connection("") as connection:
            return index, connection.execute(counted).scalar_one()

    def purge(self, **config: bool) -> dict[str, Any]:
        done = (
            build_defs(resources=self.resources)
            .resolve_job_def(PURGE_JOB)
            .execute_in_process(
                instance=self.instance, run_config={"ops": {PURGE_OP: {"config": config}}} if config else None
            )
        )
        [event] = [one for one in done.all_events if one.event_type_value == "STEP_OUTPUT"]
        return {name: value.value for name, value in event.step_output_data.metadata.items()}

    def runs(self) -> set[str]:
        """All but those that purged."""
        return {run.run_id for run in self.instance.get_runs() if run.job_name != PURGE_JOB}

    def strays(self) -> set[str]:
        """Runs of which anything is left in a table or a folder and that are no more."""
        events, runs = self.instance.event_log_storage, self.instance.run_storage
        assert isinstance(events, SqlEventLogStorage)
        assert isinstance(runs, SqlRunStorage)
        with events.index_connection() as connection:
            found = of_runs(connection, SqlEventLogStorageMetadata)
            orphans = connection.execute(
                sa.text("select count(*) from asset_event_tags where event_id not in (select id from event_logs)")
            ).scalar_one()
        with runs.connect() as connection:
            found |= of_runs(connection, RunStorageSqlMetadata)
        assert orphans == 0
        found |= {path.name.split(".")[0] for path in (self.home / "history" / "runs").glob("*.db*")}
        found |= {path.name for path in (self.home / "storage").glob("*-*")}
        return found - {run.run_id for run in self.instance.get_runs()} - {"", "index"}


def of_runs(connection: Any, metadata: sa.MetaData) -> set[str]:
    tables = [table for table in metadata.sorted_tables if "run_id" in table.c]
    assert tables
    return {one for table in tables for one in connection.execute(sa.select(table.c.run_id)).scalars() if one}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        storage = None
        if request.param == "postgres":
            url = stack.enter_context(postgres_database())
            address = url.replace("postgresql://", "postgresql+psycopg2://")
            storage = {"storage": {"postgres": {"postgres_url": address}}}
        found = Place(tmp_path, storage)
        stack.callback(found.instance.dispose)
        yield found


def test_old_runs_go_whole_and_what_is_shown_as_newest_stays(place: Place) -> None:
    replaced = [place.make(FIRST, passed=False), place.make(FIRST), place.do(), place.do()]
    newest = [place.make(FIRST), place.make(SECOND), place.make(SECOND, broken=True), place.make(THIRD, broken=True)]
    parent = place.do()
    child = place.do({PARENT_RUN_ID_TAG: parent, ROOT_RUN_ID_TAG: parent})
    grandchild = place.do({PARENT_RUN_ID_TAG: child, ROOT_RUN_ID_TAG: parent})
    retried = place.do({WILL_RETRY_TAG: "true"})
    backfilled = place.do({BACKFILL_ID_TAG: "at-work"})
    finished = place.do({BACKFILL_ID_TAG: "over"})
    for name, status in (("at-work", BulkActionStatus.REQUESTED), ("over", BulkActionStatus.COMPLETED_SUCCESS)):
        place.instance.add_backfill(
            PartitionBackfill(name, status, from_failure=False, tags={}, backfill_timestamp=time.time())
        )
    place.age(31)
    started = place.instance.create_run_for_job(small).run_id
    place.age(31)
    young = place.do({PARENT_RUN_ID_TAG: grandchild, ROOT_RUN_ID_TAG: parent})
    before = shown(place)

    counted = place.purge(dry_run=True)
    assert counted["removed_runs"] == 0
    assert "5 runs older than 30 days would be removed" in counted["told"]
    assert place.runs() > set(replaced)
    told = place.purge()

    staying = {*newest, parent, child, grandchild, retried, backfilled, started, young}
    assert place.runs() == staying
    assert told["removed_runs"] == len({*replaced, finished}) == 5
    # A run of one step takes 100 KB with SQLite, which has a file for each.
    assert told["removed_bytes"] > 5 * 4000
    assert (told["kept_runs"], told["left_for_the_next_run"]) == (9, 0)
    for reason, runs in ((NEWEST, 4), (PARENT, 3), (TO_BE_RETRIED, 1), (AT_WORK, 1)):
        assert f"| `{reason}` | {runs} |" in told["kept_because"]
    assert shown(place) == before
    assert place.strays() == set()
    assert place.purge()["removed_runs"] == 0
    # When nothing that stays comes from them, parents go too.
    place.age(31)
    place.make(SECOND)
    place.make(THIRD)
    place.age(31)
    place.purge()
    assert not place.runs() & {parent, child, grandchild, young, *newest[2:]}
    assert place.strays() == set()


def shown(place: Place) -> Any:
    """What the UI shows of the asset: partitions, the newest materialization of each and result of its check."""
    instance, key = place.instance, dg.AssetKey("thing")
    newest = {}
    for day in (FIRST, SECOND, THIRD):
        records = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[day]), limit=1).records
        newest[day] = [(one.run_id, one.timestamp, instance.get_run_by_id(one.run_id) is not None) for one in records]
        assert all(known for *_, known in newest[day])
    evaluation = instance.get_latest_asset_check_evaluation_record(CHECK)
    assert evaluation is not None
    judged = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
    latest = instance.get_latest_materialization_event(key)
    assert latest is not None
    failed = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    return (
        instance.get_materialized_partitions(key),
        newest,
        (evaluation.run_id, evaluation.status),
        max(one.id for one in judged),
        latest.run_id,
        {day: run_id for day, (run_id, _) in failed.items()},
    )


def test_what_sensors_have_reported_goes_too_but_for_the_newest_of_each_partition(place: Place) -> None:
    for day in (FIRST, FIRST, SECOND):
        place.observe(day)
    made = place.make(FIRST)
    place.age(31)
    for _ in range(2):
        place.observe(FIRST)
    assert place.of_no_run()[0] == 5
    counted = place.purge(dry_run=True)
    assert "and 2 events of no run; 1 runs as old stay" in counted["told"]
    assert (counted["removed_events_of_no_run"], place.of_no_run()[0]) == (0, 5)

    assert place.purge()["removed_events_of_no_run"] == 2
    # What is young stays, and so does what is shown of the other partition.
    found = place.instance.fetch_observations(dg.AssetRecordsFilter(OUTSIDE), limit=10).records
    assert [one.partition_key for one in found] == [FIRST, FIRST, SECOND]
    assert place.of_no_run()[1] <= 3
    assert place.strays() == set()
    assert place.runs() == {made}
    assert place.purge()["removed_events_of_no_run"] == 0


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_budget_ends_a_purge_and_the_next_one_goes_on(place: Place) -> None:
    runs = {place.do() for _ in range(3)}
    place.age(31)
    spent = iter([0.0, 0.0, 2.0])
    ticks: Callable[[], float] = lambda: next(spent)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("capillary_adobe.defs.run_purging._AT_ONCE", 2)
        done = RunPurging(place.instance, ticks).purge(datetime.now(UTC), seconds=1)
    assert (done.runs, done.left) == (2, 1)
    assert len(place.runs() & runs) == 1
    assert place.purge()["removed_runs"] == 1
    assert place.runs() == set()


def test_a_purge_that_is_killed_in_the_middle_is_taken_up_by_the_next(place: Place) -> None:
    runs = {place.do() for _ in range(4)}
    place.age(31)
    # As the database file of the second is removed.
    command = [sys.executable, "-c", _KILLED, str(place.home), place.state_url, "_shards:6"]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    assert place.runs() == runs
    assert place.purge()["removed_runs"] == 4
    assert place.runs() == set()
    assert place.strays() == set()


# Purges, and kills itself as a method is called for the nth time.
_KILLED = """
import os, signal, sys

import dagster as dg

from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.run_purging import RunPurging

home, state, call = sys.argv[1:]
name, times = call.split(":")
inner, left = getattr(RunPurging, name), [int(times)]

def dying(*arguments):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*arguments)

setattr(RunPurging, name, dying)
job = build_defs(resources={"state": StateResource(url=state)}).resolve_job_def("purge_runs")
with dg.DagsterInstance.from_config(home) as instance:
    job.execute_in_process(instance=instance)
"""


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_wrong_setting_is_told_plainly(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_RUN_DAYS", "soon")
    with pytest.raises(dg.Failure, match="RETENTION_RUN_DAYS is malformed"):
        place.purge()


def test_the_schedule_is_on_and_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = build_defs().resolve_schedule_def(PURGE_JOB)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 3 * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    monkeypatch.setenv("SCHEDULE_PURGE_RUNS", "15 1 * * 6")
    monkeypatch.setenv("SCHEDULE_TIMEZONE", "Asia/Kolkata")
    moved = build_defs().resolve_schedule_def(PURGE_JOB)
    assert (moved.cron_schedule, moved.execution_timezone) == ("15 1 * * 6", "Asia/Kolkata")
