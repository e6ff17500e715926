"""Envelopes: from a payload to the flat event A, and from A to every other published shape.

Belongs here: envelope fields, their gaps and drifts, the shapes A, B, C, C2, D and E
(docs.capillarytech.com/docs/consuming-event-notifications and the event-schema pages). Does not belong here: payloads.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from capillary_adobe.demo.dice import between, hex_id, pick, uuid_text
from capillary_adobe.demo.scene import Json


class Shape(StrEnum):
    """A published shape of an event.

    A is flat. B is the bus record with the event in `attributes`. C holds A in `body`, C2 in `event.body` with the
    request around it. D is an API answer with A in `data`. E is a fragment: the envelope fields among those of `data`.
    """

    A = "A"
    B = "B"
    C = "C"
    C2 = "C2"
    D = "D"
    E = "E"


@dataclass(slots=True)
class Request:
    """What all events of one occasion share."""

    api_request_id: str
    loyalty_event_id: str
    log_id: int
    entity_id: int


_POINTS = frozenset({"pointsIssued", "pointsRedeemed", "pointsExpired", "pointsExpiryReminder", "pointsExpiryChange"})
_LOYALTY = _POINTS | {"tierUpgraded", "tierDowngradeReminder", "tierDowngraded", "unifiedTargetsAchieved"}
_TRACED = frozenset({"promotionEarned", "customerUpdated", "rewardIssued"})
_WITHOUT_ID = {
    "promotionEarned": 0.85,
    "pointsExpiryChange": 0.85,
    "loyaltyCustomerMerge": 1.0,
    "rewardIssued": 0.5,
    "pointsExpiryReminder": 0.05,
    "pointsIssued": 0.03,
}
_DRIFTING = 0.002


def request_of(rng: random.Random, entity_id: int, job: str | None) -> Request:
    """The ids of one occasion; a nightly job signs with its own name instead of a request's id."""
    return Request(job or hex_id(rng), hex_id(rng, 24), rng.getrandbits(33), entity_id)


def flat(rng: random.Random, name: str, data: Json, org_id: int, created_ms: int, request: Request) -> Json:
    """The event as the webhook gets it."""
    has_loyalty_id = name in _LOYALTY
    reference = request.loyalty_event_id if has_loyalty_id else request.entity_id
    event: Json = {
        "eventName": name if rng.random() >= _DRIFTING else pick(rng, (name.lower(), name[0].swapcase() + name[1:])),
        "orgId": org_id,
        "refId": f"{org_id}_{reference}",
        "apiRequestId": request.api_request_id,
        "createdAt": created_ms,
        "data": data,
    }
    if rng.random() >= _WITHOUT_ID.get(name, 0.0):
        event["eventId"] = uuid_text(rng)
    if has_loyalty_id:
        event["loyaltyEventId"] = request.loyalty_event_id
    elif rng.random() < 0.5:
        event["loyaltyEventId"] = pick(rng, (None, None, ""))
    if name in _POINTS and rng.random() < 0.8:
        event["eventSearchKey"] = "data.customerIdentifiers.customerId"
        event["eventLogId"] = request.log_id
    if name in _TRACED:
        event["traceAttributes"] = {
            "x-cap-lineage-id": uuid_text(rng),
            "x-cap-lineage-start": str(created_ms - between(rng, 20, 900)),
        }
    return event


def dress(event: Json, shape: Shape, rng: random.Random) -> Json:
    """The flat event in another shape; the event itself stays as it is."""
    if shape is Shape.A:
        return event
    if shape is Shape.B:
        return _bus_record(event, rng)
    if shape is Shape.C:
        return {"body": event}
    if shape is Shape.C2:
        return {"event": _inspected(event, rng)}
    if shape is Shape.D:
        return {"data": event, "errors": [], "warnings": []}
    return _fragment(event, rng)


def _bus_record(event: Json, rng: random.Random) -> Json:
    attributes = {key: value for key, value in event.items() if key != "eventId"}
    name = event["eventName"]
    record: Json = {
        "eventType": f"{event['orgId']}_{name}" if rng.random() < 0.7 else name,
        "consumerGroupId": None if rng.random() < 0.8 else uuid_text(rng),
        "actionType": "START" if rng.random() < 0.9 else pick(rng, (" START", "START ")),
        "timeStamp": event["createdAt"] + between(rng, 4, 300),
        "attributes": attributes,
    }
    if "eventId" in event:
        record["eventId"] = event["eventId"]
    return record


def _inspected(event: Json, rng: random.Random) -> Json:
    hook = hex_id(rng, 12)
    return {
        "body": event,
        "headers": {
            "content-type": "application/json",
            "accept": "text/plain, application/json, application/*+json, */*",
            "user-agent": "Java/1.8.0_272",
            "host": "hooks.example.com",
        },
        "method": "POST",
        "path": "/",
        "query": {},
        "client_ip": "192.0.2.10",
        "url": f"https://hooks.example.com/{hook}",
    }


def _fragment(event: Json, rng: random.Random) -> Json:
    fields = {key: value for key, value in event.items() if key != "data"}
    merged = {**fields, **event["data"]}
    return {"data": merged} if rng.random() < 0.5 else merged
