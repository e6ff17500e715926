"""The id of a record: told wherever an envelope has it, and from text that is no JSON; stored with what is set aside."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import orjson
import pytest

from capillary_adobe.capillary.event_ids import told_event_id
from capillary_adobe.landing import read_records
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE
from capillary_adobe_tests.capillary.events import event, shapes
from capillary_adobe_tests.capillary.road import Road

ID = "5f3c0a52-77aa-4f0e-9d7e-0a1b2c3d4e5f"
TARGET = event("targetCompleted", {"eventName": "trigger", "eventId": 17})


def told(record: bytes) -> str | None:
    [only] = read_records(BytesIO(record))
    return told_event_id(only)


@pytest.mark.parametrize("shape", sorted(shapes(event())))
def test_every_envelope_tells_its_id(shape: str) -> None:
    assert told(orjson.dumps(shapes(event(eventId=ID))[shape])) == ID


@pytest.mark.parametrize("missing", ["eventName", "orgId", "createdAt", "data"])
def test_a_record_that_is_no_event_tells_it_as_well(missing: str) -> None:
    record: dict[str, Any] = {key: value for key, value in event(eventId=ID).items() if key != missing}
    assert told(orjson.dumps(record)) == ID


def test_the_triggers_number_inside_data_is_not_taken_for_it() -> None:
    assert told(orjson.dumps(TARGET | {"eventId": ID})) == ID
    assert told(orjson.dumps({key: value for key, value in TARGET.items() if key != "eventId"})) is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (orjson.dumps(event(eventId=ID))[:-9], ID),
        (b'{"eventId" : "' + ID.encode() + b'", "broken":"\xff"}', ID),
        (b'{"eventId":17,"broken":', None),
        (b'{"eventId":"with \\" quote","broken":', None),
        (b"no json", None),
        (b"5", None),
        (b'{"eventId":"  "}', None),
        (b'{"eventId":{"$oid":"1"}}', None),
        (b'{"body":"{broken","eventId":null}', None),
    ],
)
def test_text_that_is_no_event_tells_it_where_it_can_be_read(record: bytes, expected: str | None) -> None:
    assert told(record) == expected


def test_ids_are_stored_with_everything_that_landed(road: Road) -> None:
    first, again = event(eventId="kept"), event(eventId="kept")
    ignored, unknown = event("groupCreated", eventId="ignored"), event("somethingNew", eventId="unknown")
    road.land("10/a.jsonl", [first, again, ignored, unknown, orjson.dumps(event(eventId="cut"))[:-5], b"nothing"])
    road.run()
    assert road.rows(RAW_EVENTS, "event_id") == ["kept"]
    assert road.rows(SET_ASIDE, "kind", "event_id") == [("duplicate", "kept"), ("ignored", "ignored")]
    assert road.rows(QUARANTINE, "code", "event_id") == [
        ("event_unknown", "unknown"),
        ("not_json", "cut"),
        ("not_json", None),
    ]
