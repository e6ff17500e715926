"""Days of history at AEP: they share its batches, wait for its verdict without a run, and fail for what can be mended."""

from __future__ import annotations

import pytest

from capillary_adobe.adobe.batch_judging import lock_of
from capillary_adobe.backfill_progress import progress
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import HistoryDays, MicroBatches, SentBatches
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.defs.test_by_day import DAYS, land_history, materializations, sale_of, standings
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
        assert standings(installation)[DAYS[1]] == "running"
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
