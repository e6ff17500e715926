"""Capillary's values: what counts as nothing, numbers, ids, epochs, dates.

Belongs here: one reading rule per kind of value, from the quirks of the published payloads
(docs.capillarytech.com/docs/event-schema-loyalty and its sister pages). Does not belong here: which field holds what.

Each reader returns None for nothing and raises `Unreadable` for something it cannot read; it never guesses.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

Edge = Literal["start", "end"]

_NOTHING = frozenset({"", "null"})
# Ten digits are seconds, thirteen milliseconds; both spans run from 2001 to 2286. Twelve digits and fewer are placeholders
# seen in the published samples (156474848484), fifteen and more are overflows (904788626831872).
_SECONDS = range(10**9, 10**10)
_MILLISECONDS = range(10**12, 10**13)
_LONG = range(-(2**63), 2**63)
_NUMERIC = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_JAVA_DATE = re.compile(r"\w{3} (\w{3}) (\d{2}) (\d{2}:\d{2}:\d{2}) (?:GMT|UTC) (\d{4})", re.ASCII)
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
)
_LANGUAGE = re.compile(
    r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?((?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*)",
    re.IGNORECASE | re.ASCII,
)
_PLAIN_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CLOCK_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(\.\d{1,6})?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)


class Unreadable(ValueError):
    """A value is there and cannot be read as what its field should hold. Its text never names the value."""


def nothing(value: Any) -> bool:
    """Whether a value says nothing: null, blank text, the text `null`, an empty object or list."""
    if value is None:
        return True
    if type(value) is str:
        return value.strip() in _NOTHING
    return type(value) in (dict, list) and not value


def text(value: Any) -> str | None:
    """Text without outer blanks; numbers become text."""
    if type(value) is str:
        stripped = value.strip()
        return None if stripped in _NOTHING else stripped
    if nothing(value):
        return None
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in (int, float):
        return str(number(value))
    raise Unreadable("expected text")


def number(value: Any) -> int | float | None:
    """A number or numeric text; whole numbers come back as int, so that 1, 1.0 and "1.000" are one value."""
    kind = type(value)
    if kind is int:
        if value not in _LONG:
            raise Unreadable("expected a number of at most 64 bits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise Unreadable("expected a finite number")
        return number(int(value)) if value.is_integer() else value
    if nothing(value):
        return None
    if kind is str and _NUMERIC.fullmatch(value.strip()):
        stripped = value.strip()
        return number(int(stripped)) if stripped.lstrip("+-").isdigit() else number(float(stripped))
    raise Unreadable("expected a number")


def integer(value: Any) -> int | None:
    """A whole number."""
    read = number(value)
    if type(read) is float:
        raise Unreadable("expected a whole number")
    return read  # type: ignore[return-value]


def identifier(value: Any) -> str | None:
    """An id as text. Capillary writes -1 for `none` in ids (`BillId`, `enteredBy.id`)."""
    read = text(value)
    return None if read == "-1" else read


def limit(value: Any) -> int | None:
    """A limit; -1 means there is none (`maxLimit`)."""
    read = integer(value)
    return None if read == -1 else read


def boolean(value: Any) -> bool | None:
    """True or false, also as text."""
    if type(value) is bool:
        return value
    if nothing(value):
        return None
    lowered = value.strip().lower() if type(value) is str else None
    if lowered in {"true", "false"}:
        return lowered == "true"
    raise Unreadable("expected true or false")


def currency(value: Any) -> str | None:
    """An ISO 4217 code."""
    read = text(value)
    if read is None or re.fullmatch(r"[A-Z]{3}", read.upper()):
        return read and read.upper()
    raise Unreadable("expected a three-letter currency code")


def day(value: Any) -> str | None:
    """A day without a time, `2026-01-31`; of a date with a time, its day as written."""
    read = text(value)
    if read is None:
        return None
    written = _CLOCK_DATE.fullmatch(read)
    head = written[1] if written else read
    try:
        if _PLAIN_DATE.fullmatch(head):
            return date.fromisoformat(head).isoformat()
    except ValueError as error:
        raise Unreadable("expected a date that exists") from error
    raise Unreadable("expected a date such as 2026-01-31")


def email(value: Any) -> str | None:
    """An e-mail address in lower case."""
    read = text(value)
    lowered = read.lower() if read else None
    if lowered is None or (len(lowered) <= 254 and lowered.find("@") <= 64 and _EMAIL.fullmatch(lowered)):
        return lowered
    raise Unreadable("expected an e-mail address")


def language(value: Any) -> str | None:
    """A BCP 47 tag in its usual spelling, such as `en-IN`; Java writes `en_IN`."""
    read = text(value)
    if read is None:
        return None
    parts = _LANGUAGE.fullmatch(read.replace("_", "-"))
    if parts is None:
        raise Unreadable("expected a language tag such as en-IN")
    tongue, script, region, variants = parts.groups()
    known = (tongue.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in known if part) + variants.lower()


def country(value: Any) -> str | None:
    """An ISO 3166-1 code of two letters."""
    read = text(value)
    if read is None or re.fullmatch(r"[A-Z]{2}", read.upper()):
        return read and read.upper()
    raise Unreadable("expected a country code of two letters")


def epoch_ms(value: Any) -> int | None:
    """Epoch milliseconds from milliseconds or seconds, as number, float or text."""
    read = number(value)
    if read is None:
        return None
    whole = int(read)
    if whole in _MILLISECONDS:
        return whole
    if whole in _SECONDS:
        return round(read * 1000)
    raise Unreadable("expected epoch seconds (10 digits) or milliseconds (13 digits)")


def utc(ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(ms, 1000)
    return f"{_utc_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=65536)
def _utc_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def moment(value: Any, zone: ZoneInfo, edge: Edge) -> str | None:
    """A moment as RFC 3339, from an epoch or a date text.

    A date without a time means the start or the end (23:59:59) of that day, a time without a zone the organisation's.
    """
    if type(value) is str:
        stripped = value.strip()
        if stripped in _NOTHING:
            return None
        if not _NUMERIC.fullmatch(stripped):
            return _moment_of_text(stripped, zone, edge)
    ms = epoch_ms(value)
    return None if ms is None else utc(ms)


@lru_cache(maxsize=65536)
def _moment_of_text(value: str, zone: ZoneInfo, edge: Edge) -> str:
    try:
        if _PLAIN_DATE.fullmatch(value):
            clock = time(0, 0, 0) if edge == "start" else time(23, 59, 59)
            return _rfc3339(datetime.combine(date.fromisoformat(value), clock, zone))
        if match := _CLOCK_DATE.fullmatch(value):
            day, clock, fraction, offset = match.groups()
            read = datetime.fromisoformat(f"{day}T{clock}{fraction or ''}{offset or ''}")
            return _rfc3339(read if offset else read.replace(tzinfo=zone))
        if match := _JAVA_DATE.fullmatch(value):
            month, day, clock, year = match.groups()
            read = datetime.strptime(f"{year} {month} {day} {clock}", "%Y %b %d %H:%M:%S")  # noqa: DTZ007
            return _rfc3339(read.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise Unreadable("expected a date that exists") from error
    raise Unreadable("expected a date such as 2026-01-31, or epoch milliseconds")


def _rfc3339(value: datetime) -> str:
    # Local mean time, in use until about 1900, is seconds away from UTC; RFC 3339 knows whole minutes only.
    if (value.utcoffset() or timedelta()) % timedelta(minutes=1):
        value = value.astimezone(UTC)
    written = value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    return f"{written[:-6]}Z" if written.endswith("+00:00") else written
