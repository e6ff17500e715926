"""Tenant fields that a mapping adds: their types, the schemas with them, and what is refused."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.xdm.language.additions import (
    additions,
    extended_schema,
    identity_fields,
    required_paths,
    schema_leaves,
    tenant_field_group,
)
from capillary_adobe.xdm.language.rules import CONVERSIONS, MappingError, Rules, load_rules, parse_rules
from capillary_adobe.xdm.schemas import entity_schema

LONG = {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}


def rules(fields: str, more: str = "") -> Rules:
    lines = "".join(f"    {line}\n" for line in fields.strip().splitlines())
    return parse_rules({"own.yaml": f"visited:\n  event_type: loyalty.visited\n  fields:\n{lines}{more}"})


def own(fields: str) -> dict[str, Any]:
    """The additions at the root of the tenant's object."""
    return additions(rules(fields))["_tenant"]["properties"]


def told(fields: str, more: str = "") -> str:
    with pytest.raises(MappingError) as error:
        additions(rules(fields, more))
    return str(error.value)


def test_the_shipped_rules_add_nothing_to_the_shipped_schema() -> None:
    assert additions(load_rules()) == {}
    assert extended_schema("events", "acme", load_rules()) == entity_schema("events", "acme")


@pytest.mark.parametrize(
    ("rule", "schema"),
    [
        ("{from: x}", {"type": "string"}),
        ("{from: x, as: id}", {"type": "string"}),
        ("{from: x, as: slug}", {"type": "string"}),
        ("{from: x, choose: {a: b}, as: number}", {"type": "string"}),
        ("{from: x, as: number}", {"type": "number"}),
        ("{from: x, as: integer}", LONG),
        ("{from: x, as: limit}", LONG),
        ("{from: x, as: boolean}", {"type": "boolean"}),
        ("{from: x, as: currency}", {"type": "string", "pattern": "^[A-Z]{3}$"}),
        ("{from: x, as: moment}", {"type": "string", "format": "date-time"}),
        ("{value: gold}", {"type": "string"}),
        ("{value: 1}", LONG),
        ("{value: 1.5}", {"type": "number"}),
        ("{value: true}", {"type": "boolean"}),
    ],
)
def test_the_type_follows_the_conversion(rule: str, schema: dict[str, Any]) -> None:
    assert own(f"_tenant.shoeSize: {rule}") == {"shoeSize": {**schema, "title": "Shoe size"}}


def test_every_conversion_has_a_type() -> None:
    for conversion in CONVERSIONS:
        assert own(f"_tenant.a: {{from: x, as: {conversion}}}")["a"]["type"]


def test_objects_and_lists_are_as_the_rules_have_them() -> None:
    found = own(
        """
_tenant.club.since: {from: since, as: moment}
_tenant.capillary.store.region: {from: region}
_tenant.visits:
  - fields: {place: {value: first}}
  - each: visits
    fields: {place: {from: place}, minutes: {from: minutes, as: integer}}"""
    )
    region = found["capillary"]["properties"].pop("store")
    assert region == {"type": "object", "properties": {"region": {"type": "string", "title": "Region"}}}
    assert found["capillary"] == {"type": "object", "properties": {}}
    assert found["club"]["properties"]["since"]["format"] == "date-time"
    assert found["visits"]["type"] == "array"
    assert list(found["visits"]["items"]["properties"]) == ["place", "minutes"]


def test_fields_inside_standard_objects_stand_below_them() -> None:
    fields = "commerce.order._tenant.gift: {from: g, as: boolean}\nproductListItems:\n  - each: items\n"
    fields += "    fields: {SKU: {from: s}, _tenant.size: {from: z}}"
    mine = rules(fields)
    assert list(additions(mine)) == ["commerce", "productListItems"]
    group = tenant_field_group("events", "acme", mine)
    assert list(group["productListItems"]["items"]["properties"]["_acme"]["properties"]) == ["quantity", "size"]
    assert group["commerce"]["properties"]["order"]["properties"]["_acme"]["properties"]["gift"]["type"] == "boolean"
    schema = jsonschema_rs.validator_for(extended_schema("events", "acme", mine))
    entity = {"_id": "1", "timestamp": "2026-01-01T00:00:00Z", "eventType": "x", "identityMap": {"a": [{"id": "1"}]}}
    assert schema.is_valid({**entity, "productListItems": [{"SKU": "s", "_acme": {"size": "4"}}]})
    assert not schema.is_valid({**entity, "productListItems": [{"SKU": "s", "_acme": {"size": 4}}]})
    assert not schema.is_valid({**entity, "commerce": {"_acme": {"gift": True}}})


def test_what_shares_a_definition_is_not_widened_along() -> None:
    fields = "loyalty.pointsGained:\n  - each: gained\n    fields: {value: {from: v, as: number}, _tenant.a: {from: a}}"
    schema = jsonschema_rs.validator_for(extended_schema("events", "acme", rules(fields)))
    entity = {"_id": "1", "timestamp": "2026-01-01T00:00:00Z", "eventType": "x", "identityMap": {"a": [{"id": "1"}]}}
    points = [{"value": 1, "_acme": {"a": "x"}}]
    assert schema.is_valid({**entity, "loyalty": {"pointsGained": points}})
    assert not schema.is_valid({**entity, "loyalty": {"pointsRedemption": points}})


def test_the_extended_schema_is_closed_and_takes_nothing_empty() -> None:
    schema = extended_schema("events", "acme", rules("_tenant.a:\n  - each: b\n    fields: {c: {from: c}}"))
    assert schema["properties"]["_acme"]["properties"]["a"] == {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {"c": {"type": "string", "minLength": 1}},
        },
    }


def test_the_field_group_is_loose_and_whole() -> None:
    group = tenant_field_group("events", "acme", rules("_tenant.shoeSize: {from: x, as: integer}"))
    written = str(group)
    for word in ("minLength", "minItems", "minProperties", "additionalProperties", "$ref", "$comment", "required"):
        assert word not in written
    assert group["_acme"]["properties"]["shoeSize"]["title"] == "Shoe size"
    assert group["_acme"]["properties"]["capillary"]["properties"]["orgId"] == {**LONG, "title": "Org id"}
    shipped = {path for path, _ in schema_leaves(entity_schema("events", "acme")) if "_acme" in path}
    assert shipped <= {path for path, _ in schema_leaves({"properties": group})}
    assert "programs" in tenant_field_group("profiles", "acme", {})["_acme"]["properties"]["capillary"]["properties"]


def test_standard_fields_are_no_additions() -> None:
    assert additions(rules("commerce.order.colour: {from: x}\nmade.up: {from: y}\nmade._tenant.up: {from: z}")) == {}


def test_a_field_has_one_type_over_all_events() -> None:
    other = "left:\n  event_type: loyalty.left\n  fields:\n    _tenant.size: {from: y, as: number}\n"
    said = told("_tenant.size: {from: x}", other)
    assert "visited: _tenant.size" in said
    assert "left: _tenant.size" in said
    assert "a text" in said
    assert "a number" in said
    assert "give both rules the same `as`" in said


def test_a_field_is_no_object_in_one_event_and_a_value_in_another() -> None:
    other = "left:\n  event_type: loyalty.left\n  fields:\n    _tenant.size.big: {from: y}\n"
    assert "an object" in told("_tenant.size: {from: x}", other)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("_tenant.capillary.store: {from: x}", "is a value here, and the schema has an object there"),
        ("_tenant.capillary.orgId.x: {from: x}", "is an object here, and the schema has a value there"),
        ("_tenant.capillary.store:\n  - fields: {a: {value: 1}}", "is a list here, and the schema has an object there"),
        ("_tenant.capillary.customFields.name: {from: x}", "is an object here, and the schema has a list there"),
        ("commerce._tenant: {from: x}", "_tenant is an object"),
    ],
)
def test_forms_that_do_not_fit_the_schema_are_refused(fields: str, words: str) -> None:
    assert words in told(fields)


@pytest.mark.parametrize("name", ["_size", "shoe-size", "größe", "2nd", "shoe size"])
def test_names_that_xdm_does_not_take_are_refused_with_their_place(name: str) -> None:
    said = told(f"'_tenant.{name}': {{from: x}}")
    assert f"{name} is no name for a field in XDM" in said
    assert "visited" in said


@pytest.mark.parametrize("fields", ["'_tenant.gift box.size': {from: x}", "_tenant.capillary.orgId.size: {from: x}"])
def test_an_object_has_the_place_of_its_first_field(fields: str) -> None:
    assert told(fields).startswith("own.yaml:4:5: visited: ")


def test_required_paths_are_what_the_mapping_writes_and_the_head() -> None:
    found = required_paths(
        "events", "acme", rules("_tenant.visits:\n  - each: v\n    fields: {at: {from: t, as: moment}}")
    )
    assert found == {
        "/_id": "string",
        "/timestamp": "date-time",
        "/eventType": "string",
        "/producedBy": "string",
        "/identityMap": "object",
        "/_acme/visits[*]/at": "date-time",
    }
    shipped = required_paths("events", "acme", load_rules())
    assert shipped["/_acme/capillary/orgId"] == "integer"
    assert required_paths("profiles", "acme", load_rules())["/person/birthDate"] == "date"


def test_fields_marked_as_identities_are_told_by_descriptor_path() -> None:
    mine = rules("_tenant.card.number: {from: x, identity: loyaltyCard, description: What is printed on it}")
    assert identity_fields(mine, "acme") == {"/_acme/card/number": "loyaltyCard"}
    number = {"type": "string", "title": "Number", "description": "What is printed on it"}
    assert tenant_field_group("events", "acme", mine)["_acme"]["properties"]["card"]["properties"]["number"] == number
    assert identity_fields(rules("_tenant.card: {from: x}"), "acme") == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("_tenant.cards:\n  - each: cards\n    fields: {number: {from: x, identity: card}}", "lies in a list"),
        ("_tenant.card: {from: x, as: integer, identity: card}", "is a integer, and an identity is a text"),
    ],
)
def test_what_cannot_be_an_identity_is_refused(fields: str, words: str) -> None:
    with pytest.raises(MappingError) as error:
        identity_fields(rules(fields), "acme")
    assert words.replace("a integer", "an integer") in str(error.value)
    assert str(error.value).startswith("own.yaml:")


def test_a_field_is_an_identity_of_one_namespace() -> None:
    other = "left:\n  event_type: loyalty.left\n  fields:\n    _tenant.card: {from: y, identity: email}\n"
    with pytest.raises(MappingError, match=r"an identity of email here and of card in visited: _tenant\.card"):
        identity_fields(rules("_tenant.card: {from: x, identity: card}", other), "acme")


_names = st.from_regex(r"[a-z][A-Za-z0-9]{0,6}", fullmatch=True).filter(lambda name: name != "capillary")
_trees = st.recursive(
    st.sampled_from(CONVERSIONS), lambda inner: st.dictionaries(_names, inner, min_size=1, max_size=3), max_leaves=8
)


@given(st.dictionaries(_names, _trees, min_size=1, max_size=3))
def test_the_three_forms_hold_the_same_fields(tree: dict[str, Any]) -> None:
    def fields(part: Any) -> Any:
        return {"from": "x", "as": part} if isinstance(part, str) else {name: fields(one) for name, one in part.items()}

    text = orjson.dumps({"e": {"event_type": "x.y", "fields": {"_tenant": fields(tree)}}}).decode()
    made = parse_rules({"own.yaml": text})
    added = {("_acme", *path[1:]) for path, _ in schema_leaves({"properties": additions(made)})}
    assert added
    for schema in (extended_schema("events", "acme", made), {"properties": tenant_field_group("events", "acme", made)}):
        assert added <= {path for path, _ in schema_leaves(schema)}
