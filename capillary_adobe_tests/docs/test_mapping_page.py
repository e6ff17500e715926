"""docs/mapping.md against the mapping: its tables name what the language has, its example comes out as printed.

Belongs here: the mapping page. Does not belong here: the mapping itself (`capillary_adobe_tests/xdm`).
"""

from __future__ import annotations

import re
from typing import Any

import orjson
import pyarrow as pa

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.envelope import unwrap
from capillary_adobe.capillary.keys import event_key
from capillary_adobe.capillary.person import customer_id
from capillary_adobe.cli_mapping import check
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS
from capillary_adobe.xdm.checking.mapping import check_mapping
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language import rules as language
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe.xdm.language.rules import CONVERSIONS, GENERIC, Rules, load_rules, parse_rules
from capillary_adobe.xdm.language.tenant_events import NAMESPACES, SOURCES
from capillary_adobe_tests.docs.pages import blocks, page, plain, rows, section

PAGE = page("mapping.md")


def described(heading: str) -> list[str]:
    return [plain(row[0]) for row in rows(section(PAGE, heading))]


def test_the_events_and_their_types_are_those_of_the_mapping() -> None:
    told = {
        plain(row[0]): set(re.findall(r"`((?:loyalty|commerce)\.\w+)`", row[1]))
        for row in rows(section(PAGE, "## The events"))
    }
    rules: Rules = {event: variants for event, variants in load_rules().items() if event != GENERIC}

    assert told == {event: {variant.event_type for variant in variants} for event, variants in rules.items()}


def test_the_conversions_are_those_of_the_language() -> None:
    assert described("### Conversions") == list(CONVERSIONS)


def test_every_option_of_the_language_is_described() -> None:
    assert set(described("### An entry")) == set(language.VARIANT_OPTIONS)
    assert set(described("### A field")) == set(language.LEAF_OPTIONS)
    assert set(described("### A list")) == set(language.BLOCK_OPTIONS)


def test_the_printed_rules_are_rules() -> None:
    shared = "envelope: {}\nplace: {}\n"
    for text in blocks(section(PAGE, "### An entry"), "yaml"):
        assert parse_rules({"page.yaml": text, "shared.yaml": shared})


def test_the_printed_folder_is_sound() -> None:
    events, rules = blocks(section(PAGE, "## Your own mapping"), "yaml")
    mapping = with_tenant({"events.yaml": events, "brand.yaml": rules})

    assert mapping.touched == {"customerAdded", "walletToppedUp"}
    assert check_mapping(mapping, extended_schema("events", "acme", mapping.rules), "acme") == []


def test_what_a_tenant_declares_is_described() -> None:
    assert described("### What events.yaml declares") == ["any other", SOURCES, NAMESPACES]
    assert [plain(row[0]) for row in rows(section(PAGE, "## Checking the mapping")) if row[0].startswith("`--")] == [
        option for parameter in check.params for option in parameter.opts
    ]


def test_the_example_comes_out_as_printed() -> None:
    event, entity = (orjson.loads(text) for text in blocks(PAGE, "json"))

    made = entity_of(event)

    assert list(made) == list(entity)
    assert made == entity


def entity_of(event: dict[str, Any]) -> dict[str, Any]:
    """The entity of an event as landed, with the page's two settings."""
    settings = CapillarySettings(org_timezone="Asia/Kolkata", currency=None, identity_with_org=False)
    envelope = unwrap(event)
    event_type = shipped_catalogue().find(envelope.event_name)
    assert event_type is not None
    row = {
        "day": "2026-11-20",
        "batch_id": "day",
        "lane": "live",
        "object": "events/2026-11-20/09/1795165201000-1.jsonl",
        "line": 1,
        "part": 0,
        "landed_ms": envelope.created_ms + 1000,
        "event_key": event_key(event_type, envelope),
        "event_name": event_type.name,
        "event_id": envelope.event_id,
        "org_id": envelope.org_id,
        "created_ms": envelope.created_ms,
        "customer_id": customer_id(event_type, envelope.data),
        "envelope": envelope.shape,
        "data": orjson.dumps(envelope.data).decode(),
    }
    raw = pa.RecordBatch.from_pylist([row], schema=RAW_EVENTS.schema)
    [enriched] = enrich([raw], settings)
    [columns] = enriched.select(ENRICHED_EVENTS.names).to_pylist()
    stage = EntityStage(load_rules(), TenantSettings(tenant_id="acme"), settings)
    made = stage.entity(tuple(columns.values()))
    assert (made.violations, made.unreadable) == ([], [])
    return orjson.loads(made.text)
