"""A day is closed in the morning: late objects read, open entities sent, and one line that says how it stands."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
import requests

from capillary_adobe.defs.assets.closed_days import CHECK, NAME, was_closed
from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.close_schedule import CLOSE_JOB
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.runs import FIRST_DAY_TAG, LAST_DAY_TAG
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.life_cycle import LifeCycle
from capillary_adobe.settings import MappingSettings
from capillary_adobe_tests.defs.installation import Installation, events
from capillary_adobe_tests.defs.test_road import sale

DAY_BEFORE, DAY, NEXT_DAY = "2026-11-18", "2026-11-19", "2026-11-20"
FROM_DELIVERY_ON = ["ingestion_status", "quarantine", NAME]


@pytest.fixture
def place(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation with an instance that a schedule can be given."""
    monkeypatch.setenv("CAPILLARY_ORG_TIMEZONE", "UTC")
    with dg.instance_for_test() as installation.instance:
        yield installation


class Morning:
    """The schedule's tick at a moment, and the runs that it asks for."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def asked(self, now: str) -> dict[str, list[str]]:
        """Stages by day, or none."""
        definitions = self._installation.definitions
        with dg.build_schedule_context(
            instance=self._installation.instance,
            scheduled_execution_time=datetime.fromisoformat(now).replace(tzinfo=UTC),
            resources=self._installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            found = definitions.resolve_schedule_def(CLOSE_JOB).evaluate_tick(context)
        return {
            one.partition_key or "": [key.to_user_string() for key in one.asset_selection or ()]
            for one in found.run_requests or ()
        }

    def close(self, day: str, stages: Sequence[str] | None = None) -> dg.ExecuteInProcessResult:
        return self._installation.definitions.resolve_job_def(CLOSE_JOB).execute_in_process(
            instance=self._installation.instance,
            partition_key=day,
            asset_selection=[dg.AssetKey(one) for one in stages] if stages else None,
            raise_on_error=False,
        )


def told(result: dg.ExecuteInProcessResult) -> str:
    [made] = result.asset_materializations_for_node(NAME)
    return str(made.metadata["told"].value)


def check_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [one for one in result.get_asset_check_evaluations() if one.check_name == CHECK]
    return found


def test_a_day_with_something_late_is_read_as_a_whole_and_closed(
    place: Installation, emulator: RunningEmulator
) -> None:
    morning = Morning(place)
    first = place.land(f"events/{DAY}/10/1.jsonl", sale(1), sale(2), sale(2))
    place.run(DAY, batch=MicroBatchConfig(batch_id=f"live-{DAY}-1", after_key="", up_to_key=first))
    place.land(f"events/{DAY}/11/1.jsonl", sale(3))

    alone = morning.close(DAY, [NAME])
    assert told(alone) == (f"{DAY} is not closed: 1 objects are unread; the books differ by 1 (lines 1).")
    assert (check_of(alone).passed, check_of(alone).severity) == (False, dg.AssetCheckSeverity.ERROR)

    [(day, stages)] = morning.asked(f"{NEXT_DAY} 04:30").items()
    assert (day, stages[0], stages[-1]) == (DAY, "raw_events", NAME)
    closed = morning.close(day, stages)
    line = f"{DAY} is closed: 4 lines landed, 3 events accepted, 1 duplicates."
    assert told(closed) == line
    assert (check_of(closed).passed, check_of(closed).partition) == (True, DAY)
    checks = {one.check_name for one in closed.get_asset_check_evaluations()}
    assert {"nothing_is_lost", "nothing_is_sent_twice", "everything_is_delivered"} <= checks

    # Nothing is late any more: a second press of the whole job changes nothing and sends nothing.
    assert morning.asked(f"{NEXT_DAY} 04:30") == {DAY: FROM_DELIVERY_ON}
    assert told(morning.close(DAY)) == line
    assert len(events(emulator.base_url)) == 3
    # Nor is it looked at on the morning after.
    assert list(morning.asked("2026-11-21 04:30")) == [NEXT_DAY]
    assert told(morning.close(NEXT_DAY, FROM_DELIVERY_ON)) == f"{NEXT_DAY} is closed: nothing has landed."


def test_a_day_that_stays_open_is_tried_again_the_next_morning(
    place: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    morning = Morning(place)
    place.land(f"events/{DAY_BEFORE}/10/1.jsonl", sale(1))
    assert morning.close(DAY_BEFORE).success
    place.land(f"events/{DAY}/10/1.jsonl", sale(2))
    fault = {"kind": "status", "status": 503, "path": "/collection/", "times": None}
    requests.post(f"{emulator.base_url}/control/faults", json=fault, timeout=10).raise_for_status()
    failed = morning.close(DAY)
    assert not failed.success
    assert failed.asset_materializations_for_node(NAME) == []
    # Its run failed, so that it has no verdict; the day after it has one.
    later = morning.close(NEXT_DAY, FROM_DELIVERY_ON)
    assert told(later) == f"{NEXT_DAY} is closed: nothing has landed."
    assert morning.asked("2026-11-21 04:30") == {DAY: FROM_DELIVERY_ON, NEXT_DAY: FROM_DELIVERY_ON}
    requests.delete(f"{emulator.base_url}/control/faults", timeout=10).raise_for_status()

    # What an operator holds leaves it open, and is no error.
    cycle = LifeCycle(place.state, place.lake, MappingSettings())
    cycle.pause("transactionAdded")
    held = morning.close(DAY, FROM_DELIVERY_ON)
    assert told(held).startswith(f"{DAY} is not closed: 1 events are pending")
    assert told(held).endswith("1 of them are held for an operator.")
    assert (check_of(held).passed, check_of(held).severity) == (False, dg.AssetCheckSeverity.WARN)
    assert list(morning.asked("2026-11-21 04:30")) == [DAY, NEXT_DAY]
    cycle.resume("transactionAdded")
    assert told(morning.close(DAY, FROM_DELIVERY_ON)).startswith(f"{DAY} is closed")
    assert list(morning.asked("2026-11-21 04:30")) == [NEXT_DAY]


def test_the_organisations_day_is_told_where_it_is_another(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_ORG_TIMEZONE", "Asia/Kolkata")
    morning = Morning(place)
    assert list(morning.asked(f"{NEXT_DAY} 04:30")) == [DAY_BEFORE, DAY]
    first = told(morning.close(DAY, FROM_DELIVERY_ON))
    assert first.endswith(f"{DAY} in Asia/Kolkata is not closed: {DAY_BEFORE} is open.")
    morning.close(DAY_BEFORE, FROM_DELIVERY_ON)
    assert told(morning.close(DAY, FROM_DELIVERY_ON)).endswith(f"{DAY} in Asia/Kolkata is closed.")
    monkeypatch.setenv("HISTORY_START", NEXT_DAY)
    assert morning.asked(f"{NEXT_DAY} 04:30") == {}


def test_several_days_are_judged_in_one_run(place: Installation, recwarn: pytest.WarningsRecorder) -> None:
    place.land(f"events/{DAY}/10/1.jsonl", sale(1))
    job = place.definitions.resolve_job_def(CLOSE_JOB)
    done = job.execute_in_process(
        instance=place.instance,
        tags={FIRST_DAY_TAG: DAY_BEFORE, LAST_DAY_TAG: DAY},
        asset_selection=[dg.AssetKey(NAME)],
    )
    assert done.success
    key = dg.AssetKey(NAME)
    assert place.instance.get_materialized_partitions(key) == {DAY_BEFORE, DAY}
    assert [was_closed(place.instance, day) for day in (DAY_BEFORE, DAY, NEXT_DAY)] == [True, False, None]
    verdicts = {one.partition: one.passed for one in done.get_asset_check_evaluations()}
    assert verdicts == {DAY_BEFORE: True, DAY: False}
    assert not [one for one in recwarn if "BackfillPolic" in str(one.message)]


def test_the_schedule_is_on_and_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    def schedule() -> Any:
        return build_defs().resolve_schedule_def(CLOSE_JOB)

    assert (schedule().cron_schedule, schedule().execution_timezone) == ("30 4 * * *", "UTC")
    assert schedule().default_status is dg.DefaultScheduleStatus.RUNNING
    monkeypatch.setenv("SCHEDULE_CLOSE_DAY", "0 6 * * *")
    monkeypatch.setenv("SCHEDULE_TIMEZONE", "Asia/Kolkata")
    assert (schedule().cron_schedule, schedule().execution_timezone) == ("0 6 * * *", "Asia/Kolkata")
