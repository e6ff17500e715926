"""The brand's customers, transactions, stores and programs as Capillary's API tells them.

Belongs here: their records in the form of the API, for the local Capillary. Does not belong here: the customers
(`members.py`), their stories (`stories.py`), and the API itself (`emulators.capillary`).

Nothing is kept: a customer's id tells seed, day of registration and place, and from these follows the whole story. A customer
is told as of the end of the chapters that have begun by today. Second registrations by mistake have been merged; into whom,
the event alone tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from capillary_adobe.demo.brand import PROGRAM, PROGRAM_ID, STORES, TIERS, Store
from capillary_adobe.demo.days import NEVER, iso
from capillary_adobe.demo.dice import between, dice
from capillary_adobe.demo.happenings import Bought, ProfileChanged
from capillary_adobe.demo.members import GUESTS_FROM, TWINS, Member, Order, customer_of, place_of
from capillary_adobe.demo.stories import CHAPTER_DAYS, Chapter, chapter
from capillary_adobe.emulators.capillary.holdings import Kind, Record

_OFFSET = "+05:30"
_ITEMS = (
    "Linen tote",
    "Ceramic bowl",
    "Darjeeling tea",
    "Garden shears",
    "Cotton throw",
    "Beeswax candle",
    "Herb seeds",
)


def _today() -> date:
    return datetime.now(UTC).date()


class DemoPopulation:
    """Every customer that the demo traffic can tell of."""

    def __init__(self, today: Callable[[], date] = _today) -> None:
        self._today = today

    def customer(self, customer_id: int) -> Record | None:
        """A customer as v2 tells it; None for an id that no customer bears yet."""
        place = place_of(customer_id)
        if place is None or place.cohort > self._today().toordinal():
            return None
        if TWINS[0] <= place.number <= TWINS[1]:
            return {"id": customer_id, "mergedInto": 0}
        chapters = self._chapters(place.seed, place.cohort, place.number)
        if any(label == "Deleted" for label in _labels(chapters[-1])):
            return {"id": customer_id, "deleted": True}
        return _customer(chapters[-1].member, place.cohort)

    def transaction(self, transaction_id: int) -> Record | None:
        """A transaction as v2 tells it; None for an id that no transaction bears yet."""
        customer_id = customer_of(transaction_id)
        place = place_of(customer_id)
        if place is None or place.cohort > self._today().toordinal():
            return None
        for number, told in enumerate(self._chapters(place.seed, place.cohort, place.number)):
            for visit in told.visits:
                for happening in visit.happenings:
                    if isinstance(happening, Bought) and happening.order.transaction_id == transaction_id:
                        return _transaction(happening.order, customer_id, place.cohort + CHAPTER_DAYS[number])
        return None

    def organisation(self) -> Mapping[Kind, Iterable[Record]]:
        """Stores, tills and programs."""
        return {
            "stores": [_store(store) for store in STORES],
            "tills": [_till(store) for store in STORES],
            "programs": [PROGRAM | {"description": "Points and tiers", "type": "LOYALTY", "tierBased": True}],
        }

    def _chapters(self, seed: int, cohort: int, index: int) -> list[Chapter]:
        """The chapters that have begun; a guest has one."""
        age = self._today().toordinal() - cohort
        begun = 1 if index >= GUESTS_FROM else sum(distance <= age for distance in CHAPTER_DAYS)
        return [chapter(seed, cohort, index, number) for number in range(begun)]


def _labels(told: Chapter) -> list[str]:
    changes = [one for visit in told.visits for one in visit.happenings if isinstance(one, ProfileChanged)]
    return [one.label for one in changes]


def _customer(member: Member, cohort: int) -> Record:
    joined = f"{iso(cohort)}T12:00:00{_OFFSET}"
    contacts = [("mobile", member.mobile), ("email", member.email), ("externalId", member.external_id)]
    opted = "OPTIN" if member.id % 3 else "OPTOUT"
    by_day: dict[int, int] = {}
    for lot in member.lots:
        if lot.last_day < NEVER:
            by_day[lot.last_day] = by_day.get(lot.last_day, 0) + lot.points
    summary = _summary(member)
    return {
        "id": member.id,
        "profiles": [
            {
                "firstName": member.first_name,
                "lastName": member.last_name,
                "attribution": {"createDate": joined, "modifiedDate": joined},
                "fields": {
                    "membership_channel": member.home.town,
                    "marketing_opt_in": "true" if member.id % 3 else "false",
                },
                "identifiers": [
                    *({"type": kind, "value": value} for kind, value in contacts),
                    {"type": "cardnumber", "value": member.card, "statusLabel": "ACTIVE"},
                ],
                "commChannels": [
                    {"type": kind, "value": value, "primary": True, "verified": True} for kind, value in contacts[:2]
                ],
                "source": "INSTORE",
                "userId": member.id,
                "accountId": "",
            }
        ],
        "loyaltyInfo": {"loyaltyType": "loyalty", "attributionV2": {"createDate": joined}},
        "extendedFields": {
            "gender": ("Female", "Male", "Unspecified")[member.id % 3],
            "dob": iso(member.birthday),
            "preferred_language": member.language,
        },
        "pointsSummary": summary,
        "loyaltyProgramDetails": [
            summary
            | {
                "programId": PROGRAM_ID,
                "programTitle": PROGRAM["name"],
                "programDescription": "Points and tiers",
                "programPointsToCurrencyRatio": PROGRAM["pointsToCurrencyRatio"],
            }
        ],
        "subscriptionInfo": {
            "subscriptions": [
                {"channel": channel, "priority": priority, "type": "OPTIN" if priority == "TRANS" else opted}
                for channel in ("SMS", "EMAIL")
                for priority in ("TRANS", "BULK")
            ]
        },
        "customerStatus": {"label": "Active", "status": "ACTIVE", "reason": ""},
        "expirySchedules": [
            {
                "points": points / 1000,
                "expiryDate": _end_of(day),
                "programId": PROGRAM_ID,
                "pointsType": "bill_regular",
                "expiryType": "fixed",
            }
            for day, points in sorted(by_day.items())
        ],
        "cardDetails": [{"cardNumber": member.card, "seriesName": "Circle", "statusInfo": {"label": "ACTIVE"}}],
    }


def _summary(member: Member) -> Record:
    tier = TIERS[member.tier - 1]
    following = TIERS[member.tier] if member.tier < len(TIERS) else None
    return {
        "loyaltyPoints": member.balance / 1000,
        "lifetimePoints": member.lifetime / 1000,
        "currentSlab": tier.name,
        "slabSNo": tier.number,
        "slabExpiryDate": _end_of(member.tier_last_day),
        "nextSlab": following.name if following is not None else None,
        "nextSlabSerialNumber": following.number if following is not None else -1,
    }


def _transaction(order: Order, customer_id: int, day: int) -> Record:
    rng = dice(order.transaction_id)
    gross = order.amount + order.discount
    shares = [gross // order.items + (gross % order.items if place == 0 else 0) for place in range(order.items)]
    return {
        "id": order.transaction_id,
        "customerId": customer_id,
        "type": order.kind if order.kind == "RETURN" else "REGULAR",
        "source": "INSTORE",
        "billDetails": {
            "amount": order.amount / 1000,
            "grossAmount": gross / 1000,
            "discount": order.discount / 1000,
            "billNumber": order.bill_number,
            "billingTime": f"{iso(day)}T12:00:00{_OFFSET}",
            "billingStore": _store(order.store),
        },
        "lineItems": [_line_item(order, place, share, between(rng, 0, 6)) for place, share in enumerate(shares)],
        "paymentModes": [
            {
                "id": order.transaction_id,
                "mode": ("CARD", "CASH")[order.transaction_id % 2],
                "amount": order.amount / 1000,
            }
        ],
        "basketSize": order.items,
    }


def _line_item(order: Order, place: int, value: int, what: int) -> Record:
    discount = order.discount // order.items + (order.discount % order.items if place == 0 else 0)
    details: dict[str, Any] = {
        "itemCode": f"MV-{what:03d}",
        "description": _ITEMS[what],
        "qty": 1,
        "rate": value / 1000,
        "value": value / 1000,
        "discount": discount / 1000,
        "amount": (value - discount) / 1000,
        "serial": place + 1,
    }
    return {"id": order.transaction_id * 100 + place, "valid": True, "details": details}


def _store(store: Store) -> Record:
    signature = store.signatures[0]["store"]
    return {
        "id": store.number,
        "code": signature["code"],
        "name": signature["name"],
        "external_id": signature["externalId"],
        "is_active": True,
        "base_currency": {"label": store.currency, "symbol": store.currency},
        "city": store.town,
    }


def _till(store: Store) -> Record:
    signature = store.signatures[0]
    return {
        "id": signature["id"],
        "code": signature["till"]["code"],
        "name": signature["till"]["name"],
        "isActive": True,
        "parent": {"id": store.number, "code": signature["store"]["code"]},
    }


def _end_of(day: int) -> str:
    return f"{iso(day)}T23:59:59{_OFFSET}"
