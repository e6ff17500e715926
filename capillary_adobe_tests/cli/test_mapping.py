"""`capillary-adobe mapping check` and `show`: what people and programs are told, and the exit codes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from capillary_adobe.state import EnvironmentRecord, State, TenantSchemas
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe.xdm.schemas import entity_schema
from capillary_adobe_tests.cli.conftest import Call

GOOD = """
customerAdded:
  fields:
    _tenant.brand.shoeSize: {from: "customFields[key=shoe_size].value", as: integer}
"""
BAD = """
customerAdded:
  fields:
    _tenant.brand.shoeSize: {from: shoeSize, as: number}
"""


def folder(place: Path, text: str) -> str:
    own = place / "mapping"
    own.mkdir(exist_ok=True)
    (own / "own.yaml").write_text(text)
    return str(own)


def test_the_shipped_mapping_is_sound(call: Call, place: Path) -> None:
    answer = call("mapping", "check")
    assert answer.exit_code == 0
    assert answer.stdout == (
        "Checking the shipped mapping against the shipped schema with the mapping's additions, since no schema of the tenant "
        "is cached here\n0 errors, 0 warnings\n"
    )
    assert list(place.iterdir()) == []


def test_a_sound_folder_is_checked_by_setting_and_by_option(call: Call, place: Path) -> None:
    own = folder(place, GOOD)
    by_option = call("mapping", "check", "--path", own, "--schema", "shipped")
    assert by_option.exit_code == 0
    assert by_option.stdout.startswith(
        f"Checking the shipped mapping with {own} (customerAdded changed or new) against the shipped schema with"
    )
    assert call("mapping", "check", "--schema", "shipped", MAPPING_PATH=own).stdout == by_option.stdout


def test_findings_are_told_with_their_places(call: Call, place: Path) -> None:
    own = folder(place, BAD)
    answer = call("mapping", "check", "--path", own)
    assert answer.exit_code == 1
    assert answer.stdout.splitlines()[1:] == [
        "own.yaml:4:5: warning: customerAdded: _tenant.brand.shoeSize is a number without a unit. Say what it counts, such as "
        "`unit: money`.",
        "own.yaml:4:36: error: customerAdded: _tenant.brand.shoeSize reads shoeSize: customerAdded has no field shoeSize in "
        "the published payloads. Correct the path. If your payloads have it, declare shoeSize in events.yaml under "
        "custom_sources.",
        "1 error, 1 warning",
    ]
    told = call("mapping", "check", "--path", own, "--json")
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert (found["errors"], found["warnings"], found["changed"]) == (1, 1, ["customerAdded"])
    assert set(found["events"]) == set(load_rules())
    assert [(one["severity"], one["file"], one["line"], one["column"]) for one in found["findings"]] == [
        ("warning", "own.yaml", 4, 5),
        ("error", "own.yaml", 4, 36),
    ]


def test_a_warning_alone_fails_nothing(call: Call, place: Path) -> None:
    answer = call("mapping", "check", "--path", folder(place, GOOD.replace("integer", "number")))
    assert answer.exit_code == 0
    assert answer.stdout.endswith("0 errors, 1 warning\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "customerAded: {event_type: a}",
            "own.yaml:1:1: error: customerAded is no event type of the catalogue. Did you mean cus",
        ),
        ("a: [", "own.yaml:1:5: error: is not usable YAML: expected the node content"),
        (
            "customerAdded: {fields: {_tenant.a: {value: 1}}}\ntierRenewed: {fields: {_tenant.a: {value: b}}}",
            "own.yaml:2:24: error: ",
        ),
    ],
)
def test_a_mapping_that_cannot_be_used_is_told_in_the_same_form(call: Call, place: Path, text: str, told: str) -> None:
    answer = call("mapping", "check", "--path", folder(place, text))
    assert answer.exit_code == 1
    assert answer.stdout.splitlines()[1].startswith(told)
    assert answer.stdout.endswith("1 error, 0 warnings\n")


def test_a_folder_that_is_not_there_is_told(call: Call, place: Path) -> None:
    answer = call("mapping", "check", MAPPING_PATH="nowhere")
    assert answer.exit_code == 1
    assert "error: The mapping folder nowhere does not exist. Set MAPPING_PATH to a folder" in answer.stdout


# The schema.


def test_a_schema_file_takes_the_place_of_the_shipped_one(call: Call, place: Path) -> None:
    schema = place / "schema.json"
    schema.write_text(json.dumps(entity_schema("events", "acme")))
    assert call("mapping", "check", "--schema", str(schema)).stdout == (
        f"Checking the shipped mapping against the schema in {schema}\n0 errors, 0 warnings\n"
    )
    answer = call("mapping", "check", "--schema", str(schema), "--path", folder(place, GOOD))
    assert answer.exit_code == 1
    assert "own.yaml:4:5: error: customerAdded: _tenant.brand.shoeSize is not in the schema" in answer.stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "schema.json cannot be read (No such file or directory). Name a schema file, or shipped."),
        ("{", "schema.json is no JSON. Give the schema as AEP shows it in the form xed-full."),
        ("[]", "schema.json has no `properties`. Give the schema as AEP shows it in the form xed-full."),
        ('{"properties": {}}', "schema.json does not tell whose it is. Set ADOBE_TENANT_ID."),
        (
            '{"properties": {"_acme": {"$ref": "elsewhere"}}}',
            "Nothing can be checked against the schema in schema.json: ",
        ),
        (
            '{"type": "object", "properties": {"_acme": {"type": "objekt"}}}',
            "Nothing can be checked against the schema in schema.json: the schema cannot be compiled",
        ),
        ('{"type": "object", "properties": {"_a b": {"type": "object"}}}', "schema.json does not tell whose it is."),
    ],
)
def test_a_schema_file_that_cannot_be_used_is_told(call: Call, place: Path, content: str | None, told: str) -> None:
    if content is not None:
        (place / "schema.json").write_text(content)
    (place / "payload.json").write_text("{}")
    for command in ("check",), ("test", "payload.json"):
        answer = call("mapping", *command, "--schema", "schema.json")
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert answer.stderr.startswith(f"Error: {told}")


def test_the_tenants_schema_is_used_where_it_was_fetched(call: Call, place: Path) -> None:
    state = State(f"sqlite:///{place / 'state.db'}")
    recorded = {"tenant_id": "acme", "events_schema_id": "https://ns.adobe.com/acme/schemas/1"}
    recorded |= {"inlet_url": "https://dcs.adobedc.net/collection/a", "events_dataset_id": "d", "events_flow_id": "f"}
    EnvironmentRecord(state, "org@AdobeOrg", "prod").write(recorded)
    content = entity_schema("events", "acme")
    cache = TenantSchemas(state, "prod")
    cache.keep(recorded["events_schema_id"], "events", "1.4", content, {}, "sha", time.time_ns() // 1_000_000)
    state.engine.dispose()
    credential = {"ADOBE_CLIENT_ID": "id", "ADOBE_CLIENT_SECRET": "secret", "ADOBE_ORG_ID": "org@AdobeOrg"}
    answer = call("mapping", "check", STATE_URL=f"sqlite:///{place / 'state.db'}", **credential)
    assert answer.stdout.splitlines()[0] == (
        "Checking the shipped mapping against the tenant's schema, version 1.4, as AEP showed it last"
    )
    assert answer.exit_code == 0


def test_a_malformed_setting_is_told(call: Call, place: Path) -> None:
    answer = call("mapping", "check", ADOBE_TENANT_ID="_acme corp")
    assert answer.exit_code == 1
    assert "ADOBE_TENANT_ID is malformed" in answer.stderr


def test_a_state_database_that_cannot_be_used_matters_only_where_it_is_asked(call: Call, place: Path) -> None:
    nowhere = {"STATE_URL": f"sqlite:///{place / 'file' / 'state.db'}"}
    (place / "file").write_text("no folder")
    assert call("mapping", "check", "--schema", "shipped", **nowhere).exit_code == 0
    assert call("mapping", "check", **nowhere).exit_code == 1


# Showing.


def test_every_event_is_listed(call: Call, place: Path) -> None:
    lines = call("mapping", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(load_rules())
    shown = json.loads(call("mapping", "show", "--json", "--path", folder(place, GOOD)).stdout)
    [changed] = [one for one in shown if one["changed"]]
    assert changed == {
        "event": "customerAdded",
        "family": "customer",
        "event_types": ["loyalty.customerAdded"],
        "variants": 1,
        "changed": "changed",
        "files": ["own.yaml", "shipped/customer.yaml", "shipped/shared.yaml"],
    }


def test_an_event_is_shown_field_by_field(call: Call, place: Path) -> None:
    answer = call("mapping", "show", "transactionadded")
    assert answer.exit_code == 0
    rows = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert "when: billType is RETURN" in rows
    assert "when: in all other cases" in rows
    assert "timestamp: billDate, enteredAt, createdAt" in rows
    assert any(
        row.startswith("commerce.order.priceTotal amount number money shipped/transaction.yaml:") for row in rows
    )
    assert any(
        row.startswith('commerce.order.refunds[].refundReason = "return" constant amount shipped/') for row in rows
    )


def test_an_event_is_shown_for_programs(call: Call, place: Path) -> None:
    shown = json.loads(call("mapping", "show", "pointsIssued", "--json", "--path", folder(place, GOOD)).stdout)
    assert shown["event"] == "pointsIssued"
    [variant] = shown["variants"]
    assert (variant["event_type"], variant["condition"], variant["identities"]) == ("loyalty.pointsIssued", "", "all")
    [value] = [
        one for one in variant["fields"] if "promotionPoints" in str(one["sources"]) and "loyalty" in one["target"]
    ]
    assert value.pop("place").startswith("shipped/points.yaml:")
    assert value == {
        "target": "loyalty.pointsGained[].value",
        "sources": ["promotionalPointsIssued[].promotionPoints"],
        "value": None,
        "conversion": "number",
        "unit": "points",
        "condition": "",
        "identity": "",
    }


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("pointsisued", "Error: pointsisued is no event type of the catalogue. Did you mean pointsIssued?\n"),
        (
            "rewardIssued",
            "Error: rewardIssued has no rules of its own. With CAPILLARY_DELIVER_OTHER_EVENTS=true the generic",
        ),
        ("promotionCreated", "Error: promotionCreated is about no person and never delivered.\n"),
    ],
)
def test_an_event_without_rules_is_told(call: Call, place: Path, event: str, told: str) -> None:
    answer = call("mapping", "show", event)
    assert answer.exit_code == 1
    assert answer.stderr.startswith(told)
