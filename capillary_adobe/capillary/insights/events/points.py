"""Awards and deductions of points: the rows of one event of Capillary's become one event of ours.

Belongs here: which rows belong together, and what a row is. Does not belong here: the events themselves (`awards.py`,
`deductions.py`).

Rows are those of one event where they share customer, program and the event's number (`event_log_id`, else `event_id`).
Without such a number an award stands for itself, and so does a deduction, but for redemptions, which have a number of their
own, and expiries, which a nightly job makes: those of a customer, a program and a day are one event.
Source: docs.capillarytech.com/docs/points-standard-export-template, /docs/points-fact-table
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from capillary_adobe.capillary.insights.events import awards, deductions
from capillary_adobe.capillary.insights.events.reading import Told
from capillary_adobe.capillary.insights.model import Exported, RowIgnored, RowRefused

_ISSUED: Final = "issued"
_NUMBERS_OF_EVENTS: Final = ("event_log_id", "event_id")


def key_of(told: Told) -> str:
    """What the rows of one event share.

    Raises:
        RowIgnored: reasons `deduction_without_event`, `points_not_redeemable` and `no_points`.
        RowRefused: it cannot be told what the row is or whose, or which event it belongs to.
    """
    kind = told.word("deduction_type")
    if kind is not None:
        return _key_of_deduction(told, kind)
    if told.number("deducted_points") and not told.number("allocated_points"):
        raise RowRefused("cell_missing", "deduction_type is empty, so nothing tells why the points were taken away.")
    allocated = told.needed_number("allocated_points")
    if allocated < 0:
        raise RowRefused("bad_number", "allocated_points is below nought, and the row is no deduction.")
    if allocated == 0:
        raise RowIgnored("no_points")
    awards.insist_on_redeemable(told)
    return _of_event(told, _ISSUED) or _of_row(told, _ISSUED, "awarded_ref_id")


def events_of(rows: Sequence[Told]) -> list[Exported]:
    """The event of rows that share a key.

    Raises:
        RowRefused: `rows_disagree`, or a cell cannot be read.
    """
    kind = rows[0].word("deduction_type")
    key = key_of(rows[0])
    return [awards.issued(rows, key) if kind is None else deductions.event(rows, kind, key)]


def _key_of_deduction(told: Told, kind: str) -> str:
    if kind not in deductions.EVENTS:
        raise RowIgnored("deduction_without_event")
    if told.needed_number("deducted_points") == 0:
        raise RowIgnored("no_points")
    if kind == deductions.REDEEMED:
        told.customer_id()
        return f"points|{kind}|{told.needed_id('deduction_summary_id')}"
    of_event = _of_event(told, kind)
    if of_event is not None:
        return of_event
    if kind == deductions.EXPIRED:
        return _key(told, kind, "day", told.day())
    if told.has("deduction_summary_id"):
        return _key(told, kind, "summary", str(told.needed_id("deduction_summary_id")))
    return _of_row(told, kind, "deducted_ref_id")


def _of_event(told: Told, kind: str) -> str | None:
    """The key by the event's number; None where the row does not tell it."""
    for column in _NUMBERS_OF_EVENTS:
        number = told.id(column)
        if number is not None:
            return _key(told, kind, column, str(number))
    return None


def _of_row(told: Told, kind: str, column: str) -> str:
    number = told.id(column)
    if number is None:
        raise RowRefused(
            "cell_missing",
            f"{', '.join((*_NUMBERS_OF_EVENTS, column))} are all empty: nothing tells the row from another like it. "
            "Export one of these columns.",
        )
    return _key(told, kind, column, str(number))


def _key(told: Told, kind: str, what: str, value: str) -> str:
    known = told.id("program_id")
    return f"points|{kind}|{told.customer_id()}|{'-' if known is None else known}|{what}|{value}"
