"""Changes of tiers: a row of the slab change log becomes one `tierUpgraded`, `tierDowngraded` or `tierRenewed`.

Belongs here: which change a row tells, and its tiers. Does not belong here: what is known of a customer's tier (`facts`).

Webhooks tell tiers by their numbers, with the names of all tiers of the program. Of an export's row the two tiers of a change
go into that list, so that a document learns the name with the number; where a list of one tier would say that there is none
above it, or a number is not told, the name stands under `exportedTier`, from where the enrichment takes it.
Source: docs.capillarytech.com/docs/slab-change-log-standard-export-template
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from capillary_adobe.capillary.insights.events.reading import Told, said
from capillary_adobe.capillary.insights.events.surroundings import customer, outlet, program
from capillary_adobe.capillary.insights.model import Exported, RowIgnored, RowRefused

UPGRADED, DOWNGRADED, RENEWED = "upgraded", "downgraded", "renewed"
_EVENTS: Final = {UPGRADED: "tierUpgraded", DOWNGRADED: "tierDowngraded", RENEWED: "tierRenewed"}
_NUMBERS: Final = {UPGRADED: "upgradedTierNumber", DOWNGRADED: "downgradedTierNumber", RENEWED: "currentTierNumber"}
_TYPES: Final = {UPGRADED: "upgradeType", RENEWED: "renewType"}


def key_of(told: Told) -> str:
    """What names a change: its number in the log, else whose, when, in which program and what.

    Raises:
        RowIgnored: reason `tier_unchanged`.
        RowRefused: it cannot be told whose or which change it is.
    """
    change, known, whose = _change(told), told.id("change_id"), told.customer_id()
    if known is not None:
        return f"tiers|{known}"
    program_id = told.id("program_id")
    return f"tiers|{whose}|{'-' if program_id is None else program_id}|{told.moment_ms()}|{change}"


def events_of(rows: Sequence[Told]) -> list[Exported]:
    """The event of a change; of rows that repeat it the last counts.

    Raises:
        RowRefused: a cell cannot be read.
    """
    told = rows[-1]
    change = _change(told)
    number, before = told.whole("tier_number"), told.whole("previous_tier_number")
    data = said(
        customerIdentifiers=customer(told),
        triggeringActivity=said(enteredBy=outlet(told)),
        **(program(told) if change == RENEWED else _with_tiers(program(told), told, number, before)),
        previousTierNumber=None if change == RENEWED else before,
        **{_NUMBERS[change]: number},
        **told.last_day("tier_expiry_date", "tierExpiryDate", milliseconds=0),
        **({_TYPES[change]: told.member("upgrade_type")} if change in _TYPES else {}),
        notes=told.text("notes"),
        exportedTier=said(
            name=told.member("tier_name"),
            previousName=None if change == RENEWED else told.member("previous_tier_name"),
        ),
    )
    return [Exported(_EVENTS[change], told.moment_ms(), data, key_of(told), (), event_log_id=told.id("event_log_id"))]


def _change(told: Told) -> str:
    change = told.word("change_action") or _by_numbers(told)
    if change not in _EVENTS:
        raise RowIgnored("tier_unchanged")
    return change


def _by_numbers(told: Told) -> str:
    number, before = told.whole("tier_number"), told.whole("previous_tier_number")
    if number is None or before is None:
        raise RowRefused(
            "cell_missing",
            "change_action is empty, and so is tier_number or previous_tier_number: up, down and renewed cannot be told "
            "apart. Export change_action.",
        )
    if number == before:
        return RENEWED
    return UPGRADED if number > before else DOWNGRADED


def _with_tiers(found: dict[str, Any], told: Told, number: int | None, before: int | None) -> dict[str, Any]:
    """The program, with the names of the tiers that the row has names and numbers of."""
    named = {number: told.member("tier_name"), before: told.member("previous_tier_name")}
    tiers = [
        {"tierNumber": known, "tierName": name}
        for known, name in named.items()
        if known is not None and name is not None
    ]
    details = found.get("loyaltyProgramDetails", {}) | {"tiers": tiers}
    return found | {"loyaltyProgramDetails": details} if tiers else found
