from __future__ import annotations
import pytest
import dagster as dg
from capillary_adobe.backfill_progress import progress
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import HistoryDays, SentBatches
from capillary_adobe_tests.defs.installation import Installation, failure_of
from capillary_adobe_tests.defs.test_by_day import DAYS, land_history, standings
from capillary_adobe_tests.defs.test_history_backfill import press, launched
from capillary_adobe_tests.defs.verdicts import read_verdict, tick
from capillary_adobe_tests.emulators.platform_client import eventually
import os
from urllib.parse import urlsplit

@pytest.fixture(autouse=True)
def by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADOBE_BATCH_FROM_ENTITIES", "1")
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")

def test_a_button_at_aep(installation: Installation) -> None:
    land_history(installation, *DAYS)
    assert installation.run_days(DAYS[0], DAYS[-1]).success
    assert progress(installation.state).days["at_aep"] == 3
    _, told = press(installation)
    print(told, launched(installation))
    assert launched(installation) == []

def test_b_verdict_while_run_active(installation: Installation) -> None:
    land_history(installation, *DAYS)
    res = installation.run_days(DAYS[0], DAYS[-1])
    assert res.success
    run = installation.instance.get_run_by_id(res.run_id)
    # the run is still at its last stage
    active = dg.DagsterRun(job_name="x", run_id="11111111-1111-1111-1111-111111111111", status=dg.DagsterRunStatus.STARTED)
    installation.instance.add_run(active)
    with installation.state.begin() as c:
        import sqlalchemy as sa
        c.execute(sa.text("update history_days set run_id='11111111-1111-1111-1111-111111111111'"))
    eventually(lambda: isinstance(tick(installation), list))
    read_verdict(installation)
    print(standings(installation))
    # now the run ends, and the sensor ticks on
    installation.instance.run_storage.delete_run(active.run_id)
    print(tick(installation))
    assert set(standings(installation).values()) == {"done"} or isinstance(tick(installation), list)

def test_c_retry_at_aep(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    land_history(installation, *DAYS)
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0.1")
    with monkeypatch.context() as away:
        away.setenv("ADOBE_PLATFORM_URL", "http://127.0.0.1:9")
        first = installation.run_days(DAYS[0], DAYS[-1])
    assert not first.success
    print(failure_of(first))
    assert set(standings(installation).values()) == {"failed"}
    retry = {"dagster/retry_number": "1", "dagster/parent_run_id": first.run_id}
    again = installation.run_days(DAYS[0], DAYS[-1], tags=retry)
    assert again.success, failure_of(again)
    print(progress(installation.state).days)
    eventually(lambda: isinstance(tick(installation), list))
    read_verdict(installation)
    assert set(standings(installation).values()) == {"done"}
