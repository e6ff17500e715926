"""Other events of the catalogue: what happens beside a customer's story without moving the ledger.

Belongs here: coupons, badges, rewards, targets, cards, groups, merges, new promotions. Does not belong here: the main
events (`stories.py`, `bodies.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from capillary_adobe.demo.brand import BADGES, COUPON_SERIES, PROGRAM_ID, PROMOTIONS, REWARDS, CouponSeries
from capillary_adobe.demo.days import DAY_MS, promotion_window, utc_end, utc_start
from capillary_adobe.demo.dice import between, hex_id, pick, uuid_text
from capillary_adobe.demo.members import twin_id
from capillary_adobe.demo.scene import Json, Scene, activity, identifiers, signature


class Coupon(NamedTuple):
    """A coupon in a customer's hand."""

    id: int
    code: str
    series: CouponSeries


@dataclass(slots=True)
class Standing:
    """How a customer stands at a moment of the story, as far as it has been told."""

    balance: int = 0
    lifetime: int = 0
    tier: int = 1
    just_spent: int = 0
    transaction_id: int = 0
    bill_number: str = ""
    coupons: list[Coupon] = field(default_factory=list)


def sidelight(scene: Scene, standing: Standing) -> tuple[str, Json]:
    """An event that fits the moment: its name and payload."""
    rng = scene.rng
    # Coupons do not outlive the day here, so one in hand is soon redeemed.
    name = "CouponRedeem" if standing.coupons and rng.random() < _REDEEMED else pick(rng, _OFTEN)
    if name == "unifiedTargetsAchieved" and not standing.transaction_id:
        name = "badgeEarned"
    return name, _BUILDERS[name](scene, standing)


def _series_info(series: CouponSeries, scene: Scene) -> Json:
    return {
        "id": series.id,
        "description": series.description,
        "seriesType": "LOYALTY",
        "clientHandlingType": series.handling,
        "valid_till": utc_end(promotion_window(scene.today)[1]),
        "discount_code": "NO_VALUE",
        "discount_type": "ABS",
        "discount_value": series.value,
    }


def _coupon_issue(scene: Scene, standing: Standing) -> Json:
    rng, series = scene.rng, pick(scene.rng, COUPON_SERIES)
    coupon = Coupon(rng.getrandbits(44), hex_id(rng, 10).upper(), series)
    standing.coupons.append(coupon)
    return {
        "addedAt": scene.created_ms,
        "addedBy": signature(scene, scene.member.home),
        "coupons": [
            {
                "id": coupon.id,
                "code": coupon.code,
                "valid_till": scene.created_ms // 1000 * 1000 + 90 * DAY_MS,
                "issued_on": scene.created_ms // 1000 * 1000,
                "customerIdentifiers": identifiers(scene),
            }
        ],
        "series_info": _series_info(series, scene),
        "issualType": "SINGLE",
    }


def _coupon_redeem(scene: Scene, standing: Standing) -> Json:
    coupon = standing.coupons.pop(0)
    return {
        "addedAt": scene.created_ms,
        "addedBy": signature(scene, scene.member.home),
        "coupon": {
            "id": coupon.id,
            "code": coupon.code,
            "redemptionId": scene.rng.getrandbits(44),
            "redemptionDate": scene.created_ms // 1000 * 1000,
            "series_info": _series_info(coupon.series, scene),
        },
        "customerIdentifiers": identifiers(scene),
        "transaction": {"bill_id": standing.transaction_id, "number": standing.bill_number},
    }


def _badge_earned(scene: Scene, standing: Standing) -> Json:
    rng = scene.rng
    windows = (("DAYS", 7, 300), ("DAYS", 5, 50), ("WEEKS", 1, 100), ("MONTHS", 1, 200))
    constraints: list[Json] = [
        {
            "constraintLevel": "BADGE" if number == 0 else "CUSTOMER",
            "constraintType": "ROLLING_WINDOW",
            "rollType": unit,
            "rollValue": value,
            "maxEarnLimit": limit,
            "currentEarnCount": standing.tier,
        }
        for number, (unit, value, limit) in enumerate(windows)
    ]
    trigger = activity(scene, "TransactionAdd", [], scene.member.home)
    del trigger["name"]
    return {
        "customerIdentifiers": identifiers(scene),
        "badgeId": pick(rng, BADGES),
        "earnId": hex_id(rng, 24),
        "earnedOn": scene.created_ms - between(rng, 20, 200),
        "earnConstraints": [*constraints, {"constraintLevel": "CUSTOMER", "constraintType": "NONE"}],
        "triggeringActivity": trigger,
    }


def _reward_issued(scene: Scene, standing: Standing) -> Json:
    rng = scene.rng
    first, last = promotion_window(scene.today)
    number = int(rng.random() * len(REWARDS))
    # A reward costs what was just redeemed for it; without a redemption it is a gift.
    points, standing.just_spent = standing.just_spent, 0
    return {
        "customerIdentifiers": identifiers(scene),
        "rewardId": 901 + number,
        "type": "POINTS",
        "redemptionType": "VENDOR_ONLY_REWARD",
        "startDate": utc_start(first),
        "endDate": utc_end(last),
        "intouchPoints": points // 1000,
        "priority": 1,
        "group": "Circle rewards",
        "label": REWARDS[number],
        "transactionId": str(rng.getrandbits(32)),
        "vendorRewardDetails": {"vendorVoucher": uuid_text(rng)},
    }


def _targets_achieved(scene: Scene, standing: Standing) -> Json:
    keys = [("eventLogId", str(scene.rng.getrandbits(36))), ("transactionId", str(standing.transaction_id))]
    spent = between(scene.rng, 1_000, 9_000)
    targets = [
        {
            "achievedTargetValue": f"{spent}.000",
            "definedTargetValue": f"{defined}.000",
            "targetId": 60_200 + defined,
            "targetName": f"spend_{defined}_this_quarter",
            "targetPeriodId": 48_305,
            "targetPeriodName": "Quarter_2",
        }
        for defined in (500, 1_000)
    ]
    return {
        "customerIdentifiers": identifiers(scene),
        "targetData": targets,
        "transactionId": standing.transaction_id,
        "triggeringActivity": activity(scene, "TransactionAdd", keys, scene.member.home),
        "unifiedTargetGroupDetails": {
            "targetGroupId": 42_701,
            "targetGroupName": "quarterly spend",
            "unifiedTargetsAchievementCondition": {
                "aggregation": "COUNT",
                "combinationType": "ANY",
                "ruleExpression": "(60700 | 61200)",
                "thresholdValue": 2,
            },
        },
    }


def _merge(scene: Scene, standing: Standing) -> Json:
    return {
        "survivorCustomerIdentifiers": identifiers(scene),
        "victimCustomerIdentifiers": {"customerId": twin_id(scene.rng, scene.member)},
        "triggeringActivity": {"name": "customerMerge", "identifiers": [], "additionalAttributes": []},
        "enteredBy": {"id": -1},
        "survivorCustomerLoyaltySummary": [
            {
                "loyaltyProgramId": PROGRAM_ID,
                "lifetimePoints": scene.number(standing.lifetime),
                "currentPoints": scene.number(standing.balance),
                "promisedPoints": scene.number(0),
                "tierNumber": standing.tier,
            }
        ],
    }


def _group_created(scene: Scene, standing: Standing) -> Json:
    member = scene.member
    group_id = scene.rng.getrandbits(40)
    return {
        "groupId": group_id,
        "groupName": f"{member.last_name} family {standing.tier}",
        "primaryMember": {
            "firstName": member.first_name,
            "lastName": member.last_name,
            "role": "PRIMARY",
            "customerIdentifiers": identifiers(scene),
        },
        "enteredAt": scene.entered_at(),
        "enteredBy": {"user": {"username": "circle.desk"}, **signature(scene, member.home)},
    }


def _card_updated(scene: Scene, standing: Standing) -> Json:
    before = [{"name": "design", "value": "meadow"}, {"name": "printed_tier", "value": str(standing.tier)}]
    after = [{"name": "design", "value": "orchard"}, {"name": "printed_tier", "value": str(standing.tier)}]
    return {
        "cardNumber": scene.member.card,
        "previousStatusLabel": "NOT_ISSUED",
        "currentStatusLabel": "ACTIVE",
        "currentExtendedFields": after,
        "previousExtendedFields": before,
        "currentCustomFields": [{"name": "pickup_store", "value": scene.member.home.town}],
        "previousCustomFields": [{"name": "pickup_store", "value": ""}],
    }


def _promotion_created(scene: Scene, standing: Standing) -> Json:
    first, last = promotion_window(scene.today)
    promotion = pick(scene.rng, PROMOTIONS)
    return {
        "loyaltyProgramId": PROGRAM_ID,
        "promotionId": scene.rng.getrandbits(40),
        "promotionName": f"{promotion.name}, tier {standing.tier} and above",
        "promotionStartDate": utc_start(first),
        "promotionEndDate": utc_end(last),
        "externalIdentifier": uuid_text(scene.rng),
        "type": "REWARD",
        "status": "ACTIVE",
        "sourceType": "LOYALTY",
        "description": promotion.description,
        "customFields": [{"key": "campaign_owner", "value": "circle.desk"}],
        "linkedEventId": "",
        "linkedEventName": "",
        "createdOn": scene.created_ms - 5,
        "updatedOn": scene.created_ms,
        "updatedBy": scene.member.home.signatures[0]["id"],
        "linkedTargetGroupVsTargetRuleIdMap": {"42701": [60700, 61200]},
    }


_REDEEMED = 0.6
_BUILDERS: dict[str, Callable[[Scene, Standing], Json]] = {
    "CouponIssue": _coupon_issue,
    "CouponRedeem": _coupon_redeem,
    "badgeEarned": _badge_earned,
    "rewardIssued": _reward_issued,
    "unifiedTargetsAchieved": _targets_achieved,
    "loyaltyCustomerMerge": _merge,
    "groupCreated": _group_created,
    "cardUpdated": _card_updated,
    "promotionCreated": _promotion_created,
}
_WEIGHTS = {
    "CouponIssue": 8,
    "CouponRedeem": 0,
    "loyaltyCustomerMerge": 1,
    "groupCreated": 1,
    "promotionCreated": 1,
    "cardUpdated": 2,
}
_OFTEN = tuple(name for name in _BUILDERS for _ in range(_WEIGHTS.get(name, 4)))

OTHER_EVENTS = frozenset(_BUILDERS)
"""The names of the other events that occur."""
