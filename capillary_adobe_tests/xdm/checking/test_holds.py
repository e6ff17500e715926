"""What the check lets pass holds: whatever the payload, the entity breaks no rule that the mapping could have kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.checking.mapping import check_mapping
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import Mapping, with_tenant
from capillary_adobe.xdm.language.rules import CONVERSIONS
from capillary_adobe.xdm.schemas import entity_schema
from capillary_adobe.xdm.tenant_schemas import strict
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, OBJECT, ORG
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.transforming import ACME, INDIA

# A number may be larger than its field, a text may not match: no check can know before the payload is there.
OF_THE_VALUE = {"minimum", "maximum", "pattern"}


@cache
def targets() -> list[tuple[str, ...]]:
    """Every field of the schema that holds a value, `[]` for the elements of a list."""

    def below(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, child in schema.get("properties", {}).items():
            yield from below(child, (*path, "_tenant" if name == "_acme" else name))
        if "items" in schema:
            yield from below(schema["items"], (*path, "[]"))
        if not {"properties", "items"} & schema.keys() and path[0] != "identityMap":
            yield path

    return sorted(below(strict(entity_schema("events", "acme")), ()))


def rule_at(target: tuple[str, ...], rule: str) -> str:
    """YAML that writes a rule to a target, and to the fields without which its object may not be."""
    beside = {"channel": "_id: {value: a}, ", "productListItems": "SKU: {value: a}, "}
    beside |= dict.fromkeys(("purchases", "inStorePurchase"), "value: {value: 1}, ")
    written = rule
    for place in reversed(range(len(target))):
        name = target[place]
        if name == "[]":
            owner = target[place - 1]
            more = "" if target[place + 1] == "SKU" else beside.get(owner, "")
            written = f"[{{fields: {{{more}{written[1:-1]}}}}}]"
        else:
            more = beside.get(target[place - 1], "") if place and target[place - 1] != "[]" else ""
            written = f"{{{'' if more.startswith(f'{name}:') else more}{name}: {written}}}"
    return written


SOURCES = [
    "loyaltyEventId",
    "totalPointsIssued",
    "enteredBy.id",
    "loyaltyProgramDetails.isDefault",
    "own",
    "'@created_ms'",
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "",
            "null",
            "true",
            "7",
            "7.5",
            "INR",
            "2026-01-31",
            "https://a.example/b c",
            "x@example.com",
            "a b%",
            1772359200123,
        ]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["a"]), st.integers(), max_size=1),
)
RULES = st.one_of(
    st.builds("{{from: {}, as: {}}}".format, st.sampled_from(SOURCES), st.sampled_from(CONVERSIONS)),
    st.builds("{{from: {}, as: number, unit: points}}".format, st.sampled_from(SOURCES)),
    st.builds("{{from: {}, as: slug, prefix: 'https://a.example/'}}".format, st.sampled_from(SOURCES)),
    st.builds("{{from: {}, choose: {{a: push, 'true': cash}}}}".format, st.sampled_from(SOURCES)),
    st.builds("{{value: {}}}".format, st.sampled_from(["push", "1", "1.5", "true", "'2026-01-31T08:00:00Z'", "INR"])),
)


def mapped(target: tuple[str, ...], rule: str) -> Mapping:
    found = with_tenant(
        {
            "events.yaml": "custom_sources: {pointsIssued: [own]}",
            "own.yaml": f"pointsIssued: {{event_type: a, fields: {rule_at(target, rule)}}}",
        }
    )
    return replace(found, rules={"pointsIssued": found.rules["pointsIssued"]})


def row_of(data: dict[str, Any]) -> tuple[Any, ...]:
    values = {
        "org_id": ORG,
        "customer_id": str(CUSTOMER),
        "created_ms": CREATED_MS,
        "zone": "UTC",
        "landed_ms": CREATED_MS,
    }
    values |= {"event_name": "pointsIssued", "event_key": "k", "object": OBJECT, "data": orjson.dumps(data)}
    return tuple(values.get(name) for name in ENRICHED_EVENTS.names)


def payload(value: Any) -> dict[str, Any] | None:
    data = {"loyaltyEventId": value, "totalPointsIssued": value, "enteredBy": {"id": value}, "own": value}
    try:
        orjson.dumps(data)
    except TypeError:
        return None
    return data | {"loyaltyProgramDetails": {"isDefault": value}}


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(targets()), RULES, st.lists(VALUES, min_size=1, max_size=6))
def test_what_the_check_lets_pass_makes_entities_that_conform(
    target: tuple[str, ...], rule: str, values: list[Any]
) -> None:
    mapping = mapped(target, rule)
    schema = extended_schema("events", "acme", mapping.rules)
    if check_mapping(mapping, schema, "acme"):
        return
    stage = EntityStage({**mapping.rules, "*": ()}, ACME, INDIA, mapping.catalogue, schema)
    for data in filter(None, map(payload, values)):
        violations = stage.entity(row_of(data)).violations
        assert [one for one in violations if one.keyword not in OF_THE_VALUE] == [], (target, rule, data)
