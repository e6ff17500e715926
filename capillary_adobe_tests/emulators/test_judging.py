"""What records are held against: the schema as the Registry has it now, and AEP's rules beyond it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, good_profile, lines
from capillary_adobe_tests.emulators.registry_client import EVENTS, IDENTITY_MAP, TEXT
from capillary_adobe_tests.emulators.road_client import Road, RoadBuilder, building, member

StartPlatform = Callable[..., Platform]
PRIMARY = {"id": "c-1", "primary": True}


def in_hours(hours: float) -> str:
    """A moment as AEP wants it."""
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="milliseconds")


# A change of a good event, the category of what it breaks, and the keyword, place and code that tell it.
BROKEN: list[tuple[dict[str, Any], str, str, str, int]] = [
    ({"eventType": None}, "type", "type", "#/eventType", 1104),
    ({"eventType": ""}, "range", "minLength", "#/eventType", 1101),
    ({"eventType": 7}, "type", "type", "#/eventType", 1104),
    ({"productListItems": []}, "range", "minItems", "#/productListItems", 1101),
    ({"productListItems": {}}, "type", "type", "#/productListItems", 1104),
    ({"commerce": {}}, "range", "minProperties", "#/commerce", 1101),
    ({"commerce": {"order": {"currencyCode": "inr"}}}, "pattern", "pattern", "#/commerce/order/currencyCode", 1105),
    ({"shoeSize": 1}, "unknown", "additionalProperties", "#", 1101),
    ({"_demo": {"capillary": {"shoeSize": 1}}}, "unknown", "additionalProperties", "#/_demo/capillary", 1101),
    ({"_acme": {"capillary": {"eventId": "1"}}}, "unknown", "additionalProperties", "#", 1101),
    ({"timestamp": "2026-04-23 17:30:41"}, "format", "format", "#/timestamp", 1105),
    ({"timestamp": "2016-12-31T23:59:60Z"}, "format", "format", "#/timestamp", 1105),
    ({"timestamp": in_hours(1)}, "timestamp", "timestamp", "#/timestamp", 1101),
    ({"identityMap": {}}, "range", "minProperties", "#/identityMap", 1101),
    ({"identityMap": {"Email": []}}, "range", "minItems", "#/identityMap/Email", 1101),
    ({"identityMap": {"Email": [{"primary": True}]}}, "presence", "required", "#/identityMap/Email/0", 1111),
    (
        {"identityMap": {"Email": [PRIMARY | {"authenticatedState": "maybe"}]}},
        "enum",
        "enum",
        "#/identityMap/Email/0/authenticatedState",
        1106,
    ),
    ({"identityMap": {"Email": [{"id": "c-1"}]}}, "identity", "identity", "#/identityMap", 1101),
    ({"identityMap": {"Email": [PRIMARY], "Phone": [PRIMARY]}}, "identity", "identity", "#/identityMap", 1101),
    (
        {"identityMap": {"Email": [PRIMARY, *({"id": str(number)} for number in range(20))]}},
        "identity",
        "identity",
        "#/identityMap",
        1101,
    ),
    ({"identityMap": {" ": [PRIMARY]}}, "identity", "identity", "#/identityMap/ /0/id", 1101),
    *(
        (
            {"identityMap": {"Email": [PRIMARY | {"id": nobody}]}},
            "identity",
            "identity",
            "#/identityMap/Email/0/id",
            1101,
        )
        for nobody in (" ", "null", "Anonymous", "INVALID", "x" * 1025)
    ),
]
GOOD: list[dict[str, Any]] = [
    {},
    {"identityMap": {"Email": [PRIMARY, *({"id": str(number)} for number in range(19))]}},
    {"identityMap": {"Email": [PRIMARY | {"id": "x" * 1024}], "Phone": [{"id": "+1", "primary": False}]}},
    {"timestamp": "2026-04-23T17:30:41.123456789+05:30"},
    {"timestamp": "2026-04-23t17:30:41z"},
    {"commerce": {"order": {"currencyCode": "INR", "priceTotal": 12}}},
]


def test_each_break_of_the_rules_is_told_and_counted(swift: StartPlatform) -> None:
    platform = swift()
    events = [good(str(number)) | change for number, (change, *_) in enumerate(BROKEN)]
    platform.stream(*events)

    summary = platform.validated()

    told: dict[str, list[tuple[str, str]]] = {}
    for batch in platform.failed_batches():
        for record in platform.failed_records(batch):
            items = orjson.loads(record["_errors"])["_streamingValidation"]
            found = [(item["keyword"], item["pointerToViolation"]) for item in items]
            told[orjson.loads(record["body"])["xdmEntity"]["_id"]] = found
    assert told == {str(number): [(row[2], row[3])] for number, row in enumerate(BROKEN)}
    categories = [row[1] for row in BROKEN]
    assert summary["violations"] == {name: categories.count(name) for name in summary["violations"]}
    codes = {error["code"] for batch in platform.failed_batches().values() for error in batch["errors"]}
    assert codes == {f"DCVS-{row[4]}-400" for row in BROKEN}


def test_what_breaks_no_rule_is_taken(swift: StartPlatform) -> None:
    platform = swift()
    platform.stream(*(good(str(number)) | change for number, change in enumerate(GOOD)))
    platform.stream(good_profile(), dataset=platform.profiles)

    assert platform.validated()["in_lake"]["records"] == len(GOOD) + 1


def test_an_event_without_identities_misses_them(swift: StartPlatform) -> None:
    platform = swift()
    event = good("bad")
    del event["identityMap"]
    platform.stream(event)

    assert platform.validated()["violations"]["presence"] == 1


def test_batches_are_held_against_the_same_rules_but_pattern_and_format(swift: StartPlatform) -> None:
    platform = swift()
    rows = [good(str(number)) | change for number, (change, *_) in enumerate(BROKEN)]
    _, batch = platform.ingest(lines(*rows), enableErrorDiagnostics=True, partialIngestionPercent=100)

    skipped = [row for row in BROKEN if row[1] in ("pattern", "format")]
    assert len(skipped) == 3
    assert batch["metrics"]["outputRecordCount"] == len(skipped)
    counted = platform.client.summary()["violations"]
    assert counted == {
        name: 0 if name in ("pattern", "format") else [row[1] for row in BROKEN].count(name) for name in counted
    }


def test_the_counts_are_there_after_a_restart(store: Path) -> None:
    with building(store, empty=False) as before:
        platform = Platform(before.client)
        platform.stream(good("bad", eventType=7), good("worse", shoeSize=1))
        platform.ingest(lines(good("bad", eventType="")))
        violations = before.counts()["violations"]
        assert {name: count for name, count in violations.items() if count} == {"type": 1, "unknown": 1, "range": 1}

    with building(store, empty=False) as after:
        assert after.client.summary()["violations"] == violations


def road_of(builder: RoadBuilder, fields: dict[str, Any]) -> tuple[Road, str]:
    """A road to a dataset whose field group has these fields, and the id of the group."""
    schema_id, group_id = builder.registry.made("Members", fields)
    return builder.road(schema_id), group_id


SIZES = {
    "size": {"type": "integer", "minimum": 1, "maximum": 60},
    "member": {"type": "string", "minLength": 2, "maxLength": 9},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    "colour": {"type": "string", "enum": ["red", "blue"]},
    "codes": {"type": "object", "additionalProperties": {"type": "string"}},
    "home": {"type": "object", "properties": {"town": TEXT, "since": {"type": "string", "format": "date"}}},
}


def test_every_constraint_of_a_field_group_counts(store: Path) -> None:
    broken = [
        {"size": 0},
        {"size": 61},
        {"size": 4.5},
        {"member": "x"},
        {"member": "x" * 10},
        {"tags": ["a", "b", "c"]},
        {"tags": [""]},
        {"tags": [None]},
        {"colour": "green"},
        {"colour": None},
        {"codes": {}},
        {"codes": {"a": ""}},
        {"codes": {"a": 1}},
        {"home": {}},
        {"home": {"street": "x"}},
        {"home": {"since": "yesterday"}},
    ]
    fine = [{"size": 60, "tags": ["a", "b"]}, {"codes": {"a": "b"}}, {"home": {"town": "x", "since": "2020-01-31"}}]
    with building(store) as builder:
        road, _ = road_of(builder, SIZES)
        for fields in (*broken, *fine):
            assert builder.send(road, member(_demo=fields)).status_code == 200

        counts = builder.counts()
        assert (counts["failed_later"], counts["in_lake"]["records"]) == (len(broken), len(fine))
        assert counts["violations"] == dict.fromkeys(counts["violations"], 0) | {
            "range": 9,
            "type": 4,
            "enum": 2,
            "unknown": 1,
            "format": 1,
        }


def test_a_schema_that_grew_takes_the_new_field_at_once(store: Path) -> None:
    with building(store) as builder:
        road, group_id = road_of(builder, {"member": TEXT})
        sized = member(_demo={"member": "c-1", "size": 9})
        builder.send(road, sized)
        assert builder.counts()["violations"]["unknown"] == 1

        path = "/definitions/own/properties/_demo/properties/size"
        operation = {"op": "add", "path": path, "value": {"type": "integer"}}
        assert builder.registry.patch("fieldgroups", group_id, operation).status_code == 200
        builder.send(road, sized)

        counts = builder.counts()
        assert (counts["failed_later"], counts["in_lake"]["records"]) == (1, 1)


def test_a_change_of_a_schema_may_be_seen_late(store: Path) -> None:
    with building(store, schema_cache_seconds=3600) as builder:
        road, _ = road_of(builder, {"member": TEXT})
        builder.send(road, member())
        builder.counts()

        more = builder.registry.new_group("More", {"size": {"type": "integer"}}).json()["$id"]
        grown = {"op": "add", "path": "/allOf/-", "value": {"$ref": more}}
        assert builder.registry.patch("schemas", road.schema_id, grown).status_code == 200
        builder.send(road, member(_demo={"size": 9}))
        assert builder.counts()["violations"]["unknown"] == 1


def test_a_field_can_be_the_primary_identity(store: Path) -> None:
    with building(store) as builder:
        road, _ = road_of(builder, {"member": TEXT})
        builder.registry.describe(road.schema_id, **{"xdm:isPrimary": True})
        fine = [
            {"_demo": {"member": "c-1"}},
            member(),
            {"_demo": {"member": "c-1"}, "identityMap": {"Email": [{"id": "c-1"}]}},
        ]
        broken = [
            {"identityMap": {"Email": [PRIMARY]}},
            {"_demo": {"member": "null"}},
            {"_demo": {"member": "x" * 1025}},
        ]
        for entity in (*fine, *broken):
            builder.send(road, entity)

        counts = builder.counts()
        assert (counts["in_lake"]["records"], counts["failed_later"]) == (len(fine), len(broken))
        assert {name: count for name, count in counts["violations"].items() if count} == {"presence": 1, "identity": 2}


def test_a_second_identity_counts_once_wherever_it_stands(store: Path) -> None:
    with building(store) as builder:
        road, _ = road_of(builder, {"member": TEXT})
        builder.registry.describe(road.schema_id)
        twenty = {"Email": [PRIMARY, *({"id": str(number)} for number in range(19))]}

        builder.send(road, {"identityMap": twenty, "_demo": {"member": "c-1"}})
        builder.send(road, {"identityMap": twenty, "_demo": {"member": "c-2"}})

        counts = builder.counts()
        assert (counts["in_lake"]["records"], counts["violations"]["identity"]) == (1, 1)


def test_an_identity_s_namespace_may_be_named_by_its_number(store: Path) -> None:
    with building(store) as builder:
        road, _ = road_of(builder, {"member": TEXT})
        made = builder.registry.describe(road.schema_id, **{"xdm:namespace": 6, "xdm:property": "xdm:id"})
        nineteen = {"Email": [PRIMARY, *({"id": str(number)} for number in range(19))]}

        builder.send(road, {"identityMap": nineteen, "_demo": {"member": "c-1"}})
        builder.send(road, {"identityMap": nineteen, "_demo": {"member": "null"}})

        assert made.status_code == 201
        counts = builder.counts()
        assert (counts["in_lake"]["records"], counts["violations"]["identity"]) == (1, 2)


def test_only_events_are_asked_for_their_moment(store: Path) -> None:
    with building(store) as builder:
        schema_id = builder.registry.new_schema("Visits", class_=EVENTS).json()["$id"]
        events = builder.road(schema_id, "visits")
        profiles = builder.road(builder.registry.made()[0])

        missing = builder.send(events, {"_id": "1", "identityMap": {"Email": [PRIMARY]}})
        assert missing.json()["report"]["message"].endswith("Payload xdmEntity is missing timestamp")
        late = {"_id": "1", "timestamp": in_hours(0.1), "identityMap": {"Email": [PRIMARY]}}
        builder.send(events, late)
        builder.send(events, late | {"timestamp": in_hours(-0.1)})
        builder.send(profiles, member())

        counts = builder.counts()
        assert counts["violations"]["timestamp"] == counts["failed_later"] == 1
        assert counts["in_lake"]["records"] == 2


@pytest.mark.parametrize("groups", [(), (IDENTITY_MAP,)])
def test_a_standard_group_that_a_schema_lacks_is_unknown_to_it(store: Path, groups: tuple[str, ...]) -> None:
    with building(store) as builder:
        road = builder.road(builder.registry.new_schema("Bare", *groups).json()["$id"])
        builder.send(road, {"identityMap": {"Email": [PRIMARY]}})

        assert builder.counts()["violations"]["unknown"] == (0 if groups else 1)
        assert eventually(lambda: builder.client.summary()["failed_later"] == (0 if groups else 1))
