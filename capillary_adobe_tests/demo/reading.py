"""Reading demo traffic back, by means of its own: the tests must not trust the reader that the traffic is made to test.

Belongs here: from a landed line to the flat event. Does not belong here: assertions.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from capillary_adobe.demo.traffic import Shape

_FIELDS = frozenset(
    {"eventName", "eventId", "orgId", "refId", "apiRequestId", "createdAt", "loyaltyEventId", "eventSearchKey"}
    | {"eventLogId", "traceAttributes"}
)


def flat_event(value: dict[str, Any]) -> tuple[Shape, dict[str, Any]]:
    """The shape of an object and the flat event in it."""
    if "attributes" in value:
        return Shape.B, {**{key: value[key] for key in ("eventId",) if key in value}, **value["attributes"]}
    if "body" in value:
        return Shape.C, value["body"]
    if "event" in value:
        return Shape.C2, value["event"]["body"]
    if "warnings" in value:
        return Shape.D, value["data"]
    if "eventName" in value and "data" in value:
        return Shape.A, value
    merged = value.get("data", value)
    event = {key: field for key, field in merged.items() if key in _FIELDS}
    return Shape.E, {**event, "data": {key: field for key, field in merged.items() if key not in _FIELDS}}


def events(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The flat events of sound lines, in the order in which Capillary stored them."""
    found = [flat_event(json.loads(line))[1] for line in lines]
    return sorted(found, key=lambda event: event["createdAt"])


def by_customer(found: Iterable[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Events of each customer; those about nobody or about a group are left out."""
    people: dict[int, list[dict[str, Any]]] = {}
    for event in found:
        customer = event["data"].get("customerIdentifiers")
        if customer:
            people.setdefault(customer["customerId"], []).append(event)
    return people


def name_of(event: dict[str, Any]) -> str:
    """The event's name without the drift of its case."""
    return event["eventName"].lower()


def amount(value: float | str) -> Decimal:
    """A number however it is written."""
    return Decimal(str(value))


def records(path: Path) -> Iterator[Any]:
    """The JSON values of an object in any of its forms; text that is no JSON comes as bytes."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.startswith(b"["):
        yield from json.loads(data)
        return
    for line in data.splitlines() if b"\n" in data else [data]:
        try:
            yield json.loads(line)
        except ValueError:
            yield from _joined(line)


def _joined(line: bytes) -> Iterator[Any]:
    text, place = line.decode("utf-8", "replace"), 0
    values = []
    while place < len(text):
        try:
            value, place = json.JSONDecoder().raw_decode(text, place)
        except ValueError:
            yield line
            return
        values.append(value)
    yield from values
