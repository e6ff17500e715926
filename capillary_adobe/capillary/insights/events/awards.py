"""Awards of points: the rows of one event become one `pointsIssued`.

Belongs here: which award is regular, promotional or promised, and their sums. Does not belong here: which rows are one event
(`points.py`).

Points of a promotion are promotional, all others regular, as in the webhook. Promised points are in neither sum: they are not
gained yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from capillary_adobe.capillary.insights.events.reading import Told, grouped, plain, points_of, repeats_left_out, said
from capillary_adobe.capillary.insights.events.surroundings import activity, customer, program
from capillary_adobe.capillary.insights.model import Exported, RowIgnored

EVENT: Final = "pointsIssued"
_POINTS: Final = "allocated_points"
_PROMISED, _NOT_REDEEMABLE = "promised", "not_redeemable"


def insist_on_redeemable(told: Told) -> None:
    """Leave points alone that are none: trackers and external currencies.

    Raises:
        RowIgnored: reason `points_not_redeemable`.
    """
    if told.word("points_category") == _NOT_REDEEMABLE:
        raise RowIgnored("points_not_redeemable")


def issued(rows: Sequence[Told], key: str) -> Exported:
    """The event of award rows that share a key.

    Raises:
        RowRefused: a cell cannot be read.
    """
    rows = repeats_left_out(rows, "awarded_ref_id")
    promised = [row for row in rows if row.word("points_category") == _PROMISED]
    gained = [row for row in rows if row.word("points_category") != _PROMISED]
    regular = [row for row in gained if not of_promotion(row)]
    promotional = [row for row in gained if of_promotion(row)]
    total = points_of(gained, _POINTS)
    data = said(
        customerIdentifiers=customer(rows[0]),
        triggeringActivity=activity(rows, "BillId"),
        **program(rows[0]),
        totalPointsIssued=plain(total),
        regularPointsIssued=plain(points_of(regular, _POINTS)),
        regularPointsBreakup=[
            {"points": points, **fields}
            for fields, points in grouped(
                regular, _POINTS, lambda row: row.last_day("expiry_date", "expiryAt", milliseconds=999)
            )
        ],
        promotionalPointsIssued=[
            {**fields, "promotionPoints": points}
            for fields, points in grouped(promotional, _POINTS, _promotion_with_expiry)
        ],
        promisedPointsIssued=[
            {"promisedPoints": points, **fields} for fields, points in grouped(promised, _POINTS, _promiser)
        ],
    )
    totals = {"points": total} | ({"promised": points_of(promised, _POINTS)} if promised else {})
    at_ms = min(row.moment_ms() for row in rows)
    return Exported(EVENT, at_ms, data, key, (), event_log_id=rows[0].id("event_log_id"), totals=totals)


def of_promotion(row: Told) -> bool:
    """Whether a promotion gave the points of a row."""
    return any(row.has(column) for column in ("points_promotion_id", "points_promotion", "points_promotion_type"))


def promotion(row: Told) -> dict[str, Any]:
    """The promotion that gave the points of a row, in the webhook's words; empty for regular points."""
    return said(
        promotionIdentifier=row.named("points_promotion_id"),
        promotionName=row.member("points_promotion"),
        promotionType=row.member("points_promotion_type"),
    )


def _promotion_with_expiry(row: Told) -> dict[str, Any]:
    return promotion(row) | row.last_day("expiry_date", "promotionPointsExpiryDate", milliseconds=999)


def _promiser(row: Told) -> dict[str, Any]:
    return said(promotionIdentifier=row.named("points_promotion_id"))
