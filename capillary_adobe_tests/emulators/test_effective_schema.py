"""The schema of a whole record, as the Registry shows it and as the emulator judges by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from capillary_adobe.emulators.effective_schema import effective_schema, schema_version
from capillary_adobe.emulators.sandboxes import Resources
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.xdm.schemas import Kind, entity_schema
from capillary_adobe_tests.emulators.registry_client import Registry, opened

OURS = ("minLength", "minItems", "minProperties", "additionalProperties", "$comment")


@pytest.fixture
def resources(tmp_path: Path, tenant: Tenant) -> Resources:
    return opened(tenant, tmp_path)


def effective(resources: Resources, tenant: Tenant, kind: Kind) -> dict[str, Any]:
    """The seeded schema of a kind."""
    schema_id = {"events": tenant.events_schema_id, "profiles": tenant.profiles_schema_id}[kind]
    found = effective_schema(resources, schema_id, tenant.tenant_id)
    assert found is not None
    return found


def paths(node: dict[str, Any], schema: dict[str, Any], path: str = "") -> dict[str, str]:
    """Every field below a node with its type."""
    if "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    found = {path: node.get("type", "string")}
    for name, part in node.get("properties", {}).items():
        found |= paths(part, schema, f"{path}/{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            found |= paths(node[name], schema, f"{path}/*")
    return found


@pytest.mark.parametrize("kind", ["events", "profiles"])
def test_the_demo_has_every_field_that_the_shipped_schema_has(resources: Resources, tenant: Tenant, kind: Kind) -> None:
    ours = entity_schema(kind, tenant.tenant_id)
    whole = effective(resources, tenant, kind)

    assert paths(whole, whole) == paths(ours, ours)


@pytest.mark.parametrize("kind", ["events", "profiles"])
def test_it_is_plain_json_schema(resources: Resources, tenant: Tenant, kind: Kind) -> None:
    whole = effective(resources, tenant, kind)
    validator = jsonschema_rs.Draft7Validator(whole, validate_formats=True)
    record = {"_id": "e-1", "timestamp": "2026-04-23T17:30:41.201Z", "unknown": None}
    audit = {"lastUpdatedDate": "2026-04-23T17:30:41.201Z", "externalID": ""}

    assert "$ref" not in str(whole)
    assert validator.is_valid(record | {"extSourceSystemAudit": audit})
    assert not validator.is_valid(record | {"extSourceSystemAudit": audit | {"lastUpdatedDate": "yesterday"}})
    assert not validator.is_valid(record | {"_demo": {"capillary": []}})


def test_what_xdm_does_not_demand_is_left_open(resources: Resources, tenant: Tenant) -> None:
    whole = effective(resources, tenant, "profiles")

    assert "required" not in whole
    assert "required" not in whole["properties"]["extSourceSystemAudit"]
    assert not [word for word in OURS if word in whole["properties"]["person"]]
    assert whole["properties"]["identityMap"]["meta:xdmType"] == "map"


def test_it_is_what_the_registry_shows(seeded: Registry, tenant: Tenant, resources: Resources) -> None:
    shown = seeded.look_up(tenant.events_schema_id).json()

    assert shown["properties"] == effective(resources, tenant, "events")["properties"]
    assert shown["version"] == schema_version(resources, tenant.events_schema_id) == "1.0"


def test_a_schema_that_is_not_there(resources: Resources) -> None:
    assert effective_schema(resources, "https://ns.adobe.com/demo/schemas/none", "demo") is None
    assert schema_version(resources, "https://ns.adobe.com/demo/schemas/none") is None


def test_a_reference_to_itself_does_not_go_on_for_ever(resources: Resources, tenant: Tenant) -> None:
    id_ = "https://ns.adobe.com/demo/datatypes/tree"
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": id_}}}
    resources.put("datatypes", id_, {"$id": id_, "title": "Tree"} | tree)
    schema = resources.get("schemas", tenant.profiles_schema_id) or {}
    resources.put("schemas", schema["$id"], schema | {"allOf": [*schema["allOf"], {"$ref": id_}]})

    assert effective(resources, tenant, "profiles")["properties"]["child"] == {}
