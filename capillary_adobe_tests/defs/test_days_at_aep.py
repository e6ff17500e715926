"""Days of history at AEP: they share its batches, wait for its verdict without a run, and fail for what can be mended."""

from __future__ import annotations

import dagster as dg
import pytest

from capillary_adobe.adobe.batch_judging import lock_of
from capillary_adobe.backfill_progress import progress
from capillary_adobe.defs.failed_days import RETRY_TAG
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.history_waiting import waiting_words
from capillary_adobe.state import HistoryDays, MicroBatches, SentBatches
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.defs.test_by_day import DAYS, land_history, materializations, sale_of, standings
from capillary_adobe_tests.defs.test_history_backfill import launched, press
from capillary_adobe_tests.defs.verdicts import read_verdict, tick
from capillary_adobe_tests.emulators.platform_client import eventually


@pytest.fixture(autouse=True)
def by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delivery of history by batches."""
    monkeypatch.setenv("ADOBE_BATCH_FROM_ENTITIES", "1")


def test_days_that_are_sent_wait_for_aep_and_are_through_when_it_has_judged(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    land_history(installation, *DAYS)
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    shown = materializations(installation, INGESTION_STATUS.name)
    assert {found["aep_batches"] for found in shown.values()} == {shown[DAYS[0]]["aep_batches"]}
    assert [shown[day]["waiting_at_aep"] for day in DAYS] == [2, 2, 2]
    assert shown[DAYS[-1]]["backfill_days_left"] == 3
    assert shown[DAYS[-1]]["backfill_expected_end"].startswith("unknown: ")
    assert SentBatches(installation.state).created_since(0) == 1
    assert progress(installation.state).days["at_aep"] == 3
    eventually(lambda: isinstance(tick(installation), list))
    read_verdict(installation)
    assert set(standings(installation).values()) == {"done"}
    assert len(events(emulator.base_url)) == 6


def test_a_verdict_that_comes_before_the_run_is_over_ends_the_days_that_it_has_left(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    land_history(installation, *DAYS)
    run = installation.instance.get_run_by_id(installation.run_days(DAYS[0], DAYS[-1]).run_id)
    assert run is not None
    # As while its last stage is at work on later days.
    installation.instance.delete_run(run.run_id)
    installation.instance.add_run(run.with_status(dg.DagsterRunStatus.STARTED))
    eventually(lambda: isinstance(tick(installation), list))
    read_verdict(installation)
    assert set(standings(installation).values()) == {"done"}


def test_the_button_leaves_days_alone_that_wait_for_aep(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    land_history(installation, *DAYS)
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    _, told = press(installation)
    assert told.startswith("Nothing is launched: every day")
    assert launched(installation) == []
    assert waiting_words(installation.state, DAYS) == "no day waits for a backfill"
    # What has been imported since is not at AEP.
    HistoryDays(installation.state).imported([(DAYS[1], 3)])
    press(installation)
    assert [days for _, days in launched(installation)] == [[DAYS[1]]]


def test_days_that_a_retry_brings_to_aep_have_not_failed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0.1")
    land_history(installation, *DAYS)
    with monkeypatch.context() as away:
        away.setenv("ADOBE_PLATFORM_URL", "http://127.0.0.1:9")
        first = installation.run_days(DAYS[0], DAYS[-1])
    assert [one.day for one in progress(installation.state).failed] == DAYS
    # Who only looks at what would be sent changes nothing.
    shown = MicroBatchConfig().model_dump() | {"dry_run": True}
    plan = {INGESTION_STATUS.name: {"config": shown}}
    assert installation.run_days(DAYS[0], DAYS[-1], config=plan, begin=INGESTION_STATUS.name).success
    assert [one.day for one in progress(installation.state).failed] == DAYS
    retry = {"dagster/retry_number": "1", "dagster/parent_run_id": first.run_id}
    assert installation.run_days(DAYS[0], DAYS[-1], tags=retry).success
    assert progress(installation.state).days["at_aep"] == 3
    eventually(lambda: isinstance(tick(installation), list))
    read_verdict(installation)
    assert set(standings(installation).values()) == {"done"}


def test_a_day_is_not_through_while_another_run_fills_the_batch_that_holds_it(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_history(installation, *DAYS)
    land_history(installation, DAYS[1], lane="live")
    emulator.faults.add(kind="status", status=403, method="POST", path="/data/foundation/import/batches/", times=None)
    assert not installation.run_days(DAYS[0], DAYS[-1]).success
    emulator.faults.clear()
    (batch,) = SentBatches(installation.state).unfinished()
    with installation.state.lock_if_free(lock_of(batch)):
        assert installation.run(DAYS[1]).success
        assert standings(installation)[DAYS[1]] == "waiting"
        # Nor is it forgotten by the sensor, which has live events of it to see through.
        assert DAYS[1] in MicroBatches(installation.state).open_days()
        assert SentBatches(installation.state).unfinished() == [batch]
    # Whoever had it has died: any of its days brings it to its end.
    assert installation.run(DAYS[1]).success
    assert standings(installation)[DAYS[1]] == "done"
    assert DAYS[1] not in MicroBatches(installation.state).open_days()
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    assert summary(emulator.base_url)["duplicates"] == 0
    assert len(events(emulator.base_url)) == 8
    assert SentBatches(installation.state).created_since(0) == 1


def test_when_the_batches_are_used_up_days_fail_until_midnight_and_the_rest_is_through(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCHES_PER_DAY", "1")
    monkeypatch.setenv("ADOBE_BATCH_MAX_FILES", "1")
    land_history(installation, *DAYS)
    result = installation.run_days(DAYS[0], DAYS[-1])
    assert "The 1 batches of today are used (ADOBE_BATCHES_PER_DAY)" in failure_of(result)
    # The daemon would launch the run twice more today, for the same answer.
    run = installation.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[RETRY_TAG] == "false"
    assert standings(installation) == {DAYS[0]: "done", DAYS[1]: "failed", DAYS[2]: "failed"}
    causes = {one.cause for one in progress(installation.state).failed}
    assert all(cause and "after midnight UTC (" in cause for cause in causes)
    monkeypatch.delenv("ADOBE_BATCHES_PER_DAY")
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    assert set(standings(installation).values()) == {"done"}
    assert summary(emulator.base_url)["duplicates"] == 0


def test_live_events_are_streamed_while_a_batch_holds_their_day(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    land_history(installation, *DAYS)
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    land_history(installation, DAYS[0], lane="live")
    live = MicroBatchConfig(batch_id="live-1", up_to_key=f"events/{DAYS[0]}/10/live.jsonl")
    assert installation.run(DAYS[0], batch=live).success
    rows = installation.rows(INGESTION_STATUS, DAYS[0])
    assert (
        sorted(row["status"] for row in rows if row["kind"] == "events" and row["lane"] == "live") == ["accepted"] * 2
    )


def test_a_customer_of_several_days_leaves_once(installation: Installation, emulator: RunningEmulator) -> None:
    for place, day in enumerate(DAYS):
        one = sale_of(day, f"history{place}")
        data = one["data"]
        assert isinstance(data, dict)
        # With each day something of the customer changes.
        data["customerIdentifiers"] = {"customerId": 4711, "firstname": f"Asha {place}"}
        installation.land(f"history/{day}/history.jsonl", one)
    HistoryDays(installation.state).imported((day, 1) for day in DAYS)
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    shown = materializations(installation, INGESTION_STATUS.name)
    assert sum(found["profiles_sent"] for found in shown.values()) == 1
    assert sum(found["profiles_superseded"] for found in shown.values()) <= len(DAYS) - 1
    assert len(events(emulator.base_url)) == len(DAYS)
