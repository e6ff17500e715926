"""What the emulator reads of a body that is handed in: only what the log and the choice of webhooks need.

Belongs here: finding these few fields in any of the published envelopes. Does not belong here: judging a body; it is
posted byte for byte as it came.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

_ENVELOPES = ("attributes", "data", "body", "event")
_DEEPEST = 4
_ID_IN_TEXT = re.compile(rb'"event ?Id"\s*:\s*"([!#-\[\]-~]{1,200})"')


class Told(NamedTuple):
    """Fields of an event; None where the body does not tell."""

    event_name: str | None = None
    event_id: str | None = None
    ref_id: str | None = None
    request_id: str | None = None
    search_key: str | None = None


def read(body: bytes) -> Told:
    """The fields of a body; for what is no JSON object at most the id: Capillary knows it of whatever it sends."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if type(content) is not dict:
        found = _ID_IN_TEXT.search(body)
        return Told(event_id=found[1].decode("ascii") if found else None)
    levels = list(_levels(content, _DEEPEST))
    return Told(
        _first(levels, "eventName"),
        _first(levels, "eventId"),
        _first(levels, "refId"),
        _first(levels, "apiRequestId"),
        _customer(content, _DEEPEST),
    )


def _levels(content: Any, depth: int) -> list[dict[str, Any]]:
    if type(content) is not dict or depth == 0:
        return []
    inner = [level for name in _ENVELOPES for level in _levels(content.get(name), depth - 1)]
    return [content, *inner]


def _first(levels: list[dict[str, Any]], name: str) -> str | None:
    return next((level[name] for level in levels if type(level.get(name)) is str and level[name]), None)


def _customer(content: Any, depth: int) -> str | None:
    for level in _levels(content, depth):
        identifiers = level.get("customerIdentifiers")
        if type(identifiers) is dict and type(identifiers.get("customerId")) in (int, str):
            return str(identifiers["customerId"])
    return None
