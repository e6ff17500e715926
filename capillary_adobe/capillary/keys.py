"""The idempotency key of an event.

Belongs here: which parts make two landings one event. Does not belong here: remembering keys (`state.claims`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from capillary_adobe.capillary.catalogue import EventType
from capillary_adobe.capillary.envelope import Envelope
from capillary_adobe.capillary.values import Unreadable, identifier


def event_key(event_type: EventType, envelope: Envelope) -> str:
    """Hex SHA-256 over organisation, event type and what names the happening, joined by bars.

    In order of preference: the natural key of the event type, `eventId` (Capillary's own idempotency key,
    docs.capillarytech.com/docs/consuming-event-notifications), the moment, request and content. Never `refId`,
    `loyaltyEventId` or `eventLogId`: several events of one action share them.
    """
    head = f"{envelope.org_id}|{event_type.name}"
    name = _natural_key(event_type, envelope.data) or envelope.event_id
    if name is not None:
        return sha256(f"{head}|{name}".encode()).hexdigest()
    content = orjson.dumps(_canonical(envelope.data), option=orjson.OPT_SORT_KEYS)
    parts = f"{head}|{envelope.created_ms}|{envelope.api_request_id or ''}|".encode()
    return sha256(parts + content).hexdigest()


def _natural_key(event_type: EventType, data: dict[str, Any]) -> str | None:
    if event_type.natural_key is None:
        return None
    try:
        name = identifier(data.get(event_type.natural_key))
    except Unreadable:
        return None
    return None if name == "0" else name


def _canonical(value: Any) -> Any:
    """The value with 1.0 written as 1: Capillary sends whole numbers in either form."""
    if type(value) is dict:
        return {key: _canonical(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_canonical(inner) for inner in value]
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**53 else value
