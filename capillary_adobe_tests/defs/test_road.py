"""The whole road through Dagster: landed lines in, entities at the emulator, a balance that proves it."""

from __future__ import annotations

import json
import time
from datetime import date
from typing import Any

import dagster as dg
import pytest

from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import Erasures
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, SET_ASIDE, XDM_EVENTS, XDM_PROFILES
from capillary_adobe_tests.defs.installation import Installation, accepted, events, failure_of, summary
from capillary_adobe_tests.xdm.official import official_validators, reference_dir, unknown_paths

DAY = "2026-11-19"
KEY = f"events/{DAY}/10/1.jsonl"


def sale(number: int, **fields: object) -> dict[str, object]:
    """A transactionAdded of its own."""
    return {
        "eventName": "transactionAdded",
        "eventId": f"event-{number}",
        "orgId": 7,
        "createdAt": 1795000000000 + number,
        "data": {
            "transactionId": number,
            "amount": 10.5,
            "billNumber": f"bill-{number}",
            "billType": "REGULAR",
            "customerIdentifiers": {"customerId": 100 + number},
        },
        **fields,
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {f"{e.asset_key.to_user_string()}.{e.check_name}": e.passed for e in result.get_asset_check_evaluations()}


def test_published_payloads_arrive_as_official_xdm(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = sorted((reference_dir() / "samples").glob("*.json"))
    monkeypatch.setenv("CAPILLARY_DELIVER_OTHER_EVENTS", "true")
    installation.land(KEY, *(json.loads(sample.read_text("utf-8")) for sample in samples))
    installation.run(DAY)
    entities = events(emulator.base_url)
    balance = installation.balance(DAY)
    assert balance.balanced
    assert balance.landed_lines == len(samples) == 24
    # Three generated samples carry an epoch of one digit; two are about groups.
    assert balance.quarantined == {"time_unreadable": 3}
    assert balance.ignored == {"group": 2}
    assert len(entities) == 19
    for entity in entities:
        assert all(validator.is_valid(entity) for validator in official_validators("events"))
        assert unknown_paths(entity, "events", "demo") == []


def test_a_generated_day_balances_and_a_second_run_sends_nothing(
    installation: Installation, emulator: RunningEmulator
) -> None:
    written = write_day(installation.store, date.fromisoformat(DAY), 1500)
    first = installation.run(DAY)
    balance = installation.balance(DAY)
    assert balance.balanced, balance.differences
    assert balance.landed_lines == written.lines
    assert sum(balance.quarantined.values()) == written.broken
    assert balance.delivery["accepted"] == balance.raw == summary(emulator.base_url)["accepted"]
    assert checks(first)["ingestion_status.nothing_is_lost"]
    # The day deletes customers; their rows are redacted by the next run.
    deleted = {str(key.customer_id) for key in Erasures(installation.state).all()}
    theirs = {row["event_key"] for row in installation.rows(RAW_EVENTS, DAY) if row["customer_id"] in deleted}

    def stored() -> dict[str, list[dict[str, Any]]]:
        tables = {RAW_EVENTS: "event_key", XDM_EVENTS: "id", XDM_PROFILES: "id", INGESTION_STATUS: "event_key"}
        return {
            table.name: [row for row in installation.rows(table, DAY) if row[key] not in theirs]
            for table, key in tables.items()
        }

    before, sent = stored(), len(accepted(emulator.base_url))
    assert len(before[RAW_EVENTS.name]) > len(theirs)
    installation.run(DAY)
    assert len(accepted(emulator.base_url)) == sent
    assert stored() == before


def test_entities_at_the_emulator_are_the_bytes_of_the_table(
    installation: Installation, emulator: RunningEmulator
) -> None:
    write_day(installation.store, date.fromisoformat(DAY), 500)
    installation.run(DAY)
    stored = {row["id"]: json.loads(row["entity"]) for row in installation.rows(XDM_EVENTS, DAY)}
    assert {entity["_id"]: entity for entity in events(emulator.base_url)} == stored


def test_a_repeat_on_another_day_is_a_duplicate_and_is_not_sent(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(KEY, sale(1), sale(2))
    installation.land("events/2026-11-20/01/1.jsonl", sale(2), sale(3))
    # The export lies under its own lane; a natural key finds the twin under another eventId.
    installation.land("history/2026-11-20/export.jsonl", sale(1, eventId="from-the-export"))
    installation.run(DAY)
    installation.run("2026-11-20")
    assert summary(emulator.base_url)["accepted"] == 3
    second = installation.balance("2026-11-20")
    assert (second.landed_lines, second.raw, second.duplicates, second.balanced) == (3, 1, 2, True)
    assert {row["reason"] for row in installation.rows(SET_ASIDE, "2026-11-20")} == {DAY}


def test_a_broken_line_stops_nothing_and_keeps_its_text(installation: Installation, emulator: RunningEmulator) -> None:
    broken = b'{"eventName": "transactionAdded", "data": {"amount"'
    installation.store.write(KEY, json.dumps(sale(1)).encode() + b"\n" + broken + b"\n" + json.dumps(sale(2)).encode())
    installation.run(DAY)
    assert summary(emulator.base_url)["accepted"] == 2
    (row,) = installation.rows(QUARANTINE, DAY)
    assert (row["code"], row["line"], row["text"]) == ("not_json", 2, broken.decode())


def test_an_entity_that_does_not_conform_goes_to_quarantine_with_its_pointer(
    installation: Installation, emulator: RunningEmulator
) -> None:
    long_text = "x" * 1_000_000
    installation.land(KEY, sale(1), sale(2, refId=long_text))
    installation.run(DAY)
    assert summary(emulator.base_url)["accepted"] == 1
    balance = installation.balance(DAY)
    assert balance.quarantined == {"entity_too_large": 1}
    assert balance.balanced


def test_a_day_without_landed_objects_is_green_and_says_so(
    installation: Installation, emulator: RunningEmulator
) -> None:
    result = installation.run(DAY)
    assert result.success
    assert all(checks(result).values())
    warnings = [e for e in result.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    assert len(warnings) == 7


def test_a_wrong_secret_is_one_sentence_without_the_secret(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", "rotated-away")
    installation.land(KEY, sale(1))
    words = failure_of(installation.run(DAY, raise_on_error=False))
    assert "ADOBE_CLIENT_SECRET" in words
    assert "invalid_client" in words
    assert "rotated-away" not in words
    assert "\n" not in words
    # What could not be sent is pending, and goes with the next run.
    assert installation.balance(DAY).delivery["pending"] == 1
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", emulator.environment["ADOBE_CLIENT_SECRET"])
    installation.run(DAY)
    assert installation.balance(DAY).delivery["accepted"] == 1


def test_an_unreachable_aep_leaves_entities_pending(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_INLET_URL", "http://127.0.0.1:1/collection/abc")
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    installation.land(KEY, sale(1))
    words = failure_of(installation.run(DAY, raise_on_error=False))
    assert "No answer from AEP" in words
    assert "ADOBE_INLET_URL" in words
    rows = installation.rows(INGESTION_STATUS, DAY)
    assert {row["kind"]: row["status"] for row in rows} == {"events": "pending", "profiles": "pending"}


def test_missing_settings_are_named_all_at_once(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADOBE_ORG_ID")
    monkeypatch.delenv("ADOBE_EVENTS_DATASET_ID")
    monkeypatch.setenv("ADOBE_INLET_URL", "https://example.com/")
    installation.land(KEY, sale(1))
    words = failure_of(installation.run(DAY, raise_on_error=False))
    for name in ("ADOBE_ORG_ID is missing", "ADOBE_EVENTS_DATASET_ID is missing", "ADOBE_INLET_URL is malformed"):
        assert name in words


def test_an_unwritable_lake_is_one_sentence(installation: Installation, emulator: RunningEmulator) -> None:
    installation.root.mkdir(parents=True)
    (installation.root / "lake").write_text("a file where the folder should be")
    installation.land(KEY, sale(1))
    words = failure_of(installation.run(DAY, raise_on_error=False))
    assert "LAKE_URL" in words
    assert "\n" not in words


def test_unknown_and_respelled_event_types_are_told(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(KEY, sale(1, eventName="TRANSACTIONADDED"), sale(2, eventName="somethingNew"))
    found = checks(installation.run(DAY))
    assert not found["raw_events.event_types_are_known"]
    assert not found["raw_events.event_types_are_spelled_as_documented"]
    assert summary(emulator.base_url)["by_event_type"] == {"commerce.purchases": 1}


def test_nothing_personal_reaches_metadata_or_logs(
    installation: Installation, emulator: RunningEmulator, capfd: pytest.CaptureFixture[str]
) -> None:
    contacts = {"email": "jane.roe@example.com", "mobile": "919650123456"}
    data = {**sale(1)["data"], "customerIdentifiers": {"customerId": 101, "instore": contacts}}  # type: ignore[dict-item]
    installation.land(KEY, sale(1, data=data), {**sale(2), "orgId": "jane.roe@example.com"})
    result = installation.run(DAY)
    seen = capfd.readouterr()
    told = seen.out + seen.err + "".join(str(event) for event in result.all_events)
    told += "".join(str(log) for log in installation.instance.all_logs(result.run_id))
    for value in ("jane.roe", "919650123456", emulator.environment["ADOBE_CLIENT_SECRET"], "Bearer"):
        assert value not in told


def test_tables_without_their_state_database_are_refused(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(KEY, sale(1))
    installation.run(DAY)
    resources = {**installation.resources, "state": StateResource(url=f"sqlite:///{installation.root / 'new.db'}")}
    job = build_defs(resources=resources).resolve_job_def(JOB)
    result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral(), partition_key=DAY, raise_on_error=False)
    words = failure_of(result)
    assert "STATE_URL knows of none" in words
    assert summary(emulator.base_url)["accepted"] == 1


def test_all_missing_settings_are_named_before_anything_is_done(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in emulator.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CAPILLARY_ORG_TIMEZONE", "Mars/Olympus")
    installation.land(KEY, sale(1))
    words = failure_of(installation.run(DAY, raise_on_error=False))
    for name in ("ADOBE_TENANT_ID", "ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET", "ADOBE_ORG_ID", "ADOBE_INLET_URL"):
        assert f"{name} is missing" in words
    assert "CAPILLARY_ORG_TIMEZONE is malformed" in words
    assert words.count("ADOBE_TENANT_ID is missing") == 1
    assert installation.rows(RAW_EVENTS, DAY) == []


def test_an_event_later_than_its_landing_is_refused(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(KEY, sale(1), sale(2, createdAt=time.time_ns() // 1_000_000 + 3_600_000))
    installation.run(DAY)
    assert installation.balance(DAY).quarantined == {"time_in_future": 1}


def test_an_object_that_grows_after_it_was_read_is_told(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(KEY, sale(1))
    installation.run(DAY)
    with (installation.landing_root / KEY).open("ab") as grown:
        grown.write(json.dumps(sale(2)).encode())
    balance = installation.balance(DAY)
    assert (balance.balanced, balance.unread_objects) == (False, 1)
    installation.run(DAY)
    assert installation.balance(DAY).balanced
    assert summary(emulator.base_url)["accepted"] == 2
