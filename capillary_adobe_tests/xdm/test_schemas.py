"""The schemas themselves: closed, tenant-bound, and within what Adobe's published schemas define."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest

from capillary_adobe.xdm.schemas import Kind, entity_schema, tenant_key
from capillary_adobe_tests.xdm.official import official_schemas

KINDS: list[Kind] = ["events", "profiles"]


def subschemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "type" in node and isinstance(node["type"], str):
            yield node
        for member in node.values():
            yield from subschemas(member)


def fields(schema: dict[str, Any], definitions: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[Any]:
    """Every (path, schema) below a schema; a list or a map adds no step of its own to the path."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from fields(member, definitions, (*path, name))
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from fields(inner, definitions, path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_valid_draft_7(kind: Kind) -> None:
    schema = entity_schema(kind, "acme")
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_is_closed_and_never_empty(kind: Kind) -> None:
    for node in subschemas(entity_schema(kind, "acme")):
        if node["type"] == "object":
            assert node["additionalProperties"] is False or "properties" not in node
            assert node.get("minProperties") == 1 or node.get("required")
        if node["type"] == "array":
            assert node["minItems"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_definition_is_used(kind: Kind) -> None:
    schema = entity_schema(kind, "acme")
    text = orjson.dumps(schema).decode()
    assert [name for name in schema["definitions"] if f'"#/definitions/{name}"' not in text] == []


def test_the_tenant_key_is_written_in_wherever_it_stands() -> None:
    schema = entity_schema("events", "acme")
    assert "_acme" in schema["properties"]
    assert "_acme" in schema["definitions"]["productListItem"]["properties"]
    assert '"_tenant"' not in orjson.dumps(schema).decode()
    assert "_acme" in entity_schema("profiles", "acme")["properties"]


def test_tenants_do_not_share_a_schema() -> None:
    assert "_acme" not in entity_schema("events", "globex")["properties"]


@pytest.mark.parametrize("tenant_id", ["", "_acme", "ac me", 'a"b', "a-b"])
def test_a_tenant_id_that_is_none_is_refused(tenant_id: str) -> None:
    with pytest.raises(ValueError, match="tenant id"):
        tenant_key(tenant_id)


@pytest.mark.parametrize("kind", KINDS)
def test_every_standard_field_is_an_official_one_of_the_same_type(kind: Kind) -> None:
    official: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for document in official_schemas(kind):
        for path, node in fields(document, {}):
            official.setdefault(path, []).append(node)
    schema = entity_schema(kind, "acme")
    for path, node in fields(schema, schema["definitions"]):
        if "_acme" in path or not path:
            continue
        known = official.get(path, [])
        assert known, f"{path} is no official field"
        types = {other.get("type") for other in known}
        assert node.get("type", "string") in types, f"{path} must be {types}"
        for other in known:
            if node.get("type") == "string" or "enum" in node:
                assert set(node.get("enum", [])) <= set(other.get("enum", node.get("enum", [])))
                assert node.get("format") == other.get("format"), path
                assert "enum" not in other or "enum" in node, path
                assert node.get("pattern") or not other.get("pattern"), path


@pytest.mark.parametrize("kind", KINDS)
def test_integers_fit_the_official_width(kind: Kind) -> None:
    schema = entity_schema(kind, "acme")
    wide = set()
    for path, node in fields(schema, schema["definitions"]):
        if node.get("type") == "integer" and not (-(2**31) <= node["minimum"] <= node["maximum"] < 2**31):
            wide.add(path)
            assert (node["minimum"], node["maximum"]) == (-(2**53) + 1, 2**53 - 1)
    assert wide == {("_acme", "capillary", "orgId")}
