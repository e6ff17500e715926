"""A customer's loyalty as Capillary's API tells it: programs, balances, tiers, what expires when.

Belongs here: rows of programs in the newer and the older API, which name the same fields alike. Does not belong here:
everything else of an answer (`facts_from_api.py`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from capillary_adobe.capillary.values import nothing, number
from capillary_adobe.profiles.reading import Reader, inner, objects

_NUMBERS: Final = {
    "points": ("loyaltyPoints", "loyalty_points"),
    "lifetime_points": ("lifetimePoints", "lifetime_points"),
    "redeemed": ("redeemed",),
    "expired": ("expired",),
    "returned": ("returned",),
    "adjusted": ("adjusted",),
    "promised": ("delayedPoints", "delayed_points"),
    "purchases": ("cumulativePurchases",),
}
_IDS: Final = ("programId", "program_id")
_OF_POINTS: Final = ("CURRENT_POINTS", "LIFETIME_POINTS")


class ProgramRows:
    """The programs of one answer.

    `summary` is what an answer tells of one program without naming it: it belongs to the default program of the settings,
    or to the only one there is; where there are several, they tell it themselves.
    """

    def __init__(self, reader: Reader, rows: Any, summary: Any, default_program: str | None) -> None:
        self._reader = reader
        known: dict[int, dict[str, Any]] = {}
        for row in objects(rows):
            program = reader.id(first(row, _IDS), "programId")
            if program is not None:
                known.setdefault(program, row)
        default = None if default_program is None else reader.id(default_program, "PROFILE_DEFAULT_PROGRAM")
        self._nameless = default or (next(iter(known)) if len(known) == 1 else None)
        if type(summary) is dict:
            named = reader.id(first(summary, _IDS), "programId") or self._nameless
            if named is not None:
                known.setdefault(named, summary)
            elif not known:
                reader.refuse("pointsSummary without a program")
        self._rows = known

    def fields(self, schedules: Any, strategies: Any) -> dict[str, Any]:
        """`program.<id>.…`; `schedules` and `strategies` are those beside the rows, or nothing."""
        found: dict[str, Any] = {}
        for program, row in self._rows.items():
            prefix = f"program.{program}"
            found |= {f"{prefix}.{name}": value for name, value in self._row(row).items()}
            gap = self._gap(_strategies(row) or (strategies if program == self._nameless else None))
            if gap is not None:
                found[f"{prefix}.points_to_next_tier"] = gap
        return found | self._expirations(schedules)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        reader = self._reader
        told = {
            "name": reader.text(first(row, ("programTitle", "program_title")), "programTitle"),
            **{name: reader.number(first(row, theirs), theirs[0]) for name, theirs in _NUMBERS.items()},
            "tier_number": reader.whole(row.get("slabSNo"), "slabSNo"),
            "tier_name": reader.text(first(row, ("currentSlab", "current_slab")), "currentSlab"),
            "tier_expiry": self._end(first(row, ("slabExpiryDate", "tier_expiry_date")), "slabExpiryDate"),
            "next_tier": reader.text(row.get("nextSlab"), "nextSlab"),
        }
        found = {name: value for name, value in told.items() if value is not None}
        if reader.whole(row.get("nextSlabSerialNumber"), "nextSlabSerialNumber") == -1:
            # The highest tier there is.
            found |= {"next_tier": None, "points_to_next_tier": None}
        return found

    def _gap(self, strategies: Any) -> int | float | None:
        for one in objects(strategies):
            based = first(one, ("upgradeBasedOn", "upgrade_based_on"))
            if type(based) is not str or based not in _OF_POINTS:
                continue
            values = first(one, ("customerUpgradeEntityValues", "customer_upgrade_entity_values"))
            for value in objects(values):
                gap = self._reader.number(first(value, ("gapToUpgrade", "gap_to_upgrade")), "gapToUpgrade")
                if gap is not None:
                    return gap
        return None

    def _expirations(self, schedules: Any) -> dict[str, Any]:
        if type(schedules) is not list:
            return {}
        path = "expirySchedules[]"
        sums: dict[int, dict[str, Decimal]] = {program: {} for program in self._rows}
        for one in objects(schedules):
            program = self._reader.id(first(one, _IDS), f"{path}.programId") or self._nameless
            points = self._reader.number(one.get("points"), f"{path}.points")
            day = self._end(first(one, ("expiryDate", "expiry_date")), f"{path}.expiryDate")
            if program is not None and points is not None and day is not None:
                days = sums.setdefault(program, {})
                days[day] = days.get(day, Decimal(0)) + Decimal(str(points))
        return {
            f"program.{program}.expirations": [
                {"points": number(str(points)), "date": day} for day, points in sorted(days.items())
            ]
            for program, days in sums.items()
        }

    def _end(self, value: Any, path: str) -> str | None:
        return self._reader.end_of_day({"date": value}, "date", path)


def first(holder: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of the names under which something stands; the older API spells some of them otherwise."""
    return next((holder[name] for name in names if not nothing(holder.get(name))), None)


def _strategies(row: dict[str, Any]) -> Any:
    told = first(row, ("upgradeStrategies", "gapToUpgrade", "gap_to_upgrade"))
    return inner(told, "upgrade_strategy") or told
