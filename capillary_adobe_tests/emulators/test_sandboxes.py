"""The sandboxes: which one a call means, that each keeps its own objects, and that they outlive the emulator."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from capillary_adobe.emulators.effective_schema import schema_version
from capillary_adobe.emulators.sandboxes import Sandboxes
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe_tests.emulators.registry_client import DESCRIPTORS, Registry, opened, set_up


def test_each_sandbox_keeps_its_own_objects(registry: Registry) -> None:
    other = Registry(registry.client, "prod")
    schema_id, group_id = registry.made()
    registry.new_namespace()

    assert other.list() == other.list("fieldgroups") == []
    assert other.look_up(schema_id).status_code == 404
    assert other.patch("fieldgroups", group_id, {"op": "add", "path": "/title", "value": "x"}).status_code == 404
    assert "member" not in {found["code"] for found in other.call("GET", "core/idnamespace/identities").json()}
    assert other.new_namespace().status_code == 200
    assert other.made() != (schema_id, group_id)


def test_a_call_that_names_no_sandbox_means_production(registry: Registry) -> None:
    Registry(registry.client, "").made()

    assert [len(Registry(registry.client, name).list()) for name in ("prod", "demo")] == [1, 0]


def test_a_tenant_in_production_has_a_second_sandbox(tmp_path: Path, tenant: Tenant) -> None:
    sandboxes = Sandboxes(Tenant.from_environment({"ADOBE_SANDBOX_NAME": "prod"}), tmp_path)
    sandboxes.open()

    assert sandboxes.names() == ["prod", "second"]
    assert sandboxes.usual == "prod"
    assert sandboxes.of("elsewhere") is None
    assert {name: len(resources.all("schemas")) for name, resources in sandboxes.every()} == {"prod": 2, "second": 0}


@pytest.mark.parametrize("path", ["sandbox-management/", "sandbox-management/sandboxes"])
def test_the_sandboxes_are_shown(untouched: Registry, path: str) -> None:
    shown = untouched.call("GET", f"foundation/{path}").json()["sandboxes"]

    assert [(found["name"], found["type"], found["state"], found["isDefault"]) for found in shown] == [
        ("demo", "development", "active", False),
        ("prod", "production", "active", True),
    ]
    assert {"title", "region", "id"} <= shown[0].keys()
    assert untouched.call("GET", "foundation/sandbox-management/sandboxes/prod").json() == shown[1]
    assert untouched.call("GET", "foundation/sandbox-management/sandboxes/none").status_code == 404


def test_objects_outlive_a_restart(store: Path) -> None:
    with set_up(store) as before:
        schema_id, group_id = before.made()
        before.patch("fieldgroups", group_id, {"op": "add", "path": "/description", "value": "More"})
        before.describe(schema_id)
        before.new_namespace()
        schema = before.look_up(schema_id).json()
    (store / "sandboxes" / "demo" / "schemas.new").write_text("half of what")  # a kill came while this was written

    with set_up(store) as after:
        descriptors = after.registry("GET", "tenant/descriptors", DESCRIPTORS).json()
        assert after.look_up(schema_id).json() == schema
        assert schema["version"] == "1.1"
        assert [found["xdm:sourceSchema"] for found in descriptors["xdm:descriptorIdentity"]] == [schema_id]
        assert after.new_namespace().status_code == 409


def test_objects_keep_the_order_in_which_they_were_made(store: Path, tenant: Tenant) -> None:
    resources = opened(tenant, store, empty=True)
    for name in ("b", "a", "c"):
        resources.put("things", name, {"name": name})
    resources.put("things", "b", {"name": "b", "changed": True})
    resources.remove("things", "a")
    again = opened(tenant, store, empty=True)

    assert again.all("things") == [{"name": "b", "changed": True}, {"name": "c"}]
    assert again.get("things", "a") is None
    assert not again.remove("things", "a")


def test_a_seeded_sandbox_keeps_changes_and_gets_what_is_new(store: Path, tenant: Tenant) -> None:
    resources = opened(tenant, store)
    group = deepcopy(resources.all("fieldgroups")[0])
    fields = group["definitions"]["fields"]["properties"]["_demo"]["properties"]["capillary"]["properties"]
    older = {name: field for name, field in fields.items() if name != "points"} | {"extra": {"type": "string"}}
    fields.clear()
    fields.update(older)
    resources.put("fieldgroups", group["$id"], group)

    again = opened(tenant, store)
    found = again.all("fieldgroups")[0]["definitions"]["fields"]["properties"]["_demo"]["properties"]["capillary"]

    assert {"points", "extra"} <= found["properties"].keys()
    assert schema_version(again, tenant.events_schema_id) == "1.1"
    assert schema_version(opened(tenant, store), tenant.events_schema_id) == "1.1"


def test_an_empty_emulator_tells_only_what_is_known_before_a_set_up(untouched: Registry, tenant: Tenant) -> None:
    variables = tenant.environment(untouched.client.base_url, empty=True)

    assert {"ADOBE_CLIENT_ID", "ADOBE_ORG_ID", "ADOBE_SANDBOX_NAME", "ADOBE_PLATFORM_URL"} <= variables.keys()
    assert not {name for name in variables if "EVENTS" in name or "PROFILES" in name or name.endswith("INLET_URL")}
    assert untouched.list() == untouched.list("fieldgroups") == []
    assert untouched.registry("GET", "stats").json()["tenantId"] == "demo"
