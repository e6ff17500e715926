"""Rows of an export that no event can be made of.

Belongs here: how a row looks that is spoiled. Does not belong here: how many there are (`exports.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from capillary_adobe.demo.dice import pick
from capillary_adobe.demo.export_rows import Cells

# What names the event of a row. A spoiled row stands for an event of its own.
_NAMES = {
    "transactions": ("bill_id",),
    "points": ("event_id", "awarded_ref_id", "deducted_ref_id", "deduction_summary_id"),
    "tiers": ("id",),
}
_NUMBERS = {"transactions": "bill_amount", "tiers": "previous_slab.slab_no"}
_MOMENTS = {"transactions": "event_date.date", "points": "event_date.date", "tiers": "event_date_time"}
_CUSTOMER = "event_user.user_id"
FLAWED = frozenset(_NAMES)
"""Templates that have such rows."""


def spoiled(rng: random.Random, template: str, headers: Sequence[str], cells: Cells, number: int) -> list[str]:
    """The cells of a row like this one, of an event named by `number`, with something wrong."""
    mine = dict(cells)
    for column in _NAMES[template]:
        if mine.get(column):
            mine[column] = str(number)
    mine["event_log_id"] = ""
    flaw = pick(rng, ("number", "moment", "customer", "ragged"))
    if flaw == "number":
        mine[_number(template, mine)] = "12.x"
    elif flaw == "moment":
        mine[_MOMENTS[template]] = "31/02/2026"
    elif flaw == "customer":
        mine[_CUSTOMER] = f"{mine[_CUSTOMER][:2]}****"
    row = [mine.get(header, "") for header in headers]
    return row[: len(row) // 2] if flaw == "ragged" else row


def _number(template: str, cells: Cells) -> str:
    if template == "points":
        return "allocated_points" if cells.get("allocated_points") else "deducted_points"
    return _NUMBERS[template]
