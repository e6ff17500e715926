"""The sensor of the customers: what it asks for, by which job, and when it asks for nothing."""

from __future__ import annotations

import dagster as dg
import pytest

from capillary_adobe.defs.customer_sensor import LOOKUP_JOB, REFRESH_JOB
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.state import MicroBatches
from capillary_adobe.state.open_profiles import OpenProfiles, ProfileRow
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation
from capillary_adobe_tests.defs.test_lookups import Daemon, capillary, daemon, land, lookups, now_ms, sale, today
from capillary_adobe_tests.test_looking_up import key, record

assert capillary
assert daemon
assert lookups


def outcomes(installation: Installation) -> list[tuple[str, str]]:
    """Kind and outcome of today's entities, and that the day balances."""
    balance = installation.balance(today())
    assert balance.balanced, balance.differences
    return sorted((row["kind"], row["status"]) for row in installation.rows(INGESTION_STATUS, today()))


def test_a_profile_that_would_follow_too_soon_keeps_no_micro_batch_open_and_goes_by_the_customers_own_run(
    installation: Installation, daemon: Daemon, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "600")
    OpenProfiles(installation.state).leave(today(), [ProfileRow(key(1), 0)], now_ms())
    land(installation, "000001", sale(1))
    assert len(daemon.land()) == 1
    assert outcomes(installation) == [("events", "accepted"), ("profiles", "pending")]
    assert MicroBatches(installation.state).unfinished("live") == []
    assert daemon.land() == []
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "0")
    assert daemon.refresh() == [REFRESH_JOB]
    assert outcomes(installation) == [("events", "accepted"), ("profiles", "accepted")]
    assert daemon.refresh() == []


def test_profiles_of_one_run_after_the_other_wait_for_the_spacing(
    installation: Installation, daemon: Daemon, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run of the day keeps its next micro-batch waiting."""
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "0")
    land(installation, "000001", sale(1))
    installation.run(today(), until="customers")
    assert daemon.refresh() == [REFRESH_JOB]
    land(installation, "000002", sale(2))
    installation.run(today(), until="customers")
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "600")
    assert daemon.refresh() == []
    # More than one run takes are not kept waiting.
    monkeypatch.setattr("capillary_adobe.defs.customer_sensor.MOST_DUE", 1)
    assert daemon.refresh() == [REFRESH_JOB]


def test_no_run_of_a_day_waits_for_look_ups(
    installation: Installation, daemon: Daemon, capillary: RunningCapillary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "0")
    capillary.put("customers", record(1))
    land(installation, "000001", sale(1))
    daemon.land()
    # Dagster's queue lets one run of a partition go at a time, and look-ups go on for a minute.
    [request] = daemon.tick("customer_sensor")
    assert (request.job_name, request.partition_key) == (LOOKUP_JOB, None)
    assert "dagster/partition" not in request.tags


def test_while_aep_refuses_or_is_down_profiles_are_asked_for_ever_more_rarely(
    installation: Installation, daemon: Daemon, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "0")
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    land(installation, "000001", sale(1))
    installation.run(today(), until="customers")
    emulator.faults.add(kind="status", status=503, path="/collection", times=None)
    with pytest.raises(dg.Failure):
        daemon.refresh()
    assert daemon.refresh() == []
    emulator.faults.clear()
    monkeypatch.setattr("capillary_adobe.defs.customer_sensor._SECONDS", 0)
    assert daemon.refresh() == [REFRESH_JOB]
    assert [(row["kind"], row["status"]) for row in installation.rows(INGESTION_STATUS, today())] == [
        ("profiles", "accepted")
    ]


def test_a_client_that_may_not_ask_is_tried_ever_more_rarely(
    installation: Installation, daemon: Daemon, capillary: RunningCapillary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "0")
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "600")
    capillary.put("customers", record(1))
    land(installation, "000001", sale(1))
    daemon.land()
    capillary.faults.add(kind="status", status=403, path="/v2/", times=None)
    assert daemon.refresh() == [LOOKUP_JOB]
    assert daemon.refresh() == []
    capillary.faults.clear()
    monkeypatch.setattr("capillary_adobe.defs.customer_sensor._SECONDS", 0)
    assert daemon.refresh() == [LOOKUP_JOB]
