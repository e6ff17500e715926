"""Marigold & Vine, a brand that does not exist: its stores, loyalty programme, tiers, promotions and coupons.

Belongs here: what is the same for every customer. Does not belong here: customers (`members.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

PROGRAM_ID = 2649
REDEEM_PER_MILLE = 250
"""Money per point, in thousandths."""


class Tier(NamedTuple):
    """A tier: points (thousandths) to reach it and, within a tier year, to keep it; points per purchase in per cent."""

    number: int
    name: str
    reached_at: int
    kept_at: int
    rate: int


TIERS = (
    Tier(1, "Seed", 0, 0, 100),
    Tier(2, "Sprout", 60_000, 25_000, 110),
    Tier(3, "Bloom", 180_000, 60_000, 125),
    Tier(4, "Orchard", 450_000, 140_000, 150),
)

PROGRAM: dict[str, Any] = {
    "id": PROGRAM_ID,
    "name": "Marigold & Vine Circle",
    "isDefault": True,
    "pointsToCurrencyRatio": REDEEM_PER_MILLE / 1000,
    "tiers": [{"tierNumber": tier.number, "tierName": tier.name} for tier in TIERS],
}


@dataclass(frozen=True, slots=True)
class Store:
    """A store; `rate` is its currency's units per unit of account. The rest is how its tills sign events."""

    number: int
    town: str
    currency: str
    rate: int
    signatures: tuple[dict[str, Any], ...] = field(init=False)

    def __post_init__(self) -> None:
        code = f"mv.{self.town.lower().replace(' ', '')}.{self.number:03d}"
        till_id = 75_000_000 + self.number * 10
        till = {"code": f"{code}.t1", "name": f"{code}.t1"}
        store = {
            "code": code,
            "name": f"Marigold & Vine {self.town}",
            "externalId": f"MV{self.number:05d}",
            "externalId1": "",
            "externalId2": "",
        }
        full = {"id": till_id, "till": till, "store": store}
        # Till and store are there only where the organisation ordered their enrichment.
        signatures = (full, full, full, {"id": till_id, "till": till}, {"id": till_id})
        object.__setattr__(self, "signatures", signatures)


_TOWNS = (
    ("Saffron Quay", "INR", 80),
    ("Banyan Cross", "INR", 80),
    ("Lotus Arcade", "INR", 80),
    ("Monsoon Walk", "INR", 80),
    ("Kopi Harbour", "IDR", 16_000),
    ("Batik Plaza", "IDR", 16_000),
    ("Orchid Row", "SGD", 1),
    ("Dune Gate", "AED", 4),
    ("Tamarind Mall", "MYR", 4),
    ("Online", "USD", 1),
)
STORES = tuple(
    Store(number, town if lap == 0 else f"{town} {lap + 1}", currency, rate)
    for number, (lap, (town, currency, rate)) in enumerate(
        ((lap, place) for lap in range(4) for place in _TOWNS), start=101
    )
)


class Promotion(NamedTuple):
    """A promotion of the programme."""

    id: int
    identifier: str
    name: str
    description: str
    offer: str


PROMOTIONS = tuple(
    Promotion(
        1_150_700 + number,
        f"{number:02d}{number * 7_777_777 % 1_000_000:06d}-6d76-4a61-b2d1-0000000{number:05d}",
        name,
        description,
        offer,
    )
    for number, (name, description, offer) in enumerate(
        (
            ("Double Bloom Weekend", "Twice the points on every purchase from Friday to Sunday", "LOYALTY_EARNING"),
            ("Rainy Day Treat", "", "GENERIC"),
            ("Garden Party", "Bonus points on linen and cotton", "LOYALTY_EARNING"),
            ("Kopi Hour", "Bonus points before ten in the morning", "GENERIC"),
            ("Festival of Lamps", "Bonus points in the festival season", "LOYALTY_EARNING"),
            ("Second Basket", "Bonus points on the second purchase of a month", "LOYALTY_EARNING"),
        ),
        start=11,
    )
)


class CouponSeries(NamedTuple):
    """A series of coupons with the same terms."""

    id: int
    description: str
    handling: str
    value: int


COUPON_SERIES = (
    CouponSeries(442_201, "mv_welcome_voucher", "DISC_CODE", 10),
    CouponSeries(442_202, "mv_birthday_voucher", "DISC_CODE_PIN", 25),
    CouponSeries(442_203, "mv_winback_voucher", "DISC_CODE", 15),
)

REWARDS = ("Linen tote bag", "Tea for two", "Gift wrapping", "Workshop seat", "Reusable cup")
BADGES = ("3c79f9666f56651c9ea22e7c", "3c79f9666f56651c9ea22e7d", "3c79f9666f56651c9ea22e7e")

FIRST_NAMES = (
    "Aarav", "Anika", "Bayu", "Chen", "Dewi", "Eko", "Farah", "Gita", "Hana", "Imran", "José", "Kavya", "Lakshmi",
    "Mei", "Nadia", "Omar", "Priya", "Qi", "Ravi", "Siti", "Tara", "Uma", "Vikram", "Wei", "Yusuf", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Ahmad", "Bose", "Cruz", "Das", "Fernández", "Gupta", "Hakim", "Iyer", "Khan", "Lim", "Mehta", "Nair", "Okoro",
    "Patel", "Rao", "Santoso", "Tan", "Utomo", "Varma", "Wong", "Yadav", "石川",
)  # fmt: skip
LANGUAGES = ("English", "Hindi", "Bahasa Indonesia", "Tamil", "Arabic", "Mandarin")
