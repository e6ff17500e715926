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

# How names begin that no webhook may give an event; the bar escapes one that tries to.
_EXPORT, _LOG, _BAR = "insights|", "log|", "|"


def event_key(event_type: EventType, envelope: Envelope, shared: str | None = None) -> str:
    """Hex SHA-256 over organisation, event type and what names the happening, joined by bars.

    In order of preference: the name that webhook and export share (`shared_name`), `eventId` (Capillary's own idempotency
    key, docs.capillarytech.com/docs/consuming-event-notifications), the key that the export's rows have in common, the moment,
    request and content. Never `refId`, `loyaltyEventId` or `eventLogId` alone: several events of one action share them.
    """
    head = f"{envelope.org_id}|{event_type.name}"
    name = shared or shared_name(event_type, envelope) or _escaped(envelope.event_id)
    if name is None and envelope.export is not None:
        name = f"{_EXPORT}{envelope.export.key}"
    if name is not None:
        return sha256(f"{head}|{name}".encode()).hexdigest()
    content = orjson.dumps(_canonical(envelope.data), option=orjson.OPT_SORT_KEYS)
    parts = f"{head}|{envelope.created_ms}|{envelope.api_request_id or ''}|".encode()
    return sha256(parts + content).hexdigest()


def shared_name(event_type: EventType, envelope: Envelope, customer: str | None = None) -> str | None:
    """What names the happening in webhooks and exports alike; None where the event has no such name.

    That is the natural key of its type. With `customer`, the id of the event's customer, it is else the number under which
    Capillary logged the action (`eventLogId`), with customer and loyalty program: an action may touch several of either.
    """
    natural = _escaped(_natural_key(event_type, envelope.data))
    if natural is not None or customer is None:
        return natural
    number, program = envelope.event_log_id or 0, _program(envelope.data)
    return f"{_LOG}{number}|{customer}|{program}" if number > 0 and program is not None else None


def _natural_key(event_type: EventType, data: dict[str, Any]) -> str | None:
    if event_type.natural_key is None:
        return None
    name = _id_at(data, event_type.natural_key)
    # A masked id (12***) is that of many.
    return None if name is None or name == "0" or "*" in name else name


def _program(data: dict[str, Any]) -> str | None:
    return _id_at(data, "loyaltyProgramDetails.id") or _id_at(data, "loyaltyProgramId")


def _id_at(data: dict[str, Any], path: str) -> str | None:
    value: Any = data
    for step in path.split("."):
        value = value.get(step) if type(value) is dict else None
    try:
        return identifier(value)
    except Unreadable:
        return None


def _escaped(name: str | None) -> str | None:
    return f"{_BAR}{name}" if name is not None and name.startswith((_EXPORT, _LOG, _BAR)) else name


def _canonical(value: Any) -> Any:
    """The value with 1.0 written as 1: Capillary sends whole numbers in either form."""
    if type(value) is dict:
        return {key: _canonical(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_canonical(inner) for inner in value]
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**53 else value
