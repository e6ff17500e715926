"""Reading a customer's values out of what Capillary sends: cleaned, typed, and nothing that is masked or a placeholder.

Belongs here: what is taken for a value, and the account of what is not. Does not belong here: which field holds what
(`facts_from_events.py`, `facts_from_api.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.values import Unreadable, boolean, identifier, integer, moment, number, text
from capillary_adobe.profiles.document import Facts

# Asterisks or their like in any name, contact or id; in free text only several of them.
_MASKED = re.compile(r"[*•●]{2,}|#{3,}|x{4,}|\A[x*•●#]*[*•●#][x*•●# .@+-]*\Z|\Axxx\Z", re.IGNORECASE)
_MASKED_ID = re.compile(r"[*•●]|#{3,}|x{4,}|\Axxx\Z", re.IGNORECASE)
# What forms and systems write for nothing. Short words that may be somebody's name or a country (`Na`, `No`) are not here.
_PLACEHOLDERS = frozenset(
    {"null", "(null)", "<null>", "undefined", "nan", "n/a", "#n/a", "none", "nil", "-", "--", "."}
)
_JAVA_DAY = re.compile(r"\w{3} (\w{3}) (\d{2}) \d{2}:\d{2}:\d{2} \w{3,5} (\d{4})", re.ASCII)
_OLDEST = date(1900, 1, 2)
"""Nobody is older; 1900-01-01 and what lies before it stand for an unknown birthday."""


class Read(NamedTuple):
    """The facts of one event or answer; how many values were masked; which fields held something unreadable (paths)."""

    facts: list[Facts]
    masked: int
    unreadable: list[str]


def is_masked(value: str, *, of_person: bool = False) -> bool:
    """Whether Capillary hides the value from whoever asked; `of_person` for names, contacts, ids and cards."""
    return bool((_MASKED_ID if of_person else _MASKED).search(value))


def is_placeholder(value: str) -> bool:
    """Whether a text says that there is no value."""
    return value.strip().lower() in _PLACEHOLDERS


class Reader:
    """Reads the values of one event or answer, and keeps account of those that it did not take.

    Every method returns None for what says nothing, is masked, is a placeholder or cannot be read; it never raises.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.masked = 0
        self._unreadable: dict[str, None] = {}

    @property
    def unreadable(self) -> list[str]:
        """Paths of the fields that held something unreadable, each once."""
        return list(self._unreadable)

    def refuse(self, path: str) -> None:
        """Note that a field holds something unreadable."""
        self._unreadable[path] = None

    def text(self, value: Any, path: str) -> str | None:
        """Free text."""
        return self._take(text, value, path)

    def of_person(self, value: Any, path: str) -> str | None:
        """A name, a contact, an id or a card of a person."""
        return self._take(identifier, value, path, of_person=True)

    def number(self, value: Any, path: str) -> int | float | None:
        """Points or money."""
        return self._take(number, value, path)

    def whole(self, value: Any, path: str) -> int | None:
        """A count or a serial number."""
        return self._take(integer, value, path)

    def id(self, value: Any, path: str) -> int | None:
        """An id of Capillary's own: a whole number above nought."""
        read = self._take(integer, value, path)
        if read is not None and read <= 0:
            # -1 and 0 say that there is none.
            return None
        return read

    def flag(self, value: Any, path: str) -> bool | None:
        """True or false."""
        return self._take(boolean, value, path)

    def epoch(self, value: Any, path: str) -> int | None:
        """Epoch milliseconds, from an epoch or a date text."""
        return self._take(lambda found: _epoch(found, self._zone), value, path)

    def end_of_day(self, holder: dict[str, Any], name: str, path: str) -> str | None:
        """A last day of something as RFC 3339: its twin in milliseconds where there is one, else the end of the day."""
        exact = self._take(lambda found: moment(found, self._zone, "end"), holder.get(f"{name}InMillis"), path)
        return exact or self._take(lambda found: moment(found, self._zone, "end"), holder.get(name), path)

    def birthday(self, value: Any, path: str, not_after: date) -> str | None:
        """A day of birth as YYYY-MM-DD, as it is written, whatever the zone."""
        return self._take(lambda found: _birthday(found, self._zone, not_after), value, path)

    def _take(self, reader: Callable[[Any], Any], value: Any, path: str, *, of_person: bool = False) -> Any:
        if type(value) is str:
            if is_masked(value, of_person=of_person or reader is not text):
                self.masked += 1
                return None
            if is_placeholder(value):
                return None
        try:
            return reader(value)
        except (Unreadable, OverflowError):
            self.refuse(path)
            return None


def _epoch(value: Any, zone: ZoneInfo) -> int | None:
    read = moment(value, zone, "start")
    return None if read is None else int(datetime.fromisoformat(read).timestamp() * 1000)


def _birthday(value: Any, zone: ZoneInfo, not_after: date) -> str | None:
    if type(value) is str and (match := _JAVA_DAY.fullmatch(value.strip())):
        try:
            day = datetime.strptime(" ".join(match.groups()), "%b %d %Y").date()  # noqa: DTZ007
        except ValueError as error:
            raise Unreadable("expected a date that exists") from error
    else:
        read = moment(value, zone, "start")
        if read is None:
            return None
        day = _day_of(datetime.fromisoformat(read), zone)
    if not _OLDEST <= day <= not_after:
        raise Unreadable("expected a day on which a living person can be born")
    return day.isoformat()


def _day_of(read: datetime, zone: ZoneInfo) -> date:
    """The day that a moment means: the one that begins then, as it is written or at the organisation's."""
    there = read.astimezone(zone)
    return there.date() if read.time() != time() and there.time() == time() else read.date()


def day_after(ms: int) -> date:
    """The last day on which it is `ms` somewhere on earth."""
    return (datetime.fromtimestamp(ms / 1000, UTC) + timedelta(hours=14)).date()


def pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    """Names and values of an organisation's own fields: a list of {key or name, value}, or an object of them."""
    if type(value) is dict:
        yield from value.items()
    elif type(value) is list:
        for one in value:
            if type(one) is dict:
                yield one.get("key", one.get("name")), one.get("value")


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; an object alone stands for a list of one, as the older API writes it."""
    for one in value if type(value) is list else [value]:
        if type(one) is dict:
            yield one


def inner(value: Any, *names: str) -> Any:
    """What stands under a path of names, or None."""
    for name in names:
        value = value.get(name) if type(value) is dict else None
    return value
