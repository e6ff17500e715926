"""Stories: what befalls a customer from registration on, in an order that makes sense.

Belongs here: the plot, that is which happening leads to which, on which day. Does not belong here: the ledger that the
plot moves (`members.py`), payloads (`bodies.py`), the mixing of many stories (`telling.py`).

A story has chapters, each on a day at a fixed distance from the registration (`CHAPTER_DAYS`), so a day's events follow
from seed and day alone: the earlier chapters are lived through without being told. Whatever must happen on a day, such
as an expiry, is planned for the day of a chapter.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from capillary_adobe.demo.brand import PROMOTIONS, STORES, TIERS
from capillary_adobe.demo.days import NEVER, java_text
from capillary_adobe.demo.dice import between, dice, pick
from capillary_adobe.demo.happenings import (
    Bought,
    Change,
    Earned,
    Happening,
    Joined,
    Lapsed,
    LapseMoved,
    LapseNear,
    OrderMoved,
    ProfileChanged,
    Promise,
    PromotionWon,
    Shift,
    Spent,
    TierGained,
    TierKept,
    TierLossNear,
    TierLost,
)
from capillary_adobe.demo.members import Grant, Member, Order, born, member_id

CHAPTER_DAYS = (0, 1, 5, 12, 26, 33, 61, 68)
"""Distance of each chapter from the registration, in days."""

REMINDER_DAYS = 14
_FULL_POINT = 1000


@dataclass(slots=True)
class Visit:
    """Happenings of one occasion, in order, and how they leave the customer.

    The whole chapter is known before its first happening is told, so the member itself stands at the chapter's end.
    """

    happenings: list[Happening]
    by_job: bool
    balance: int
    lifetime: int
    tier: int
    email: str
    language: str
    birthday: int


@dataclass(slots=True)
class Chapter:
    """One day of a customer."""

    member: Member
    visits: list[Visit]


def chapter(seed: int, cohort: int, index: int, number: int) -> Chapter:
    """Chapter `number` of the customer at place `index` of the registrations of day `cohort`."""
    rng = dice(seed, cohort, index)
    member = born(rng, member_id(seed, cohort, index), cohort)
    visits: list[Visit] = []
    for past in range(number + 1):
        visits = _Plot(member, cohort, past, rng).lived()
    return Chapter(member, visits)


class _Plot:
    """One chapter in the making."""

    def __init__(self, member: Member, cohort: int, number: int, rng: random.Random) -> None:
        self._member = member
        self._rng = rng
        self._number = number
        self._days = [cohort + distance for distance in CHAPTER_DAYS]
        self._today = self._days[number]
        self._is_last = number == len(self._days) - 1
        self._visits: list[Visit] = []

    def lived(self) -> list[Visit]:
        """Live through the chapter."""
        if self._number == 0:
            self._join()
        else:
            self._let_points_lapse()
            self._review_tier()
            self._warn()
            self._deliver()
            self._bring_back()
        for _ in range(self._purchases()):
            self._buy()
        self._spend()
        self._change()
        return self._visits

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _visit(self, *happenings: Happening, by_job: bool = False) -> None:
        member = self._member
        standing = (member.balance, member.lifetime, member.tier)
        self._visits.append(Visit([*happenings], by_job, *standing, member.email, member.language, member.birthday))

    def _later_day(self, nearest: int, farthest: int) -> int:
        """The day before a later chapter, counted from this one; beyond the story where it has no such chapter."""
        ahead = self._number + between(self._rng, nearest, farthest)
        return self._days[ahead] - 1 if ahead < len(self._days) else self._today + 120 + 30 * (ahead - self._number)

    def _purchases(self) -> int:
        return 1 + self._chance(0.45) + self._chance(0.1) if self._number == 0 or self._chance(0.85) else 0

    # --- points ---

    def _earn(self, activity: str, order: Order | None, regular: int, promotional: list[Grant]) -> list[Happening]:
        """Points, and the tier they lead to."""
        member = self._member
        grants = self._grants(regular)
        promised = [self._promise()] if order and self._chance(0.12) else []
        member.earn(grants + promotional)
        earned = Earned(activity, order, grants, promotional, promised, member.balance, member.lifetime)
        return [earned, *self._climb()]

    def _grants(self, points: int) -> list[Grant]:
        if not points:
            return []
        first = points // 2 if self._chance(0.3) else points
        shares = [first, points - first] if first < points else [points]
        return [Grant(share, self._later_day(1, 12), self._member.next_id()) for share in shares if share]

    def _bonus(self, share: float) -> list[Grant]:
        if not self._chance(share):
            return []
        points = between(self._rng, 5, 30) * _FULL_POINT
        return [Grant(points, self._later_day(1, 4), self._member.next_id(), pick(self._rng, PROMOTIONS))]

    def _promise(self) -> Promise:
        # Beyond the last chapter: a promise that came true would have to be told as an event of its own.
        day = self._days[-1] + between(self._rng, 30, 120)
        promotion = pick(self._rng, PROMOTIONS) if self._chance(0.5) else None
        return Promise(between(self._rng, 2, 15) * _FULL_POINT, day, promotion, self._chance(0.3))

    def _let_points_lapse(self) -> None:
        member = self._member
        lost = member.expire(self._today)
        if not lost:
            return
        happenings: list[Happening] = [Lapsed(lost)]
        if member.group_id is not None and member.group_points > 20 * _FULL_POINT:
            group_lost = member.group_points // 10
            member.group_points -= group_lost
            happenings.append(Lapsed(group_lost, member.group_id))
        self._visit(*happenings, by_job=True)

    def _warn(self) -> None:
        """Reminders of what the next chapter takes away."""
        if self._is_last:
            return
        member, until = self._member, self._days[self._number + 1]
        if until - self._today > REMINDER_DAYS:
            return
        points = member.expiring_before(until)
        if points:
            self._visit(LapseNear(points, until - 1), by_job=True)
            if self._chance(0.25):
                self._move_lapse(until)
        if member.tier > 1 and member.tier_last_day < until and not member.keeps_tier():
            self._visit(TierLossNear(member.tier, member.tier_last_day), by_job=True)

    def _move_lapse(self, until: int) -> None:
        """Goodwill: what would expire next lasts longer."""
        after = self._later_day(2, 4)
        shifts = []
        for lot in self._member.lots:
            if lot.last_day < until:
                shifts.append(Shift(lot.award_id, lot.points, lot.promotion, lot.last_day, after))
                lot.last_day = after
        self._visit(LapseMoved(shifts))

    def _spend(self) -> None:
        member = self._member
        if member.balance >= 15 * _FULL_POINT and self._chance(0.4):
            share = 1.0 if self._chance(0.1) else self._rng.random() * 0.7
            points = max(int(member.balance * share) // _FULL_POINT * _FULL_POINT, 5 * _FULL_POINT)
            if share == 1.0:
                points = member.balance
            member.spend(points)
            bill = f"MV-{self._rng.getrandbits(24)}" if self._chance(0.6) else ""
            self._visit(Spent(points, member.balance, member.next_id(), bill))
        if member.group_id is not None and member.group_points >= 20 * _FULL_POINT and self._chance(0.5):
            points = between(self._rng, 5, 20) * _FULL_POINT
            member.group_points -= points
            self._visit(Spent(points, member.group_points, member.next_id(), "", member.group_id))

    # --- tier ---

    def _tier_end(self) -> int:
        return NEVER if self._member.keeps_tier_for_ever else self._later_day(2, 3)

    def _climb(self) -> list[Happening]:
        member = self._member
        due = member.tier_due()
        if due.number <= member.tier:
            return []
        before, last_day = member.tier, self._tier_end()
        member.begin_tier_year(due.number, last_day)
        return [TierGained(before, due.number, last_day)]

    def _review_tier(self) -> None:
        """The nightly job: keep or lose the tier whose last day is over."""
        member = self._member
        if member.tier == TIERS[0].number or member.tier_last_day >= self._today:
            return
        before, last_day = member.tier, self._tier_end()
        if member.keeps_tier():
            member.begin_tier_year(before, last_day)
            self._visit(TierKept(before, last_day), by_job=True)
        else:
            after = before - 1
            last_day = NEVER if after == TIERS[0].number else last_day
            member.begin_tier_year(after, last_day)
            self._visit(TierLost(before, after, last_day), by_job=True)

    # --- purchases ---

    def _join(self) -> None:
        source = "instore" if self._chance(0.6) else pick(self._rng, ("INSTORE", "MOBILE_APP", "WEB_ENGAGE"))
        joined = Joined(self._member.home, source)
        welcome = self._earn("CustomerRegistration", None, 0, self._bonus(1.0)) if self._chance(0.35) else []
        self._visit(joined, *welcome)

    def _order(self) -> Order:
        rng, member = self._rng, self._member
        store = member.home if self._chance(0.75) else pick(rng, STORES)
        units = int(member.spending * (2_000 + 18_000 * rng.random() ** 2))
        discount = units // 10 if self._chance(0.3) else 0
        number = member.next_id()
        return Order(
            transaction_id=number,
            bill_number=f"{store.number}_{self._today}_{number % 10_000_000}",
            amount=units * 10 * store.rate,
            discount=discount * 10 * store.rate,
            currency=store.currency,
            items=between(rng, 1, 7),
            store=store,
            delivery="PLACED" if self._chance(0.4) else "DELIVERED",
            kind="MIXED" if self._chance(0.05) else "REGULAR",
            client_id=str(1_000_000 + number % 999_983) if self._chance(0.3) else "",
        )

    def _buy(self) -> None:
        member = self._member
        order = self._order()
        if order.delivery == "PLACED":
            member.open_order = order
        if self._chance(0.08):
            # Paid by gift card: earns nothing, so bringing it back takes no points away.
            member.gift_order = order
            self._visit(Bought(order))
            return
        # One point for ten units of account; the tier's rate on top.
        points = order.amount // (10 * order.store.rate) * TIERS[member.tier - 1].rate // 100
        happenings: list[Happening] = [Bought(order)]
        if self._chance(0.3):
            happenings.append(PromotionWon(pick(self._rng, PROMOTIONS), member.next_id(), member.next_id()))
        happenings += self._earn("TransactionAdd", order, points, self._bonus(0.25))
        self._visit(*happenings)

    def _deliver(self) -> None:
        member = self._member
        if member.open_order is not None:
            delivery = pick(self._rng, ("SHIPPED", "DELIVERED", "DELIVERED", "PROCESSED"))
            self._visit(OrderMoved(member.open_order, delivery))
            if delivery == "DELIVERED":
                member.open_order = None

    def _bring_back(self) -> None:
        member = self._member
        if member.gift_order is not None and self._chance(0.7):
            back = replace(member.gift_order, transaction_id=member.next_id(), kind="RETURN", delivery="RETURNED")
            member.gift_order = None
            self._visit(Bought(back))

    # --- profile ---

    def _change(self) -> None:
        rng, member = self._rng, self._member
        if self._is_last and self._chance(0.05):
            self._visit(ProfileChanged([], "Deleted", "User marked deleted using request feature"))
        elif self._chance(0.06):
            before, member.email = member.email, f"new.{member.email}".removeprefix("new.new.")
            self._visit(ProfileChanged([Change("email", "StandardField", before, member.email)], "Active"))
        elif self._chance(0.2):
            changes = [self._changed_field(rng)] if self._chance(0.8) else []
            self._visit(ProfileChanged(changes, "Active"))
        elif self._chance(0.05):
            self._visit(*self._earn("GoodwillPointAllocation", None, 0, self._goodwill()))

    def _changed_field(self, rng: random.Random) -> Change:
        member = self._member
        if self._chance(0.3):
            before, member.birthday = member.birthday, member.birthday + between(rng, 1, 300)
            return Change("dob", "ExtendedField", java_text(before), java_text(member.birthday))
        before = member.language
        member.language = "English" if before != "English" else "Hindi"
        return Change("PreferredLanguage", "ExtendedField", before, member.language)

    def _goodwill(self) -> list[Grant]:
        points = between(self._rng, 5, 20) * _FULL_POINT
        return [Grant(points, self._later_day(2, 12), self._member.next_id())]
