"""Lists of the Schema Registry: which objects, in what order, and how many at a time.

Belongs here: the parameters `property`, `orderby`, `start` and `limit`. Does not belong here: the form of the objects
in the list (`schema_registry_accept`).

A page goes on as long as objects have the same value of what they are ordered by, since the next page starts behind
that value.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from capillary_adobe.emulators.property_filters import BadCondition, conditions
from capillary_adobe.emulators.schema_registry_errors import invalid

MOST: Final = 300
_USUAL_ORDER: Final = "title"


def listed(objects: list[dict[str, Any]], params: QueryParams, path: str) -> dict[str, Any]:
    """A page of the objects that the parameters ask for, with the way to the next one."""
    found = _matching(objects, params.getlist("property"))
    order = params.get("orderby") or _USUAL_ORDER
    fields = [field.strip() for field in order.split(",")]
    for field in reversed(fields):
        found.sort(key=partial(_value, name=field.lstrip("-+")), reverse=field.startswith("-"))
    first, descending = fields[0].lstrip("-+"), fields[0].startswith("-")
    if start := params.get("start"):
        found = [item for item in found if _value(item, first) != start and (_value(item, first) > start) != descending]
    size = _limit(params)
    while 0 < size < len(found) and _value(found[size - 1], first) == _value(found[size], first):
        size += 1
    following = _value(found[size - 1], first) if 0 < size < len(found) else None
    return {
        "results": found[:size],
        "_page": {"orderby": order, "next": following, "count": len(found[:size])},
        "_links": {"next": {"href": None if following is None else _href(path, params, following)}},
    }


def _matching(objects: list[dict[str, Any]], texts: list[str]) -> list[dict[str, Any]]:
    present = [text for text in texts if not any(sign in text for sign in "=<>~")]
    try:
        held = conditions(text for text in texts if text not in present)
    except BadCondition as fault:
        raise invalid(str(fault)) from None
    return [
        item for item in objects if all(name in item for name in present) and all(condition(item) for condition in held)
    ]


def _limit(params: QueryParams) -> int:
    text = params.get("limit", str(MOST))
    if not (text.isdecimal() and text.isascii() and len(text) < 9):
        raise invalid("limit must be a whole number")
    return min(int(text) or MOST, MOST)


def _value(content: dict[str, Any], name: str) -> str:
    return str(content.get(name, ""))


def _href(path: str, params: QueryParams, start: str) -> str:
    kept = [(name, value) for name, value in params.multi_items() if name != "start"]
    return f"{path}?{urlencode([*kept, ('start', start)])}"
