"""Programs, balances, tiers and consents, as events tell them."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe_tests.profiles.events import (
    CREATED_MS,
    PROGRAM,
    Json,
    said,
)


def test_a_balance_and_never_an_amount() -> None:
    data = {
        "loyaltyProgramDetails": PROGRAM,
        "loyaltyProgramId": 973,
        "programCurrentPoints": "45.500",
        "programLifetimePoints": 1200.0,
        "totalPointsIssued": 8.0,
        "promisedPointsIssued": [{"promisedPoints": 3}],
    }
    assert said("pointsIssued", data) == {
        "program.973.name": "Default",
        "program.973.is_default": True,
        "program.973.points": 45.5,
        "program.973.lifetime_points": 1200,
    }
    assert said("pointsExpired", {"loyaltyProgramId": 973, "pointsExpired": 10}) == {}


@pytest.mark.parametrize("rows", ["redemptionFromEarningPrograms", "redemptionReversalToEarningPrograms"])
def test_a_redemption_tells_the_balance_of_every_program(rows: str) -> None:
    earning = [{"programId": 1, "pointsRedeemed": 5, "programCurrentPoints": 10}, {"programId": 2}, "x"]
    assert said("pointsRedeemed", {"loyaltyProgramId": 7, rows: earning}) == {"program.1.points": 10}


@pytest.mark.parametrize(
    "group", [{"entityInformation": {"entityType": "USERGROUP2", "entityId": 1}}, {"isGroupRedemption": "true"}]
)
def test_points_of_a_group_are_nobodys(group: Json) -> None:
    data = {
        "loyaltyProgramId": 7,
        "programCurrentPoints": 10,
        "redemptionFromEarningPrograms": [{"programId": 7, "programCurrentPoints": 1}],
    }
    assert said("pointsRedeemed", {**data, **group}) == {}


def test_a_new_tier_takes_the_place_of_what_was_known_of_the_former() -> None:
    data: Json = {"loyaltyProgramDetails": PROGRAM, "loyaltyProgramId": 973, "upgradedTierNumber": 1.0}
    date: Json = {"tierExpiryDate": "2124-08-19", "tierExpiryDateInMillis": 4879765799000}
    known = {"program.973.name": "Default", "program.973.is_default": True}
    assert said("tierUpgraded", {**data, **date}) == {
        **known,
        "program.973.tier_number": 1,
        "program.973.tier_name": "Silver",
        "program.973.tier_expiry": "2124-08-19T18:29:59.000Z",
        "program.973.tier_upgraded_ms": CREATED_MS,
        "program.973.next_tier": "Gold",
        "program.973.points_to_next_tier": None,
    }
    nameless: Json = {"loyaltyProgramId": 973, "downgradedTierNumber": "3", "tierExpiryDate": "2124-08-19"}
    assert said("tierDowngraded", nameless) == {
        "program.973.tier_number": 3,
        "program.973.tier_name": None,
        "program.973.tier_expiry": "2124-08-19T23:59:59+05:30",
        "program.973.next_tier": None,
        "program.973.points_to_next_tier": None,
    }


def test_a_new_tier_without_an_expiry_has_not_that_of_the_former() -> None:
    for name, number in (("tierUpgraded", "upgradedTierNumber"), ("tierDowngraded", "downgradedTierNumber")):
        assert said(name, {"loyaltyProgramId": 973, number: 2})["program.973.tier_expiry"] is None


@pytest.mark.parametrize("tiers", [None, [], [{"tierNumber": 2}], "x"])
def test_a_tier_that_was_kept_keeps_its_name(tiers: Any) -> None:
    program = {"id": 973, "tiers": tiers}
    found = said("tierRenewed", {"loyaltyProgramDetails": program, "currentTierNumber": 2})
    assert found == {"program.973.tier_number": 2}


def test_a_tier_told_twice_has_its_first_name_and_the_highest_has_none_above() -> None:
    tiers = [
        {"tierNumber": 2, "tierName": "Gold"},
        {"tierNumber": 2, "tierName": "Other"},
        {"tierNumber": 1, "tierName": "S"},
    ]
    data = {
        "loyaltyProgramDetails": {"id": 973, "tiers": tiers},
        "currentTierNumber": 2,
        "scheduledDowngradeDate": "2026-09-19",
    }
    assert said("tierDowngradeReminder", data) == {
        "program.973.tier_number": 2,
        "program.973.tier_name": "Gold",
        "program.973.tier_expiry": "2026-09-19T23:59:59+05:30",
        "program.973.next_tier": None,
    }


def test_the_next_tier_is_the_lowest_above() -> None:
    tiers = [{"tierNumber": number, "tierName": f"T{number}"} for number in (4, 1, 3, 2)]
    found = said("tierRenewed", {"loyaltyProgramDetails": {"id": 973, "tiers": tiers}, "currentTierNumber": 2})
    assert found["program.973.next_tier"] == "T3"


def test_a_reminder_tells_what_expires_next() -> None:
    data = {"loyaltyProgramId": 7, "pointsScheduledForExpiry": "300", "scheduledExpiryDate": "2026-06-19"}
    assert said("pointsExpiryReminder", data) == {
        "program.7.expires_next": {"points": 300, "date": "2026-06-19T23:59:59+05:30"}
    }
    assert said("pointsExpiryReminder", {**data, "pointsScheduledForExpiry": None}) == {}


def subscription(**fields: Any) -> Json:
    return {"channel": "SMS", "priority": "BULK", "currentStatus": "OPTIN", **fields}


@pytest.mark.parametrize(
    ("subscriptions", "consents"),
    [
        ([subscription()], {"consent.sms.BULK": "y"}),
        ([subscription(currentStatus="Opt-Out", priority="TRANSACTIONAL")], {"consent.sms.TRANS": "n"}),
        ([subscription(currentStatus="UNSUBSCRIBED")], {"consent.sms.BULK": "n"}),
        # One account opted out, whatever the order.
        ([subscription(currentStatus="OPTOUT"), subscription()], {"consent.sms.BULK": "n"}),
        ([subscription(), subscription(currentStatus="OPTOUT")], {"consent.sms.BULK": "n"}),
        # A no without a priority is a no to all, a yes to none.
        ([subscription(priority="", currentStatus="OPTOUT")], {"consent.sms.BULK": "n", "consent.sms.TRANS": "n"}),
        ([subscription(priority=None)], {}),
        ([subscription(channel="WhatsApp")], {"consent.whatsapp.BULK": "y"}),
        ([subscription(channel="s*s"), subscription(currentStatus="PENDING"), subscription(currentStatus=None)], {}),
        ("OPTIN", {}),
        # An account's consent is its own.
        (
            [subscription(sourceName="INSTORE", ouId=12), subscription(sourceName="Web", currentStatus="OPTOUT")],
            {"consent.sms.BULK.instore//12": "y", "consent.sms.BULK.web//": "n"},
        ),
    ],
)
def test_subscriptions_are_consents(subscriptions: Any, consents: Json) -> None:
    assert said("customerSubscription", {"subscriptions": subscriptions}) == consents
