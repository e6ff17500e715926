"""What an export tells and what a webhook posts, as rows of `raw_events` and as entities, made as production makes them.

Belongs here: the way. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
import pyarrow as pa

from capillary_adobe.capillary.enrichment import Known, enrich
from capillary_adobe.capillary.insights.model import Exported
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.capillary.insights.watermark import Watermark
from capillary_adobe.capillary.names import Names
from capillary_adobe.capillary.sorting import Candidate, Origin, Sorting
from capillary_adobe.landing import Record
from capillary_adobe.settings import CapillarySettings, IdentitySettings, Lane, TenantSettings
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.capillary.insights.becoming import ORG, ZONE

INDIA = CapillarySettings(org_timezone=str(ZONE), currency="INR")
FAR_MS = 9_000_000_000_000
DAY = "2026-03-05"
LANDED_MS = 1_772_755_200_000  # 2026-03-06T00:00Z
NAMES = Names(programs=[(973, "Default"), (974, "Second")], tiers=[(973, 1, "Silver"), (973, 2, "Gold")])

Json = dict[str, Any]


def history_line(event: Exported, template: str) -> Json:
    """The line of the history lane that an import makes of an event."""
    line = {
        "eventName": event.event_name,
        "orgId": ORG,
        "createdAt": event.created_ms,
        "eventLogId": event.event_log_id,
        "data": event.data,
        "export": {
            "template": template,
            "key": event.key,
            "file": "f.zip/a.csv",
            "version": "0" * 12,
            "rows": [{"line": line, "cells": {}} for line in event.lines],
        },
    }
    return {name: value for name, value in line.items() if value is not None}


def raw_row(line: Json, lane: Lane = "history", shared: Iterable[str] = ()) -> Json:
    """The row of `raw_events` that a line becomes; `shared` are the types that both lanes name by log number."""
    folder = "history" if lane == "history" else "events"
    hour = "" if lane == "history" else "/10"
    origin = Origin(lane, f"{folder}/{DAY}{hour}/a.jsonl", LANDED_MS)
    sorting = _sorting(lane, frozenset(shared))
    record = Record(1, 0, orjson.dumps(line), orjson.loads(orjson.dumps(line)), None)
    event_type, envelope = sorting.event(record, lane)
    candidate: Candidate = sorting.candidate(origin, record, event_type, envelope)
    return {**candidate._asdict(), "data": candidate.data.decode()}


@cache
def _sorting(lane: Lane, shared: frozenset[str]) -> Sorting:
    # Exports count up to the watermark, webhooks from it on: each lane has one that lets it pass.
    rules = InsightsRules(live_from={"default": FAR_MS if lane == "history" else 0}, shared_keys=shared)
    return Sorting(INDIA, set(load_rules()), watermark=Watermark(rules))


def entities(rows: Iterable[tuple[Json, Json | None]]) -> list[Json]:
    """The entities of raw rows, which must be good; beside each row the details that its enrichment knows of its bill."""
    raw, details = zip(*rows, strict=True)
    batch = pa.RecordBatch.from_pylist(
        [{"day": DAY, "batch_id": "day", **one} for one in raw], schema=RAW_EVENTS.schema
    )
    known = [orjson.dumps({"transaction": one}).decode() if one else None for one in details]

    def tell(rows: pa.RecordBatch) -> Known:
        nothing: list[Any] = [None] * rows.num_rows
        return Known(rows.column("customer_id").to_pylist(), nothing, known, nothing, [[] for _ in nothing])

    made = []
    for enriched in enrich([batch], INDIA, NAMES, tell):
        for row in zip(*(column.to_pylist() for column in enriched.columns), strict=True):
            one = _stage().entity(row)
            assert (one.violations, one.unreadable) == ([], [])
            made.append(orjson.loads(one.text))
    return made


@cache
def _stage() -> EntityStage:
    return EntityStage(load_rules(), TenantSettings(tenant_id="acme"), INDIA, policy=IdentitySettings(card="plain"))
