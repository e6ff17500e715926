"""Customers of the brand: who they are, and the ledger of their points and tier.

Belongs here: identity, points lots, balance, lifetime points, tier. Does not belong here: when something happens
(`stories.py`), and how it is written down (`bodies.py`).

Points are whole thousandths, so that no rounding ever breaks a balance.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from capillary_adobe.demo.brand import FIRST_NAMES, LANGUAGES, LAST_NAMES, STORES, TIERS, Promotion, Store, Tier
from capillary_adobe.demo.days import NEVER
from capillary_adobe.demo.dice import between, hex_id, pick

_FIRST_DAY = date(2010, 1, 1).toordinal()
_COHORT_SIZE = 2_000_000
_COHORTS = 10_000
_SEEDS = 90
_IDS_PER_MEMBER = 1_000

GUESTS_FROM = 900_000
"""Places of those who register, shop on that one day and never come back."""

TWINS = (700_000, 899_999)
"""Places of second registrations by mistake, which end in a merge."""


class Grant(NamedTuple):
    """Points of one award, as they were given."""

    points: int
    last_day: int
    award_id: int
    promotion: Promotion | None = None


@dataclass(slots=True)
class Lot:
    """What is left of a grant; it expires after its last day."""

    points: int
    last_day: int
    award_id: int
    promotion: Promotion | None


@dataclass(slots=True)
class Order:
    """A purchase; money in thousandths of the currency's major unit."""

    transaction_id: int
    bill_number: str
    amount: int
    discount: int
    currency: str
    items: int
    store: Store
    delivery: str
    kind: str = "REGULAR"
    client_id: str = ""


@dataclass(slots=True)
class Member:
    """One customer; the ledger changes through `earn`, `spend` and `expire` alone."""

    id: int
    first_name: str
    last_name: str
    mobile: str
    email: str
    external_id: str
    card: str
    home: Store
    spending: float
    language: str
    birthday: int
    keeps_tier_for_ever: bool
    accounts: dict[str, Any]
    group_id: int | None
    group_points: int
    lots: list[Lot] = field(default_factory=list)
    balance: int = 0
    lifetime: int = 0
    tier: int = 1
    tier_base: int = 0
    tier_last_day: int = NEVER
    tier_year_points: int = 0
    open_order: Order | None = None
    gift_order: Order | None = None
    _ids: int = 0

    def next_id(self) -> int:
        """A number that nothing else in the organisation bears."""
        self._ids += 1
        return self.id * _IDS_PER_MEMBER + self._ids

    def earn(self, grants: list[Grant]) -> None:
        """Take in new points."""
        points = 0
        for grant in grants:
            self.lots.append(Lot(*grant))
            points += grant.points
        self.balance += points
        self.lifetime += points
        self.tier_year_points += points

    def spend(self, points: int) -> None:
        """Pay with points, those that expire first before others."""
        if not 0 < points <= self.balance:
            raise ValueError("a redemption takes more than nothing and at most the balance")
        self.balance -= points
        self.lots.sort(key=lambda lot: lot.last_day)
        for lot in self.lots:
            taken = min(points, lot.points)
            lot.points -= taken
            points -= taken
        self.lots = [lot for lot in self.lots if lot.points]

    def expire(self, today: int) -> int:
        """Drop the points whose last day is over; how many they were."""
        lost = self.expiring_before(today)
        if lost:
            self.lots = [lot for lot in self.lots if lot.last_day >= today]
            self.balance -= lost
        return lost

    def expiring_before(self, day: int) -> int:
        """Points whose last day lies before a day."""
        return sum(lot.points for lot in self.lots if lot.last_day < day)

    @property
    def tier_points(self) -> int:
        """Points that count for the tier: those of the lifetime, less what a lost tier took."""
        return self.lifetime - self.tier_base

    def tier_due(self) -> Tier:
        """The highest tier that the points reach."""
        return next(tier for tier in reversed(TIERS) if tier.reached_at <= self.tier_points)

    def keeps_tier(self) -> bool:
        """Whether the points of the tier year suffice to renew the tier."""
        return self.tier_year_points >= TIERS[self.tier - 1].kept_at

    def begin_tier_year(self, tier: int, last_day: int) -> None:
        """Start anew in a tier; one who fell starts at its threshold."""
        if tier < self.tier:
            self.tier_base = self.lifetime - TIERS[tier - 1].reached_at
        self.tier = tier
        self.tier_last_day = last_day
        self.tier_year_points = 0


def member_id(seed: int, cohort: int, index: int) -> int:
    """The customer id: telling seeds (90 of them), days of registration and places within the day apart."""
    day = (cohort - _FIRST_DAY) % _COHORTS
    return ((1 + seed % _SEEDS) * _COHORTS + day) * _COHORT_SIZE + index


class Place(NamedTuple):
    """What a customer id tells: the seed, the day of registration (an ordinal) and the place within the day."""

    seed: int
    cohort: int
    number: int


def place_of(number: int) -> Place | None:
    """The inverse of `member_id`, for seeds below 90; None for a number that is no customer's id."""
    rest, index = divmod(number, _COHORT_SIZE)
    seed, day = divmod(rest, _COHORTS)
    return Place(seed - 1, _FIRST_DAY + day, index) if 1 <= seed <= _SEEDS else None


def customer_of(number: int) -> int:
    """The id of the customer from whom a number came (`Member.next_id`)."""
    return number // _IDS_PER_MEMBER


def twin_id(rng: random.Random, member: Member) -> int:
    """The customer id of someone's second registration."""
    return member.id - member.id % _COHORT_SIZE + between(rng, *TWINS)


def born(rng: random.Random, number: int, day: int) -> Member:
    """A customer with the given id, on the day of registration, before anything happened."""
    local = number % (_COHORTS * _COHORT_SIZE)
    first, last = pick(rng, FIRST_NAMES), pick(rng, LAST_NAMES)
    home = pick(rng, STORES)
    mobile = f"999{local:011d}"
    email = f"{_ascii(first)}.{_ascii(last)}.{local}@example.com"
    if rng.random() < 0.005:
        # Tills that insist on an address get the store's own, so that several customers seem to share one.
        email = f"guest.store{home.number}@example.com"
    in_group = rng.random() < 0.08
    return Member(
        id=number,
        first_name=first,
        last_name=last,
        mobile=mobile,
        email=email,
        external_id=f"MV{local:011d}",
        card=f"9990{local:012d}",
        home=home,
        spending=0.5 + 3.5 * rng.random() ** 2,
        language=pick(rng, LANGUAGES),
        birthday=day - between(rng, 18 * 365, 75 * 365),
        keeps_tier_for_ever=rng.random() < 0.15,
        accounts=_accounts(rng.random(), hex_id(rng, 12), mobile),
        group_id=number // 7 if in_group else None,
        group_points=between(rng, 50, 2_000) * 1000 if in_group else 0,
    )


def _accounts(kind: float, account: str, mobile: str) -> dict[str, Any]:
    """Accounts in sources other than the stores: most customers have one or two, some none."""
    if kind < 0.2:
        return {}
    accounts = {
        "web_engage": {
            "accounts": [
                {
                    "accountId": f"~{account[:9]}",
                    "identifiers": [
                        {"identifierType": "cuid", "identifierValue": account},
                        {"identifierType": "mobile", "identifierValue": mobile},
                    ],
                }
            ]
        }
    }
    if kind > 0.55:
        accounts["wechat" if kind < 0.8 else "facebook"] = {
            "accounts": [
                {
                    "accountId": f"mv-{account[9:]}",
                    "identifiers": [{"identifierType": "unionId", "identifierValue": f"u{account}"}],
                }
            ]
        }
    return accounts


@lru_cache(maxsize=256)
def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower() or "member"
