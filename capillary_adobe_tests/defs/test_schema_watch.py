"""The tenant's own schema: it guards delivery, and a change of it is told before AEP refuses anything."""

from __future__ import annotations

import re
from typing import Any

import dagster as dg
import pytest

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.schema_registry import SchemaRegistry
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.defs.build import SCHEMA_JOB
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.reasons import CATEGORIES
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import TenantSchemas
from capillary_adobe.tables import QUARANTINE
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_road import DAY, KEY, sale
from capillary_adobe_tests.defs.verdicts import read_verdict, validated

GUARDED = "validated_against_tenant_schema"
NOWHERE = "http://127.0.0.1:9"


def tick(installation: Installation) -> list[dg.RunRequest] | str:
    """A tick of the sensor: what it asks for, or why nothing."""
    definitions = installation.definitions
    with dg.build_sensor_context(
        instance=installation.instance,
        resources=installation.resources,
        repository_def=definitions.get_repository_def(),
    ) as context:
        result = definitions.resolve_sensor_def("schema_sensor").evaluate_tick(context)
    return list(result.run_requests or []) or (result.skip_message or "")


def revalidate(installation: Installation) -> dg.AssetCheckEvaluation:
    """A run of the job that the sensor asks for, and what its check says."""
    job = installation.definitions.resolve_job_def(SCHEMA_JOB)
    return check(job.execute_in_process(instance=installation.instance), "recent_entities_fit_tenant_schema")


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    [found] = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found


def told(found: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in found.metadata.items()}


def demand_a_member_id() -> None:
    """Somebody adds a field to the schema in AEP and makes it the primary identity, so that every event must have it."""
    settings = load(AdobeSettings)
    platform = Platform(settings, shared_token(settings))
    registry = SchemaRegistry(platform)
    parts = [part["$ref"] for part in (registry.plain("schemas", settings.events_schema_id) or {})["allOf"]]
    [group] = [part for part in parts if f"/{settings.tenant_id}/mixins/" in part]
    own = f"/definitions/fields/properties/_{settings.tenant_id}/properties"
    registry.patch("fieldgroups", group, [{"op": "add", "path": f"{own}/memberId", "value": {"type": "string"}}])
    descriptor = {
        "@type": "xdm:descriptorIdentity",
        "xdm:sourceSchema": settings.events_schema_id,
        "xdm:sourceVersion": 1,
        "xdm:sourceProperty": f"/_{settings.tenant_id}/memberId",
        "xdm:namespace": "capillaryCustomerId",
        "xdm:property": "xdm:code",
        "xdm:isPrimary": True,
    }
    platform.call("POST", "/data/foundation/schemaregistry/tenant/descriptors", json=descriptor)


def test_a_change_in_aep_is_told_before_anything_is_refused(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_SCHEMA_SECONDS", "0")
    installation.land(KEY, *(sale(number) for number in range(1, 4)))
    guarded = check(installation.run(DAY), GUARDED)
    assert guarded.passed
    assert (told(guarded)["schema"], told(guarded)["version"], told(guarded)["problem"]) == (
        "tenant's own",
        "1.0",
        "none",
    )
    assert isinstance(tick(installation), list)
    assert revalidate(installation).passed
    assert tick(installation) == "version 1.0 of the schema is known"

    demand_a_member_id()
    [asked] = tick(installation)
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags["capillary_adobe/schema_version"] == "1.1"
    found = revalidate(installation)

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    seen = told(found)
    assert (seen["version"], seen["looked_at"], seen["would_be_refused"]) == ("1.1", 3, 3)
    assert "| `transactionAdded` | 3 |" in seen["by_event"]
    assert re.search(
        r"\| 3 \| `transactionAdded` \| `/_demo/memberId` \| `presence` \| `absent` \| `shipped/shared\.yaml:\d+` \| fill it",
        seen["by_cause"],
    )
    assert tick(installation) == "version 1.1 of the schema is known"
    assert summary(emulator.base_url)["failed_later"] == 0

    installation.land(KEY.replace("1.jsonl", "2.jsonl"), sale(9))
    result = installation.run(DAY)
    assert check(result, GUARDED).passed
    rows = installation.rows(QUARANTINE, DAY)
    assert {(row["code"], row["pointer"]) for row in rows} == {("field_missing", "/_demo/memberId")}


def test_without_an_answer_of_aep_the_last_schema_judges_and_else_the_shipped_one(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_SCHEMA_SECONDS", "0")
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    monkeypatch.setenv("ADOBE_PLATFORM_URL", NOWHERE)
    installation.land(KEY, sale(1))
    shipped = check(installation.run(DAY, until="xdm_events"), GUARDED)
    assert (shipped.passed, shipped.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (told(shipped)["schema"], told(shipped)["version"]) == ("shipped", "shipped")
    assert "Schema Registry" in told(shipped)["problem"]

    monkeypatch.setenv("ADOBE_PLATFORM_URL", emulator.base_url)
    assert check(installation.run(DAY, begin="xdm_events", until="xdm_events"), GUARDED).passed
    monkeypatch.setenv("ADOBE_PLATFORM_URL", NOWHERE)
    cached = check(installation.run(DAY, begin="xdm_events", until="xdm_events"), GUARDED)
    assert (cached.passed, told(cached)["schema"], told(cached)["version"]) == (False, "tenant's own", "1.0")
    assert "Schema Registry" in told(cached)["problem"]
    assert isinstance(tick(installation), str)


def test_where_aep_is_not_set_up_nothing_is_asked(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    installation.land(KEY, sale(1))
    installation.run(DAY, until="enriched_events")
    schema_id = load(AdobeSettings).events_schema_id
    monkeypatch.delenv("ADOBE_CLIENT_SECRET")

    found = check(installation.run(DAY, begin="xdm_events", until="xdm_events"), GUARDED)
    assert (found.passed, told(found)["schema"]) == (False, "shipped")
    assert told(found)["problem"] == "AEP is not set up here, so its schema cannot be fetched."
    assert "ADOBE_CLIENT_SECRET is missing" in str(tick(installation))
    assert TenantSchemas(installation.state, "demo").read(schema_id) is None


def test_a_quarantined_entity_tells_type_line_and_cure(installation: Installation) -> None:
    upgraded = {"upgradedTierNumber": 2**40, "customerIdentifiers": {"customerId": 7}}
    tiers = [sale(number, eventName="tierUpgraded", data=upgraded) for number in (1, 2)]
    installation.land(KEY, *tiers)
    result = installation.run(DAY)

    rows = installation.rows(QUARANTINE, DAY)
    assert len(rows) == 2
    for row in rows:
        assert (row["stage"], row["code"], row["pointer"]) == ("xdm", "out_of_range", "/_demo/capillary/tier/number")
        assert (row["category"], row["keyword"], row["value_type"]) == ("range", "maximum", "integer")
        assert re.fullmatch(r"shipped/tier\.yaml:\d+", row["rule"])
        assert row["cure"] == "use a field that holds it, or leave the field out"
        assert str(2**40) not in row["detail"]
    line = (
        f"| 2 | `tierUpgraded` | `/_demo/capillary/tier/number` | `range` | `integer` | `{rows[0]['rule']}` | "
        "use a field that holds it, or leave the field out |"
    )
    assert line in told(check(result, "few_entities_quarantined"))["by_cause"]
    [shown] = [
        event.step_materialization_data.materialization.metadata["by_cause"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("quarantine")
    ]
    assert line in str(shown)


def test_what_aep_refuses_has_its_category_type_and_line_too(
    installation: Installation, emulator: RunningEmulator
) -> None:
    customer = {"customerIdentifiers": {"customerId": 7}, "billType": "REGULAR"}
    for number, amount in enumerate((1.5, 2.5, 3.5), start=1):
        data = {**customer, "transactionId": number, "billNumber": f"b-{number}", "amount": amount}
        installation.land(f"events/{DAY}/10/{number}.jsonl", sale(number, data=data))

    def of(amount: float, demand: dict[str, Any]) -> dict[str, Any]:
        return {"if": {"properties": {"priceTotal": {"const": amount}}}, "then": demand}

    dear = of(1.5, {"properties": {"priceTotal": {"minimum": 5}}})
    order = {
        "allOf": [
            dear,
            of(2.5, {"required": ["cancelDate"]}),
            of(3.5, {"properties": {"priceTotal": {}}, "additionalProperties": False}),
        ]
    }
    emulator.demand({"properties": {"commerce": {"properties": {"order": order}}}})
    installation.run(DAY)
    validated(emulator)
    read_verdict(installation)

    rows = {row["category"]: row for row in installation.rows(QUARANTINE, DAY)}
    assert {name: (row["stage"], row["code"], row["pointer"], row["value_type"]) for name, row in rows.items()} == {
        "range": ("aep", "aep_out_of_range", "/commerce/order/priceTotal", "number"),
        "presence": ("aep", "aep_field_missing", "/commerce/order/cancelDate", "absent"),
        "unknown": ("aep", "aep_unknown_field", "/commerce/order", None),
    }
    for category, row in rows.items():
        assert re.fullmatch(r"shipped/transaction\.yaml:\d+", row["rule"])
        assert row["cure"] == CATEGORIES[category].cure
    assert {row["keyword"] for row in rows.values()} == {None, "required", "additionalProperties"}
