"""Changing what is in the Schema Registry: what grows, and what must not be taken away."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from capillary_adobe_tests.emulators.registry_client import EVENTS, IDENTITY_MAP, TEXT, XED, Registry, group, own

FIELDS = "/definitions/own/properties/_demo/properties"
START: dict[str, Any] = {
    "member": {"type": "string", "pattern": "^[a-z]+$"},
    "tier": {"type": "string", "enum": ["gold", "silver"]},
    "points": {"type": "integer", "minimum": 0, "maximum": 10},
    "names": {"type": "array", "items": own({"first": TEXT})},
    "shop": own({"code": TEXT}),
    "since": TEXT | {"format": "date"},
}
BREAKING = [
    ({"op": "remove", "path": f"{FIELDS}/member"}, "/_demo/member would be removed"),
    ({"op": "remove", "path": f"{FIELDS}/names/items/properties/first"}, "/_demo/names/*/first would be removed"),
    ({"op": "replace", "path": f"{FIELDS}/points/type", "value": "string"}, "type of /_demo/points"),
    ({"op": "replace", "path": f"{FIELDS}/shop", "value": TEXT}, "type of /_demo/shop"),
    (
        {"op": "replace", "path": f"{FIELDS}/points", "value": {"type": "integer", "minimum": 0}},
        "meta:xdmType of /_demo/points was int and would be long",
    ),
    ({"op": "replace", "path": f"{FIELDS}/since", "value": TEXT}, "meta:xdmType of /_demo/since was date"),
    ({"op": "replace", "path": f"{FIELDS}/member/pattern", "value": "^x$"}, "pattern of /_demo/member"),
    ({"op": "remove", "path": f"{FIELDS}/tier/enum/0"}, "enum of /_demo/tier"),
    ({"op": "add", "path": f"{FIELDS}/shop/properties/code/enum", "value": ["a"]}, "enum of /_demo/shop/code"),
    ({"op": "replace", "path": f"{FIELDS}/points/maximum", "value": 9}, "maximum of /_demo/points"),
    ({"op": "add", "path": f"{FIELDS}/member/minLength", "value": 2}, "minLength of /_demo/member"),
    ({"op": "add", "path": f"{FIELDS}/shop/required", "value": ["code"]}, "/_demo/shop/code would be required"),
    ({"op": "replace", "path": "/allOf", "value": []}, "/_demo would be removed"),
]
HARMLESS = [
    {"op": "add", "path": f"{FIELDS}/shoeSize", "value": {"type": "integer"}},
    {"op": "add", "path": f"{FIELDS}/names/items/properties/last", "value": TEXT},
    {"op": "add", "path": f"{FIELDS}/tier/enum/-", "value": "bronze"},
    {"op": "replace", "path": f"{FIELDS}/points/maximum", "value": 11},
    {"op": "remove", "path": f"{FIELDS}/member/pattern"},
    {"op": "add", "path": "/title", "value": "Better words"},
]


def broken(answer: requests.Response) -> str:
    """What a refusal of a breaking change says."""
    assert answer.status_code == 400
    assert answer.json()["title"] == "Breaking change"
    return answer.json()["detail"]


def test_a_group_in_use_loses_nothing(registry: Registry) -> None:
    schema_id, group_id = registry.made("Members", START)
    refusals = [(broken(registry.patch("fieldgroups", group_id, change)), words) for change, words in BREAKING]

    assert [words for refusal, words in refusals if words not in refusal] == []
    assert registry.look_up(schema_id).json()["version"] == "1.0"


def test_a_group_that_is_not_in_use_may_lose_anything(registry: Registry) -> None:
    for number, (change, _) in enumerate(BREAKING):
        _, group_id = registry.made(f"Members {number}", START, union=False)

        assert registry.patch("fieldgroups", group_id, change).status_code == 200


def test_a_group_in_use_may_grow(registry: Registry) -> None:
    schema_id, group_id = registry.made("Members", START)
    versions = [registry.patch("fieldgroups", group_id, change).json().get("version") for change in HARMLESS]

    assert versions == [f"1.{number}" for number in range(1, len(HARMLESS) + 1)]
    assert registry.look_up(schema_id).json()["version"] == versions[-1]


def test_a_group_stays_fit_for_the_schemas_that_use_it(registry: Registry) -> None:
    schema_id, group_id = registry.made(union=False)
    others = {"op": "replace", "path": "/meta:intendedToExtend", "value": [EVENTS]}
    refused = registry.patch("fieldgroups", group_id, others)

    assert refused.status_code == 400
    assert group_id in refused.json()["detail"]
    assert registry.patch("schemas", schema_id, {"op": "add", "path": "/title", "value": "New"}).status_code == 200


def test_a_new_field_is_shown_at_once(registry: Registry) -> None:
    schema_id, group_id = registry.made()
    registry.patch("fieldgroups", group_id, {"op": "add", "path": f"{FIELDS}/shoeSize", "value": {"type": "integer"}})
    registry.patch("fieldgroups", group_id, {"op": "add", "path": f"{FIELDS}/hatSize", "value": {"type": "integer"}})
    full = registry.look_up(schema_id).json()

    assert full["version"] == "1.2"
    assert full["properties"]["_demo"]["properties"].keys() == {"member", "shoeSize", "hatSize"}


def test_a_schema_may_get_a_group_and_not_lose_one(registry: Registry) -> None:
    schema_id, _ = registry.made()
    more = registry.new_group("More", {"more": TEXT}).json()["$id"]
    added = registry.patch("schemas", schema_id, {"op": "add", "path": "/allOf/-", "value": {"$ref": more}})

    assert added.json()["meta:extends"][-1] == more
    assert added.json()["version"] == "1.1"
    assert "/_demo/more" in broken(registry.patch("schemas", schema_id, {"op": "remove", "path": "/allOf/3"}))
    assert registry.look_up(schema_id, XED).json()["version"] == "1.1"


def test_a_replacement_is_held_against_what_was_there(registry: Registry) -> None:
    schema_id, group_id = registry.made("Members", START)
    path = f"tenant/fieldgroups/{quote(group_id, safe='')}"
    title = "Members group"
    less = registry.registry("PUT", path, json=group(title, {"_demo": own({"member": TEXT})}))
    more = registry.registry("PUT", path, json=group(title, {"_demo": own(START | {"more": TEXT})}))

    assert "/_demo/tier would be removed" in broken(less)
    assert (more.status_code, more.json()["$id"], more.json()["version"]) == (200, group_id, "1.1")
    assert "more" in registry.look_up(schema_id).json()["properties"]["_demo"]["properties"]


def test_profile_is_for_good(registry: Registry) -> None:
    schema_id, _ = registry.made()
    changes = [{"op": "replace", "path": "/meta:immutableTags", "value": tags} for tags in ([], ["other"], None)]
    for change in [*changes, {"op": "remove", "path": "/meta:immutableTags"}]:
        assert "union" in broken(registry.patch("schemas", schema_id, change))

    assert registry.look_up(schema_id).json()["meta:immutableTags"] == ["union"]


def test_profile_can_be_switched_on_later(registry: Registry) -> None:
    schema_id, _ = registry.made(union=False)
    tag = {"op": "add", "path": "/meta:immutableTags", "value": ["union"]}

    assert registry.patch("schemas", schema_id, tag).json()["meta:immutableTags"] == ["union"]
    assert broken(registry.patch("schemas", schema_id, {"op": "remove", "path": "/meta:immutableTags"}))


def test_a_dataset_too_puts_a_schema_to_use(registry: Registry) -> None:
    schema_id, group_id = registry.made(union=False)
    reference = {"id": schema_id, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    made = registry.call("POST", "foundation/catalog/dataSets", json={"name": "Members", "schemaRef": reference})

    assert made.status_code == 201
    assert broken(registry.patch("fieldgroups", group_id, {"op": "remove", "path": f"{FIELDS}/member"}))


def test_a_changed_object_is_checked_like_a_new_one(registry: Registry) -> None:
    schema_id, group_id = registry.made()
    changes = [
        ("fieldgroups", group_id, {"op": "add", "path": f"{FIELDS}/_bad", "value": TEXT}),
        ("fieldgroups", group_id, {"op": "add", "path": "/title", "value": "Members"}),
        ("schemas", schema_id, {"op": "add", "path": "/allOf/-", "value": {"$ref": "https://ns.adobe.com/none"}}),
        ("schemas", schema_id, {"op": "add", "path": "/allOf/9", "value": {"$ref": IDENTITY_MAP}}),
        ("schemas", schema_id, {"op": "add", "path": f"/allOf/{'9' * 5000}", "value": {"$ref": IDENTITY_MAP}}),
        ("schemas", schema_id, {"op": "grow", "path": "/title", "value": "x"}),
    ]

    assert [registry.patch(kind, id_, change).status_code for kind, id_, change in changes] == [400] * 6
    assert registry.registry("PATCH", f"tenant/schemas/{quote(schema_id, safe='')}", json={}).status_code == 400
    assert registry.patch("schemas", "none", {"op": "add", "path": "/title", "value": "x"}).status_code == 404


def test_ids_cannot_be_changed(registry: Registry) -> None:
    schema_id, _ = registry.made()
    answer = registry.patch("schemas", schema_id, {"op": "replace", "path": "/$id", "value": "https://ns.adobe.com/x"})

    assert answer.json()["$id"] == schema_id
