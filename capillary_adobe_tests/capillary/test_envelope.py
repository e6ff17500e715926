"""From a record to the envelope fields of its event, whatever the published shape."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, ORG, Json, event, shapes

FLAT = event(
    "targetValueAchieved",
    # Target events carry an eventName and an eventId of their own, which mean the trigger.
    {"points": 7.0, "targets": [{"targetId": 5}]},
    loyaltyEventId="loyalty-1",
    eventLogId=41,
    eventSearchKey="data.customerIdentifiers.customerId",
    traceAttributes={"x-cap-lineage-id": "1"},
)


@pytest.mark.parametrize("name", list(shapes(FLAT)))
def test_every_envelope_gives_the_same_event(name: str) -> None:
    assert asdict(unwrap(shapes(FLAT)[name])) == {
        "shape": name[0],
        "event_name": "targetValueAchieved",
        "event_id": "0a1b2c3d-0000-4000-8000-000000000001",
        "org_id": ORG,
        "created_ms": CREATED_MS,
        "ref_id": f"{ORG}_1",
        "api_request_id": "request-1",
        "loyalty_event_id": "loyalty-1",
        "event_log_id": 41,
        "data": {"customerIdentifiers": {"customerId": CUSTOMER}, "points": 7.0, "targets": [{"targetId": 5}]},
        "export": None,
    }


def refused(value: Any) -> NotAnEvent:
    with pytest.raises(NotAnEvent) as told:
        unwrap(value)
    return told.value


@pytest.mark.parametrize("value", [None, 5, "text", True, [], [event()]])
def test_what_is_no_object_is_no_event(value: Any) -> None:
    assert refused(value).code == "not_an_object"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"eventName": "pointsIssued"},
        {"data": {"customerIdentifiers": {}}},
        {"eventName": "", "data": {"a": 1}},
        {"eventName": None, "data": {"a": 1}},
        {"eventName": 5, "data": {"a": 1}},
        {"eventName": {"a": 1}, "data": {"a": 1}},
        {"eventName": "null", "data": {"a": 1}},
        {"attributes": {"eventName": "pointsIssued"}},
        {"attributes": [event()]},
        {"body": "no json"},
        {"body": "{broken"},
        {"body": "[1]"},
        {"event": {"headers": {}}},
        {"event": "text"},
        {"errors": [{"code": 1}], "data": None},
        {"somewhere": {"else": event()}},
    ],
)
def test_an_object_without_name_and_data_is_in_no_known_envelope(value: Json) -> None:
    found = refused(value)
    assert found.code == "envelope_unknown"
    assert "eventName" in found.detail


@pytest.mark.parametrize("org", [None, "", "null", "abc", 0, -1, 1.5, True, {"id": 5}, [5], 2**70, "50***"])
def test_an_event_without_its_organisation_is_refused(org: Any) -> None:
    found = refused(event() | {"orgId": org})
    assert (found.code, found.event_name) == ("org_missing", "pointsExpired")


@pytest.mark.parametrize("org", [ORG, str(ORG), float(ORG), f" {ORG} ", f"{ORG}.000"])
def test_an_organisation_is_read_as_any_number(org: Any) -> None:
    assert unwrap(event(orgId=org)).org_id == ORG


@pytest.mark.parametrize("created", [None, "", "null", " "])
def test_an_event_without_a_time_is_refused(created: Any) -> None:
    found = refused(event() | {"createdAt": created})
    assert (found.code, found.event_name) == ("time_missing", "pointsExpired")


@pytest.mark.parametrize("created", ["yesterday", {"a": 1}, [1], True, 156474848484, 904788626831872, 9.9e15, -1, 77])
def test_a_time_that_is_none_is_refused_and_not_repeated(created: Any) -> None:
    found = refused(event() | {"createdAt": created})
    assert (found.code, found.event_name) == ("time_unreadable", "pointsExpired")
    assert str(created) not in found.detail


def test_the_bus_time_stands_in_for_a_missing_creation() -> None:
    record = shapes(event())["B"]
    del record["attributes"]["createdAt"]
    assert unwrap(record).created_ms == CREATED_MS + 100


@pytest.mark.parametrize("field", ["eventId", "refId", "apiRequestId", "loyaltyEventId"])
@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("x", "x"),
        (" x ", "x"),
        (15, "15"),
        (15.0, "15"),
        (None, None),
        ("", None),
        ("null", None),
        ({}, None),
        ({"a": 1}, None),
        ([1], None),
    ],
)
def test_an_id_of_the_envelope_is_text_or_nothing(field: str, value: Any, read: str | None) -> None:
    found = asdict(unwrap(event() | {field: value}))
    assert found[{"eventId": "event_id", "refId": "ref_id"}.get(field) or _column(field)] == read


def _column(field: str) -> str:
    return {"apiRequestId": "api_request_id", "loyaltyEventId": "loyalty_event_id"}[field]


def test_fields_beside_data_belong_to_it_and_data_wins() -> None:
    found = unwrap(event("requestUpdated", {"status": "SUCCESS"}, requestType="DELETE", status="OPEN"))
    assert found.data == {
        "requestType": "DELETE",
        "status": "SUCCESS",
        "customerIdentifiers": {"customerId": CUSTOMER},
    }


def test_empty_data_is_data() -> None:
    assert unwrap({"eventName": "cardUpdated", "orgId": 1, "createdAt": CREATED_MS, "data": {}}).data == {}


def test_a_refusal_names_no_value() -> None:
    for value in ({"secret@example.com": 1}, event() | {"orgId": "secret@example.com"}):
        assert "secret" not in refused(value).detail + str(refused(value))
