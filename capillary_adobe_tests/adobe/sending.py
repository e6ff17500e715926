"""Entities to send, and a delivery of them.

Belongs here: what the tests of this folder and the process that a test kills have in common. Does not belong here: any
expectation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import orjson
import pyarrow as pa

from capillary_adobe.adobe import Delivery, DeliveryCounts, Work
from capillary_adobe.adobe.delivery import ChosenRoute
from capillary_adobe.adobe.status import COLUMNS, outcomes
from capillary_adobe.settings import AdobeSettings, Lane, load
from capillary_adobe.state import State
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe_tests.emulators.platform_client import good

DAY = "2026-03-04"


def entity_id(number: int) -> str:
    """The `_id` of the n-th entity."""
    return sha256(str(number).encode()).hexdigest()


def entities(count: int, start: int = 0, padding: int = 0) -> pa.RecordBatch:
    """Rows of `xdm_events`."""
    return rows([(entity_id(number), _text(entity_id(number), padding)) for number in range(start, start + count)])


def conformant(count: int) -> pa.RecordBatch:
    """Rows of `xdm_events` that AEP finds nothing wrong with."""
    return rows([(entity_id(n), orjson.dumps(good(entity_id(n))).decode()) for n in range(count)])


def rows(pairs: Iterable[tuple[str, str]]) -> pa.RecordBatch:
    """Rows of `xdm_events` with these ids and texts."""
    common: dict[str, Any] = {
        "day": DAY,
        "batch_id": "live-1",
        "lane": "live",
        "object": "events/2026-03-04/00/a.jsonl",
        "line": 1,
        "landed_ms": 1,
        "event_name": "pointsIssued",
        "event_type": "loyalty.pointsIssued",
        "unreadable": [],
    }
    listed = [{**common, "event_key": id_, "id": id_, "size": len(text), "entity": text} for id_, text in pairs]
    return pa.RecordBatch.from_pylist(listed, schema=XDM_EVENTS.schema)


def settings_for(environment: Mapping[str, str], **more: Any) -> AdobeSettings:
    """Settings of a client of an emulator."""
    given = {name.removeprefix("ADOBE_").lower(): value for name, value in environment.items()}
    return load(AdobeSettings, **{"max_records_per_second": 0, "max_requests_per_second": 0, **given, **more})


def work(*batches: pa.RecordBatch, lane: Lane = "live", route: ChosenRoute = "auto") -> Work:
    """These entities as one run has to deliver them."""
    return Work(DAY, lambda columns: [batch.select(columns) for batch in batches], lane, route)


def deliver(settings: AdobeSettings, state: State, *batches: pa.RecordBatch) -> DeliveryCounts:
    """Deliver as the run of a live micro-batch does."""
    return Delivery(settings, state).deliver(work(*batches), lambda _: None)


def status_of(state: State, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows that `ingestion_status` gets, in the order of the entities."""
    return [row for found in outcomes(state, DAY, [batch.select(COLUMNS)]) for row in found.to_pylist()]


def tally(state: State, batch: pa.RecordBatch) -> dict[str, int]:
    """How many entities have which outcome."""
    return dict(Counter(row["status"] for row in status_of(state, batch)))


def _text(id_: str, padding: int) -> str:
    entity = {
        "_id": id_,
        "timestamp": "2026-03-04T05:06:07Z",
        "eventType": "loyalty.pointsIssued",
        "note": "x" * padding,
    }
    return orjson.dumps(entity).decode()
