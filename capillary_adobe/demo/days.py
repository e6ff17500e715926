"""Days and moments as the fictional brand writes them.

Belongs here: from a day to the date texts and epoch milliseconds of payloads. Does not belong here: which day it is.

Days are proleptic ordinals (`date.toordinal`). The brand's zone is +05:30 without summer time, as in most published
samples; promotions run by UTC days.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NEVER = date(2124, 12, 31).toordinal()
"""The last day of what does not expire: a century ahead, as the vendor writes it."""

_EPOCH = date(1970, 1, 1).toordinal()
_ZONE_MS = 5 * HOUR_MS + HOUR_MS // 2


@lru_cache(maxsize=4096)
def iso(day: int) -> str:
    """`YYYY-MM-DD`."""
    return date.fromordinal(day).isoformat()


@lru_cache(maxsize=4096)
def java_text(day: int) -> str:
    """A date as Java prints it, which is how changed profile dates arrive."""
    return date.fromordinal(day).strftime("%a %b %d 00:00:00 GMT %Y")


def utc_start(day: int) -> int:
    """First millisecond of a UTC day."""
    return (day - _EPOCH) * DAY_MS


def utc_end(day: int) -> int:
    """Last full second of a UTC day."""
    return utc_start(day + 1) - 1000


def zone_start(day: int) -> int:
    """First millisecond of a day in the brand's zone."""
    return utc_start(day) - _ZONE_MS


def zone_end(day: int) -> int:
    """Last millisecond of a day in the brand's zone."""
    return zone_start(day + 1) - 1


@lru_cache(maxsize=4096)
def promotion_window(day: int) -> tuple[int, int]:
    """First and last day of the promotions that run on a day: from new year to the end of the next year."""
    year = date.fromordinal(day).year
    return date(year, 1, 1).toordinal(), date(year + 1, 12, 31).toordinal()
