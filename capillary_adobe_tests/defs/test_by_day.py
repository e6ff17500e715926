"""Runs over several days: each day as in a run of its own, and a bad day holds up no other."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from capillary_adobe.defs.failed_days import FAILED_TAG, RETRY_TAG
from capillary_adobe.defs.finished_days import FINISHED_BY
from capillary_adobe.defs.road import ROAD
from capillary_adobe.defs.runs import FIRST_DAY_TAG, LAST_DAY_TAG, at_work_on
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.state import MicroBatches
from capillary_adobe.state.history_days import HistoryDays
from capillary_adobe.tables import ENRICHED_EVENTS, INGESTION_STATUS, RAW_EVENTS, XDM_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.defs.test_road import sale

DAYS = ["2026-11-10", "2026-11-11", "2026-11-12"]
MOVING = {"seconds", "rows_per_second", "day_files", "day_bytes", "preview", "dagster/uri"}


@pytest.fixture(autouse=True)
def _retries(installation: Installation) -> None:
    """Dagster retries as dagster.yaml has it."""
    retries = yaml.safe_load((Path(__file__).parents[2] / "dagster.yaml").read_text("utf-8"))["run_retries"]
    installation.instance = dg.DagsterInstance.ephemeral(settings={"run_retries": retries})


def land_history(installation: Installation, *days: str, lane: str = "history") -> None:
    """Two sales a day, imported."""
    for day in days:
        folder = f"history/{day}" if lane == "history" else f"events/{day}/10"
        installation.land(f"{folder}/{lane}.jsonl", *(sale_of(day, f"{lane}{number}") for number in (1, 2)))
    if lane == "history":
        HistoryDays(installation.state).imported((day, 2) for day in days)


def sale_of(day: str, name: str) -> dict[str, object]:
    """A sale on the morning of a day."""
    created_ms = int(datetime.fromisoformat(f"{day}T00:00:10+00:00").timestamp() * 1000)
    number = int(day.replace("-", "")) * 100 + sum(name.encode())
    return sale(number, eventId=f"{day}-{name}", createdAt=created_ms)


def materializations(installation: Installation, stage: str) -> dict[str, dict[str, Any]]:
    """The newest materialization of each day: its metadata."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(stage))
    found: dict[str, dict[str, Any]] = {}
    for record in installation.instance.fetch_materializations(wanted, limit=100).records:
        materialization = record.asset_materialization
        assert materialization is not None
        found.setdefault(record.partition_key or "", {k: v.value for k, v in materialization.metadata.items()})
    return found


def evaluations(installation: Installation, result: dg.ExecuteInProcessResult, day: str) -> dict[str, bool]:
    """What the UI holds of each check of a day, all of them by this run."""
    found: dict[str, bool] = {}
    graph = installation.definitions.resolve_asset_graph()
    for stage in ROAD:
        for spec in graph.get_check_keys_for_assets({dg.AssetKey(stage)}):
            records = installation.instance.event_log_storage.get_asset_check_execution_history(
                spec, limit=1, partition_filter=PartitionKeyFilter(key=day)
            )
            assert records, spec
            assert records[0].run_id == result.run_id, spec
            assert records[0].status is not AssetCheckExecutionRecordStatus.PLANNED, spec
            found[spec.to_user_string()] = records[0].status is AssetCheckExecutionRecordStatus.SUCCEEDED
    return found


def standings(installation: Installation) -> dict[str, str]:
    return {one.day: one.standing for one in HistoryDays(installation.state).all()}


def test_each_day_of_a_chunk_is_as_in_a_run_of_its_own(
    installation: Installation, emulator: RunningEmulator, tmp_path: Path
) -> None:
    for day in DAYS:
        write_day(installation.store, date.fromisoformat(day), 120)
    alone = Installation(tmp_path / "alone", installation.landing_root)
    single = {day: alone.run(day, raise_on_error=False) for day in DAYS}
    sent_alone = summary(emulator.base_url)["distinct"]
    chunk = installation.run_days(DAYS[0], DAYS[-1])
    assert chunk.success
    assert summary(emulator.base_url)["distinct"] == sent_alone
    for stage in ROAD:
        mine, other = materializations(installation, stage), materializations(alone, stage)
        assert sorted(mine) == sorted(other) == DAYS
        for day in DAYS:
            assert set(mine[day]) == set(other[day])
            if stage in ("raw_events", "enriched_events", "xdm_events"):
                differing = {name for name in mine[day] if mine[day][name] != other[day][name]} - MOVING
                assert differing == set(), (stage, day)
    for day in DAYS:
        assert evaluations(installation, chunk, day) == evaluations(alone, single[day], day)
        assert installation.balance(day).balanced
        assert installation.rows(XDM_EVENTS, day) == alone.rows(XDM_EVENTS, day)


def test_a_day_that_fails_holds_up_no_other_and_is_named(installation: Installation, emulator: RunningEmulator) -> None:
    land_history(installation, *DAYS)
    # Read once, and gone since: the whole day cannot be read again.
    installation.run(DAYS[1], until="raw_events")
    (installation.landing_root / "history" / DAYS[1] / "history.jsonl").unlink()
    result = installation.run_days(DAYS[0], DAYS[-1])
    assert not result.success
    words = failure_of(result)
    assert "1 of 3 days failed" in words
    assert f"{DAYS[1]}: raw_events:" in words
    assert DAYS[0] not in words
    assert len(events(emulator.base_url)) == 4
    assert standings(installation) == {DAYS[0]: "done", DAYS[1]: "failed", DAYS[2]: "done"}
    cause = HistoryDays(installation.state).all()[1].cause
    assert cause
    assert cause in words
    for stage in ROAD[1:]:
        assert sorted(materializations(installation, stage)) == [DAYS[0], DAYS[2]]
    for day in (DAYS[0], DAYS[2]):
        assert evaluations(installation, result, day)["ingestion_status:nothing_is_lost"]
    run = installation.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[RETRY_TAG] == "false"
    assert run.tags["dagster/will_retry"] == "false"
    assert DAYS[1] in run.tags[FAILED_TAG]


def test_days_that_fail_alike_end_a_stage(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    land_history(installation, *DAYS)
    monkeypatch.setenv("CAPILLARY_ORG_TIMEZONE", "Asia/Nowhere")
    result = installation.run_days(DAYS[0], DAYS[-1])
    assert not result.success
    assert set(standings(installation).values()) == {"failed"}
    causes = [one.cause or "" for one in HistoryDays(installation.state).all()]
    assert causes[0] == causes[1]
    assert "CAPILLARY_ORG_TIMEZONE" in causes[0]
    assert causes[2].startswith("Not tried")
    started = [event.step_key for event in result.all_events if event.event_type_value == "STEP_START"]
    assert started == ["raw_events"]


def test_checks_that_block_some_days_hold_up_no_other(installation: Installation) -> None:
    land_history(installation, *DAYS)
    for day in DAYS:
        installation.run(day, until="enriched_events")
    for day in DAYS[:2]:
        rows = installation.rows(ENRICHED_EVENTS, day)
        twice = [pa.RecordBatch.from_pylist([*rows, *rows], schema=ENRICHED_EVENTS.schema)]
        installation.lake.replace(ENRICHED_EVENTS, Slice(day), twice)
    result = installation.run_days(DAYS[0], DAYS[-1], begin=XDM_EVENTS.name)
    assert "stored_entities_conform failed, which blocks delivery" in failure_of(result)
    failed = {one.day for one in HistoryDays(installation.state).all() if one.standing == "failed"}
    assert failed == set(DAYS[:2])
    assert DAYS[2] in materializations(installation, XDM_EVENTS.name)


def test_an_outage_is_tried_again_and_repeats_no_finished_work(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_history(installation, *DAYS)
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0.1")
    with monkeypatch.context() as away:
        inlet = urlsplit(os.environ["ADOBE_INLET_URL"])
        away.setenv("ADOBE_INLET_URL", inlet._replace(netloc="127.0.0.1:9").geturl())
        first = installation.run_days(DAYS[0], DAYS[-1])
    assert not first.success
    run = installation.instance.get_run_by_id(first.run_id)
    assert run is not None
    assert run.tags[RETRY_TAG] == "true"
    assert run.tags["dagster/will_retry"] == "true"
    assert set(standings(installation).values()) == {"failed"}
    retry = {"dagster/retry_number": "1", "dagster/parent_run_id": first.run_id}
    again = installation.run_days(DAYS[0], DAYS[-1], tags=retry)
    assert again.success, failure_of(again)
    assert len(events(emulator.base_url)) == 6
    assert set(standings(installation).values()) == {"done"}
    for stage in ROAD:
        finished = {day for day, metadata in materializations(installation, stage).items() if FINISHED_BY in metadata}
        done_before = stage not in (INGESTION_STATUS.name, "quarantine")
        assert finished == (set(DAYS) if done_before else set()), stage
    for day in DAYS:
        assert all(evaluations(installation, again, day).values()), day


def test_a_retry_does_a_day_anew_that_was_touched_since(installation: Installation) -> None:
    land_history(installation, *DAYS)
    first = installation.run_days(DAYS[0], DAYS[-1])
    # A run of its own, and an import that adds to another day.
    installation.run(DAYS[0], until="customers")
    installation.land(f"history/{DAYS[2]}/more.jsonl", sale_of(DAYS[2], "more"))
    HistoryDays(installation.state).imported([(DAYS[2], 3)])
    retry = {"dagster/retry_number": "1", "dagster/parent_run_id": first.run_id}
    assert installation.run_days(DAYS[0], DAYS[-1], tags=retry).success
    for stage in ROAD:
        finished = {day for day, metadata in materializations(installation, stage).items() if FINISHED_BY in metadata}
        assert finished == {DAYS[1]}, stage
    assert len(installation.rows(RAW_EVENTS, DAYS[2])) == 3


def test_who_launches_days_by_hand_has_them_done_anew(installation: Installation) -> None:
    land_history(installation, *DAYS[:2])
    # One stage is enough: each asks alike what the former run has finished.
    first = installation.run_days(DAYS[0], DAYS[1], begin=RAW_EVENTS.name)
    parent = {"dagster/parent_run_id": first.run_id}
    again = installation.run_days(DAYS[0], DAYS[1], tags=parent, begin=RAW_EVENTS.name)
    assert again.success
    assert not any(FINISHED_BY in metadata for metadata in materializations(installation, RAW_EVENTS.name).values())
    # Dagster's own retry is told by its number, and has nothing to do.
    retry = {"dagster/parent_run_id": again.run_id, "dagster/retry_number": "1"}
    assert installation.run_days(DAYS[0], DAYS[1], tags=retry, begin=RAW_EVENTS.name).success
    assert all(FINISHED_BY in metadata for metadata in materializations(installation, RAW_EVENTS.name).values())


def test_a_resumed_run_leaves_out_what_failed_in_the_stages_before(
    installation: Installation, emulator: RunningEmulator
) -> None:
    land_history(installation, *DAYS)
    installation.run(DAYS[1], until="raw_events")
    (installation.landing_root / "history" / DAYS[1] / "history.jsonl").unlink()
    first = installation.run_days(DAYS[0], DAYS[-1])
    run = installation.instance.get_run_by_id(first.run_id)
    assert run is not None
    # Dagster hands these on to the run that goes on from the failed step.
    inherited = {FAILED_TAG: run.tags[FAILED_TAG], "dagster/is_resume_retry": "true"}
    chunk = {FIRST_DAY_TAG: DAYS[0], LAST_DAY_TAG: DAYS[-1]}
    resumed = installation.definitions.resolve_job_def("deliver_micro_batch").execute_in_process(
        instance=installation.instance,
        tags={**chunk, **inherited},
        asset_selection=[dg.AssetKey("ingestion_status"), dg.AssetKey("quarantine")],
        raise_on_error=False,
    )
    assert not resumed.success
    assert DAYS[1] in failure_of(resumed)
    assert sorted(materializations(installation, "ingestion_status")) == [DAYS[0], DAYS[2]]
    # A run that repeats nobody's later stages may have been handed them as well; it does what it is asked to do.
    asked = installation.definitions.resolve_job_def("deliver_micro_batch").execute_in_process(
        instance=installation.instance,
        tags={**chunk, FAILED_TAG: run.tags[FAILED_TAG]},
        asset_selection=[dg.AssetKey("quarantine")],
    )
    assert asked.success
    assert DAYS[1] in materializations(installation, "quarantine")


def test_a_chunk_takes_no_micro_batch_and_no_day_that_is_still_filling(installation: Installation) -> None:
    refused = installation.run_days(
        DAYS[0], DAYS[1], config={"raw_events": {"config": {"batch_id": "live-1", "up_to_key": "events/x"}}}
    )
    assert not refused.success
    assert "whole days" in failure_of(refused)
    today = datetime.now(UTC).date()
    yesterday = date.fromordinal(today.toordinal() - 1).isoformat()
    land_history(installation, yesterday, today.isoformat())
    result = installation.run_days(yesterday, today.isoformat())
    assert "Materialize it by itself" in failure_of(result)
    assert standings(installation) == {yesterday: "done", today.isoformat(): "failed"}


def test_a_day_of_history_is_not_taken_up_against_the_will_of_who_stopped_it(installation: Installation) -> None:
    land_history(installation, *DAYS)
    land_history(installation, DAYS[1], lane="live")
    installation.run(DAYS[0], until="raw_events")
    chunk = {FIRST_DAY_TAG: DAYS[1], LAST_DAY_TAG: DAYS[2]}
    installation.definitions.resolve_job_def("deliver_micro_batch").execute_in_process(
        instance=installation.instance, tags=chunk, asset_selection=[dg.AssetKey("raw_events")]
    )
    register = MicroBatches(installation.state)
    # Only the day that holds live events, too, and not in their lane: it is no business of the other days' live events.
    assert register.open_days() == {DAYS[1]}
    assert [one.day for one in register.unfinished("history")] == [DAYS[1]]
    assert register.unfinished("live") == []
    assert installation.run_days(DAYS[1], DAYS[2]).success
    assert register.open_days() == set()


def test_a_chunk_counts_as_at_work_on_each_of_its_days(installation: Installation) -> None:
    chunk = {FIRST_DAY_TAG: DAYS[0], LAST_DAY_TAG: DAYS[1]}
    run = dg.DagsterRun(job_name="any", run_id="a-run", status=dg.DagsterRunStatus.STARTED, tags=chunk)
    installation.instance.add_run(run)
    found = {day: [one.run_id for one in at_work_on(installation.instance, day)] for day in DAYS}
    assert found == {DAYS[0]: ["a-run"], DAYS[1]: ["a-run"], DAYS[2]: []}
