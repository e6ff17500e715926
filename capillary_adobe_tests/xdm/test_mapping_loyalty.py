"""The mapping of points, tiers and promotions: what each payload becomes, written out."""

from __future__ import annotations

import pytest

from capillary_adobe.settings import CapillarySettings
from capillary_adobe_tests.capillary.events import CUSTOMER, PROGRAM, Json, event
from capillary_adobe_tests.xdm.payloads import (
    ADJUSTED,
    COMMON,
    CONVERTED,
    ISSUED,
    ISSUED_REVERSED,
    MERGE,
    OWN,
    PLACE,
    RECEIVED,
    REDEEMED,
    REDEEMED_REVERSED,
    SUBSCRIPTIONS,
    TRANSFERRED,
)
from capillary_adobe_tests.xdm.transforming import body, entity


def test_points_issued() -> None:
    assert body("pointsIssued", ISSUED) == {
        "eventType": "loyalty.pointsIssued",
        "loyalty": {
            "pointsGained": [
                {"value": 3, "loyaltyProgramId": "973", "transactionId": "2147619294"},
                {"value": 2, "promotionId": "098190b8", "loyaltyProgramId": "973", "transactionId": "2147619294"},
                {"value": 3, "loyaltyProgramId": "973", "transactionId": "2147619294"},
            ]
        },
        "own": OWN
        | {
            "points": {
                "total": 8,
                "regular": 3,
                "balance": 2261.5,
                "lifetime": 18003.016,
                "regularBreakup": [
                    {"points": 1, "expiryDate": "2025-10-28T18:29:59.999Z"},
                    {"points": 2, "expiryDate": "2026-01-31T23:59:59+05:30"},
                ],
                "promotional": [
                    {
                        "promotionId": "098190b8",
                        "promotionType": "BILL_PROMOTION",
                        "points": 2,
                        "expiryDate": "2025-10-28T18:29:59.999Z",
                    },
                    {"promotionType": "Goodwill Promotion", "points": 3},
                ],
                # Both name the same moment: points become spendable as their day begins.
                "promised": [
                    {"points": 2, "conversionDate": "2025-11-07T00:00:00+05:30", "externalTrigger": False},
                    {"points": 3, "conversionDate": "2025-11-06T18:30:00.000Z", "externalTrigger": True},
                ],
            }
        },
    }


def test_points_gained_add_up_to_what_was_issued_and_promised_ones_are_not_gained() -> None:
    made = body("pointsIssued", ISSUED)
    assert sum(item["value"] for item in made["loyalty"]["pointsGained"]) == made["own"]["points"]["total"]
    nothing = ISSUED | {"regularPointsIssued": 0.0, "promotionalPointsIssued": [], "totalPointsIssued": 0}
    assert "loyalty" not in body("pointsIssued", nothing)


def test_points_redeemed() -> None:
    assert body("pointsRedeemed", REDEEMED) == {
        "eventType": "loyalty.pointsRedeemed",
        "loyalty": {
            "pointsRedemption": [
                {"value": 10, "loyaltyProgramId": "5", "transactionId": "8768"},
                {"value": 40, "loyaltyProgramId": "973", "transactionId": "8768"},
            ],
            "discounts": [{"value": 25, "source": "pointsRedemption", "scope": "total"}],
        },
        "own": OWN
        | {
            "trigger": {
                "name": "PointsRedemption",
                "identifiers": [{"key": "billId"}, {"key": "redemptionId", "value": "hhSRLt"}],
            },
            "points": {"total": 50, "balance": 1260, "currencyValue": 25, "currencyCode": "INR"},
            "redemption": {
                "summaryId": "8768",
                "redemptionId": "hhSRLt",
                "billNumber": "txn-251",
                "notes": "redeem",
                "isGroup": False,
            },
        },
    }


def test_points_redeemed_without_rows_and_bill() -> None:
    data = REDEEMED | {
        "redemptionFromEarningPrograms": [],
        "redemptionBillNumber": "",
        "redeemedPointsCurrencyValue": None,
    }
    made = body("pointsRedeemed", data, CapillarySettings())
    assert made["loyalty"] == {"pointsRedemption": [{"value": 50, "loyaltyProgramId": "973", "transactionId": "8768"}]}
    assert made["own"]["points"] == {"total": 50}


def test_points_expired() -> None:
    assert body("pointsExpired", COMMON | {"pointsExpired": 5999}) == {
        "eventType": "loyalty.pointsExpired",
        "own": OWN | {"points": {"total": 5999}},
    }


@pytest.mark.parametrize(
    ("dates", "expiry"),
    [
        (
            {"scheduledExpiryDate": "2025-11-05", "scheduledExpiryDateInMillis": 1762367399000},
            "2025-11-05T18:29:59.000Z",
        ),
        ({"scheduledExpiryDate": "2025-11-05"}, "2025-11-05T23:59:59+05:30"),
        ({"scheduledExpiryDateInMillis": "1762367399000"}, "2025-11-05T18:29:59.000Z"),
    ],
)
def test_points_expiry_reminder(dates: Json, expiry: str) -> None:
    data = {"loyaltyProgramId": 1487, "pointsScheduledForExpiry": 7.0, **dates}
    assert body("pointsExpiryReminder", data) == {
        "eventType": "loyalty.pointsExpiryReminder",
        "own": {"program": {"id": "1487"}, "points": {"total": 7, "expiryDate": expiry}},
    }


def test_points_expiry_change() -> None:
    change = {
        "pointAwardedRefID": 719915883,
        "pointsAwardedRefType": "POINT_AWARDED",
        "pointsPreviousExpiryDate": "2025-10-28 23:59:59",
        "expiryUpdateReasonType": "EXTEND_EXPIRY",
        "expiryUpdateReasonNote": "extend",
        "newExpiryDate": "2025-10-30",
        "newExpiryDateInMillis": 1761848999719,
    }
    promotion = {"pointAwardedRefID": 7, "promotionID": 231422, "points": 1.0, "newExpiryDate": "2025-11-05"}
    data = {"loyaltyProgramDetails": PROGRAM, "updatedPointsExpiryBreakup": [change, promotion]}
    assert body("pointsExpiryChange", data) == {
        "eventType": "loyalty.pointsExpiryChange",
        "own": {
            "program": OWN["program"],
            "points": {
                "expiryChanges": [
                    {
                        "awardId": "719915883",
                        "awardType": "POINT_AWARDED",
                        "reasonType": "EXTEND_EXPIRY",
                        "reasonNote": "extend",
                        "previousExpiryDate": "2025-10-28T23:59:59+05:30",
                        "newExpiryDate": "2025-10-30T18:29:59.719Z",
                    },
                    {
                        "awardId": "7",
                        "promotionId": "231422",
                        "points": 1,
                        "newExpiryDate": "2025-11-05T23:59:59+05:30",
                    },
                ]
            },
        },
    }


@pytest.mark.parametrize(
    ("name", "data", "tier"),
    [
        (
            "tierUpgraded",
            {
                "previousTierNumber": 1,
                "upgradedTierNumber": 2,
                "tierExpiryDate": "2124-08-19",
                "tierExpiryDateInMillis": 4879765799000,
                "notes": "Upgrading to Slab",
                "upgradeType": "STRATEGY",
            },
            {
                "previousNumber": 1,
                "previousName": "Silver",
                "number": 2,
                "name": "Gold",
                "expiryDate": "2124-08-19T18:29:59.000Z",
                "changeType": "STRATEGY",
                "notes": "Upgrading to Slab",
            },
        ),
        (
            "tierDowngraded",
            {"previousTierNumber": 3, "downgradedTierNumber": 1, "tierExpiryDate": "2026-12-25"},
            {"previousNumber": 3, "number": 1, "name": "Silver", "expiryDate": "2026-12-25T23:59:59+05:30"},
        ),
        (
            "tierRenewed",
            {"currentTierNumber": 2, "tierExpiryDate": "2027-04-25", "renewType": "STRATEGY", "notes": "n"},
            {
                "number": 2,
                "name": "Gold",
                "expiryDate": "2027-04-25T23:59:59+05:30",
                "changeType": "STRATEGY",
                "notes": "n",
            },
        ),
        (
            "tierDowngradeReminder",
            {"currentTierNumber": 2, "scheduledDowngradeDate": "2024-09-19"},
            {"number": 2, "name": "Gold", "scheduledDowngradeDate": "2024-09-19T23:59:59+05:30"},
        ),
    ],
)
def test_tier_events(name: str, data: Json, tier: Json) -> None:
    assert body(name, COMMON | data) == {"eventType": f"loyalty.{name}", "own": OWN | {"tier": tier}}


@pytest.mark.parametrize(
    ("name", "data", "points", "gained"),
    [
        ("issuedPointsReversed", ISSUED_REVERSED, {"total": 8, "regular": 3, "balance": 90.5, "lifetime": 300}, None),
        ("redeemedPointsReversed", REDEEMED_REVERSED, {"total": 40, "balance": 1300}, None),
        ("pointsTransferredInitiated", TRANSFERRED, {"total": 25, "balance": 1235.5}, None),
        ("pointsTransferredReceived", RECEIVED, {"total": 25}, {"value": 25, "loyaltyProgramId": "973"}),
        (
            "promisedToCurrentPointsConversion",
            CONVERTED,
            {"total": 12.5, "balance": 112.5, "lifetime": 400},
            {"value": 12.5, "loyaltyProgramId": "973", "transactionId": "2149289332"},
        ),
    ],
)
def test_points_that_come_back_or_change_hands(name: str, data: Json, points: Json, gained: Json | None) -> None:
    redemption = {"redemption": {"summaryId": "8768"}} if name == "redeemedPointsReversed" else {}
    assert body(name, data) == {
        "eventType": f"loyalty.{name}",
        **({"loyalty": {"pointsGained": [gained]}} if gained else {}),
        "own": OWN | {"points": points} | redemption,
    }


def test_points_adjusted_by_hand() -> None:
    own = {"trigger": OWN["trigger"], "points": {"total": 15}}
    assert body("manualPointsAdjustment", ADJUSTED) == {"eventType": "loyalty.manualPointsAdjustment", "own": own}


def test_events_of_the_customer_alone() -> None:
    merge = {"survivorId": str(CUSTOMER), "victimId": "7"}
    assert body("loyaltyCustomerMerge", MERGE) == {
        "eventType": "loyalty.loyaltyCustomerMerge",
        "own": PLACE | {"trigger": OWN["trigger"], "merge": merge},
    }
    told = {"channel": "SMS", "priority": "BULK", "status": "OPTOUT", "previousStatus": "OPTIN", "source": "INSTORE"}
    assert body("customerSubscription", {"subscriptions": SUBSCRIPTIONS}) == {
        "eventType": "loyalty.customerSubscription",
        "own": {"subscriptions": [told]},
    }
    released = {"identifierType": "mobile", "identifierValue": "919876501234"}
    assert body("identifierReleased", released) == {"eventType": "loyalty.identifierReleased"}


def test_what_is_released_is_not_linked_once_again() -> None:
    holder = {"customerId": CUSTOMER, "instore": {"email": "jane@acme-family.com", "mobile": "919650004321"}}
    made = [entity(event(name, {"customerIdentifiers": holder})) for name in ("identifierReleased", "tierRenewed")]
    assert [set(one["identityMap"]) for one in made] == [
        {"capillaryCustomerId"},
        {"capillaryCustomerId", "Email", "Phone"},
    ]


def test_promotion_earned() -> None:
    data = {
        "loyaltyProgramId": 1049,
        "promotionId": 1150796,
        "promotionName": "promo 1",
        "promotionStartDate": "2025-11-01",
        "promotionStartDateInMillis": 1761955200000,
        "promotionEndDate": "2027-02-01",
        "promotionEarnedDate": "2025-11-03",
        "promotionEarnedExpiryDate": "2027-02-01",
        "promotionEarnedExpiryDateInMillis": 1801526399000,
        "promotionDescription": "",
        "pointsOfferType": "LOYALTY_EARNING",
        "customFields": [],
        "issualId": 36053,
        "earnedId": 35509,
        "earnRestrictions": [
            {"limitOn": "CUSTOMER", "kpi": "MAX_NUMBER", "maxLimit": 1},
            {"limitOn": "CUSTOMER", "kpi": "MAX_POINTS", "maxLimit": -1},
        ],
        "redemptionRestrictions": [
            {"limitOn": "", "kpi": "MAX", "restrictionType": "NON_PERIOD_BASED", "periodUnit": "DAY", "maxLimit": 3}
        ],
        "linkedTargetGroupVsTargetRuleIdMap": {"12": [3]},
    }
    assert body("promotionEarned", data, eventId=None) == {
        "eventType": "loyalty.promotionEarned",
        "own": {
            "program": {"id": "1049"},
            "promotion": {
                "id": "1150796",
                "name": "promo 1",
                "pointsOfferType": "LOYALTY_EARNING",
                "issualId": "36053",
                "earnedId": "35509",
                "startDate": "2025-11-01T00:00:00.000Z",
                "endDate": "2027-02-01T23:59:59+05:30",
                "earnedDate": "2025-11-03T00:00:00+05:30",
                "earnedExpiryDate": "2027-02-01T23:59:59.000Z",
                "earnRestrictions": [
                    {"limitOn": "CUSTOMER", "kpi": "MAX_NUMBER", "maxLimit": 1},
                    {"limitOn": "CUSTOMER", "kpi": "MAX_POINTS"},
                ],
                "redemptionRestrictions": [
                    {"kpi": "MAX", "restrictionType": "NON_PERIOD_BASED", "periodUnit": "DAY", "maxLimit": 3}
                ],
            },
        },
    }
