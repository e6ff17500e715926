"""A rule from draft to live, through Dagster and the command line: nothing of a draft is sent, nothing held is lost."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capillary_adobe.adobe.replay import refused_by_cause
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.defs.stage_job import StageAction
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import MicroBatches, Receipt, Receipts, Route, RuleStages, Stage
from capillary_adobe.state.outcomes import Detail, Fate
from capillary_adobe.tables import QUARANTINE, XDM_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.defs.rule_stages import (
    DAY,
    FIELDS,
    POINTS,
    RULES_FILE,
    STAMPS,
    OwnMapping,
    add_fields,
    own_mapping,
    points,
    stamp,
)
from capillary_adobe_tests.defs.test_road import sale
from capillary_adobe_tests.defs.test_sensor import Operator
from capillary_adobe_tests.emulators.platform_client import eventually


@pytest.fixture
def tenant(installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OwnMapping:
    return own_mapping(installation, monkeypatch, tmp_path)


@pytest.fixture
def operator(installation: Installation) -> Operator:
    return Operator(installation)


def run_next(operator: Operator) -> str:
    """Run what the sensor asks for next; its partition."""
    found: list[str] = []

    def asked() -> bool:
        for request in operator.tick().requests:
            assert operator.run(request)
            found.append(request.partition_key or "")
        return bool(found)

    eventually(asked)
    return found[0]


def test_two_custom_fields_and_a_custom_event_go_live_without_touching_the_package(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator
) -> None:
    add_fields(emulator, FIELDS)
    installation = tenant.installation
    for n in range(12):
        installation.land(f"events/{DAY}/10/{n:02}.jsonl", points(n), stamp(n), sale(1000 + n))
    run_next(operator)
    # The shipped rule goes on; the draft beside it only tries itself, and the custom event waits.
    assert summary(emulator.base_url)["by_event_type"] == {"loyalty.pointsIssued": 12, "commerce.purchases": 12}
    assert all("shoeSize" not in entity["_demo"] for entity in events(emulator.base_url))
    balance = tenant.balance()
    assert (balance.balanced, balance.delivery["accepted"], balance.delivery["pending"]) == (True, 24, 12)
    assert sum(balance.held.values()) == 12
    assert {status for status, _ in tenant.statuses(STAMPS)} == {"pending"}
    assert all((words or "").startswith("held: its rule is a draft") for _, words in tenant.statuses(STAMPS))
    assert operator.tick().requests == []

    told = tenant.call("mapping", "publish", STAMPS)
    assert told.exit_code == 0, told.output
    assert f"12 entities were held, in {DAY} (12)" in told.output
    assert "Nothing of it was held" in tenant.call("mapping", "publish", POINTS).output
    assert run_next(operator) == DAY

    arrived = {entity["_id"]: entity for entity in events(emulator.base_url)}
    stamps = [entity for entity in arrived.values() if entity["eventType"] == "loyalty.stampCollected"]
    assert [entity["_demo"]["stamps"] for entity in stamps] == [3] * 12
    assert (summary(emulator.base_url)["accepted"], len(arrived)) == (36, 36)
    assert tenant.balance().delivery == {"accepted": 36, "rejected": 0, "failed": 0, "pending": 0}
    installation.land(f"events/{DAY}/11/1.jsonl", points(99))
    run_next(operator)
    assert events(emulator.base_url)[-1]["_demo"].items() >= {"shoeSize": 42, "favouriteStore": "Pune 3"}.items()
    assert operator.tick().requests == []
    eventually(lambda: summary(emulator.base_url)["in_lake"]["records"] == 37)
    assert summary(emulator.base_url)["failed_later"] == 0
    stages = json.loads(tenant.call("mapping", "stages", "--json").output)
    assert {(one["event"], one["stage"]) for one in stages if one["event"] in (STAMPS, POINTS)} == {
        (STAMPS, "live"),
        (POINTS, "live"),
    }


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (found,) = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    ]
    return {name: value.value for name, value in found.metadata.items()}


def check_of(result: dg.ExecuteInProcessResult, name: str) -> tuple[bool, dict[str, Any]]:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found.passed, {key: value.value for key, value in found.metadata.items()}


def event_types(emulator: RunningEmulator) -> dict[str, int]:
    return summary(emulator.base_url)["by_event_type"]


def test_a_draft_that_fails_harms_nothing_and_is_not_published(tenant: OwnMapping, emulator: RunningEmulator) -> None:
    """The tenant's schema has no such fields yet."""
    installation = tenant.installation
    installation.land(f"events/{DAY}/10/1.jsonl", *(points(n) for n in range(12)), *(stamp(n) for n in range(12)))
    ran = installation.run(DAY)
    assert event_types(emulator) == {"loyalty.pointsIssued": 12}
    assert {row["event_name"] for row in installation.rows(QUARANTINE, DAY)} == {STAMPS}
    assert tenant.balance().balanced
    passed, told = check_of(ran, "drafts_conform")
    assert (passed, told["failed"]) == (False, 24)
    cause = "unknown_field /_demo/favouriteStore (rules.yaml:4)"
    assert cause in told["drafts"]
    assert cause in metadata_of(ran, "xdm_events")["drafts"]
    refused = tenant.call("mapping", "publish", POINTS)
    assert refused.exit_code == 1
    assert "rules.yaml:3" in refused.output
    listed = tenant.call("mapping", "stages").output
    assert f"{POINTS} fails: {cause}, 12 times" in listed
    # Once AEP has the fields, the same draft is tried again, on the same day too.
    add_fields(emulator, FIELDS)
    tenant.forget_schema()
    assert check_of(installation.run(DAY), "drafts_conform")[0]
    assert tenant.call("mapping", "publish", POINTS).exit_code == 0
    assert event_types(emulator) == {"loyalty.pointsIssued": 12}
    assert tenant.balance().delivery == {"accepted": 12, "rejected": 0, "failed": 0, "pending": 12}


def test_a_folder_that_breaks_stops_nothing(tenant: OwnMapping, emulator: RunningEmulator) -> None:
    add_fields(emulator, FIELDS)
    installation = tenant.installation
    installation.land(f"events/{DAY}/10/1.jsonl", points(1), stamp(1))
    installation.run(DAY)
    tenant.write(rules=f"{RULES_FILE}\nstampCollected: [")
    installation.land(f"events/{DAY}/10/2.jsonl", points(2), stamp(2))
    ran = installation.run(DAY)
    passed, told = check_of(ran, "drafts_conform")
    assert (passed, "rules.yaml" in told["problem"]) == (False, True)
    assert event_types(emulator) == {"loyalty.pointsIssued": 2}
    assert [status for status, _ in tenant.statuses(STAMPS)] == ["pending", "pending"]
    stages = tenant.call("mapping", "stages")
    assert "rules.yaml" in stages.stderr
    assert STAMPS in stages.stdout


def test_what_is_paused_is_held_and_shown_and_follows_on_resuming(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator
) -> None:
    installation = tenant.installation
    assert tenant.change_in_ui(POINTS, StageAction.pause).success
    installation.land(f"events/{DAY}/10/1.jsonl", *(points(n) for n in range(3)), sale(1))
    ran = installation.run(DAY)
    assert event_types(emulator) == {"commerce.purchases": 1}
    told = metadata_of(ran, "ingestion_status")
    assert (told["held"], told["day_open"]) == (3, 3)
    assert f"{POINTS}: its rule is paused" in told["day_held"]
    assert f"{POINTS}: its rule is paused" in check_of(ran, "everything_is_delivered")[1]["held"]
    status = tenant.call("status", "--day", DAY)
    assert "3 held" in status.output
    assert f"{POINTS}: its rule is paused" in status.output
    plan = json.loads(tenant.call("deliver", "--day", DAY, "--dry-run", "--json").output)
    assert (plan["to_send"], plan["held"], plan["held_by_event"]) == (0, 3, {POINTS: 3})
    assert operator.tick().requests == []
    assert installation.run(DAY, begin="ingestion_status").success
    assert event_types(emulator) == {"commerce.purchases": 1}
    again = tenant.change_in_ui(POINTS, StageAction.pause)
    assert (again.success, "paused already" in failure_of(again)) == (False, True)

    assert tenant.change_in_ui(POINTS, StageAction.resume).success
    assert run_next(operator) == DAY
    assert event_types(emulator) == {"commerce.purchases": 1, "loyalty.pointsIssued": 3}
    assert tenant.balance().delivery["accepted"] == 4
    assert operator.tick().requests == []


def test_entities_of_a_draft_are_not_sent_by_a_run_that_began_before_the_publishing(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fields(emulator, FIELDS)
    monkeypatch.setenv("MAPPING_PUBLISH_AFTER_EVENTS", "1")
    installation = tenant.installation
    installation.land(f"events/{DAY}/10/1.jsonl", stamp(1), stamp(2), sale(1))
    first = RULES_FILE
    tenant.write(rules=first.replace("{from: stampCount, as: integer}", "{value: 0}"))
    installation.run(DAY, until="xdm_events")
    tenant.write(rules=first)
    # Tested as another run does meanwhile; this day's entities are of the older draft.
    installation.land("events/2026-11-20/10/1.jsonl", stamp(3))
    installation.run("2026-11-20", until="xdm_events")
    assert "2 entities" not in tenant.call("mapping", "publish", STAMPS).output
    installation.run(DAY, begin="ingestion_status")
    assert event_types(emulator) == {"commerce.purchases": 1}
    assert all("another rule is published" in (words or "") for _, words in tenant.statuses(STAMPS))
    days = {run_next(operator) for _ in range(2)}
    assert days == {DAY, "2026-11-20"}
    made = [one for one in events(emulator.base_url) if one["eventType"] == "loyalty.stampCollected"]
    assert [entity["_demo"]["stamps"] for entity in made] == [3, 3, 3]
    assert operator.tick().requests == []


def test_pending_entities_of_the_former_rule_are_made_anew_by_the_published_one(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fields(emulator, FIELDS)
    installation = tenant.installation
    installation.land(f"events/{DAY}/10/1.jsonl", *(points(n) for n in range(10)))
    emulator.faults.add(kind="status", path="/collection/", status=503)
    with monkeypatch.context() as patch:
        patch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
        assert not installation.run(DAY, raise_on_error=False).success
    assert tenant.call("mapping", "publish", POINTS).exit_code == 0
    # Not by the run that only delivers, which has the day made anew.
    installation.run(DAY, begin="ingestion_status")
    assert event_types(emulator) == {}
    assert run_next(operator) == DAY
    assert [entity["_demo"]["shoeSize"] for entity in events(emulator.base_url)] == [42] * 10
    assert len(installation.rows(XDM_EVENTS, DAY)) == 10
    assert tenant.balance().delivery["accepted"] == 10


def test_a_whole_day_under_way_while_a_rule_goes_live_is_asked_for_again(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator
) -> None:
    add_fields(emulator, FIELDS)
    installation = tenant.installation
    installation.land(f"events/{DAY}/10/1.jsonl", sale(1), *(stamp(n) for n in range(10)))
    installation.run(DAY, until="xdm_events")
    emulator.faults.add(kind="delay", path="/collection/", seconds=4)
    run = threading.Thread(target=installation.run, args=(DAY,))
    run.start()
    # The sale is on its way: the run has read the stages, and will hold what it made before.
    eventually(lambda: len(Receipts(installation.state).of_day(DAY)) > 0)
    assert tenant.call("mapping", "publish", STAMPS).exit_code == 0
    run.join()
    assert event_types(emulator) == {"commerce.purchases": 1}
    assert MicroBatches(installation.state).open_days() == {DAY}
    assert run_next(operator) == DAY
    assert event_types(emulator) == {"commerce.purchases": 1, "loyalty.stampCollected": 10}
    assert operator.tick().requests == []


def test_a_day_whose_run_ends_just_before_the_stage_changes_is_asked_for_again(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = tenant.installation
    assert tenant.call("mapping", "pause", POINTS).exit_code == 0
    installation.land(f"events/{DAY}/10/1.jsonl", points(1))
    installation.run(DAY)
    move = RuleStages.move

    def after_the_run(register: RuleStages, event: str, stage: Stage) -> bool:
        installation.run(DAY)
        assert MicroBatches(installation.state).open_days() == set()
        return move(register, event, stage)

    monkeypatch.setattr(RuleStages, "move", after_the_run)
    assert tenant.call("mapping", "resume", POINTS).exit_code == 0
    assert run_next(operator) == DAY
    assert event_types(emulator) == {"loyalty.pointsIssued": 1}
    assert operator.tick().requests == []


def test_what_a_kill_right_behind_the_change_has_left_is_made_anew_by_the_next_run_of_the_day(
    tenant: OwnMapping, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fields(emulator, FIELDS)
    installation = tenant.installation
    monkeypatch.setenv("MAPPING_PUBLISH_AFTER_EVENTS", "1")
    installation.land(f"events/{DAY}/10/1.jsonl", stamp(1))
    run_next(operator)
    assert tenant.call("mapping", "publish", STAMPS).exit_code == 0
    # As if the entity had been held only after the days were looked through.
    MicroBatches(installation.state).finish_day(DAY)
    assert operator.tick().requests == []
    installation.run(DAY, begin="ingestion_status")
    assert event_types(emulator) == {}
    assert MicroBatches(installation.state).open_days() == {DAY}
    assert run_next(operator) == DAY
    assert event_types(emulator) == {"loyalty.stampCollected": 1}
    assert operator.tick().requests == []


def test_only_days_that_hold_something_are_made_anew(tenant: OwnMapping) -> None:
    installation = tenant.installation
    installation.land("events/2026-11-18/10/1.jsonl", points(1))
    installation.run("2026-11-18")
    assert tenant.call("mapping", "pause", POINTS).exit_code == 0
    installation.land(f"events/{DAY}/10/1.jsonl", points(2))
    installation.run(DAY)
    stages = json.loads(tenant.call("mapping", "stages", "--json").output)
    assert [one["held"] for one in stages if (one["event"], one["stage"]) == (POINTS, "paused")] == [1]
    assert f"1 entities were held, in {DAY} (1)" in tenant.call("mapping", "resume", POINTS).output
    assert MicroBatches(installation.state).open_days() == {DAY}


def test_a_replay_leaves_what_is_held_refused(tenant: OwnMapping, emulator: RunningEmulator) -> None:
    installation, cause = tenant.installation, "aep_wrong_type:/a"
    installation.land(f"events/{DAY}/10/1.jsonl", points(1))
    installation.run(DAY)
    ids = [row["id"] for row in installation.rows(XDM_EVENTS, DAY)]
    details = {0: Detail(400, "wrong", cause)}
    verdict = Receipt("v", DAY, "events", ids, [Fate.REJECTED], route=Route.VERDICT, details=details)
    Receipts(installation.state).record(verdict)
    assert tenant.call("mapping", "pause", POINTS).exit_code == 0
    installation.run(DAY, batch=DeliveryConfig(reopen_cause=cause), begin="ingestion_status")
    assert refused_by_cause(installation.state, DAY) == {cause: 1}
    assert [status for status, _ in tenant.statuses(POINTS)] == ["rejected"]
    assert event_types(emulator) == {"loyalty.pointsIssued": 1}


def test_a_rule_is_not_taken_away_while_entities_of_it_are_held(
    tenant: OwnMapping, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fields(emulator, FIELDS)
    installation = tenant.installation
    monkeypatch.setenv("MAPPING_PUBLISH_AFTER_EVENTS", "1")
    installation.land(f"events/{DAY}/10/1.jsonl", stamp(1))
    installation.run(DAY, until="xdm_events")
    assert tenant.call("mapping", "publish", STAMPS).exit_code == 0
    assert tenant.call("mapping", "pause", STAMPS).exit_code == 0
    installation.run(DAY)
    tenant.write(rules="{}\n", events="{}\n")
    refused = tenant.call("mapping", "publish", STAMPS)
    assert (refused.exit_code, f"1 entities of {STAMPS} are held" in refused.output) == (1, True)
    assert [status for status, _ in tenant.statuses(STAMPS)] == ["pending"]
