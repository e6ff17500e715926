"""AEP's later verdict: read back, shown, mended and sent again, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.adobe.verdict import Reading, VerdictReader
from capillary_adobe.defs.build import REPLAY_JOB
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import MicroBatches, Receipts
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, XDM_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.defs.test_road import DAY, KEY, sale
from capillary_adobe_tests.defs.verdicts import check_of, numbers, outcomes, read_verdict, replay, tick, validated

CAUSE = "aep_wrong_pattern:/identityMap/capillaryCustomerId/*/id"


def demand_org_in_identity(emulator: RunningEmulator, ids: list[str]) -> None:
    """AEP's schema wants the organisation in the customer's identity, of these entities."""
    identity = {"items": {"properties": {"id": {"pattern": "^7-"}}}}
    emulator.demand(
        {
            "if": {"properties": {"_id": {"enum": ids}}},
            "then": {"properties": {"identityMap": {"properties": {"capillaryCustomerId": identity}}}},
        }
    )


@pytest.fixture
def refused(installation: Installation, emulator: RunningEmulator) -> list[str]:
    """Five sales delivered and acknowledged; AEP refuses two of them afterwards."""
    installation.land(KEY, *(sale(number) for number in range(1, 6)))
    installation.run(DAY, until="xdm_events")
    ids = sorted(row["id"] for row in installation.rows(XDM_EVENTS, DAY))[:2]
    demand_org_in_identity(emulator, ids)
    installation.run(DAY, begin="ingestion_status")
    assert installation.balance(DAY).delivery["accepted"] == 5
    validated(emulator)
    return ids


def test_the_sensor_asks_once_for_what_aep_has_decided(installation: Installation, refused: list[str]) -> None:
    assert refused
    (asked,) = tick(installation)
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key
    read_verdict(installation)
    assert tick(installation) == "AEP has decided nothing new"


def test_a_verdict_rejects_the_entities_with_aeps_words_and_balances_the_day(
    installation: Installation, refused: list[str]
) -> None:
    result = read_verdict(installation)
    found = numbers(result, "aep_verdict")
    assert (found["refused_entities"], found["records_not_ours"], found["records_not_given"]) == (2, 0, 0)
    assert CAUSE in found["by_cause"]
    assert {id_ for id_, told in outcomes(installation).items() if told == ("rejected", CAUSE)} == set(refused)
    balance = installation.balance(DAY)
    assert balance.balanced, balance.differences
    assert (balance.delivery["accepted"], balance.delivery["rejected"]) == (3, 2)
    assert balance.refused_by_cause == {CAUSE: 2}
    aside = [row for row in installation.rows(QUARANTINE, DAY) if row["stage"] == "aep"]
    assert {row["event_key"] for row in aside} == set(refused)
    assert {(row["code"], row["pointer"]) for row in aside} == {
        ("aep_wrong_pattern", "/identityMap/capillaryCustomerId/*/id")
    }
    texts = {row["id"]: row["entity"] for row in installation.rows(XDM_EVENTS, DAY)}
    assert {row["text"] for row in aside} == {texts[id_] for id_ in refused}
    assert all(row["detail"] and "10" not in row["detail"] for row in aside)
    check = check_of(installation, "everything_is_delivered")
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check_of(installation, "nothing_is_lost").passed


def test_a_refused_entity_is_not_sent_again_by_itself(
    installation: Installation, emulator: RunningEmulator, refused: list[str]
) -> None:
    read_verdict(installation)
    before = summary(emulator.base_url)["accepted"]
    installation.run(DAY)
    assert summary(emulator.base_url)["accepted"] == before
    assert {id_ for id_, told in outcomes(installation).items() if told[0] == "rejected"} == set(refused)


def test_after_the_mending_a_replay_sends_just_those(
    installation: Installation, emulator: RunningEmulator, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_verdict(installation)
    before = [entity["_id"] for entity in events(emulator.base_url)]
    monkeypatch.setenv("CAPILLARY_IDENTITY_WITH_ORG", "true")
    found = numbers(replay(installation, CAUSE), INGESTION_STATUS.name)
    assert (found["reopened"], found["accepted"], found["others_moved"]) == (2, 2, 0)
    again = events(emulator.base_url)[len(before) :]
    assert sorted(entity["_id"] for entity in again) == refused
    assert all(entity["identityMap"]["capillaryCustomerId"][0]["id"].startswith("7-") for entity in again)
    validated(emulator)
    assert tick(installation) == "AEP has decided nothing new"
    balance = installation.balance(DAY)
    assert balance.balanced
    assert (balance.delivery["accepted"], balance.refused_by_cause) == (5, {})
    assert [row for row in installation.rows(QUARANTINE, DAY) if row["stage"] == "aep"] == []
    assert check_of(installation, "nothing_is_sent_twice").passed
    assert check_of(installation, "everything_is_delivered").passed
    assert Receipts(installation.state).of_day(DAY).accepted_twice() == 0


def test_a_replay_without_a_mending_is_refused_again(
    installation: Installation, emulator: RunningEmulator, refused: list[str]
) -> None:
    read_verdict(installation)
    replay(installation, CAUSE)
    validated(emulator)
    assert isinstance(tick(installation), list)
    read_verdict(installation)
    assert {id_ for id_, told in outcomes(installation).items() if told == ("rejected", CAUSE)} == set(refused)


def test_a_replay_that_fails_goes_on_where_it_stopped(
    installation: Installation, emulator: RunningEmulator, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_verdict(installation)
    emulator.demand(None)
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    emulator.faults.add(kind="status", status=503, path="/collection", times=None)
    result = replay(installation, CAUSE, raise_on_error=False)
    assert "503" in failure_of(result)
    assert {id_ for id_, told in outcomes(installation).items() if told[0] == "pending"} == set(refused)
    emulator.faults.clear()
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "10")
    found = numbers(replay(installation, CAUSE), INGESTION_STATUS.name)
    assert (found["reopened"], found["accepted"], found["others_moved"]) == (2, 2, 0)


def test_a_replay_of_a_cause_that_nobody_has_moves_nothing(installation: Installation, refused: list[str]) -> None:
    assert refused
    read_verdict(installation)
    before = outcomes(installation)
    found = numbers(replay(installation, "aep_refused:unknown"), INGESTION_STATUS.name)
    assert (found.get("reopened", 0), found["sent"]) == (0, 0)
    assert outcomes(installation) == before


def test_without_the_right_to_read_batches_the_tick_says_so(
    installation: Installation, emulator: RunningEmulator
) -> None:
    emulator.faults.add(kind="status", status=403, path="/data/foundation/catalog", times=None)
    with pytest.raises(dg.Failure) as failed:
        tick(installation)
    assert "403" in (failed.value.description or "")
    assert load(AdobeSettings).client_secret.get_secret_value() not in str(failed.value.description)


def test_a_verdict_that_is_read_again_undoes_no_replay(
    installation: Installation, emulator: RunningEmulator, refused: list[str]
) -> None:
    read_verdict(installation)
    emulator.demand(None)
    replay(installation, CAUSE)
    with installation.state.begin() as connection:
        # As after a reading that died before it noted the batch as read.
        connection.exec_driver_sql("DELETE FROM read_batches")
    read_verdict(installation)
    assert {outcomes(installation)[id_][0] for id_ in refused} == {"accepted"}
    assert installation.balance(DAY).delivery["accepted"] == 5


def test_a_dry_run_of_a_replay_opens_nothing(
    installation: Installation, emulator: RunningEmulator, refused: list[str]
) -> None:
    read_verdict(installation)
    before = summary(emulator.base_url)["accepted"]
    job = installation.definitions.resolve_job_def(REPLAY_JOB)
    config = dg.RunConfig(ops={INGESTION_STATUS.name: DeliveryConfig(reopen_cause=CAUSE, dry_run=True)})
    result = job.execute_in_process(instance=installation.instance, partition_key=DAY, run_config=config)
    found = numbers(result, INGESTION_STATUS.name)
    assert (found["dry_run"], found["would_send"], found["sent"]) == (True, 2, 0)
    installation.run(DAY, begin="ingestion_status")
    assert summary(emulator.base_url)["accepted"] == before
    assert {id_ for id_, told in outcomes(installation).items() if told[0] == "rejected"} == set(refused)


def test_a_dry_run_shows_numbers_and_sends_nothing(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(KEY, *(sale(number) for number in range(1, 6)))
    installation.run(DAY, until="xdm_events")
    job = installation.definitions.resolve_job_def("deliver_micro_batch")
    result = job.execute_in_process(
        instance=installation.instance,
        partition_key=DAY,
        asset_selection=[dg.AssetKey(INGESTION_STATUS.name)],
        run_config=dg.RunConfig(ops={INGESTION_STATUS.name: DeliveryConfig(dry_run=True)}),
    )
    found = numbers(result, INGESTION_STATUS.name)
    assert (found["would_send"], found["would_go_by"], found["sent"], found["day_open"]) == (5, "streaming", 0, 5)
    assert summary(emulator.base_url)["accepted"] == 0
    installation.run(DAY, begin="ingestion_status")
    assert summary(emulator.base_url)["accepted"] == 5


def test_tables_that_could_not_be_written_are_written_by_the_next_look(
    installation: Installation, emulator: RunningEmulator, refused: list[str]
) -> None:
    log = Path(installation.lake.url) / QUARANTINE.name / "_delta_log"
    aside = log.with_name("aside")
    log.rename(aside)
    log.write_text("no folder")
    assert "quarantine" in failure_of(read_verdict(installation, raise_on_error=False))
    log.unlink()
    aside.rename(log)
    assert isinstance(tick(installation), list)
    read_verdict(installation)
    assert {id_ for id_, told in outcomes(installation).items() if told[0] == "rejected"} == set(refused)
    assert tick(installation) == "AEP has decided nothing new"


def test_a_replay_leaves_a_day_open_that_another_run_has_not_finished(
    installation: Installation, emulator: RunningEmulator, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_verdict(installation)
    emulator.demand(None)
    installation.land(f"events/{DAY}/11/2.jsonl", sale(99))
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    emulator.faults.add(kind="reset_before", path="/collection")
    assert not installation.run(DAY, raise_on_error=False).success
    replay(installation, CAUSE)
    assert MicroBatches(installation.state).open_days() == {DAY}
    assert installation.balance(DAY).delivery["pending"] == 1


def test_one_failed_batch_that_cannot_be_fetched_holds_up_no_other(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(KEY, sale(1), sale(2))
    installation.run(DAY, until="xdm_events")
    ids = sorted(row["id"] for row in installation.rows(XDM_EVENTS, DAY))
    demand_org_in_identity(emulator, ids)
    installation.land(f"events/{DAY}/11/2.jsonl", sale(3))
    installation.run(DAY, begin="ingestion_status")
    validated(emulator)
    installation.run(DAY, until="xdm_events")
    demand_org_in_identity(emulator, [row["id"] for row in installation.rows(XDM_EVENTS, DAY)])
    installation.run(DAY, begin="ingestion_status")
    validated(emulator)
    emulator.faults.add(kind="status", status=400, path="/data/foundation/export")
    assert "400" in failure_of(read_verdict(installation, raise_on_error=False))
    assert [told[0] for told in outcomes(installation).values()].count("rejected") == 1
    read_verdict(installation)
    assert [told[0] for told in outcomes(installation).values()].count("rejected") == 3


@pytest.mark.parametrize(("clocks_apart_ms", "now"), [(-60_000, "accepted"), (60_000, "rejected")])
def test_a_verdict_from_before_a_replay_says_nothing_of_what_was_sent_after(
    installation: Installation, emulator: RunningEmulator, refused: list[str], clocks_apart_ms: int, now: str
) -> None:
    read_verdict(installation)
    emulator.demand(None)
    replay(installation, CAUSE)
    with installation.state.begin() as connection:
        # The failed batch's twin comes in sight: its entities were sent twice for a lost answer.
        connection.exec_driver_sql("DELETE FROM read_batches")
        connection.exec_driver_sql("UPDATE receipts SET request_id = 'verdict/twin' WHERE route = 'verdict'")
    settings = load(AdobeSettings)
    platform = Platform(settings, shared_token(settings))
    VerdictReader(settings.events_dataset_id, 7, installation.state, platform, clocks_apart_ms).read(Reading())
    known = Receipts(installation.state).of_day(DAY).known(refused)
    assert {one.outcome.value for one in known if one is not None} == {now}
