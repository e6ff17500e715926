"""A customer's loyalty as an event tells it: programs, balances, tiers, what expires next.

Belongs here: which field of an event is a balance or a tier of its customer. Does not belong here: an event's own amounts,
which are no state, and what the merge of two customers says (`facts_from_events.py`).
"""

from __future__ import annotations

from typing import Any

from capillary_adobe.capillary.values import nothing
from capillary_adobe.profiles.reading import Reader, inner, objects

_BALANCES = ("redemptionFromEarningPrograms", "redemptionReversalToEarningPrograms")


def loyalty_of_event(reader: Reader, event_name: str, data: dict[str, Any], at_ms: int) -> dict[str, Any]:
    """`program.<id>.…` of an event's customer; nothing where the points or the tier are a group's."""
    found: dict[str, Any] = {}
    details = data.get("loyaltyProgramDetails")
    details = details if type(details) is dict else {}
    program = reader.id(details.get("id"), "loyaltyProgramDetails.id")
    if program is not None:
        found |= _said(
            f"program.{program}",
            name=reader.text(details.get("name"), "loyaltyProgramDetails.name"),
            is_default=reader.flag(details.get("isDefault"), "loyaltyProgramDetails.isDefault"),
        )
    else:
        program = reader.id(data.get("loyaltyProgramId"), "loyaltyProgramId")
    if _of_group(reader, data):
        return {}
    if program is not None:
        prefix = f"program.{program}"
        found |= _said(
            prefix,
            points=reader.number(data.get("programCurrentPoints"), "programCurrentPoints"),
            lifetime_points=reader.number(data.get("programLifetimePoints"), "programLifetimePoints"),
        )
        found |= _tier(reader, prefix, data, details.get("tiers"), at_ms)
        if event_name == "pointsExpiryReminder":
            found |= _expiration(reader, prefix, data)
    for name in _BALANCES:
        for one in objects(data.get(name)):
            earning = reader.id(one.get("programId"), f"{name}[].programId")
            points = reader.number(one.get("programCurrentPoints"), f"{name}[].programCurrentPoints")
            if earning is not None and points is not None:
                found[f"program.{earning}.points"] = points
    return found


def tier_names(reader: Reader, tiers: Any) -> dict[int, str]:
    """Names of a program's tiers by their numbers; of a number that is told twice the first name."""
    found: dict[int, str] = {}
    for one in objects(tiers):
        number = reader.whole(one.get("tierNumber"), "loyaltyProgramDetails.tiers[].tierNumber")
        name = reader.text(one.get("tierName"), "loyaltyProgramDetails.tiers[].tierName")
        if number is not None and name is not None:
            found.setdefault(number, name)
    return found


def _tier(reader: Reader, prefix: str, data: dict[str, Any], tiers: Any, at_ms: int) -> dict[str, Any]:
    upgraded = reader.whole(data.get("upgradedTierNumber"), "upgradedTierNumber")
    changed = upgraded
    if changed is None:
        changed = reader.whole(data.get("downgradedTierNumber"), "downgradedTierNumber")
    number = changed
    if number is None:
        number = reader.whole(data.get("currentTierNumber"), "currentTierNumber")
    if number is None:
        return {}
    names = tier_names(reader, tiers)
    found = _said(
        prefix,
        tier_number=number,
        tier_name=names.get(number),
        tier_expiry=reader.end_of_day(data, "tierExpiryDate", "tierExpiryDate")
        or reader.end_of_day(data, "scheduledDowngradeDate", "scheduledDowngradeDate"),
        tier_upgraded_ms=None if upgraded is None else at_ms,
    )
    if changed is not None:
        # What was known belongs to the tier before.
        found = {f"{prefix}.tier_name": None, f"{prefix}.tier_expiry": None, **found}
        found[f"{prefix}.points_to_next_tier"] = None
    if names:
        above = [tier for tier in names if tier > number]
        found[f"{prefix}.next_tier"] = names[min(above)] if above else None
    elif changed is not None:
        found[f"{prefix}.next_tier"] = None
    return found


def _expiration(reader: Reader, prefix: str, data: dict[str, Any]) -> dict[str, Any]:
    points = reader.number(data.get("pointsScheduledForExpiry"), "pointsScheduledForExpiry")
    day = reader.end_of_day(data, "scheduledExpiryDate", "scheduledExpiryDate")
    if points is None or day is None:
        return {}
    # Apart from the whole list of a look-up, which it must not shorten.
    return {f"{prefix}.expires_next": {"points": points, "date": day}}


def _of_group(reader: Reader, data: dict[str, Any]) -> bool:
    kind = inner(data, "entityInformation", "entityType")
    grouped = type(kind) is str and kind.strip().upper().startswith("USERGROUP")
    flag = data.get("isGroupRedemption")
    return grouped or (not nothing(flag) and bool(reader.flag(flag, "isGroupRedemption")))


def _said(prefix: str, **values: Any) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items() if value is not None}
