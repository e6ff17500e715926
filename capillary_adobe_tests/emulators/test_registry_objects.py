"""Making field groups, data types and schemas in the Schema Registry."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from capillary_adobe_tests.emulators.registry_client import (
    EVENTS,
    FULL,
    IDENTITY_MAP,
    PROFILES,
    TEXT,
    XED,
    Registry,
    group,
    own,
)

COMMERCE = "https://ns.adobe.com/xdm/context/experienceevent-commerce"


def test_what_is_made_gets_ids_and_a_version(registry: Registry) -> None:
    answer = registry.new_group("Members", {"member": TEXT})
    made = answer.json()
    schema = registry.new_schema("Profiles", made["$id"]).json()

    assert answer.status_code == 201
    assert made["$id"].startswith("https://ns.adobe.com/demo/mixins/")
    assert made["meta:altId"] == f"_demo.mixins.{made['$id'].rpartition('/')[2]}"
    assert (made["version"], made["meta:containerId"], made["meta:tenantNamespace"]) == ("1.0", "tenant", "_demo")
    assert answer.headers["ETag"].strip('"') == made["meta:registryMetadata"]["eTag"]
    assert schema["$id"].startswith("https://ns.adobe.com/demo/schemas/")
    assert (schema["meta:class"], schema["meta:extends"]) == (PROFILES, [PROFILES, made["$id"]])
    assert registry.look_up(schema["$id"], XED).json() == schema
    assert registry.look_up(made["$id"], FULL, "mixins").json()["properties"]["_demo"]["properties"] == {
        "member": TEXT | {"meta:xdmType": "string"}
    }


def test_ids_are_the_servers_to_give(registry: Registry) -> None:
    body = group("Mine", {"_demo": own({"a": TEXT})}) | {
        "$id": "https://ns.adobe.com/demo/mixins/mine",
        "version": "7.0",
    }
    made = registry.registry("POST", "tenant/fieldgroups", json=body).json()

    assert made["$id"] != body["$id"]
    assert made["version"] == "1.0"


def test_a_title_is_taken_once_across_kinds(registry: Registry) -> None:
    made = registry.new_group("Members", {"member": TEXT}).json()
    answers = [
        registry.new_group("Members", {"other": TEXT}),
        registry.new_schema("Members", made["$id"]),
        registry.new_group("Commerce Details", {"other": TEXT}),
    ]

    assert [answer.status_code for answer in answers] == [400] * 3
    assert answers[0].json()["type"].endswith("/XDM-3005-400")
    assert made["$id"] in answers[0].json()["detail"]


@pytest.mark.parametrize("ref", ["https://ns.adobe.com/demo/mixins/none", "https://ns.adobe.com/xdm/context/none"])
def test_an_unknown_reference_is_refused(untouched: Registry, ref: str) -> None:
    answer = untouched.new_schema("Profiles", ref)

    assert answer.status_code == 400
    assert ref in answer.json()["detail"]
    assert untouched.list() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"member": TEXT},
        {"_other": own({"member": TEXT})},
        {"member": own({"id": TEXT})},
        {"_demo": own({"_member": TEXT})},
        {"_demo": own({"my member": TEXT})},
        {"_demo": own({"list": {"type": "array", "items": own({"_id": TEXT})}})},
        {"productListItems": {"type": "array", "items": own({"size": TEXT})}},
        {"_demo": own({"member": TEXT}), "member": TEXT},
    ],
)
def test_fields_are_the_tenants_own_and_named_well(untouched: Registry, fields: dict[str, Any]) -> None:
    answer = untouched.registry("POST", "tenant/fieldgroups", json=group("Members", fields))

    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/XDM-1021-400")
    assert untouched.list("fieldgroups") == []


def test_the_tenants_fields_may_stand_inside_a_standard_field(registry: Registry) -> None:
    items = {"type": "array", "items": own({"_demo": own({"size": TEXT})})}
    made = registry.registry(
        "POST", "tenant/fieldgroups", json=group("Sizes", {"productListItems": items}, EVENTS)
    ).json()
    schema = registry.new_schema("Orders", COMMERCE, made["$id"], class_=EVENTS).json()
    item = registry.look_up(schema["$id"]).json()["properties"]["productListItems"]["items"]["properties"]

    assert {"SKU", "_demo"} <= item.keys()
    assert item["_demo"]["properties"]["size"]["type"] == "string"


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"title": None},
        {"type": "array"},
        {"meta:intendedToExtend": []},
        {"meta:intendedToExtend": ["https://ns.adobe.com/xdm/context/none"]},
        {"allOf": [{"$ref": "#/definitions/none"}]},
        {"definitions": {"own": {"properties": {"_demo": own({"member": {"type": "date"}})}}}},
        {"definitions": {"own": {"properties": {"_demo": own({"member": {}})}}}},
        {"definitions": {"own": {"properties": {"_demo": own({"member": {"type": "array"}})}}}},
    ],
)
def test_a_bad_field_group_is_refused(untouched: Registry, changes: dict[str, Any]) -> None:
    body = group("Members", {"_demo": own({"member": TEXT})}) | changes

    assert untouched.registry("POST", "tenant/fieldgroups", json=body).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"title": "None", "type": "object", "allOf": []},
        {"title": "Two", "type": "object", "allOf": [{"$ref": EVENTS}, {"$ref": PROFILES}]},
        {"title": "Own", "type": "object", "allOf": [{"$ref": PROFILES}], "properties": {"_demo": own({"a": TEXT})}},
        {"title": "Other class", "type": "object", "allOf": [{"$ref": PROFILES}, {"$ref": COMMERCE}]},
        {"title": "No reference", "type": "object", "allOf": [{"$ref": PROFILES}, {"type": "object"}]},
    ],
    ids=lambda body: body["title"],
)
def test_a_bad_schema_is_refused(untouched: Registry, body: dict[str, Any]) -> None:
    assert untouched.registry("POST", "tenant/schemas", json=body).status_code == 400


def test_a_schema_is_made_of_field_groups_only(registry: Registry) -> None:
    schema_id, _ = registry.made(union=False)
    size = {"title": "Size", "type": "object", "properties": {"eu": {"type": "integer"}}}
    data_type = registry.registry("POST", "tenant/datatypes", json=size).json()["$id"]

    assert registry.new_schema("Of a data type", data_type).status_code == 400
    assert registry.new_schema("Of a schema", schema_id).status_code == 400


def test_a_body_that_is_no_object_is_refused(untouched: Registry) -> None:
    assert untouched.registry("POST", "tenant/schemas", json=[]).status_code == 400
    assert untouched.registry("POST", "tenant/schemas", data=b"{").status_code == 400


def test_profile_wants_someone_to_be_named(registry: Registry) -> None:
    group_id = registry.new_group("Members", {"member": TEXT}).json()["$id"]
    refused = registry.new_schema("Nobody", group_id, union=True)
    later = registry.new_schema("Somebody", group_id).json()["$id"]
    registry.describe(later, **{"xdm:isPrimary": True})
    tag = {"op": "add", "path": "/meta:immutableTags", "value": ["union"]}

    assert refused.json()["type"].endswith("/XDM-1528-400")
    assert registry.new_schema("Anybody", IDENTITY_MAP, group_id, union=True).status_code == 201
    assert registry.patch("schemas", later, tag).status_code == 200
    assert registry.look_up(later).json()["properties"]["_demo"]["required"] == ["member"]


def test_schemas_of_one_class_have_to_merge_in_profile(registry: Registry) -> None:
    registry.made("First", {"member": TEXT})
    other = registry.new_group("Other", {"member": {"type": "integer"}}).json()["$id"]
    answer = registry.new_schema("Second", IDENTITY_MAP, other, union=True)

    assert answer.json()["type"].endswith("/XDM-1413-400")
    assert "/_demo/member" in answer.json()["detail"]
    assert registry.new_schema("Second", IDENTITY_MAP, other).status_code == 201


def test_what_is_text_in_one_schema_is_no_date_in_another(registry: Registry) -> None:
    registry.made("First", {"since": TEXT})
    other = registry.new_group("Other", {"since": TEXT | {"format": "date"}}).json()["$id"]

    assert registry.new_schema("Second", IDENTITY_MAP, other, union=True).json()["type"].endswith("/XDM-1413-400")


def test_a_field_that_refers_within_its_group_has_the_type_it_refers_to(registry: Registry) -> None:
    body = group("Members", {"_demo": own({"since": {"$ref": "#/definitions/day"}})})
    body["definitions"]["day"] = TEXT | {"format": "date"}
    made = registry.registry("POST", "tenant/fieldgroups", json=body).json()
    fields = registry.look_up(made["$id"], kind="fieldgroups").json()["properties"]["_demo"]["properties"]

    assert fields["since"] == TEXT | {"format": "date", "meta:xdmType": "date"}


def test_a_union_shows_all_schemas_of_a_class(registry: Registry) -> None:
    registry.made("First", {"member": TEXT})
    registry.made("Second", {"shoeSize": {"type": "integer"}})
    registry.made("Third", {"hidden": TEXT}, union=False)
    unions = registry.list("unions")
    full = registry.look_up(unions[0]["$id"], kind="unions").json()

    assert [union["$id"] for union in unions] == [f"{PROFILES}__union"]
    assert full["properties"]["_demo"]["properties"].keys() == {"member", "shoeSize"}
    assert registry.registry("GET", "stats").json()["counts"]["unions"] == 1


def test_a_data_type_is_used_by_reference(registry: Registry) -> None:
    size = {"title": "Size", "type": "object", "properties": {"eu": {"type": "integer"}, "uk": {"type": "number"}}}
    made = registry.registry("POST", "tenant/datatypes", json=size).json()
    schema_id, _ = registry.made("Shoes", {"size": {"$ref": made["$id"], "title": "Their size"}})
    field = registry.look_up(schema_id).json()["properties"]["_demo"]["properties"]["size"]
    change = {"op": "add", "path": "/properties/us", "value": {"type": "number"}}

    assert field["title"] == "Their size"
    assert field["properties"].keys() == {"eu", "uk"}
    assert registry.patch("datatypes", made["$id"], change).status_code == 200
    assert registry.look_up(schema_id).json()["version"] == "1.1"


def test_what_is_needed_cannot_be_deleted(registry: Registry) -> None:
    schema_id, group_id = registry.made()
    loose_id, loose_group = registry.made("Loose", union=False)
    paths = [("schemas", schema_id), ("fieldgroups", group_id), ("fieldgroups", loose_group)]
    paths += [("schemas", loose_id), ("fieldgroups", loose_group), ("schemas", loose_id)]
    answers = [registry.registry("DELETE", f"tenant/{kind}/{quote(id_, safe='')}") for kind, id_ in paths]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 204, 204, 404]


def test_nothing_refers_to_itself(registry: Registry) -> None:
    schema_id, group_id = registry.made()
    fields = "/definitions/own/properties/_demo/properties"
    inner = {"title": "Inner", "type": "object", "properties": {"outer": TEXT}}
    inner_id = registry.registry("POST", "tenant/datatypes", json=inner).json()["$id"]
    outer = {"title": "Outer", "type": "object", "properties": {"inner": {"$ref": inner_id}}}
    outer_id = registry.registry("POST", "tenant/datatypes", json=outer).json()["$id"]
    answers = [
        registry.patch("fieldgroups", group_id, {"op": "add", "path": f"{fields}/own", "value": {"$ref": group_id}}),
        registry.patch("datatypes", inner_id, {"op": "add", "path": "/properties/outer", "value": {"$ref": outer_id}}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert registry.patch("fieldgroups", group_id, {"op": "add", "path": "/title", "value": "New"}).status_code == 200
    assert registry.look_up(schema_id).json()["properties"]["_demo"]["properties"].keys() == {"member"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "global/schemas"),
        ("POST", "tenant/unions"),
        ("POST", "tenant/classes"),
        ("DELETE", "tenant/schemas"),
        ("PUT", "tenant/descriptors"),
    ],
)
def test_what_cannot_be_done(untouched: Registry, method: str, path: str) -> None:
    assert untouched.registry(method, path, json={}).status_code == 405


@pytest.mark.parametrize("path", ["", "nowhere", "tenant", "tenant/nowhere", "other/schemas", "tenant/schemas/a/b"])
def test_paths_that_are_not_there(untouched: Registry, path: str) -> None:
    assert untouched.registry("GET", path, FULL).status_code == 404
