"""Redemptions: the rows of one redemption, one for each loyalty program, become one `pointsRedeemed`.

Belongs here: which column is which field. Does not belong here: redemptions among the deductions of the points template
(`deductions.py`), which have the same number and are the same event.
Source: docs.capillarytech.com/docs/points-fact-table (points_redemption_summary)
"""

from __future__ import annotations

from collections.abc import Sequence

from capillary_adobe.capillary.insights.events.reading import Told, agreed, grouped, money_of, plain, points_of, said
from capillary_adobe.capillary.insights.events.surroundings import activity, customer, program
from capillary_adobe.capillary.insights.model import Exported, RowIgnored

_POINTS = "points_redeemed"


def key_of(told: Told) -> str:
    """What the rows of a redemption share.

    Raises:
        RowIgnored: reason `no_points`.
        RowRefused: the number of the redemption or of its customer cannot be read.
    """
    told.customer_id()
    if told.needed_number(_POINTS) == 0:
        raise RowIgnored("no_points")
    return f"redemptions|{told.needed_id('redemption_id')}"


def events_of(rows: Sequence[Told]) -> list[Exported]:
    """The event of the rows of one redemption.

    Raises:
        RowRefused: `rows_disagree`, or a cell cannot be read.
    """
    agreed(rows, "customer_id", Told.id)
    programs = {row.id("program_id") for row in rows}
    total = points_of(rows, _POINTS)
    by_program = grouped(rows, _POINTS, lambda row: {"programId": row.id("program_id")}) if None not in programs else []
    data = said(
        customerIdentifiers=customer(rows[0]),
        triggeringActivity=activity(rows, "billId", "redemption_bill"),
        **(program(rows[0]) if len(programs) == 1 else {}),
        totalPointsRedeemed=plain(total),
        redemptionSummaryId=rows[0].id("redemption_id"),
        redeemedPointsCurrencyValue=plain(money_of(rows, "currency_value")),
        redemptionNotes=agreed(rows, "notes", Told.text),
        redemptionBillNumber=agreed(rows, "redemption_bill_number", Told.text),
        redemptionFromEarningPrograms=[{**fields, "pointsRedeemed": points} for fields, points in by_program],
    )
    at_ms = min(row.moment_ms() for row in rows)
    log_id = rows[0].id("event_log_id")
    return [Exported("pointsRedeemed", at_ms, data, key_of(rows[0]), (), event_log_id=log_id, totals={"points": total})]
