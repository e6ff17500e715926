"""The objects that the payloads of many events share, in the varying forms in which they arrive.

Belongs here: customer identifiers, the triggering activity, dates with and without their milliseconds, the three ways
to write a number. Does not belong here: the payload of any one event (`bodies.py`, `sidelights.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from capillary_adobe.demo.brand import Store
from capillary_adobe.demo.days import iso, zone_end
from capillary_adobe.demo.dice import between, pick
from capillary_adobe.demo.members import Member, Order

Json = dict[str, Any]
Number = int | float | str


def as_float(thousandths: int) -> Number:
    """1.0, the usual way."""
    return thousandths / 1000


def as_short(thousandths: int) -> Number:
    """1, and a fraction only where there is one."""
    whole, rest = divmod(thousandths, 1000)
    return thousandths / 1000 if rest else whole


def as_text(thousandths: int) -> Number:
    """ "1.000", text with three decimals."""
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}.{rest:03d}"


_STYLES: tuple[Callable[[int], Number], ...] = (as_float,) * 16 + (as_short,) * 3 + (as_text,)


@dataclass(slots=True)
class Scene:
    """What an event's payload is written from, beside the happening itself."""

    rng: random.Random
    member: Member
    today: int
    created_ms: int
    number: Callable[[int], Number]
    with_millis: bool

    def dated(self, body: Json, field: str, day: int, millis: int) -> None:
        """A calendar date, with the sibling in milliseconds that newer senders add."""
        body[field] = iso(day)
        if self.with_millis:
            body[f"{field}InMillis"] = millis

    def entered_at(self) -> int:
        """When a caller says that it happened: a little before; now and then hours later, by a slip of zones."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.03:
            return self.created_ms + between(rng, 5_400, 9_000) * 1000
        if roll < 0.04:
            return self.created_ms - between(rng, 86_400, 5 * 86_400) * 1000
        return (self.created_ms // 1000 - between(rng, 1, 60)) * 1000


def scene_of(rng: random.Random, member: Member, today: int, created_ms: int) -> Scene:
    """A scene whose sender has its own way with numbers and dates."""
    return Scene(rng, member, today, created_ms, pick(rng, _STYLES), rng.random() < 0.75)


def identifiers(scene: Scene) -> Json:
    """Whatever identifiers the organisation's enrichment adds; the customer id is always there."""
    member, roll = scene.member, scene.rng.random()
    if roll < 0.06:
        return {"customerId": member.id}
    if roll < 0.1:
        return {"customerId": member.id, "instore": {"mobile": member.mobile, "cardNumbers": []}}
    mobile = f"{member.mobile} " if roll > 0.995 else member.mobile
    email = "" if roll > 0.985 else member.email
    return {
        "customerId": member.id,
        "firstName": member.first_name,
        "lastName": member.last_name,
        "loyaltyType": "loyalty",
        "Instore" if 0.97 < roll < 0.98 else "instore": {
            "mobile": mobile,
            "email": email,
            "externalId": member.external_id,
            "cardNumbers": [member.card] if roll < 0.7 else [],
        },
        **member.accounts,
    }


def person(member: Member) -> Json:
    """The customer as the entity of an event."""
    return {"entityType": "USER", "entityId": member.id}


def group(group_id: int) -> Json:
    """A user group as the entity of an event."""
    return {"entityType": "USERGROUP2", "entityId": group_id}


def signature(scene: Scene, store: Store) -> Json:
    """Who entered it: the till, as far as enrichment names it."""
    return pick(scene.rng, store.signatures)


def activity(scene: Scene, name: str, keys: list[tuple[str, str]], store: Store) -> Json:
    """The triggering activity."""
    return {
        "name": name,
        "identifiers": [{"key": key, "value": value} for key, value in keys],
        "enteredBy": signature(scene, store),
        "entityInformation": person(scene.member),
        "additionalAttributes": [],
    }


def bill_keys(scene: Scene, order: Order) -> list[tuple[str, str]]:
    """How an activity names a bill; the same key comes several times over."""
    key = "BillId" if scene.rng.random() < 0.8 else "billId"
    bills = [(key, str(order.transaction_id))] * pick(scene.rng, (1, 1, 2, 4))
    return [*bills, ("billNumber", order.bill_number)]


def expiring(scene: Scene, body: Json, field: str, day: int) -> None:
    """A last day of validity."""
    scene.dated(body, field, day, zone_end(day))
