"""Closing a day: whether everything of it has its outcome, and which landing days the organisation's day is made of.

Belongs here: the verdict in one line, and days across zones. Does not belong here: the account (`balance.py`), working on a
day (`defs`).

Landing days are UTC days. A day of the organisation lies in one of them or in two, and is closed when they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from capillary_adobe.balance import Balance
from capillary_adobe.state import Outcome

_OPEN = (Outcome.PENDING, Outcome.FAILED)


@dataclass(frozen=True)
class Closing:
    """Whether a landing day is closed, in one line; `lossy` if something of it is missing or failed, and does not only wait."""

    closed: bool
    lossy: bool
    words: str


def judge(account: Balance, paused: str = "") -> Closing:
    """Judge a landing day by its account, which counts unread objects as well; `paused` tells that delivery is."""
    why: list[str] = []
    if account.unread_objects:
        why.append(f"{account.unread_objects} objects are unread")
    if not account.balanced:
        named = ", ".join(f"{name} {n}" for name, n in account.differences.items())
        why.append(f"the books differ by {account.difference} ({named})")
    why += _open("events", account.delivery) + _open("profiles", account.profile_delivery)
    if account.held:
        why.append(f"{sum(account.held.values())} of them are held for an operator")
    if why:
        why += [paused] if paused else []
        failed = account.delivery[Outcome.FAILED] + account.profile_delivery[Outcome.FAILED]
        lossy = bool(account.unread_objects or not account.balanced or failed)
        return Closing(closed=False, lossy=lossy, words=f"{account.day} is not closed: {'; '.join(why)}.")
    return Closing(closed=True, lossy=False, words=f"{account.day} is closed: {_came_to(account)}.")


def _open(kind: str, outcomes: dict[str, int]) -> list[str]:
    return [f"{outcomes[one]} {kind} are {one.value}" for one in _OPEN if outcomes[one]]


def _came_to(account: Balance) -> str:
    if not account.landed_lines:
        return "nothing has landed"
    aside = (
        ("duplicates", account.duplicates),
        ("ignored", sum(account.ignored.values())),
        ("quarantined", sum(account.quarantined.values())),
        ("rejected by AEP", account.delivery[Outcome.REJECTED]),
    )
    told = [f"{account.landed_lines} lines landed", f"{account.delivery[Outcome.ACCEPTED]} events accepted"]
    return ", ".join([*told, *(f"{n} {name}" for name, n in aside if n)])


def yesterday(now: datetime, zone: ZoneInfo) -> date:
    """The organisation's last whole day."""
    return now.astimezone(zone).date() - timedelta(days=1)


def landing_days_of(day: date, zone: ZoneInfo) -> list[str]:
    """The landing days in which a day of the organisation lies, in order."""
    begin = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC) - timedelta(microseconds=1)
    return sorted({begin.date().isoformat(), end.date().isoformat()})


def is_over(landing_day: str, now: datetime) -> bool:
    """Whether nothing can land in a landing day any more."""
    return landing_day < now.astimezone(UTC).date().isoformat()


def ended_within(landing_day: str, zone: ZoneInfo) -> date:
    """The last day of the organisation that is over when a landing day is."""
    end = datetime.combine(date.fromisoformat(landing_day) + timedelta(days=1), time(), UTC)
    return end.astimezone(zone).date() - timedelta(days=1)
