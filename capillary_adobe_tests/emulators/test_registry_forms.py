"""In which forms the Schema Registry shows objects, and what it says to a wrong `Accept` header."""

from __future__ import annotations

import pytest
import requests

from capillary_adobe_tests.emulators.registry_client import EVENTS, FULL, LIST, XED, Registry

VND = "application/vnd.adobe."


def code(answer: requests.Response) -> tuple[int, str]:
    """Status and code of an error, which has to have the layout of the Registry's errors."""
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["report"].keys() == {"registryRequestId", "timestamp", "detailed-message", "sub-errors"}
    assert body["detail"] == body["report"]["detailed-message"]
    return answer.status_code, body["type"].rpartition("/")[2]


@pytest.mark.parametrize("accept", ["", "application/json", f"{VND}xed+json;version=1", f"{VND}xed-full+json", "xed"])
@pytest.mark.parametrize("path", ["tenant/schemas", "global/fieldgroups", "tenant/unions"])
def test_a_list_wants_a_form_without_a_version(seeded: Registry, path: str, accept: str) -> None:
    assert code(seeded.registry("GET", path, accept)) == (400, "XDM-1006-400")


def test_a_list_is_short_or_in_full(seeded: Registry) -> None:
    short = seeded.registry("GET", "tenant/schemas", LIST).json()["results"]
    whole = seeded.registry("GET", "tenant/schemas", f"{VND}xed+json").json()["results"]

    assert [item.keys() for item in short] == [{"$id", "meta:altId", "version", "title"}] * 2
    assert {item["$id"] for item in whole} == {item["$id"] for item in short}
    assert all({"allOf", "meta:class", "meta:immutableTags"} <= item.keys() for item in whole)


@pytest.mark.parametrize("accept", ["", "application/json", f"{VND}xed+json", f"{VND}xed-id+json; version=1"])
def test_one_object_wants_a_version(seeded: Registry, accept: str) -> None:
    assert code(seeded.look_up(seeded.tenant.events_schema_id, accept)) == (400, "XDM-1007-400")


@pytest.mark.parametrize("version", ["2", "1.7", "0"])
def test_a_version_that_is_not_there(seeded: Registry, version: str) -> None:
    answer = seeded.look_up(seeded.tenant.events_schema_id, f"{VND}xed-full+json; version={version}")

    assert answer.status_code == 406


@pytest.mark.parametrize("id_", ["https://ns.adobe.com/demo/schemas/none", "_demo.schemas.none", "none"])
def test_an_object_that_is_not_there(seeded: Registry, id_: str) -> None:
    assert code(seeded.look_up(id_)) == (404, "XDM-1012-404")


def test_an_id_is_encoded_or_an_alternate(seeded: Registry) -> None:
    id_ = seeded.tenant.profiles_schema_id
    found = seeded.look_up(id_).json()

    assert seeded.look_up(found["meta:altId"]).json() == found
    assert seeded.registry("GET", f"tenant/schemas/{id_}", FULL).status_code == 404


def test_a_schema_as_it_was_made_and_in_full(seeded: Registry) -> None:
    id_ = seeded.tenant.events_schema_id
    bare, full = seeded.look_up(id_, XED).json(), seeded.look_up(id_).json()

    assert bare["allOf"][0]["$ref"] == EVENTS
    assert "properties" not in bare
    assert not {"allOf", "definitions", "$ref"} & full.keys()
    assert "$ref" not in str(full["properties"])
    assert full["properties"]["timestamp"] == {
        "type": "string",
        "format": "date-time",
        "meta:xdmType": "date-time",
    }
    assert {"_id", "timestamp"} <= set(full["required"])
    assert {"commerce", "loyalty", "_demo"} <= full["properties"].keys()


def test_a_form_without_texts_and_one_with_descriptors(seeded: Registry) -> None:
    id_ = seeded.tenant.events_schema_id
    quiet = seeded.look_up(id_, f"{VND}xed-full-notext+json; version=1").json()
    told = seeded.look_up(id_, f"{VND}xed-full-desc+json; version=1").json()

    assert not {"title", "description"} & quiet.keys()
    assert isinstance(told["meta:descriptors"], list)
    assert told["title"]


def test_a_standard_group_is_no_stricter_than_xdm(seeded: Registry) -> None:
    id_ = "https://ns.adobe.com/xdm/context/experienceevent-commerce"
    answer = seeded.look_up(id_, kind="fieldgroups", container="global")
    item = answer.json()["properties"]["productListItems"]["items"]

    assert answer.json()["meta:intendedToExtend"] == [EVENTS]
    assert not {
        word for word in ("minLength", "minItems", "minProperties", "additionalProperties") if word in answer.text
    }
    assert item["required"] == ["SKU"]
    assert item["properties"]["quantity"]["meta:xdmType"] == "int"
    assert item["properties"]["currencyCode"]["pattern"]
    assert "_demo" not in item["properties"]
    assert seeded.look_up(id_, kind="mixins", container="global").json() == answer.json()
    assert seeded.look_up(id_, kind="fieldgroups").status_code == 404


def test_the_tag_in_the_header_is_the_one_in_the_body(seeded: Registry) -> None:
    answer = seeded.look_up(seeded.tenant.events_schema_id, XED)

    assert answer.headers["ETag"] == f'"{answer.json()["meta:registryMetadata"]["eTag"]}"'
