"""Deductions of points: what was redeemed, expired, taken back, given back, transferred or adjusted.

Belongs here: which kind of deduction is which event, and the event's own fields. Does not belong here: which rows are one
event (`points.py`).
Source: docs.capillarytech.com/docs/event-schema-points
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from capillary_adobe.capillary.insights.events.awards import of_promotion, promotion
from capillary_adobe.capillary.insights.events.reading import (
    Told,
    agreed,
    grouped,
    money_of,
    plain,
    points_of,
    repeats_left_out,
    said,
)
from capillary_adobe.capillary.insights.events.surroundings import activity, customer, program
from capillary_adobe.capillary.insights.model import Exported

REDEEMED, EXPIRED = "redeemed", "expired"
_POINTS: Final = "deducted_points"

EVENTS: Final[Mapping[str, str]] = {
    REDEEMED: "pointsRedeemed",
    EXPIRED: "pointsExpired",
    "return": "issuedPointsReversed",
    "cancelled": "issuedPointsReversed",
    "redemption_reversal": "redeemedPointsReversed",
    "redeemed_by_transfer": "pointsTransferredInitiated",
    "manual_adjustment": "manualPointsAdjustment",
}
"""The event of each kind of deduction that has one."""


def event(rows: Sequence[Told], kind: str, key: str) -> Exported:
    """The event of deduction rows that share a key.

    Raises:
        RowRefused: `rows_disagree`, or a cell cannot be read.
    """
    rows = repeats_left_out(rows, "deducted_ref_id", "awarded_ref_id")
    # All rows of a key are one customer's but for redemptions, whose number is to have one.
    agreed(rows, "customer_id", Told.id)
    name = EVENTS[kind]
    data = {"customerIdentifiers": customer(rows[0]), **_programs(rows), **_FIELDS[name](rows)}
    at_ms = min(row.moment_ms() for row in rows)
    totals = {"points": points_of(rows, _POINTS)}
    return Exported(name, at_ms, data, key, (), event_log_id=rows[0].id("event_log_id"), totals=totals)


def _programs(rows: Sequence[Told]) -> dict[str, Any]:
    """The program of the rows; nothing where they name several."""
    return program(rows[0]) if len({row.id("program_id") for row in rows}) == 1 else {}


def _redeemed(rows: Sequence[Told]) -> dict[str, Any]:
    return said(
        triggeringActivity=activity(rows, "billId", "redemption_bill"),
        totalPointsRedeemed=_total(rows),
        redemptionSummaryId=rows[0].id("deduction_summary_id"),
        redeemedPointsCurrencyValue=plain(money_of(rows, "deduction_currency_value")),
        redemptionNotes=agreed(rows, "notes", Told.text),
        redemptionBillNumber=agreed(rows, "redemption_bill_number", Told.text),
        redemptionFromEarningPrograms=_by_program(rows, "pointsRedeemed"),
    )


def _expired(rows: Sequence[Told]) -> dict[str, Any]:
    return {"pointsExpired": _total(rows)}


def _taken_back(rows: Sequence[Told]) -> dict[str, Any]:
    regular = [row for row in rows if not of_promotion(row)]
    promotional = [row for row in rows if of_promotion(row)]
    return said(
        triggeringActivity=activity(rows, "billId"),
        totalIssuedPointsReversed=_total(rows),
        regularPointsReversed=_total(regular),
        promotionalPointsReversed=[
            {**fields, "promotionPoints": points} for fields, points in grouped(promotional, _POINTS, promotion)
        ],
    )


def _given_back(rows: Sequence[Told]) -> dict[str, Any]:
    return said(
        triggeringActivity=activity(rows, "billId"),
        redeemedPointsReversed=_total(rows),
        redemptionSummaryId=agreed(rows, "deduction_summary_id", Told.id),
        redemptionReversalToEarningPrograms=_by_program(rows, "redeemedPointsReversed"),
    )


def _transferred(rows: Sequence[Told]) -> dict[str, Any]:
    return said(
        totalPointsTransferred=_total(rows),
        transferReceivingCustomerIdentifiers=said(customerId=agreed(rows, "receiver_customer_id", Told.id)),
        redemptionFromEarningPrograms=_by_program(rows, "pointsRedeemed"),
    )


def _adjusted(rows: Sequence[Told]) -> dict[str, Any]:
    split = (
        said(
            pointsAwardedId=row.id("awarded_ref_id"),
            programId=row.id("program_id"),
            points=_total([row]),
            pointsType=row.member("points_category"),
        )
        for row in rows
    )
    # The webhook's own spelling.
    return said(
        totalPoinstDeducted=_total(rows), programPointsSplit=list(split), reason=agreed(rows, "reason", Told.text)
    )


_FIELDS: Final[Mapping[str, Callable[[Sequence[Told]], dict[str, Any]]]] = {
    "pointsRedeemed": _redeemed,
    "pointsExpired": _expired,
    "issuedPointsReversed": _taken_back,
    "redeemedPointsReversed": _given_back,
    "pointsTransferredInitiated": _transferred,
    "manualPointsAdjustment": _adjusted,
}


def _total(rows: Sequence[Told]) -> int | float | None:
    return plain(points_of(rows, _POINTS))


def _by_program(rows: Sequence[Told], field: str) -> list[dict[str, Any]]:
    """Points by the program that they had been earned in; nothing where a row does not name it."""
    if any(row.id("program_id") is None for row in rows):
        return []
    known = grouped(rows, _POINTS, lambda row: {"programId": row.id("program_id")})
    return [{**fields, field: points} for fields, points in known]
