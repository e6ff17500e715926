"""The bodies that the load generator posts: the demo's events, of one size, each with an id of its own.

Belongs here: making them so cheaply that the generator is never what is measured. Does not belong here: sending
(`load.py`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any

import orjson

from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.envelopes import Shape
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.telling import Teller

LEAST_BYTES = 1000
_TEMPLATES = 64
_LINES_OF_THE_DAY = 20_000
_TRIES = 20_000
_PLACE_OF_THE_ID = "00000000-0000-0000-0000-000000000000"
_PLACE_OF_THE_NUMBER = 10**14
"""Fifteen digits, which a double holds exactly."""
_NUMBERS_OF_A_RUN = 10**7
_RUNS = 8 * 10**7
_FILLING = "two linen shirts, one teapot; "


@dataclass(slots=True)
class Event:
    """One event on its way. `due` is when it should have left, on the clock of `time.perf_counter`."""

    id: bytes
    body: bytes
    due: float = 0.0


def events(size: int) -> Iterator[Event]:
    """Events without end, each `size` bytes long; the ids of two runs differ.

    Raises:
        ValueError: `size` is below `LEAST_BYTES`, which the demo's smallest events need.
    """
    if size < LEAST_BYTES:
        raise ValueError(f"a body of {size} bytes is too small for an event: give at least {LEAST_BYTES}")
    return _numbered(_templates(size))


def _numbered(templates: list[tuple[bytes, bytes, bytes]]) -> Iterator[Event]:
    run = secrets.randbelow(_RUNS)
    first = _PLACE_OF_THE_NUMBER + run * _NUMBERS_OF_A_RUN
    texts = cycle(templates)
    for number in count():
        before, between, behind = next(texts)
        id_ = b"%08x-0000-4000-8000-%012x" % (run, number)
        yield Event(id_, b"%b%d%b%b%b" % (before, first + number, between, id_, behind))


def _templates(size: int) -> list[tuple[bytes, bytes, bytes]]:
    """The texts around number and id, of events of many kinds and customers."""
    mix = replace(Mix.clean(), other=0, shapes={Shape.A: 1.0})
    teller = Teller(datetime.now(UTC).date(), _LINES_OF_THE_DAY, 1, mix, ORG_ID)
    made: list[tuple[bytes, bytes, bytes]] = []
    for remaining in range(_TRIES, 0, -1):
        event = orjson.loads(teller.tell(time.time_ns() // 1_000_000, remaining).raw)
        # Events about a group are ignored by the mapping; all that is posted here should come out of the pipeline.
        text = _text(event, size) if "customerIdentifiers" in event["data"] else None
        if text is not None:
            before, _, rest = text.partition(str(_PLACE_OF_THE_NUMBER).encode())
            between, _, behind = rest.partition(_PLACE_OF_THE_ID.encode())
            made.append((before, between, behind))
        if len(made) == _TEMPLATES:
            break
    return made


def _text(event: dict[str, Any], size: int) -> bytes | None:
    """The event, filled up with one more custom field; None where it is too long already."""
    data = event["data"]
    field = {"key": "receipt_text", "value": f"{_PLACE_OF_THE_NUMBER}: "}
    data["customFields"] = [*data.get("customFields", []), field]
    if "transactionId" in data:
        # What names a sale is this number and not the id.
        data["transactionId"], field["value"] = _PLACE_OF_THE_NUMBER, ""
    event.pop("eventId", None)
    event["eventId"] = _PLACE_OF_THE_ID
    room = size - len(orjson.dumps(event))
    if room < 0:
        return None
    field["value"] += (_FILLING * (room // len(_FILLING) + 1))[:room]
    return orjson.dumps(event)
