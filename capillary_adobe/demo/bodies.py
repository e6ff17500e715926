"""Payloads of the fourteen main events: the `data` that Capillary sends for each happening.

Belongs here: one builder for each class of `happenings.py`. Does not belong here: the envelope around the payload
(`envelopes.py`) and the other events (`sidelights.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from capillary_adobe.demo.brand import PROGRAM, PROGRAM_ID, REDEEM_PER_MILLE, TIERS, Promotion
from capillary_adobe.demo.days import (
    iso,
    java_text,
    promotion_window,
    utc_end,
    utc_start,
    zone_end,
    zone_start,
)
from capillary_adobe.demo.dice import between, pick
from capillary_adobe.demo.happenings import (
    Bought,
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
from capillary_adobe.demo.members import Grant
from capillary_adobe.demo.scene import (
    Json,
    Scene,
    activity,
    bill_keys,
    expiring,
    group,
    identifiers,
    person,
    signature,
)


def body_of(happening: Happening, scene: Scene) -> Json:
    """The payload of a happening."""
    return _BUILDERS[type(happening)](happening, scene)


def _pairs(fields: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in fields.items()]


def _profile_fields(scene: Scene) -> tuple[list[Json], list[Json]]:
    member = scene.member
    custom = {
        "membership_channel": member.home.town,
        "marketing_opt_in": "true" if member.id % 3 else "false",
        "favourite_category": ("linen", "ceramics", "tea", "garden")[member.id % 4],
        "customer_address": f"{member.id % 90 + 1} Example Street, {member.home.town}",
    }
    extended = {
        "PreferredLanguage": member.language,
        "dob": java_text(member.birthday),
        "gender": ("Female", "Male", "Unspecified")[member.id % 3],
    }
    return _pairs(custom), _pairs(extended)


def _joined(joined: Joined, scene: Scene) -> Json:
    member = scene.member
    custom, extended = _profile_fields(scene)
    return {
        "loyaltyType": "LOYALTY" if member.id % 2 else "loyalty",
        "source": joined.source,
        "firstName": member.first_name,
        "lastName": member.last_name,
        "enteredAt": scene.entered_at(),
        "enteredBy": signature(scene, joined.store),
        "customerIdentifiers": identifiers(scene),
        "customFields": custom,
        "extendedFields": extended,
    }


def _profile_changed(changed: ProfileChanged, scene: Scene) -> Json:
    member = scene.member
    custom, extended = _profile_fields(scene)
    status = {"currentLabel": changed.label, "reason": changed.reason}
    if changed.label == "Active":
        status["previousLabel"] = "Active"
    return {
        "loyaltyType": "loyalty",
        "source": "INSTORE",
        "accountId": "",
        "firstName": member.first_name,
        "lastName": member.last_name,
        "enteredAt": scene.entered_at(),
        "enteredBy": signature(scene, member.home),
        "updatedFields": [
            {"fieldName": field, "previousValue": before, "currentValue": after, "fieldType": kind}
            for field, kind, before, after in changed.changes
        ],
        "customerStatus": status,
        "customerIdentifiers": identifiers(scene),
        "customFields": custom,
        "extendedFields": extended,
    }


def _bought(bought: Bought, scene: Scene) -> Json:
    order, rng = bought.order, scene.rng
    gross = order.amount + order.discount
    body: Json = {
        "amount": scene.number(order.amount),
        "billNumber": order.bill_number,
        "enteredAt": scene.entered_at(),
        "transactionId": order.transaction_id,
        "billType": order.kind,
        "lineItemCount": order.items,
        "discount": scene.number(order.discount),
        "grossAmount": scene.number(gross if rng.random() < 0.9 else 0),
        "enteredBy": signature(scene, order.store),
        "customerIdentifiers": identifiers(scene),
        "customFields": _pairs({"basket_mood": "picnic", "wrapped_as_gift": "false", "till_version": "4.25.1"}),
        "extendedFields": _pairs({"sales_channel": order.store.town, "loyalty_desk": "25.24"}),
    }
    roll = rng.random()
    if roll > 0.1:
        body["currencyCode"] = " " if roll < 0.16 else order.currency
    if rng.random() < 0.8:
        body["deliveryStatus"] = order.delivery
    if rng.random() < 0.6:
        body["billDate"] = body["enteredAt"]
    if order.client_id:
        body["billClientId"] = order.client_id
    return body


def _order_moved(moved: OrderMoved, scene: Scene) -> Json:
    order = moved.order
    body: Json = {
        "amount": scene.number(order.amount),
        "enteredAt": scene.entered_at(),
        "transactionId": order.transaction_id,
        "deliveryStatus": moved.delivery,
        "billType": order.kind,
        "discount": scene.number(order.discount),
        "grossAmount": scene.number(0),
        "enteredBy": signature(scene, order.store),
        "customerIdentifiers": identifiers(scene),
        "customFields": _pairs({"courier": "Example Couriers", "parcels": "1"}),
    }
    if scene.rng.random() < 0.5:
        body["billNumber"] = order.bill_number
    return body


def _earned(earned: Earned, scene: Scene) -> Json:
    member, number = scene.member, scene.number
    order = earned.order
    regular = sum(grant.points for grant in earned.regular)
    total = regular + sum(grant.points for grant in earned.promotional)
    keys = bill_keys(scene, order) if order else [("CustomerId", str(member.id))]
    return {
        "customerIdentifiers": identifiers(scene),
        "entityInformation": person(member),
        "triggeringActivity": activity(scene, earned.activity, keys, order.store if order else member.home),
        "loyaltyProgramDetails": PROGRAM,
        "loyaltyProgramId": PROGRAM_ID,
        "programCurrentPoints": number(earned.balance),
        "programLifetimePoints": number(earned.lifetime),
        "totalPointsIssued": number(total),
        "regularPointsIssued": number(regular),
        "regularPointsBreakup": [_regular(grant, scene) for grant in earned.regular],
        "promotionalPointsIssued": [_promotional(grant, scene) for grant in earned.promotional],
        "promisedPointsIssued": [_promised(promise, scene) for promise in earned.promised],
    }


def _regular(grant: Grant, scene: Scene) -> Json:
    body: Json = {"points": scene.number(grant.points)}
    expiring(scene, body, "expiryAt", grant.last_day)
    return body


def _promotional(grant: Grant, scene: Scene) -> Json:
    body: Json = {
        "promotionIdentifier": grant.promotion.identifier if grant.promotion else "",
        "promotionType": "BILL_PROMOTION" if grant.promotion else "Goodwill Promotion",
        "promotionPoints": scene.number(grant.points),
    }
    expiring(scene, body, "promotionPointsExpiryDate", grant.last_day)
    return body


def _promised(promise: Promise, scene: Scene) -> Json:
    body: Json = {"promisedPoints": scene.number(promise.points), "isExternalTriggerBased": promise.by_trigger}
    scene.dated(body, "promisedPointsConversionDate", promise.day, zone_start(promise.day))
    if promise.promotion:
        body["promotionIdentifier"] = promise.promotion.identifier
    return body


def _spent(spent: Spent, scene: Scene) -> Json:
    member, number = scene.member, scene.number
    is_group = spent.group_id is not None
    keys = [("billId", "-1"), ("redemptionId", str(spent.redemption_id))]
    body: Json = {
        "entityInformation": group(spent.group_id) if spent.group_id is not None else person(member),
        "triggeringActivity": activity(
            scene, "PointsRedemption" if scene.rng.random() < 0.9 else "pointsRedemption", keys, member.home
        ),
        "loyaltyProgramDetails": PROGRAM,
        "loyaltyProgramId": PROGRAM_ID,
        "totalPointsRedeemed": number(spent.points),
        "redemptionSummaryId": spent.redemption_id,
        "redeemedPointsCurrencyValue": number(spent.points * REDEEM_PER_MILLE // 1000),
        "redemptionNotes": pick(scene.rng, ("", "redeem", "Redeemed at the till")),
        "redemptionBillNumber": spent.bill_number,
        "isGroupRedemption": is_group,
        "redemptionFromEarningPrograms": [
            {
                "programId": PROGRAM_ID,
                "pointsRedeemed": number(spent.points),
                "programCurrentPoints": number(spent.balance),
            }
        ],
    }
    if not is_group:
        body["customerIdentifiers"] = identifiers(scene)
    return body


def _lapsed(lapsed: Lapsed, scene: Scene) -> Json:
    body: Json = {
        "entityInformation": person(scene.member) if lapsed.group_id is None else group(lapsed.group_id),
        "loyaltyProgramDetails": PROGRAM,
        "loyaltyProgramId": PROGRAM_ID,
        "pointsExpired": scene.number(lapsed.points),
    }
    if lapsed.group_id is None:
        body["customerIdentifiers"] = identifiers(scene)
    return body


def _by_program(scene: Scene) -> Json:
    """What every event of the programme's nightly jobs begins with."""
    return {
        "customerIdentifiers": identifiers(scene),
        "entityInformation": person(scene.member),
        "loyaltyProgramDetails": PROGRAM,
        "loyaltyProgramId": PROGRAM_ID,
    }


def _lapse_near(near: LapseNear, scene: Scene) -> Json:
    body = _by_program(scene)
    body["pointsScheduledForExpiry"] = scene.number(near.points)
    expiring(scene, body, "scheduledExpiryDate", near.last_day)
    return body


def _lapse_moved(moved: LapseMoved, scene: Scene) -> Json:
    by_service = scene.rng.random() < 0.5
    body = _by_program(scene)
    del body["loyaltyProgramId"]
    body["updatedPointsExpiryBreakup"] = [_shift(shift, scene, by_service=by_service) for shift in moved.shifts]
    return body


def _shift(shift: Shift, scene: Scene, *, by_service: bool) -> Json:
    """One award's move: asked for through the API it has clock times, done by a job it has the points."""
    clock = " 23:59:59" if by_service else ""
    kind = "POINT_AWARDED_BILL_PROMOTION" if shift.promotion else "POINT_AWARDED"
    body: Json = {
        "pointAwardedRefID": shift.award_id,
        "pointsAwardedRefType": kind,
        "pointsPreviousExpiryDate": f"{iso(shift.before)}{clock}",
        "expiryUpdateReasonType": "EXTEND_EXPIRY",
        "expiryUpdateReasonNote": "goodwill extension",
        "newExpiryDate": f"{iso(shift.after)}{clock}",
    }
    if scene.with_millis:
        body["pointsPreviousExpiryDateInMillis"] = zone_end(shift.before) // 1000 * 1000
        body["newExpiryDateInMillis"] = zone_end(shift.after)
    if not by_service:
        body["points"] = scene.number(shift.points)
    if shift.promotion:
        body["promotionID"] = shift.promotion.id
    return body


def _slab_note(verb: str, tier: int) -> str:
    return f"{verb} to Slab : Slab[{tier}]: Name {TIERS[tier - 1].name}, Strategy: lifetime points"


def _tier_gained(gained: TierGained, scene: Scene) -> Json:
    body = _by_program(scene)
    body |= {"previousTierNumber": gained.before, "upgradedTierNumber": gained.after}
    expiring(scene, body, "tierExpiryDate", gained.last_day)
    body |= {"notes": _slab_note("Upgrading", gained.after), "upgradeType": "STRATEGY"}
    return body


def _tier_kept(kept: TierKept, scene: Scene) -> Json:
    body = _by_program(scene)
    body["currentTierNumber"] = kept.tier
    expiring(scene, body, "tierExpiryDate", kept.last_day)
    body |= {"notes": _slab_note("Renewing", kept.tier), "renewType": "STRATEGY"}
    return body


def _tier_lost(lost: TierLost, scene: Scene) -> Json:
    body = _by_program(scene)
    body |= {"previousTierNumber": lost.before, "downgradedTierNumber": lost.after}
    expiring(scene, body, "tierExpiryDate", lost.last_day)
    return body


def _tier_loss_near(near: TierLossNear, scene: Scene) -> Json:
    body = _by_program(scene)
    body |= {"currentTierNumber": near.tier, "scheduledDowngradeDate": iso(near.last_day)}
    return body


def promotion_fields(promotion: Promotion, scene: Scene) -> Json:
    """What all events about a promotion say of it."""
    first, last = promotion_window(scene.today)
    body: Json = {
        "loyaltyProgramId": PROGRAM_ID,
        "promotionId": promotion.id,
        "promotionName": promotion.name,
    }
    scene.dated(body, "promotionStartDate", first, utc_start(first))
    scene.dated(body, "promotionEndDate", last, utc_end(last))
    body["promotionDescription"] = promotion.description
    body["pointsOfferType"] = promotion.offer
    return body


def _promotion_won(won: PromotionWon, scene: Scene) -> Json:
    last = promotion_window(scene.today)[1]
    body = {"customerIdentifiers": identifiers(scene), **promotion_fields(won.promotion, scene)}
    body["promotionEarnedDate"] = iso(scene.today)
    scene.dated(body, "promotionEarnedExpiryDate", last, utc_end(last))
    body |= {
        "customFields": [],
        "issualId": won.issue_id,
        "earnedId": won.earn_id,
        "earnRestrictions": [
            {"limitOn": "CUSTOMER", "kpi": "MAX_NUMBER_OF_EARNS_PER_CUSTOMER", "maxLimit": 5},
            {"limitOn": "CUSTOMER", "kpi": "MAX_POINTS_PER_EARN_PER_CUSTOMER", "maxLimit": -1},
        ],
        "redemptionRestrictions": [
            {
                "limitOn": "",
                "kpi": "MAX_REDEMPTIONS_PER_EARN_PER_CUSTOMER",
                "restrictionType": "NON_PERIOD_BASED",
                "maxLimit": between(scene.rng, 1, 3),
            }
        ],
    }
    return body


_BUILDERS: dict[type[Happening], Callable[[Any, Scene], Json]] = {
    Joined: _joined,
    ProfileChanged: _profile_changed,
    Bought: _bought,
    OrderMoved: _order_moved,
    Earned: _earned,
    Spent: _spent,
    Lapsed: _lapsed,
    LapseNear: _lapse_near,
    LapseMoved: _lapse_moved,
    TierGained: _tier_gained,
    TierKept: _tier_kept,
    TierLost: _tier_lost,
    TierLossNear: _tier_loss_near,
    PromotionWon: _promotion_won,
}

MAIN_EVENTS = frozenset(kind.event for kind in _BUILDERS)
"""The names of the main events."""
