"""Happenings, told twice: as the webhook's payload and as rows of an export.

Belongs here: the two tellings of each, and strategies of happenings. Does not belong here: any expectation.
Payloads are of the shape of docs.capillarytech.com/docs/event-schema-loyalty and its sister pages.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from capillary_adobe_tests.capillary.insights.lines import Json
from capillary_adobe_tests.capillary.insights.tellings import (
    DAYS,
    IDS,
    IN_PROGRAM,
    MONEY,
    NAME_OF_TIER,
    POINTS,
    TEXTS,
    Twins,
    common,
    last_moment,
    plain,
)


@st.composite
def bills(draw: st.DrawFn) -> Twins:
    who = draw(common())
    kind = draw(st.sampled_from(["REGULAR", "RETURN", "MIXED"]))
    as_return = kind == "RETURN" and draw(st.booleans())
    items = draw(st.lists(st.tuples(TEXTS, TEXTS, st.integers(1, 9), MONEY, MONEY), min_size=1, max_size=4))
    back = draw(st.integers(1, len(items))) if kind == "MIXED" else 0
    amount, discount, gross, tax = (draw(MONEY) for _ in range(4))
    bill_id, number = draw(IDS), draw(TEXTS)
    currency = draw(st.sampled_from(["INR", "SGD", ""]))
    newer = draw(st.booleans())
    data = {
        "amount": plain(amount),
        "billNumber": number,
        "enteredAt": who.at_ms,
        "transactionId": bill_id,
        "billType": kind,
        "lineItemCount": len(items) + (1 if kind == "MIXED" else 0),
        "discount": plain(discount),
        "grossAmount": plain(gross),
        "currencyCode": currency or " ",
        "enteredBy": who.entered_by,
        "customerIdentifiers": who.identifiers,
        "deliveryStatus": "PLACED",
        "billClientId": "c-1",
        **({"billDate": who.at_ms} if newer else {}),
    }
    of_bill = {
        **{name: value for name, value in who.cells.items() if name != "event_log_id"},
        "bill_id": bill_id,
        "bill_number": number,
        "bill_amount": f"-{amount}" if kind == "RETURN" and draw(st.booleans()) else amount,
        "bill_discount": discount,
        "initial_bill_value": gross,
        "tax_amount": tax,
        "currency": currency,
        "delivery_status": "PLACED",
        "bill_client_id": "c-1",
    }
    sort = {"REGULAR": "regular", "RETURN": "return", "MIXED": "regular"}[kind]
    rows = [
        {
            **of_bill,
            "line_item_id": place + 1,
            "line_item_type": "" if as_return else sort,
            "item_code": code,
            "description": words,
            "quantity": quantity,
            "line_item_amount": value,
            "line_item_discount": less,
        }
        for place, (code, words, quantity, value, less) in enumerate(items)
    ]
    if kind == "MIXED":
        rows.insert(back, {**of_bill, "line_item_id": 99, "line_item_type": "return", "item_code": "back"})
    details = {
        "lineItems": [
            {
                "itemCode": code,
                "description": words,
                "quantity": quantity,
                "amount": plain(value),
                "discount": plain(less),
            }
            for code, words, quantity, value, less in items
        ],
        "tax": plain(tax),
    }
    return who.twins("transactionAdded", data, "returns" if as_return else "transactions", rows, details)


@st.composite
def issues(draw: st.DrawFn) -> Twins:
    who, bill_id, number = draw(common()), draw(IDS), draw(TEXTS)
    # An expiry once a promotion, and once of the regular points: the webhook's lists are by expiry.
    regular = draw(st.lists(st.tuples(POINTS, DAYS), max_size=3, unique_by=lambda one: one[1]))
    promoted = draw(st.lists(st.tuples(POINTS, DAYS, IDS), max_size=2, unique_by=lambda one: one[2]))
    promised = draw(st.lists(st.tuples(POINTS, IDS), min_size=0 if regular or promoted else 1, max_size=1))
    total = sum((points for points, *_ in [*regular, *promoted]), Decimal(0))
    data = {
        **who.of_program,
        "triggeringActivity": who.activity(
            "TransactionAdd", [("BillId", str(bill_id)), ("BillId", str(bill_id)), ("billNumber", number)]
        ),
        "programCurrentPoints": 45.0,
        "programLifetimePoints": 45.0,
        "totalPointsIssued": plain(total),
        "regularPointsIssued": plain(sum((points for points, _ in regular), Decimal(0))),
        "regularPointsBreakup": [
            {"points": plain(points), "expiryAt": day.isoformat(), "expiryAtInMillis": last_moment(day, 999)}
            for points, day in regular
        ],
        "promotionalPointsIssued": [
            {
                "promotionIdentifier": str(promotion),
                "promotionType": "BILL_PROMOTION",
                "promotionPoints": plain(points),
                "promotionPointsExpiryDate": day.isoformat(),
                "promotionPointsExpiryDateInMillis": last_moment(day, 999),
            }
            for points, day, promotion in promoted
        ],
        "promisedPointsIssued": [
            {
                "promisedPoints": plain(points),
                "isExternalTriggerBased": False,
                "promisedPointsConversionDate": "2026-04-01",
                "promisedPointsConversionDateInMillis": 1_774_981_800_000,
                "promotionIdentifier": str(promotion),
            }
            for points, promotion in promised
        ],
    }
    row = {
        **who.cells,
        **IN_PROGRAM,
        "bill_id": bill_id,
        "bill_number": number,
        "activity": "TransactionAdd",
        "points_category": "regular",
    }
    awards = [
        *({"allocated_points": points, "expiry_date": day} for points, day in regular),
        *(
            {
                "allocated_points": points,
                "expiry_date": day,
                "points_promotion_id": promotion,
                "points_promotion_type": "BILL_PROMOTION",
            }
            for points, day, promotion in promoted
        ),
        *(
            {"allocated_points": points, "points_promotion_id": promotion, "points_category": "promised"}
            for points, promotion in promised
        ),
    ]
    rows = [{**row, **award, "awarded_ref_id": place} for place, award in enumerate(awards, 1)]
    return who.twins("pointsIssued", data, "points", rows)


@st.composite
def redemptions(draw: st.DrawFn) -> Twins:
    who, summary, bill_id, number = draw(common()), draw(IDS), draw(IDS), draw(TEXTS)
    parts = draw(st.lists(POINTS, min_size=1, max_size=3))
    worth = draw(MONEY)
    data = {
        **who.of_program,
        "triggeringActivity": who.activity("PointsRedemption", [("billId", str(bill_id)), ("redemptionId", "c7ISbb")]),
        "totalPointsRedeemed": plain(sum(parts, Decimal(0))),
        "redemptionSummaryId": summary,
        "redeemedPointsCurrencyValue": plain(worth),
        "redemptionNotes": "redeem",
        "redemptionBillNumber": number,
        "isGroupRedemption": False,
        "redemptionFromEarningPrograms": [
            {"programId": 973, "pointsRedeemed": plain(sum(parts, Decimal(0))), "programCurrentPoints": 5430}
        ],
    }
    row = {
        **who.cells,
        **IN_PROGRAM,
        "redemption_bill_id": bill_id,
        "redemption_bill_number": number,
        "notes": "redeem",
    }
    if draw(st.booleans()):
        total = sum(parts, Decimal(0))
        rows = [{**row, "redemption_id": summary, "points_redeemed": total, "currency_value": worth}]
        return who.twins("pointsRedeemed", data, "redemptions", rows)
    rows = [
        {
            **row,
            "deduction_type": "redeemed",
            "deduction_summary_id": summary,
            "deducted_ref_id": place,
            "deducted_points": points,
            "deduction_currency_value": worth if place == 1 else 0,
        }
        for place, points in enumerate(parts, 1)
    ]
    return who.twins("pointsRedeemed", data, "points", rows)


@st.composite
def deductions(draw: st.DrawFn, kind: str, name: str) -> Twins:
    """What is taken away or given back, but for redemptions."""
    who, bill_id, number = draw(common()), draw(IDS), draw(TEXTS)
    parts = draw(st.lists(POINTS, min_size=1, max_size=3))
    total = plain(sum(parts, Decimal(0)))
    by_program = {"programId": 973, "programCurrentPoints": 12}
    fields: Json = {
        "expired": {"pointsExpired": total},
        "return": {
            "programCurrentPoints": 0.0,
            "programLifetimePoints": 0.0,
            "totalIssuedPointsReversed": total,
            "regularPointsReversed": total,
            "promisedPointsReversed": 0.0,
            "promotionalPointsReversed": [],
            "triggeringActivity": who.activity("ReturnBill", [("billId", str(bill_id)), ("billNumber", number)]),
        },
        "redemption_reversal": {
            "redeemedPointsReversed": total,
            "redemptionSummaryId": 44,
            "redemptionReversalToEarningPrograms": [{**by_program, "redeemedPointsReversed": total}],
        },
        "redeemed_by_transfer": {
            "totalPointsTransferred": total,
            "transferReceivingCustomerIdentifiers": {"customerId": 8},
            "redemptionFromEarningPrograms": [{**by_program, "pointsRedeemed": total}],
        },
        "manual_adjustment": {"totalPoinstDeducted": str(total), "reason": "r"},
    }[kind]
    # The payload of an adjustment has no program of its own.
    data = {"customerIdentifiers": who.identifiers} if kind == "manual_adjustment" else who.of_program
    bill = {"bill_id": bill_id, "bill_number": number, "activity": "ReturnBill"} if kind == "return" else {}
    summary = {"deduction_summary_id": 44} if kind == "redemption_reversal" else {}
    row = {**who.cells, **IN_PROGRAM, **bill, **summary, "deduction_type": kind, "receiver_customer_id": 8}
    rows = [{**row, "deducted_ref_id": place, "deducted_points": points} for place, points in enumerate(parts, 1)]
    return who.twins(name, {**data, **fields}, "points", rows)


@st.composite
def changes(draw: st.DrawFn, name: str) -> Twins:
    who, last_day = draw(common()), draw(DAYS)
    numbered = draw(st.booleans())
    word, number, before = {
        "tierUpgraded": ("UPGRADE", 2, 1),
        "tierDowngraded": ("DOWNGRADE", 1, 2),
        "tierRenewed": ("RENEW", 2, 2),
    }[name]
    fields: Json = {
        "tierUpgraded": {"previousTierNumber": before, "upgradedTierNumber": number, "upgradeType": "STRATEGY"},
        "tierDowngraded": {"previousTierNumber": before, "downgradedTierNumber": number},
        "tierRenewed": {"currentTierNumber": number, "renewType": "STRATEGY"},
    }[name]
    data = {
        **who.of_program,
        **fields,
        "tierExpiryDate": last_day.isoformat(),
        "tierExpiryDateInMillis": last_moment(last_day, 0),
        "notes": "well done",
    }
    row = {
        **who.cells,
        **IN_PROGRAM,
        "change_id": draw(IDS),
        "change_action": word,
        "tier_name": NAME_OF_TIER[number],
        "previous_tier_name": NAME_OF_TIER[before],
        "tier_expiry_date": last_day,
        "upgrade_type": "STRATEGY",
        "notes": "well done",
    }
    numbers = {"tier_number": number, "previous_tier_number": before} if numbered else {}
    return who.twins(name, data, "tiers", [{**row, **numbers}])


@st.composite
def merges(draw: st.DrawFn) -> Twins:
    who = draw(common())
    victim = draw(IDS.filter(lambda known: known != who.customer_id))
    data = {
        "survivorCustomerIdentifiers": who.identifiers,
        "victimCustomerIdentifiers": {"customerId": victim},
        "triggeringActivity": {"name": "CustomerMerge", "identifiers": [], "additionalAttributes": []},
        "enteredBy": {"id": -1},
        "survivorCustomerLoyaltySummary": [{"loyaltyProgramId": 973, "lifetimePoints": 200.0, "currentPoints": 200.0}],
    }
    row = {**who.cells, "victim_customer_id": victim, "merge_reason": "duplicate"}
    return who.twins("loyaltyCustomerMerge", data, "merges", [row])


HAPPENINGS: dict[str, st.SearchStrategy[Twins]] = {
    "transactionAdded": bills(),
    "pointsIssued": issues(),
    "pointsRedeemed": redemptions(),
    "pointsExpired": deductions("expired", "pointsExpired"),
    "issuedPointsReversed": deductions("return", "issuedPointsReversed"),
    "redeemedPointsReversed": deductions("redemption_reversal", "redeemedPointsReversed"),
    "pointsTransferredInitiated": deductions("redeemed_by_transfer", "pointsTransferredInitiated"),
    "manualPointsAdjustment": deductions("manual_adjustment", "manualPointsAdjustment"),
    "tierUpgraded": changes("tierUpgraded"),
    "tierDowngraded": changes("tierDowngraded"),
    "tierRenewed": changes("tierRenewed"),
    "loyaltyCustomerMerge": merges(),
}
"""Happenings by event type."""
