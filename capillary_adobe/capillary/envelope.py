"""Envelopes: from any published shape of an event to its envelope fields and its `data`.

Belongs here: the shapes A to E and the drift of their fields
(docs.capillarytech.com/docs/consuming-event-notifications and the event-schema pages). Does not belong here: the keys
made of the fields (`keys.py`), the lines of an import (`history_line.py`) and the meaning of `data`.

A: flat, `eventName` and `data` side by side. B: the bus record, the same inside `attributes`. C: A inside `body`,
also inside `event.body`. D: A inside `data` of an API answer. E: the envelope fields inside `data`, or `data`'s fields
beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from capillary_adobe.capillary.values import Unreadable, epoch_ms, integer, text

_ENVELOPE_FIELDS = frozenset(
    {
        "eventName",
        "eventId",
        "eventType",
        "consumerGroupId",
        "actionType",
        "timeStamp",
        "createdAt",
        "orgId",
        "refId",
        "apiRequestId",
        "loyaltyEventId",
        "eventLogId",
        "eventSearchKey",
        "traceAttributes",
        "data",
        "attributes",
        "body",
        "event",
        "errors",
        "warnings",
    }
)


class Export(NamedTuple):
    """Of which rows of an export an event was made: what names it there, and the rows' files and lines in words."""

    key: str
    rows: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope fields of one event and its own `data`; `export` is None for what a webhook sent."""

    shape: str
    event_name: str
    event_id: str | None
    org_id: int
    created_ms: int
    ref_id: str | None
    api_request_id: str | None
    loyalty_event_id: str | None
    event_log_id: int | None
    data: dict[str, Any]
    export: Export | None = None

    def as_export(self, shape: str, export: Export) -> Envelope:
        """The same event, made of rows of an export."""
        return replace(self, shape=shape, export=export)


class NotAnEvent(ValueError):
    """A record that no event can be made of: a reason code, and plain words without values."""

    def __init__(self, code: str, detail: str, event_name: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.event_name = event_name


def unwrap(value: Any) -> Envelope:
    """Find the event within a record.

    Raises:
        NotAnEvent: codes `not_an_object`, `envelope_unknown`, `org_missing`, `time_missing`, `time_unreadable`.
    """
    if type(value) is not dict:
        raise NotAnEvent("not_an_object", "The record is JSON but no object. An event is one JSON object.")
    shape, fields, data = _find(_without_blanks(value))
    event_name = text(fields["eventName"]) or ""
    return Envelope(
        shape=shape,
        event_name=event_name,
        event_id=_text_of(fields, "eventId"),
        org_id=_org(fields, event_name),
        created_ms=_created(fields, event_name),
        ref_id=_text_of(fields, "refId"),
        api_request_id=_text_of(fields, "apiRequestId"),
        loyalty_event_id=_text_of(fields, "loyaltyEventId"),
        event_log_id=_integer_of(fields, "eventLogId"),
        data=data,
    )


def _find(value: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Shape, envelope fields and data. Each level is looked at by itself: target events carry an `eventName` and an
    integer `eventId` of their own inside `data`, which mean the trigger."""
    found = _at_level(value, "A")
    for shape, path in (("B", ("attributes",)), ("C", ("body",)), ("C", ("event", "body")), ("D", ("data",))):
        if found is not None:
            return found
        found = _inside(value, shape, path)
    if found is None and _names_event(value):
        # The first generation kept the fields right beside the name.
        beside = {key: field for key, field in value.items() if key not in _ENVELOPE_FIELDS}
        found = ("E", value, beside) if beside else None
    if found is None:
        raise NotAnEvent(
            "envelope_unknown",
            "The object is none of the envelopes A to E: no eventName with data beside, above or inside it. If a dataflow "
            "at Capillary reshapes events, let it keep eventName, orgId, createdAt and data.",
        )
    return found


def _without_blanks(fields: dict[str, Any]) -> dict[str, Any]:
    """Captures of 2023 carry blanks inside keys ("or gId"), an artefact of line wrapping."""
    if " " not in "".join(fields):
        return fields
    names = {key: key.replace(" ", "") for key in fields}
    return {name if (name := names[key]) in _ENVELOPE_FIELDS else key: field for key, field in fields.items()}


def _inside(
    value: dict[str, Any], shape: str, path: tuple[str, ...]
) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    inner: Any = value
    for step in path:
        inner = inner.get(step) if type(inner) is dict else None
    if type(inner) is str and inner.lstrip()[:1] == "{":
        inner = _json_text(inner)
    if type(inner) is not dict:
        return None
    inner = _without_blanks(inner)
    if shape == "B":
        # Outside stand eventId, eventLogId and the bus time; the rest stands inside.
        return _at_level({**value, "eventName": None, "data": None, **inner}, "B")
    found = _at_level(inner, shape)
    if found is not None:
        return found
    if shape == "C" and ("attributes" in inner or "data" in inner):
        nested = _inside(inner, "B", ("attributes",)) or _inside(inner, "D", ("data",))
        return nested and ("C", nested[1], nested[2])
    if shape == "D" and "attributes" in inner:
        nested = _inside(inner, "B", ("attributes",))
        return nested and ("D", nested[1], nested[2])
    if shape == "D" and _names_event(inner):
        fields = {**value, **{key: inner[key] for key in inner if key in _ENVELOPE_FIELDS}}
        return "E", fields, {key: field for key, field in inner.items() if key not in _ENVELOPE_FIELDS}
    return None


def _json_text(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _at_level(value: dict[str, Any], shape: str) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    data = value.get("data")
    if type(data) is not dict or not _names_event(value):
        return None
    beside = {key: field for key, field in value.items() if key not in _ENVELOPE_FIELDS}
    # Older requestUpdated events keep their fields beside data; what data says itself wins.
    return shape, value, {**beside, **data} if beside else data


def _names_event(value: dict[str, Any]) -> bool:
    name = value.get("eventName")
    return type(name) is str and text(name) is not None


def _text_of(fields: dict[str, Any], name: str) -> str | None:
    try:
        return text(fields.get(name))
    except Unreadable:
        return None


def _integer_of(fields: dict[str, Any], name: str) -> int | None:
    try:
        return integer(fields.get(name))
    except Unreadable:
        return None


def _org(fields: dict[str, Any], event_name: str) -> int:
    try:
        org_id = integer(fields.get("orgId"))
    except Unreadable:
        org_id = None
    if org_id is None or org_id <= 0:
        raise NotAnEvent(
            "org_missing",
            "orgId is missing or no number. Customer ids are unique within one organisation only, so the event cannot be "
            "told from another organisation's.",
            event_name,
        )
    return org_id


def _created(fields: dict[str, Any], event_name: str) -> int:
    """When Capillary stored the event; in a bus record without it, when the bus took it."""
    for name in ("createdAt", "timeStamp"):
        try:
            created_ms = epoch_ms(fields.get(name))
        except Unreadable as error:
            raise NotAnEvent("time_unreadable", f"{name} cannot be read: {error}.", event_name) from error
        if created_ms is not None:
            return created_ms
    raise NotAnEvent("time_missing", "createdAt is missing, so the event has no time.", event_name)
