"""Adobe's Python SDK against the emulator: schemas, identity namespaces and sandboxes.

Belongs here: calls a user of the SDK makes, and that they get what the SDK expects. Does not belong here: the rules of
the services, which have tests of their own beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aepp.configs import ConnectObject
from aepp.identity import Identity
from aepp.sandboxes import Sandboxes
from aepp.schema import Schema

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe_tests.emulators.sdk import connected

EVENTS = "https://ns.adobe.com/xdm/context/experienceevent"
PROFILES = "https://ns.adobe.com/xdm/context/profile"
IDENTITY_MAP = "https://ns.adobe.com/xdm/context/identitymap"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path_factory.mktemp("sdk"), empty=True) as running:
        yield running


@pytest.fixture
def connection(emulator: RunningEmulator) -> Iterator[ConnectObject]:
    with connected(emulator) as made:
        yield made


@pytest.fixture
def schemas(connection: ConnectObject) -> Any:  # what it returns is not what its annotations say
    return Schema(config=connection)


def field_group(title: str, **fields: dict[str, Any]) -> dict[str, Any]:
    own = {"properties": {"_demo": {"type": "object", "properties": fields}}}
    return {
        "type": "object",
        "title": title,
        "description": title,
        "meta:intendedToExtend": [PROFILES],
        "definitions": {"customFields": own},
        "allOf": [{"$ref": "#/definitions/customFields"}],
    }


def test_it_finds_the_tenant_and_the_standard_library(schemas: Any) -> None:
    assert schemas.getTenantId() == "demo"
    assert {found["$id"] for found in schemas.getStats()["classUsage"]} == {EVENTS, PROFILES}
    assert EVENTS in {found["$id"] for found in schemas.getClassesGlobal()}
    titles = {found["title"] for found in schemas.getFieldGroupsGlobal(format="xed")}
    assert {"IdentityMap", "Commerce Details", "Loyalty Details"} <= titles


def test_it_makes_extends_and_describes_a_schema(schemas: Any) -> None:
    member = {"type": "string", "title": "Member"}
    group = schemas.createFieldGroup(field_group("SDK members", memberId=member))
    made = schemas.createProfileSchema("SDK profiles", fieldGroupIds=[group["$id"], IDENTITY_MAP])
    descriptor = schemas.createDescriptor(
        {
            "@type": "xdm:descriptorIdentity",
            "xdm:sourceSchema": made["$id"],
            "xdm:sourceVersion": 1,
            "xdm:sourceProperty": "/_demo/memberId",
            "xdm:namespace": "Email",
            "xdm:property": "xdm:code",
            "xdm:isPrimary": False,
        }
    )
    schemas.enableSchemaForRealTime(made["$id"])
    more = schemas.createFieldGroup(field_group("SDK shoes", shoeSize={"type": "integer"}))
    extended = schemas.addFieldGroupToSchema(made["meta:altId"], [more["$id"]])
    full = schemas.getSchema(made["$id"], full=True, schema_type="xed")

    assert (made["version"], extended["version"], full["version"]) == ("1.0", "1.2", "1.2")
    assert full["properties"]["_demo"]["properties"]["memberId"]["title"] == "Member"
    assert full["properties"]["_demo"]["properties"]["shoeSize"]["meta:xdmType"] == "long"
    assert "identityMap" in full["properties"]
    assert made["$id"] in {found["$id"] for found in schemas.getSchemas(classFilter=PROFILES)}
    assert schemas.data.schemas_id["SDK profiles"] == made["$id"]
    assert [found["meta:class"] for found in schemas.getUnions()] == [PROFILES]
    assert "shoeSize" in schemas.getUnion(f"{PROFILES}__union")["properties"]["_demo"]["properties"]
    assert schemas.getDescriptor(descriptor["@id"])["xdm:sourceProperty"] == "/_demo/memberId"
    assert descriptor["@id"] in {found["@id"] for found in schemas.getDescriptors()}


def test_it_widens_what_a_field_group_is_for(schemas: Any) -> None:
    group = schemas.createFieldGroup(field_group("SDK wide", wide={"type": "boolean"}))

    assert schemas.extendFieldGroup(group["$id"])["meta:intendedToExtend"] == [PROFILES, EVENTS]
    assert schemas.getFieldGroup(group["$id"], full=True, type="xed")["version"] == "1.1"


def test_it_makes_namespaces(connection: ConnectObject, emulator: RunningEmulator) -> None:
    identity: Any = Identity(config=connection)
    identity.endpoint = f"{emulator.base_url}/data/core"  # the SDK takes this one from no setting
    made = identity.createIdentity("Shoe size", "shoeSize", "NON_PEOPLE", "Their feet")

    assert made["custom"] is True
    assert identity.getIdentities(only_custom=True) == [made]
    assert identity.getIdentityDetail(str(made["id"])) == made
    assert {"Email", "Phone", "ECID"} <= {found["code"] for found in identity.getIdentities()}


def test_it_finds_the_sandboxes(connection: ConnectObject) -> None:
    sandboxes: Any = Sandboxes(config=connection)

    assert {found["name"]: found["type"] for found in sandboxes.getSandboxes()} == {
        "demo": "development",
        "prod": "production",
    }
    assert sandboxes.getSandbox("demo")["state"] == "active"
    assert sandboxes.getSandboxId("demo") != sandboxes.getSandboxId("prod")


def test_each_sandbox_has_objects_of_its_own(emulator: RunningEmulator, schemas: Any) -> None:
    schemas.createFieldGroup(field_group("SDK here", here={"type": "string"}))
    with connected(emulator, sandbox="prod") as there:
        other: Any = Schema(config=there)

    assert "SDK here" in {found["title"] for found in schemas.getFieldGroups()}
    assert other.getFieldGroups() == []
