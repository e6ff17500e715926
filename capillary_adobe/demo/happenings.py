"""What can befall a customer: plain facts, one class for each of the main events.

Belongs here: the facts that a story fixes. Does not belong here: why they happen (`stories.py`), and the payload they
become (`bodies.py`). Points and money are whole thousandths, days are ordinals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from capillary_adobe.demo.brand import Promotion, Store
from capillary_adobe.demo.members import Grant, Order


@dataclass(slots=True)
class Joined:
    """Registered."""

    event: ClassVar[str] = "customerAdded"
    store: Store
    source: str


class Change(NamedTuple):
    """One changed field of a profile."""

    field: str
    kind: str
    before: str
    after: str


@dataclass(slots=True)
class ProfileChanged:
    """Changed particulars; the payload does not always say which."""

    event: ClassVar[str] = "customerUpdated"
    changes: list[Change]
    label: str
    reason: str = ""


@dataclass(slots=True)
class Bought:
    """Bought something, or brought it back (`kind` RETURN)."""

    event: ClassVar[str] = "transactionAdded"
    order: Order


@dataclass(slots=True)
class OrderMoved:
    """A purchase went on to another delivery status."""

    event: ClassVar[str] = "transactionUpdated"
    order: Order
    delivery: str


class Promise(NamedTuple):
    """Points that become spendable later."""

    points: int
    day: int
    promotion: Promotion | None
    by_trigger: bool


@dataclass(slots=True)
class Earned:
    """Got points: for an order, as a welcome or as goodwill; with the balance after it."""

    event: ClassVar[str] = "pointsIssued"
    activity: str
    order: Order | None
    regular: list[Grant]
    promotional: list[Grant]
    promised: list[Promise]
    balance: int
    lifetime: int


@dataclass(slots=True)
class Spent:
    """Paid with points, the customer's own or a group's; with the balance after it."""

    event: ClassVar[str] = "pointsRedeemed"
    points: int
    balance: int
    redemption_id: int
    bill_number: str
    group_id: int | None = None


@dataclass(slots=True)
class Lapsed:
    """Points expired, the customer's own or a group's."""

    event: ClassVar[str] = "pointsExpired"
    points: int
    group_id: int | None = None


@dataclass(slots=True)
class LapseNear:
    """Points are about to expire."""

    event: ClassVar[str] = "pointsExpiryReminder"
    points: int
    last_day: int


class Shift(NamedTuple):
    """Points of one award whose last day moved."""

    award_id: int
    points: int
    promotion: Promotion | None
    before: int
    after: int


@dataclass(slots=True)
class LapseMoved:
    """The last day of some points moved."""

    event: ClassVar[str] = "pointsExpiryChange"
    shifts: list[Shift]


@dataclass(slots=True)
class TierGained:
    """Rose to a higher tier."""

    event: ClassVar[str] = "tierUpgraded"
    before: int
    after: int
    last_day: int


@dataclass(slots=True)
class TierKept:
    """Renewed a tier."""

    event: ClassVar[str] = "tierRenewed"
    tier: int
    last_day: int


@dataclass(slots=True)
class TierLost:
    """Fell to a lower tier."""

    event: ClassVar[str] = "tierDowngraded"
    before: int
    after: int
    last_day: int


@dataclass(slots=True)
class TierLossNear:
    """Is about to fall to a lower tier."""

    event: ClassVar[str] = "tierDowngradeReminder"
    tier: int
    last_day: int


@dataclass(slots=True)
class PromotionWon:
    """Earned a promotion."""

    event: ClassVar[str] = "promotionEarned"
    promotion: Promotion
    issue_id: int
    earn_id: int


Happening = (
    Joined
    | ProfileChanged
    | Bought
    | OrderMoved
    | Earned
    | Spent
    | Lapsed
    | LapseNear
    | LapseMoved
    | TierGained
    | TierKept
    | TierLost
    | TierLossNear
    | PromotionWon
)
