"""The smallest steps of a mapping: picking a list element, comparing, converting for use in a URI.

Belongs here: what compiled rules (`compiler.py`) and explained ones (`trying/tracing.py`) both do, so that the two cannot
differ. Does not belong here: the conversions of Capillary's values (`capillary.values`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from capillary_adobe.capillary import values
from capillary_adobe.capillary.values import Unreadable


def slug(value: Any) -> str | None:
    """A text for use in a URI; one without a single Latin letter or digit is escaped as it is."""
    read = values.text(value)
    return re.sub(r"[^a-z0-9]+", "-", read.lower()).strip("-") or quote(read, safe="") if read else None


def pick(found: Any, key: str, wanted: Any) -> Any:
    """The first element whose field equals the wanted value, case aside; ids compare as text."""
    place = picked(found, key, wanted)
    return None if place is None else found[place]


def picked(found: Any, key: str, wanted: Any) -> int | None:
    """The place of that element in its list."""
    sought = _comparable(wanted)
    if type(found) is not list or sought is None:
        return None
    for place, element in enumerate(found):
        if type(element) is dict and _comparable(element.get(key)) == sought:
            return place
    return None


def compare(value: Any) -> float:
    """A number to compare with; what is no number compares as not a number, which is never true."""
    try:
        read = values.number(value)
    except Unreadable:
        read = None
    return float("nan") if read is None else float(read)


def same_text(value: Any, literal: str) -> bool:
    """Whether a value equals a literal in lower case; numbers, true and false compare as the text they are written as."""
    return (value.strip().lower() if type(value) is str else _comparable(value)) == literal


def _comparable(value: Any) -> str | None:
    try:
        read = values.text(value)
    except Unreadable:
        return None
    return read and read.lower()


CONVERT: Final[dict[str, Callable[[Any], Any]]] = {
    "text": values.text,
    "id": values.identifier,
    "slug": slug,
    "number": values.number,
    "integer": values.integer,
    "limit": values.limit,
    "boolean": values.boolean,
    "currency": values.currency,
    "date": values.day,
    "email": values.email,
    "language": values.language,
    "country": values.country,
}
"""What each conversion does; `moment` is not among them, for it needs a zone and an edge of the day."""
