"""Rows of raw events, and what they tell, for the tests of facts.

Belongs here: building. Does not belong here: any expectation.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import orjson

from capillary_adobe.profiles.document import CustomerKey, Facts
from capillary_adobe.profiles.facts_from_events import KNOWN, UNDATED, Read, facts_of_event
from capillary_adobe.settings import ProfileSettings
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, ORG, PROGRAM, Json, event, raw_batch

__all__ = ["CREATED_MS", "CUSTOMER", "INDIA", "KEY", "ORG", "PROGRAM", "Json", "dated", "read", "row", "said"]

INDIA = ZoneInfo("Asia/Kolkata")
KEY = CustomerKey(ORG, CUSTOMER)


def row(name: str, data: Any, **columns: Any) -> Json:
    """A row of `raw_events` about the customer, whatever its payload is."""
    made = {
        "event_key": "0123456789abcdef" * 4,
        "event_name": name,
        "org_id": ORG,
        "customer_id": str(CUSTOMER),
        "created_ms": CREATED_MS,
        "event_log_id": None,
        "data": orjson.dumps(data).decode(),
    }
    return made | columns


def read(name: str, data: Json | None = None, settings: ProfileSettings | None = None, **envelope: Any) -> Read:
    """What an event tells that came the whole way from its envelope."""
    (found,) = raw_batch([event(name, data, **envelope)]).to_pylist()
    return facts_of_event(found, settings or ProfileSettings(), "Deleted", INDIA)


def dated(found: Read) -> list[Facts]:
    """The facts that have a time."""
    return [facts for facts in found.facts if facts.stamp != UNDATED]


def said(name: str, data: Json | None = None, settings: ProfileSettings | None = None, **envelope: Any) -> Json:
    """What an event tells of its customer, without `known`."""
    found = read(name, data, settings, **envelope)
    (facts,) = [one for one in dated(found) if one.key == KEY]
    fields = dict(facts.fields)
    assert fields.pop(KNOWN) is True
    return fields
