"""Awards, deductions and redemptions: which rows are one event, and what it says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from capillary_adobe.capillary.insights.events.deductions import EVENTS
from capillary_adobe.capillary.insights.templates import own_words, templates
from capillary_adobe_tests.capillary.insights.becoming import (
    CUSTOMER,
    OUTLET,
    PROGRAM,
    WHEN,
    WHEN_MS,
    key,
    reason,
    refusal,
    told,
    with_words,
)

ROW = {**CUSTOMER, **PROGRAM, **WHEN, "event_log_id": 77}
AWARD = {**ROW, "allocated_points": "10.5", "awarded_ref_id": 1, "expiry_date": "2026-12-31", "deduction_type": "NA"}
BILL = {"bill_id": 98, "bill_number": "B-1", "activity": "TransactionAdd", **OUTLET}
TAKEN = {**ROW, "deducted_points": 30, "deducted_ref_id": 5, "awarded_ref_id": 1}
REDEEMED = {**TAKEN, "deduction_type": "redeemed", "deduction_summary_id": 44}
END_MS = 1_798_741_799_999  # 2026-12-31T23:59:59.999+05:30
IDENTIFIERS = {
    "customerId": 406247343,
    "instore": {"mobile": "919800000001", "email": "a@example.com", "externalId": "x-1"},
}
OF_PROGRAM = {"loyaltyProgramDetails": {"id": 973, "name": "Default"}, "loyaltyProgramId": 973}


def test_the_awards_of_one_event_are_one_issue_with_sums_by_expiry_and_promotion() -> None:
    other = {**AWARD, **BILL, "allocated_points": 2, "awarded_ref_id": 2}
    promoted = {
        **AWARD,
        **BILL,
        "awarded_ref_id": 3,
        "allocated_points": 5,
        "points_promotion_id": "p-1",
        "points_promotion": "Spring",
        "points_promotion_type": "BILL_PROMOTION",
    }
    promised = {**AWARD, **BILL, "awarded_ref_id": 4, "allocated_points": 7, "points_category": "promised"}
    event = told("points", {**AWARD, **BILL}, other, promoted, promised)
    assert event.event_name == "pointsIssued"
    assert event.data == {
        "customerIdentifiers": IDENTIFIERS,
        "triggeringActivity": {
            "name": "TransactionAdd",
            "identifiers": [{"key": "BillId", "value": "98"}, {"key": "billNumber", "value": "B-1"}],
            "enteredBy": {
                "id": 5,
                "till": {"code": "t-1", "name": "Till"},
                "store": {"code": "st-1", "name": "Store", "externalId": "x1"},
            },
        },
        **OF_PROGRAM,
        "totalPointsIssued": 17.5,
        "regularPointsIssued": 12.5,
        "regularPointsBreakup": [{"points": 12.5, "expiryAt": "2026-12-31", "expiryAtInMillis": END_MS}],
        "promotionalPointsIssued": [
            {
                "promotionIdentifier": "p-1",
                "promotionName": "Spring",
                "promotionType": "BILL_PROMOTION",
                "promotionPoints": 5,
                "promotionPointsExpiryDate": "2026-12-31",
                "promotionPointsExpiryDateInMillis": END_MS,
            }
        ],
        "promisedPointsIssued": [{"promisedPoints": 7}],
    }
    assert (event.created_ms, event.event_log_id, event.lines) == (WHEN_MS, 77, (2, 3, 4, 5))
    assert event.totals == {"points": Decimal("17.5"), "promised": Decimal(7)}


def test_an_award_of_no_expiry_and_no_bill_says_neither() -> None:
    event = told("points", {**AWARD, "expiry_date": "0000-00-00"})
    assert event.data["regularPointsBreakup"] == [{"points": 10.5}]
    assert "triggeringActivity" not in event.data


def test_awards_for_several_bills_name_none() -> None:
    other = {**AWARD, **BILL, "awarded_ref_id": 2, "bill_id": 99, "bill_number": "B-2"}
    activity = told("points", {**AWARD, **BILL}, other).data["triggeringActivity"]
    assert activity["name"] == "TransactionAdd"
    assert "identifiers" not in activity


def test_an_award_that_is_told_twice_counts_once() -> None:
    event = told("points", AWARD, {**AWARD, "awarded_ref_id": 2}, {**AWARD, "allocated_points": 1})
    assert event.data["totalPointsIssued"] == 11.5
    assert event.lines == (2, 3, 4)


@pytest.mark.parametrize(
    "other",
    [
        {"event_log_id": 78},
        {"customer_id": 8},
        {"program_id": 974},
        {"program_id": ""},
        {"deduction_type": "expired", "deducted_points": 1},
    ],
)
def test_awards_of_another_event_customer_or_program_are_apart(other: dict[str, object]) -> None:
    assert key("points", AWARD) != key("points", {**AWARD, **other})


def test_rows_are_grouped_by_the_best_number_that_they_tell() -> None:
    by_event = {**AWARD, "event_log_id": "", "event_id": 9}
    alone = {**AWARD, "event_log_id": ""}
    assert key("points", AWARD) == "points|issued|406247343|973|event_log_id|77"
    assert key("points", by_event) == "points|issued|406247343|973|event_id|9"
    assert key("points", alone) == "points|issued|406247343|973|awarded_ref_id|1"
    code, detail = refusal("points", {**alone, "awarded_ref_id": ""})
    assert (code, "event_log_id, event_id, awarded_ref_id" in detail) == ("cell_missing", True)


def test_points_that_are_none_are_ignored() -> None:
    assert reason("points", {**AWARD, "points_category": "tracker"}) == "points_not_redeemable"
    assert reason("points", {**AWARD, "allocated_points": 0}) == "no_points"
    assert reason("points", {**REDEEMED, "deducted_points": "0.0"}) == "no_points"


def test_a_redemption_is_told_with_its_number_money_and_programs() -> None:
    first = {**REDEEMED, "deduction_currency_value": 15, "redemption_bill_id": 98, "redemption_bill_number": "B-1"}
    second = {**first, "deducted_ref_id": 6, "deducted_points": 12.5, "program_id": 974, "deduction_currency_value": 5}
    event = told("points", {**first, "notes": "at the till"}, second)
    assert event.event_name == "pointsRedeemed"
    assert event.data == {
        "customerIdentifiers": IDENTIFIERS,
        "triggeringActivity": {
            "identifiers": [{"key": "billId", "value": "98"}, {"key": "billNumber", "value": "B-1"}]
        },
        "totalPointsRedeemed": 42.5,
        "redemptionSummaryId": 44,
        "redeemedPointsCurrencyValue": 20,
        "redemptionNotes": "at the till",
        "redemptionBillNumber": "B-1",
        "redemptionFromEarningPrograms": [
            {"programId": 973, "pointsRedeemed": 30},
            {"programId": 974, "pointsRedeemed": 12.5},
        ],
    }
    assert event.totals == {"points": Decimal("42.5")}
    assert event.key == "points|redeemed|44"


def test_money_that_a_row_does_not_tell_is_not_summed() -> None:
    event = told("points", {**REDEEMED, "deduction_currency_value": 15}, {**REDEEMED, "deducted_ref_id": 6})
    assert "redeemedPointsCurrencyValue" not in event.data


def test_a_redemption_without_its_number_or_of_two_customers_is_refused() -> None:
    assert refusal("points", {**REDEEMED, "deduction_summary_id": ""}) == (
        "cell_missing",
        "deduction_summary_id is empty.",
    )
    code, detail = refusal("points", REDEEMED, {**REDEEMED, "deducted_ref_id": 6, "customer_id": 8})
    assert (code, "customer_id" in detail) == ("rows_disagree", True)


def test_a_deduction_from_several_awards_is_no_repeat() -> None:
    other = {**REDEEMED, "awarded_ref_id": 2, "deducted_points": 4}
    assert told("points", REDEEMED, other).totals == {"points": 34}
    assert told("points", REDEEMED, other, REDEEMED).totals == {"points": 34}


def test_both_templates_tell_a_redemption_alike() -> None:
    money = {"redemption_bill_id": 98, "redemption_bill_number": "B-1", "notes": "n"}
    of_points = told("points", {**REDEEMED, **money, "deduction_currency_value": 15})
    summary = {**ROW, **money, "redemption_id": 44, "points_redeemed": 30, "currency_value": 15}
    of_summary = told("redemptions", summary)
    assert of_summary.data == of_points.data
    assert (of_summary.key, of_summary.totals) == ("redemptions|44", of_points.totals)
    assert reason("redemptions", {**summary, "points_redeemed": 0}) == "no_points"
    assert refusal("redemptions", {**summary, "redemption_id": ""})[0] == "cell_missing"
    assert refusal("redemptions", summary, {**summary, "customer_id": 8})[0] == "rows_disagree"


def test_a_redemption_by_several_programs_is_summed_from_the_summary() -> None:
    summary = {**ROW, "redemption_id": 44, "points_redeemed": 30}
    later = {**summary, "program_id": 974, "points_redeemed": 1, "event_time": "15:30:01"}
    event = told("redemptions", later, summary)
    assert event.data["totalPointsRedeemed"] == 31
    assert [one["programId"] for one in event.data["redemptionFromEarningPrograms"]] == [974, 973]
    assert event.created_ms == WHEN_MS
    assert "loyaltyProgramId" not in event.data


def test_what_expires_for_a_customer_on_a_day_is_one_event() -> None:
    expired = {**TAKEN, "deduction_type": "expired", "event_log_id": ""}
    event = told(
        "points", {**expired, "event_time": "23:00:00"}, {**expired, "deducted_ref_id": 6, "deducted_points": 1}
    )
    assert event.event_name == "pointsExpired"
    assert event.data == {"customerIdentifiers": IDENTIFIERS, **OF_PROGRAM, "pointsExpired": 31}
    assert event.key == "points|expired|406247343|973|day|2026-03-01"
    assert event.created_ms == WHEN_MS
    assert key("points", {**expired, "event_date": "2026-03-02"}) != event.key


def test_points_taken_back_name_the_bill_and_the_promotions() -> None:
    back = {**TAKEN, "deduction_type": "return", "bill_id": 99, "bill_number": "R-1"}
    promoted = {**back, "deducted_ref_id": 6, "deducted_points": 4, "points_promotion_id": "p-1"}
    event = told("points", back, promoted)
    assert event.event_name == "issuedPointsReversed"
    assert event.data == {
        "customerIdentifiers": IDENTIFIERS,
        **OF_PROGRAM,
        "triggeringActivity": {
            "identifiers": [{"key": "billId", "value": "99"}, {"key": "billNumber", "value": "R-1"}]
        },
        "totalIssuedPointsReversed": 34,
        "regularPointsReversed": 30,
        "promotionalPointsReversed": [{"promotionIdentifier": "p-1", "promotionPoints": 4}],
    }


def test_a_redemption_that_was_reversed_names_its_number() -> None:
    event = told("points", {**REDEEMED, "deduction_type": "redemption_reversal", "deducted_points": -30})
    assert event.event_name == "redeemedPointsReversed"
    assert event.data["redeemedPointsReversed"] == 30
    assert event.data["redemptionSummaryId"] == 44
    assert event.data["redemptionReversalToEarningPrograms"] == [{"programId": 973, "redeemedPointsReversed": 30}]


def test_points_transferred_name_the_receiver_where_the_row_does() -> None:
    given = {**TAKEN, "deduction_type": "redeemed_by_transfer"}
    event = told("points", {**given, "receiver_customer_id": 8})
    assert event.event_name == "pointsTransferredInitiated"
    assert event.data["totalPointsTransferred"] == 30
    assert event.data["transferReceivingCustomerIdentifiers"] == {"customerId": 8}
    assert "transferReceivingCustomerIdentifiers" not in told("points", given).data


def test_a_manual_adjustment_tells_its_split_and_reason() -> None:
    event = told("points", {**TAKEN, "deduction_type": "manual_adjustment", "reason": "mistake"})
    assert event.event_name == "manualPointsAdjustment"
    assert event.data["totalPoinstDeducted"] == 30
    assert event.data["programPointsSplit"] == [{"pointsAwardedId": 1, "programId": 973, "points": 30}]
    assert event.data["reason"] == "mistake"


def test_every_kind_of_deduction_has_its_event_or_is_ignored_for_having_none() -> None:
    kinds = set(own_words()["deduction_type"].values())
    assert kinds - set(EVENTS) == {"expiry_reverted"}
    assert set(EVENTS.values()) | {"pointsIssued"} == set(templates()["points"].events)
    for kind in kinds:
        row = {**TAKEN, "deduction_type": kind, "deduction_summary_id": 44}
        if kind in EVENTS:
            assert told("points", row).event_name == EVENTS[kind]
        else:
            assert reason("points", row) == "deduction_without_event"


def test_the_organisations_own_words_count() -> None:
    context = with_words(deduction_type={"eingelöst": "redeemed"})
    assert told("points", {**REDEEMED, "deduction_type": "Eingelöst"}, context=context).event_name == "pointsRedeemed"
    code, detail = refusal("points", {**REDEEMED, "deduction_type": "Eingelöst"})
    assert (code, "deduction_type" in detail, "inge" in detail) == ("unknown_word", True, False)


def test_points_taken_away_without_a_reason_are_refused() -> None:
    assert refusal("points", {**TAKEN, "deduction_type": ""})[0] == "cell_missing"
    assert refusal("points", {**AWARD, "allocated_points": -1})[0] == "bad_number"
    assert refusal("points", {**AWARD, "allocated_points": ""})[0] == "cell_missing"
    assert refusal("points", {**AWARD, "customer_id": ""})[0] == "customer_missing"
