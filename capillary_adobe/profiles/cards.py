"""A card as a fact about its holder.

Belongs here: what a card's number, series and status say. Does not belong here: a card as an identity (`identities.py`).
"""

from __future__ import annotations

from typing import Any, Final

from capillary_adobe.profiles.identities import identity_of, withdrawal

_REUSABLE: Final = frozenset({"NOT_ISSUED", "DELETED"})
"""Statuses of a card that may be given to another person; that of a deleted customer becomes one of them."""


def card_fact(number: str, series: str | None, status: str | None) -> dict[str, Any]:
    """`card.<number>`; one that may be issued to another is the customer's no more, and neither is it an identity."""
    if (status or "").upper().replace(" ", "_") not in _REUSABLE:
        return {f"card.{number}": {"series": series, "status": status}}
    identity = identity_of("card", number)
    return {f"card.{number}": None} | ({withdrawal(identity): True} if identity else {})
