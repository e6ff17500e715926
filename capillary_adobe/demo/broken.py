"""Lines that cannot become events, one function for each way in which they fail.

Belongs here: the kinds of flaw and how each looks. Does not belong here: how often they occur (`traffic.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum

import orjson

from capillary_adobe.demo.brand import PROGRAM, PROGRAM_ID
from capillary_adobe.demo.dice import between, hex_id, pick, uuid_text
from capillary_adobe.demo.scene import Json

ORG_ID = 50_614
"""The fictional brand's organisation in Capillary."""

_SOME_MOMENT_MS = 1_767_225_600_000


class Broken(StrEnum):
    """What is wrong with a line."""

    TRUNCATED = "truncated"
    """JSON that ends too early."""
    NOT_JSON = "not_json"
    """Text that is no JSON: an error page, a form, bytes that are not even UTF-8."""
    SCALAR = "scalar"
    """JSON, but a number, text, true or null instead of an object."""
    NO_EVENT_NAME = "no_event_name"
    """An object without `eventName`."""
    NO_ORG = "no_org"
    """An event without `orgId`."""
    TIME_OUT_OF_BOUNDS = "time_out_of_bounds"
    """An event whose `createdAt` is no plausible epoch."""
    MASKED_CUSTOMER = "masked_customer"
    """An event whose `customerId` shows its first digits only."""
    UNKNOWN_EVENT = "unknown_event"
    """An event of a name that is in no catalogue."""
    NO_CUSTOMER = "no_customer"
    """An event that is about a person and names none."""


def broken_line(kind: Broken, rng: random.Random, created_ms: int = _SOME_MOMENT_MS, org_id: int = ORG_ID) -> bytes:
    """A line with the given flaw, without line end; `created_ms` and `org_id` stand where the flaw allows."""
    if kind is Broken.NOT_JSON:
        return _not_json(rng)
    if kind is Broken.SCALAR:
        return orjson.dumps(pick(rng, (rng.getrandbits(31), hex_id(rng), True, None)))
    event = _sound_event(rng, created_ms, org_id)
    if kind is Broken.TRUNCATED:
        whole = orjson.dumps(event)
        return whole[: between(rng, len(whole) // 4, len(whole) - 2)]
    _SPOIL[kind](event, rng)
    return orjson.dumps(event)


def _not_json(rng: random.Random) -> bytes:
    token = hex_id(rng)
    return pick(
        rng,
        (
            f"<html><head><title>502 Bad Gateway</title></head><body>{token}</body></html>".encode(),
            f"eventName=pointsIssued&requestId={token}".encode(),
            f"{token} upstream connect error or disconnect/reset before headers".encode(),
            b"\xff\xfe" + token.encode("utf-16-le").replace(b"\n", b"0"),
        ),
    )


def _sound_event(rng: random.Random, created_ms: int, org_id: int) -> Json:
    customer_id = 5_681_000_000 + rng.getrandbits(26)
    return {
        "eventName": "pointsExpired",
        "eventId": uuid_text(rng),
        "orgId": org_id,
        "refId": f"{org_id}_{hex_id(rng, 24)}",
        "apiRequestId": hex_id(rng),
        "createdAt": created_ms,
        "data": {
            "customerIdentifiers": {"customerId": customer_id},
            "entityInformation": {"entityType": "USER", "entityId": customer_id},
            "loyaltyProgramDetails": PROGRAM,
            "loyaltyProgramId": PROGRAM_ID,
            "pointsExpired": between(rng, 1, 40),
        },
    }


def _drop_name(event: Json, _: random.Random) -> None:
    del event["eventName"]


def _drop_org(event: Json, _: random.Random) -> None:
    del event["orgId"]


def _spoil_time(event: Json, rng: random.Random) -> None:
    event["createdAt"] = pick(rng, (904_788_626_831_872, 9_047_889_843_135_000, 156_474_848_484))


def _mask_customer(event: Json, _: random.Random) -> None:
    data = event["data"]
    masked = f"{str(data['customerIdentifiers']['customerId'])[:4]}***"
    data["customerIdentifiers"]["customerId"] = masked
    data["entityInformation"]["entityId"] = masked


def _rename(event: Json, _: random.Random) -> None:
    event["eventName"] = "somethingNew"


def _drop_customer(event: Json, _: random.Random) -> None:
    del event["data"]["customerIdentifiers"]
    del event["data"]["entityInformation"]


_SPOIL: dict[Broken, Callable[[Json, random.Random], None]] = {
    Broken.NO_EVENT_NAME: _drop_name,
    Broken.NO_ORG: _drop_org,
    Broken.TIME_OUT_OF_BOUNDS: _spoil_time,
    Broken.MASKED_CUSTOMER: _mask_customer,
    Broken.UNKNOWN_EVENT: _rename,
    Broken.NO_CUSTOMER: _drop_customer,
}
