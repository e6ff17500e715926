"""Customers, their records made plainly, and deliveries of them.

Belongs here: what the tests of profiles and the process that a test kills have in common. Does not belong here: any
expectation.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import orjson
import pyarrow as pa
import requests

from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.profile_delivery import ProfileDelivery
from capillary_adobe.adobe.profile_status import COLUMNS, profile_outcomes
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.settings import AdobeSettings, Lane
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers, Due
from capillary_adobe.state.open_profiles import ledger_id
from capillary_adobe.tables import XDM_PROFILES

ORG = 100
DAY = "2026-03-04"
OTHER_DAY = "2025-03-04"
NAMESPACE = "capillaryCustomerId"


def key(number: int) -> CustomerKey:
    """The n-th customer."""
    return CustomerKey(ORG, number)


def fact(number: int, at_us: int, value: Any) -> Facts:
    """What an event says of the n-th customer."""
    return Facts(key(number), Stamp(at_us), {"first_name": value})


def records(due: Iterable[Due], day: str = DAY, batch_id: str = "live-1", lane: str = "live") -> pa.RecordBatch:
    """Rows of `xdm_profiles`, each the document as it is."""
    rows: list[dict[str, Any]] = []
    for one in due:
        entity = {
            "_id": ledger_id(one.key, one.revision),
            "identityMap": {NAMESPACE: [{"id": str(one.key.customer_id), "primary": True}]},
            "value": one.document["first_name"].value,
            "revision": one.revision,
        }
        text = orjson.dumps(entity).decode()
        rows.append(
            {
                "day": day,
                "batch_id": batch_id,
                "lane": lane,
                "id": ledger_id(one.key, one.revision),
                "org_id": one.key.org_id,
                "customer_id": one.key.customer_id,
                "revision": one.revision,
                "newest_ms": one.document["first_name"].stamp.at_us // 1000,
                "size": len(text),
                "unreadable": [],
                "entity": text,
            }
        )
    return pa.RecordBatch.from_pylist(rows, schema=XDM_PROFILES.schema)


def due_records(
    state: State, keys: Collection[CustomerKey] | None = None, day: str = DAY, spacing_seconds: float = 0.0, **more: str
) -> pa.RecordBatch:
    """Rows of the customers who are due."""
    before_ms = round((time.time() - spacing_seconds) * 1000)
    return records(Customers(state).due(keys, 100_000, before_ms), day, **more)


def deliver(
    settings: AdobeSettings,
    state: State,
    *batches: pa.RecordBatch,
    day: str = DAY,
    lane: Lane = "live",
    spacing_seconds: float = 0.0,
) -> DeliveryCounts:
    """Deliver as a run of the day does."""
    delivery = ProfileDelivery(settings, state, spacing_seconds=spacing_seconds)
    return delivery.deliver(day, lambda columns: [batch.select(columns) for batch in batches], lane, lambda _: None)


def tally(state: State, *batches: pa.RecordBatch, day: str = DAY) -> dict[str, int]:
    """How many records have which outcome, as `ingestion_status` is told."""
    told = profile_outcomes(state, day, [batch.select(COLUMNS) for batch in batches], [])
    return dict(Counter(status for found in told for status in found.column("status").to_pylist()))


def at_aep(base_url: str) -> dict[int, Any]:
    """The value that AEP's profile of each customer has."""
    answer = requests.get(f"{base_url}/control/profiles", timeout=10)
    found = map(orjson.loads, answer.content.splitlines())
    return {int(one["identity"]["id"]): one["entity"]["value"] for one in found}


def arrived(base_url: str) -> list[tuple[int, int]]:
    """Customer and revision of each record that AEP took, in order."""
    lines = requests.get(f"{base_url}/accepted.json", params={"limit": 10_000}, timeout=10).json()
    entities = [line["entity"] for line in lines]
    return [(int(one["identityMap"][NAMESPACE][0]["id"]), one["revision"]) for one in entities]
