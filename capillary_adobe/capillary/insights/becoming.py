"""What rows of an export become: where each belongs, the events that they tell, and what they say of customers.

Belongs here: which part answers for which template. Does not belong here: the parts (`events`, `facts`), reading files.

Everything here depends on rows and context alone, and raises nothing but `RowRefused` and `RowIgnored`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from capillary_adobe.capillary.insights.events import merges, points, redemptions, tiers, transactions
from capillary_adobe.capillary.insights.events.reading import Told
from capillary_adobe.capillary.insights.facts import changes, members, profiles
from capillary_adobe.capillary.insights.model import Context, Exported, Placed, Row, RowIgnored, RowRefused
from capillary_adobe.profiles.document import Facts
from capillary_adobe.settings.customers import ProfileSettings

CUSTOMER_STATE: Final = "customer_state"
"""Reason why a row is no event: it says what a customer is like, not what happened."""


class _Part(NamedTuple):
    key_of: Callable[[Told], str]
    events_of: Callable[[Sequence[Told]], list[Exported]]


_PARTS: Final[Mapping[str, _Part]] = {
    "transactions": _Part(transactions.key_of, transactions.events_of),
    "returns": _Part(transactions.key_of, transactions.events_of),
    "points": _Part(points.key_of, points.events_of),
    "redemptions": _Part(redemptions.key_of, redemptions.events_of),
    "tiers": _Part(tiers.key_of, tiers.events_of),
    "merges": _Part(merges.key_of, merges.events_of),
}

_FACTS: Final[Mapping[str, Callable[[Told, int, ProfileSettings], list[Facts]]]] = {
    "members": members.facts_of,
    "profiles": profiles.facts_of,
    "tiers": changes.facts_of,
    "merges": changes.facts_of,
}


def place_row(template: str, row: Row, context: Context) -> Placed:
    """Day and key of the event that a row belongs to; `template` is the template's name.

    Raises:
        RowRefused: no event can be made of it.
        RowIgnored: it is deliberately no event; reason `customer_state` where it says what a customer is like.
    """
    told = Told(template, row, context)
    part = _PARTS.get(template)
    if part is None:
        told.customer_id()
        raise RowIgnored(CUSTOMER_STATE)
    key = part.key_of(told)
    return Placed(told.day(), key)


def told_day(template: str, row: Row, context: Context) -> str | None:
    """The day that a row tells, whatever else of it cannot be read; None where it tells none."""
    try:
        return Told(template, row, context).day()
    except RowRefused:
        return None


def events_of(template: str, rows: Sequence[Row], context: Context) -> list[Exported]:
    """The events that the rows of one day and key tell, in the form of their webhook twins.

    Raises:
        RowRefused: no event can be made of them.
        RowIgnored: they are deliberately no event.
    """
    told = [Told(template, row, context) for row in rows]
    lines = tuple(row.line for row in rows)
    return [replace(event, lines=lines) for event in _PARTS[template].events_of(told)]


def facts_of(template: str, row: Row, exported_ms: int, context: Context, settings: ProfileSettings) -> list[Facts]:
    """What a row says of customers' documents, as of the export (epoch ms) or of its own moment; empty for other templates.

    Raises:
        RowRefused: a cell cannot be read.
    """
    facts = _FACTS.get(template)
    return [] if facts is None else facts(Told(template, row, context), exported_ms, settings)
