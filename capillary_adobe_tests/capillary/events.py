"""Events for the tests: flat ones, the same in every envelope, and rows of them.

Belongs here: building and dressing. Does not belong here: any expectation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.envelope import unwrap
from capillary_adobe.capillary.keys import event_key
from capillary_adobe.capillary.person import customer_id
from capillary_adobe.landing.store import latest_event_ms
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.tables import RAW_EVENTS

Json = dict[str, Any]

ORG = 50614
CUSTOMER = 406247343
CREATED_MS = 1_772_359_200_123  # 2026-03-01T10:00:00.123Z
DAY = "2026-03-01"
OBJECT = f"events/{DAY}/10/a.jsonl"
PROGRAM = {
    "id": 973,
    "name": "Default",
    "isDefault": True,
    "pointsToCurrencyRatio": 0.5,
    "tiers": [{"tierNumber": 1, "tierName": "Silver"}, {"tierNumber": 2, "tierName": "Gold"}],
}


def event(name: str = "pointsExpired", data: Json | None = None, **envelope: Any) -> Json:
    """A flat event about a customer; envelope fields of None are left out."""
    fields = {
        "eventName": name,
        "eventId": "0a1b2c3d-0000-4000-8000-000000000001",
        "orgId": ORG,
        "refId": f"{ORG}_1",
        "apiRequestId": "request-1",
        "createdAt": CREATED_MS,
        "data": {"customerIdentifiers": {"customerId": CUSTOMER}, **(data or {})},
        **envelope,
    }
    return {key: value for key, value in fields.items() if value is not None}


def shapes(flat: Json) -> dict[str, Json]:
    """The same event in every published envelope and in nested ones, by a name that begins with the shape."""
    outside = ("eventId", "eventLogId")
    bus = {
        "eventType": f"{ORG}_{flat['eventName']}",
        "consumerGroupId": None,
        "actionType": "START",
        "timeStamp": CREATED_MS + 100,
        **{key: flat[key] for key in outside if key in flat},
        "attributes": {key: value for key, value in flat.items() if key not in outside},
    }
    answer = {"data": flat, "errors": [], "warnings": []}
    beside = {key: value for key, value in flat.items() if key != "data"}
    caught = {"headers": {"host": "hooks.example.com"}, "method": "POST", "path": "/", "query": {}, "client_ip": "::1"}
    return {
        "A": flat,
        "B": bus,
        "C": {"body": flat},
        "C with text": {"body": json.dumps(flat)},
        "C caught": {"event": {"body": flat, **caught}},
        "C with B": {"body": bus},
        "C with B caught": {"event": {"body": bus, **caught}},
        "C with D": {"body": answer},
        "D": answer,
        "D with B": {"data": bus, "errors": [], "warnings": []},
        "E inside": {"data": {**beside, **flat["data"]}},
        "E beside": {**beside, **flat["data"]},
        "A with blanks": {f"{key[:2]} {key[2:]}": value for key, value in flat.items()},
        "B with blanks": {
            **{key: value for key, value in bus.items() if key != "attributes"},
            "attri butes": {f"{key[:-1]} {key[-1]}": value for key, value in bus["attributes"].items()},
        },
    }


def key_of(value: Json) -> str:
    """The event key of a record."""
    envelope = unwrap(value)
    event_type = shipped_catalogue().find(envelope.event_name)
    assert event_type is not None
    return event_key(event_type, envelope)


def raw_batch(records: Iterable[Json], landed_object: str = OBJECT) -> pa.RecordBatch:
    """Raw rows of records, as the raw stage would write them."""
    rows = []
    for line, value in enumerate(records, start=1):
        envelope = unwrap(value)
        event_type = shipped_catalogue().find(envelope.event_name)
        assert event_type is not None
        row = dict.fromkeys(RAW_EVENTS.names) | {
            "day": DAY,
            "batch_id": "day",
            "lane": "live",
            "object": landed_object,
            "line": line,
            "part": 0,
            "landed_ms": latest_event_ms(landed_object),
            "event_key": event_key(event_type, envelope),
            "event_name": event_type.name,
            "event_id": envelope.event_id,
            "org_id": envelope.org_id,
            "created_ms": envelope.created_ms,
            "ref_id": envelope.ref_id,
            "api_request_id": envelope.api_request_id,
            "loyalty_event_id": envelope.loyalty_event_id,
            "customer_id": customer_id(event_type, envelope.data),
            "envelope": envelope.shape,
            "data": orjson.dumps(envelope.data).decode(),
        }
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, schema=RAW_EVENTS.schema)


def enriched(records: Iterable[Json], settings: CapillarySettings | None = None) -> list[Json]:
    """Enriched rows of records, by column."""
    batches = enrich([raw_batch(records)], settings or CapillarySettings())
    return [row for batch in batches for row in batch.to_pylist()]
