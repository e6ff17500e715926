"""The `eventId` of a record, whether or not an event can be made of it.

Belongs here: the places where the published envelopes carry it, and finding it in text that is no JSON. Does not belong
here: the envelope of a sound event (`envelope.py`).

Capillary's delivery log names events by this id alone, so a record in quarantine must still be told by it.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from capillary_adobe.capillary.values import Unreadable, text
from capillary_adobe.landing import Record

_PLACES = ((), ("attributes",), ("body",), ("body", "attributes"), ("event", "body"), ("event", "body", "attributes"))
# Target events carry an `eventId` of their own inside `data`, a number that means the trigger; envelopes have text there.
_PLACES_WITH_TEXT = (("data",), ("data", "attributes"), ("body", "data"), ("event", "body", "data"))
_IN_TEXT = re.compile(rb'"event ?Id"\s*:\s*"([!#-\[\]-~]{1,200})"')
_TEXT_BYTES = 2**20


def told_event_id(record: Record) -> str | None:
    """The id that a record tells: of a JSON object from the places that envelopes have, else from its text."""
    if record.problem is None:
        return _of_value(record.value)
    found = _IN_TEXT.search(record.text[:_TEXT_BYTES])
    return found[1].decode("ascii") if found else None


def _of_value(value: Any) -> str | None:
    for path in _PLACES:
        found = _readable(_field(value, path))
        if found is not None:
            return found
    for path in _PLACES_WITH_TEXT:
        found = _field(value, path)
        if type(found) is str and (told := _readable(found)) is not None:
            return told
    return None


def _field(value: Any, path: tuple[str, ...]) -> Any:
    for step in (*path, "eventId"):
        if type(value) is str and value.lstrip()[:1] == "{":
            value = _parsed(value)
        if type(value) is not dict:
            return None
        # Captures of 2023 carry blanks inside keys, as `envelope.py` knows.
        value = (
            value[step] if step in value else next((v for k, v in value.items() if k.replace(" ", "") == step), None)
        )
    return value


def _parsed(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _readable(value: Any) -> str | None:
    try:
        return text(value)
    except Unreadable:
        return None
