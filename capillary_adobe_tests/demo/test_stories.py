"""The customers' stories: every balance, tier and order of happenings can be replayed from the landed events."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from capillary_adobe.demo.bodies import MAIN_EVENTS
from capillary_adobe.demo.brand import TIERS
from capillary_adobe.demo.stories import CHAPTER_DAYS, chapter
from capillary_adobe.demo.traffic import Mix, day_of_events
from capillary_adobe_tests.demo.reading import amount, by_customer, events, name_of

FIRST_DAY = date(2026, 3, 2)
FIRST_NIGHT_MS = int(datetime(2026, 3, 3, tzinfo=UTC).timestamp() * 1000)
LINES = 4_000


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """All days on which the newcomers of the first day are awake."""
    days = [FIRST_DAY + timedelta(days=distance) for distance in CHAPTER_DAYS]
    return events(line for day in days for _, line in day_of_events(day, LINES, mix=Mix.clean()))


@pytest.fixture(scope="module")
def newcomers(told: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Whole stories, from a registration on."""
    registered = {
        event["data"]["customerIdentifiers"]["customerId"]
        for event in told
        if name_of(event) == "customeradded" and event["createdAt"] < FIRST_NIGHT_MS
    }
    return [story for customer, story in by_customer(told).items() if customer in registered]


class Replay:
    """What a reader of the events makes of one customer."""

    def __init__(self) -> None:
        self.points = Decimal(0)
        self.lifetime = Decimal(0)
        self.tier_base = Decimal(0)
        self.tier = 1
        self.climbs_next = False

    def take(self, event: dict[str, Any]) -> None:
        data, name = event["data"], name_of(event)
        # A rise is told at once, by the event after the points that caused it.
        if self.climbs_next and name in {n.lower() for n in MAIN_EVENTS}:
            assert name == "tierupgraded"
        if name == "pointsissued":
            self._issued(data)
        elif name == "pointsredeemed":
            self._redeemed(data)
        elif name == "pointsexpired":
            self.points -= amount(data["pointsExpired"])
        elif name == "pointsexpiryreminder":
            assert 0 < amount(data["pointsScheduledForExpiry"]) <= self.points
        elif name == "loyaltycustomermerge":
            (summary,) = data["survivorCustomerLoyaltySummary"]
            assert amount(summary["currentPoints"]) == self.points
        elif name.startswith("tier"):
            self._tier(name, data)
        assert self.points >= 0

    def due(self) -> int:
        points = (self.lifetime - self.tier_base) * 1000
        return max(tier.number for tier in TIERS if tier.reached_at <= points)

    def _issued(self, data: dict[str, Any]) -> None:
        regular = amount(data["regularPointsIssued"])
        promotional = sum((amount(part["promotionPoints"]) for part in data["promotionalPointsIssued"]), Decimal(0))
        total = amount(data["totalPointsIssued"])
        assert regular == sum(amount(part["points"]) for part in data["regularPointsBreakup"])
        assert total == regular + promotional > 0
        self.points += total
        self.lifetime += total
        assert amount(data["programCurrentPoints"]) == self.points
        assert amount(data["programLifetimePoints"]) == self.lifetime
        self.climbs_next = self.due() > self.tier

    def _redeemed(self, data: dict[str, Any]) -> None:
        spent = amount(data["totalPointsRedeemed"])
        assert 0 < spent <= self.points
        self.points -= spent
        (program,) = data["redemptionFromEarningPrograms"]
        assert amount(program["programCurrentPoints"]) == self.points
        assert abs(amount(data["redeemedPointsCurrencyValue"]) - spent / 4) < Decimal("0.001")

    def _tier(self, name: str, data: dict[str, Any]) -> None:
        if name == "tierupgraded":
            assert self.climbs_next
            assert (data["previousTierNumber"], data["upgradedTierNumber"]) == (self.tier, self.due())
            self.tier = self.due()
            self.climbs_next = False
        elif name == "tierdowngraded":
            assert (data["previousTierNumber"], data["downgradedTierNumber"]) == (self.tier, self.tier - 1)
            self.tier -= 1
            self.tier_base = self.lifetime - TIERS[self.tier - 1].reached_at / Decimal(1000)
        else:
            assert data["currentTierNumber"] == self.tier > 1


def test_every_balance_and_tier_can_be_replayed(newcomers: list[list[dict[str, Any]]]) -> None:
    names: Counter[str] = Counter()
    for story in newcomers:
        assert name_of(story[0]) == "customeradded"
        replay = Replay()
        for event in story:
            replay.take(event)
            names[name_of(event)] += 1
        assert not replay.climbs_next
    assert len(newcomers) > 200
    assert {name.lower() for name in MAIN_EVENTS} <= set(names)


def test_nobody_registers_twice(newcomers: list[list[dict[str, Any]]]) -> None:
    assert all(sum(name_of(event) == "customeradded" for event in story) == 1 for story in newcomers)


def test_customers_come_back_on_every_day_of_their_story(newcomers: list[list[dict[str, Any]]]) -> None:
    lasting = [story for story in newcomers if story[-1]["createdAt"] - story[0]["createdAt"] > 60 * 86_400_000]
    assert len(lasting) > 30
    for name in ("tierdowngraded", "tierrenewed", "pointsexpired", "transactionupdated"):
        assert any(name in {name_of(event) for event in story} for story in lasting), name


@pytest.mark.parametrize("lines", [20, 25, 30, 35, 40, 45, 50, 400])
def test_a_chapter_that_is_begun_is_told_to_its_end(lines: int) -> None:
    """Later days go on from the end of the chapter, however short the day was."""
    mix = replace(Mix.clean(), other=0)
    told = by_customer(events(line for _, line in day_of_events(FIRST_DAY, lines, mix=mix)))
    complete = 0
    for number, distance in enumerate(CHAPTER_DAYS):
        for place in range(1 + lines // len(CHAPTER_DAYS)):
            plot = chapter(1, FIRST_DAY.toordinal() - distance, place, number)
            planned = [happening for visit in plot.visits for happening in visit.happenings]
            own = [happening.event.lower() for happening in planned if getattr(happening, "group_id", None) is None]
            found = [name_of(event) for event in told.get(plot.member.id, [])]
            assert found in ([], own)
            complete += bool(found)
    assert complete


def test_updates_and_returns_follow_a_purchase(newcomers: list[list[dict[str, Any]]]) -> None:
    followed = Counter[str]()
    for story in newcomers:
        bought: dict[int, str] = {}
        bills = set()
        for event in story:
            data = event["data"]
            if name_of(event) == "transactionupdated":
                assert data["transactionId"] in bought
                followed["updates"] += 1
            elif name_of(event) == "transactionadded":
                assert data["transactionId"] not in bought
                bought[data["transactionId"]] = data["billType"]
                if data["billType"] == "RETURN":
                    assert data["billNumber"] in bills
                    followed["returns"] += 1
                bills.add(data["billNumber"])
            elif name_of(event) == "couponredeem" and data["transaction"]["bill_id"]:
                assert data["transaction"]["bill_id"] in bought
    assert min(followed["updates"], followed["returns"]) > 5


def test_coupons_are_issued_before_they_are_redeemed(told: list[dict[str, Any]]) -> None:
    issued = set()
    redeemed = 0
    for event in told:
        if name_of(event) == "couponissue":
            issued |= {coupon["code"] for coupon in event["data"]["coupons"]}
        elif name_of(event) == "couponredeem":
            assert event["data"]["coupon"]["code"] in issued
            redeemed += 1
    assert redeemed > 10


def test_ids_of_happenings_are_unique(told: list[dict[str, Any]]) -> None:
    ids = Counter[tuple[str, Any]]()
    for event in told:
        data = event["data"]
        ids[("event", event.get("eventId", id(event)))] += 1
        for field in ("earnedId", "redemptionSummaryId"):
            if field in data:
                ids[(field, data[field])] += 1
    assert max(ids.values()) == 1


def test_group_events_share_their_request_with_the_customers(told: list[dict[str, Any]]) -> None:
    by_request: dict[str, list[dict[str, Any]]] = {}
    for event in told:
        if name_of(event) == "pointsexpired":
            by_request.setdefault(event["refId"], []).append(event)
    pairs = [pair for pair in by_request.values() if len(pair) > 1]
    assert pairs
    for pair in pairs:
        kinds = {event["data"]["entityInformation"]["entityType"] for event in pair}
        assert kinds == {"USER", "USERGROUP2"}
        assert len({event["eventId"] for event in pair}) == 2


def test_events_of_a_customer_come_one_after_the_other(newcomers: list[list[dict[str, Any]]]) -> None:
    for story in newcomers:
        moments = [event["createdAt"] for event in story]
        assert len(set(moments)) == len(moments)
