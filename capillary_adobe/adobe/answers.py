"""What an answer of the streaming inlet says of each message.

Belongs here: reading the three published shapes of a 207, matching items to messages. Does not belong here: what to do
about it (`inlet.py`).
Sources: experienceleague.adobe.com/docs/experience-platform/ingestion/tutorials/streaming-multiple-messages.html and
the response fixtures of github.com/adobe/experience-platform-streaming-connect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from capillary_adobe.adobe.errors import effect_unknown, retryable_message
from capillary_adobe.adobe.wording import safe_words
from capillary_adobe.state import Detail, Fate

_INDEX = re.compile(r"[-:](\d+)$")


@dataclass(frozen=True)
class Items:
    """The fate of each message of a request, with AEP's words on those it did not take, and its id of the receipt."""

    fates: list[Fate]
    details: dict[int, Detail]
    aep_id: str | None


def read_items(content: bytes, expected: int) -> Items | None:
    """What became of `expected` messages; None for a body that does not tell, as when a proxy answers."""
    body = _object(content)
    listed = body.get("responses")
    if type(listed) is not list:
        return None
    by_place = _match(listed, expected)
    fates: list[Fate] = []
    details: dict[int, Detail] = {}
    for place in range(expected):
        item = by_place.get(place)
        status = _status_of(item) if item is not None else None
        # Fewer items than messages, and none matches this one: AEP may have taken it or not.
        fates.append(Fate.UNKNOWN if item is None else _fate(status))
        if item is not None and status is not None:
            details[place] = Detail(status, _words_of(item))
    return Items(fates, details, str(body.get("batchId") or body.get("xactionId") or "") or None)


def words_of(content: bytes) -> str:
    """AEP's own words on a request that it refused as a whole."""
    return _words_of(_object(content))


def _fate(status: int | None) -> Fate:
    if status is None:
        return Fate.ACCEPTED
    if not retryable_message(status):
        return Fate.REJECTED
    # Whether refused for now or gone astray, it is sent again; only the latter may make it arrive twice.
    return Fate.UNKNOWN if effect_unknown(status) else Fate.PENDING


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if type(body) is dict else {}


def _match(items: list[Any], expected: int) -> dict[int, dict[str, Any]]:
    """Answer items by message: by the index that ends their xactionId, else by position if there is one for each."""
    objects = [item for item in items if type(item) is dict]
    indexed = {index: item for item in objects if (index := _index_of(item)) is not None and index < expected}
    if len(indexed) == len(objects):
        return indexed
    if len(objects) == expected:
        return dict(enumerate(objects))
    clear = len(indexed) == sum(_index_of(item) is not None for item in objects)
    return indexed if clear else {}


def _index_of(item: dict[str, Any]) -> int | None:
    match = _INDEX.search(str(item.get("xactionId", "")))
    return int(match[1]) if match else None


def _status_of(item: dict[str, Any]) -> int | None:
    """The status of a message that was not taken; published answers call it `status` or `statusCode`."""
    for name in ("status", "statusCode"):
        try:
            status = int(item.get(name, 0))
        except (TypeError, ValueError):
            continue
        if status >= 400:
            return status
    return None if item.get("xactionId") else 500


def _words_of(item: dict[str, Any]) -> str:
    report = item.get("report")
    words = item.get("message") or (report.get("message") if type(report) is dict else None) or item.get("title")
    return safe_words(str(words)) if words else "AEP gave no reason."
