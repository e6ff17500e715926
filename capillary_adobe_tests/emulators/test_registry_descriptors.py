"""Descriptors of the Schema Registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from capillary_adobe_tests.emulators.registry_client import DESCRIPTORS, TEXT, Registry, identity, set_up

FIELDS = {"member": TEXT, "other": TEXT, "points": {"type": "integer"}, "shop": {"type": "object", "properties": {}}}
VND = "application/vnd.adobe."


@pytest.fixture
def schema_id(registry: Registry) -> str:
    return registry.made("Members", FIELDS, union=False)[0]


def test_a_descriptor_is_made_and_shown(registry: Registry, schema_id: str) -> None:
    answer = registry.describe(schema_id)
    made = answer.json()

    assert answer.status_code == 201
    assert made["version"] == "1"
    assert registry.registry("GET", f"tenant/descriptors/{made['@id']}").json() == made
    assert registry.registry("GET", f"tenant/descriptors/{made['@id']}", DESCRIPTORS).json() == made


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, str]]:
    """An emulator that other tests use too, and a schema that stays without descriptors."""
    with set_up(tmp_path_factory.mktemp("descriptors")) as registry:
        yield registry, registry.made("Members", FIELDS, union=False)[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"@type": "xdm:descriptorOther"}, "@type"),
        ({"xdm:sourceSchema": "https://ns.adobe.com/demo/schemas/none"}, "does not exist"),
        ({"xdm:sourceVersion": 2}, "version"),
        ({"xdm:sourceProperty": "_demo/member"}, "slash"),
        ({"xdm:sourceProperty": "/_demo/member/"}, "slash"),
        ({"xdm:sourceProperty": "/properties/_demo/properties/member"}, "no field"),
        ({"xdm:sourceProperty": "/_demo/none"}, "no field"),
        ({"xdm:sourceProperty": None}, "slash"),
        ({"xdm:sourceProperty": "/_demo/points"}, "no text"),
        ({"xdm:sourceProperty": "/_demo/shop"}, "no text"),
        ({"xdm:namespace": "nobody"}, "namespace"),
        ({"xdm:namespace": "6"}, "namespace"),
        ({"xdm:property": "xdm:name"}, "xdm:property"),
        ({"xdm:isPrimary": "yes"}, "xdm:isPrimary"),
    ],
)
def test_a_bad_descriptor_is_refused(refusing: tuple[Registry, str], changes: dict[str, Any], words: str) -> None:
    registry, schema_id = refusing
    answer = registry.describe(schema_id, **changes)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert registry.registry("GET", "tenant/descriptors", DESCRIPTORS).json() == {}


def test_a_namespace_is_named_by_code_or_number(registry: Registry, schema_id: str) -> None:
    number = {"xdm:namespace": "6", "xdm:property": "xdm:id"}
    registry.new_namespace("member")

    assert registry.describe(schema_id, "/_demo/member", **number).status_code == 201
    assert registry.describe(schema_id, "/_demo/other", **{"xdm:namespace": "member"}).status_code == 201


def test_one_identity_is_primary_and_mandatory(registry: Registry, schema_id: str) -> None:
    first = registry.describe(schema_id, "/_demo/member", **{"xdm:isPrimary": True})
    second = registry.describe(schema_id, "/_demo/other", **{"xdm:isPrimary": True})
    full = registry.look_up(schema_id).json()

    assert (first.status_code, second.status_code) == (201, 400)
    assert "/_demo/member" in second.json()["detail"]
    assert full["required"] == ["_demo"]
    assert full["properties"]["_demo"]["required"] == ["member"]
    assert registry.describe(schema_id, "/_demo/other").status_code == 201


def test_a_field_is_an_identity_once(registry: Registry, schema_id: str) -> None:
    registry.describe(schema_id)
    again = registry.describe(schema_id, **{"xdm:namespace": "Phone"})

    assert again.status_code == 400
    assert "already" in again.json()["detail"]


def test_lists_are_grouped_by_type(registry: Registry, schema_id: str) -> None:
    made = registry.describe(schema_id).json()
    label = {"@type": "xdm:alternateDisplayInfo", "xdm:title": {"en_us": "Member"}}
    named = {name: value for name, value in identity(schema_id).items() if name.startswith("xdm:source")}
    other = registry.registry("POST", "tenant/descriptors", json=named | label).json()
    lists = {
        form: registry.registry("GET", "tenant/descriptors", f"{VND}{form}+json").json()
        for form in ("xdm", "xdm-id", "xdm-link", "xdm-v2", "xdm-v2-id")
    }

    assert lists["xdm"] == {"xdm:descriptorIdentity": [made], "xdm:alternateDisplayInfo": [other]}
    assert lists["xdm-id"]["xdm:descriptorIdentity"] == [made["@id"]]
    assert lists["xdm-link"]["xdm:descriptorIdentity"] == [f"/tenant/descriptors/{made['@id']}"]
    assert len(lists["xdm-v2"]["results"]) == 2
    assert made in lists["xdm-v2"]["results"]
    assert lists["xdm-v2"]["_page"]["next"] is None
    assert set(lists["xdm-v2-id"]["results"]) == {made["@id"], other["@id"]}


@pytest.mark.parametrize(
    "accept", ["", "application/json", f"{VND}xed+json", f"{VND}xed-id+json", f"{VND}xdm-full+json"]
)
def test_a_list_wants_a_form_of_its_own(untouched: Registry, accept: str) -> None:
    answer = untouched.registry("GET", "tenant/descriptors", accept)

    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/XDM-1008-400")


def test_one_descriptor_in_a_wrong_form(registry: Registry, schema_id: str) -> None:
    made = registry.describe(schema_id).json()
    answer = registry.registry("GET", f"tenant/descriptors/{made['@id']}", f"{VND}xed+json;version=1")

    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/XDM-1009-400")


def test_a_descriptor_is_replaced_and_deleted(registry: Registry, schema_id: str) -> None:
    made = registry.describe(schema_id).json()
    path = f"tenant/descriptors/{made['@id']}"
    body = identity(schema_id, "/_demo/other")
    changed = registry.registry("PUT", path, json=body)

    assert (changed.json()["@id"], changed.json()["xdm:sourceProperty"]) == (made["@id"], "/_demo/other")
    assert registry.registry("PUT", path, json=identity(schema_id, "/_demo/none")).status_code == 400
    assert registry.registry("DELETE", path).status_code == 204
    assert [registry.registry(method, path, json=body).status_code for method in ("GET", "PUT", "DELETE")] == [404] * 3


def test_an_identity_stays_once_profile_needs_it(registry: Registry) -> None:
    enabled, _ = registry.made()
    made = registry.describe(enabled, **{"xdm:isPrimary": True}).json()
    path = f"tenant/descriptors/{made['@id']}"

    assert registry.registry("DELETE", path).status_code == 403
    assert registry.registry("PUT", path, json=identity(enabled)).status_code == 403
    assert registry.registry("PUT", path, json=made | {"xdm:namespace": "Phone"}).status_code == 403
    assert registry.registry("PUT", path, json=made).status_code == 200
    assert registry.registry("GET", path).json()["xdm:isPrimary"] is True
