"""The Schema Registry's client: how objects are named and asked for, and lists of more than one page."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from capillary_adobe.adobe.schema_registry import IDENTITY, SchemaRegistry
from capillary_adobe_tests.adobe.platform_server import ScriptedPlatform, says

ROOT = "/data/foundation/schemaregistry/tenant"
ID = "https://ns.adobe.com/acme/schemas/9a1b"
ENCODED = "https%3A%2F%2Fns.adobe.com%2Facme%2Fschemas%2F9a1b"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


def page(following: str | None, *titles: str) -> dict[str, object]:
    return {"results": [{"$id": f"id of {title}", "title": title} for title in titles], "_page": {"next": following}}


def test_a_list_goes_on_in_the_order_in_which_it_began(server: ScriptedPlatform) -> None:
    server.follow(says(page("Loyalty", "Basket", "Loyalty")), says(page(None, "Mine")))

    assert SchemaRegistry(server.client()).ids("schemas", "Mine") == ["id of Mine"]

    first, second = [one.query for one in server.asked]
    assert first == {"property": "title==Mine", "orderby": "title"}
    assert second == {**first, "start": "Loyalty"}
    assert {one.headers["accept"] for one in server.asked} == {"application/vnd.adobe.xed-id+json"}


def test_each_form_of_a_schema_is_asked_for_by_its_version(server: ScriptedPlatform) -> None:
    registry = SchemaRegistry(server.follow().client())

    registry.plain("schemas", ID)
    registry.full(ID)

    assert [one.raw_path for one in server.asked] == [f"{ROOT}/schemas/{ENCODED}"] * 2
    forms = [one.headers["accept"] for one in server.asked]
    assert forms == ["application/vnd.adobe.xed+json; version=1", "application/vnd.adobe.xed-full+json; version=1"]


def test_changes_go_as_json(server: ScriptedPlatform) -> None:
    registry = SchemaRegistry(server.follow(otherwise=says({"$id": ID, "@id": "d"}, 201)).client())
    operations = [{"op": "add", "path": "/allOf/-", "value": {"$ref": "x"}}]

    registry.patch("fieldgroups", ID, operations)
    assert registry.create("schemas", {"title": "Mine"}) == ID

    patch, post = server.asked
    assert (patch.method, patch.raw_path) == ("PATCH", f"{ROOT}/fieldgroups/{ENCODED}")
    assert (orjson.loads(patch.body), post.raw_path) == (operations, f"{ROOT}/schemas")
    assert {one.headers["content-type"] for one in server.asked} == {"application/json"}


def test_descriptors_of_another_schema_and_of_another_type_are_not_taken(server: ScriptedPlatform) -> None:
    ours = {"@id": "d", "xdm:sourceSchema": ID, "xdm:sourceProperty": "/_acme/id", "xdm:namespace": "own"}
    listed = {IDENTITY: [ours, {**ours, "@id": "e", "xdm:sourceSchema": f"{ID}0"}], "xdm:alternateDisplayInfo": [ours]}
    server.follow(says(listed), says({}))
    registry = SchemaRegistry(server.client())

    assert [(one.id, one.path, one.is_primary) for one in registry.identity_descriptors(ID)] == [
        ("d", "/_acme/id", False)
    ]
    assert registry.identity_descriptors(ID) == []
    assert server.asked[0].query == {"property": f"xdm:sourceSchema=={ID}"}
    assert server.asked[0].headers["accept"] == "application/vnd.adobe.xdm+json"
