"""Cells: what the text of a cell says, as number, id, text, word, day or moment.

Belongs here: one reading rule per kind of cell. Does not belong here: which column holds what (`templates.yaml`), what a row
becomes (`becoming.py`).

Each reader returns None where the cell is not there or says nothing, and raises `RowRefused` where it cannot be read; it never
guesses. The text of such an error names the column, never the value.

* Numbers have the organisation's decimal sign (`Context.decimal`); groups of thousands, also of lakhs, are read.
* A moment without an offset is in the organisation's zone. One that the clock skips in spring is read as if it had not been
  set yet, one that comes twice in autumn is the first of the two. A day without a time begins at midnight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.insights.alike import alike
from capillary_adobe.capillary.insights.model import Context, RowRefused
from capillary_adobe.capillary.insights.templates import own_words

CELL_REASONS = ("bad_number", "bad_id", "bad_moment", "bad_date", "unknown_word")

Cells = Mapping[str, str]

_NOTHING = frozenset({"", "null", "\\n"})
# Of columns in which a dash, or one of these words, can be no value.
_NO_VALUE = _NOTHING | {"-", "--", "none", "nan", "na", "n/a", "nat"}
# Most cells are longer, and an import reads a dozen of each row several times.
_LONGEST_NOTHING = max(map(len, _NO_VALUE))
_BLANKS = re.compile(r"[\s\u00a0\u202f]")
_NUMBER = {
    ".": re.compile(r"([+-]?)(\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,30})?(\.\d{0,30})?(?:[eE]([+-]?\d{1,2}))?", re.ASCII),
    ",": re.compile(r"([+-]?)(\d{1,3}(?:\.\d{2,3})*\.\d{3}|\d{1,30})?(,\d{0,30})?(?:[eE]([+-]?\d{1,2}))?", re.ASCII),
}
_ID = re.compile(r"(\d{1,40})(?:\.0+)?", re.ASCII)
_LARGEST_ID = 2**63 - 1
_SURELY_64_BITS = 18
_EPOCH = re.compile(r"(\d{10}|\d{13})(\.\d{1,9})?", re.ASCII)
_COMPACT_DATE = re.compile(r"\d{8}", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp][Mm])?", re.ASCII)
_MIDNIGHT = " 00:00:00"
# As epoch milliseconds of thirteen digits, which is what the road takes: 2001 to 2286.
_MOMENTS = range(10**12, 10**13)
_YEARS = range(1900, 2200)


def text(cells: Cells, column: str) -> str | None:
    """Text without outer blanks."""
    found = cells.get(column)
    if found is None:
        return None
    stripped = found.strip()
    return None if len(stripped) <= _LONGEST_NOTHING and stripped.casefold() in _NOTHING else stripped


def number(cells: Cells, column: str, context: Context) -> Decimal | None:
    """A number, exactly as written."""
    written = _value(cells, column)
    return None if written is None else _number(written, context.decimal, column)


def identifier(cells: Cells, column: str) -> str | None:
    """An id as text; `123.0`, as spreadsheets write 123, is 123. Nothing are 0 and -1, which the warehouse writes for none."""
    written = _value(cells, column)
    if written is None:
        return None
    matched = _ID.fullmatch(written)
    plain = matched[1] if matched else written
    if plain in ("0", "-1"):
        return None
    if not matched and _is_damaged(written):
        raise RowRefused(
            "bad_id", f"{column} holds an id that a spreadsheet has rounded. Export it again and do not open it in one."
        )
    return plain


def number_id(cells: Cells, column: str) -> int | None:
    """An id that is a whole number of at most 64 bits, as those of customers and bills."""
    plain = cells.get(column)
    if plain is not None and len(plain) <= _SURELY_64_BITS and plain.isascii() and plain.isdigit():
        return int(plain) or None
    written = identifier(cells, column)
    if written is None:
        return None
    if not (written.isascii() and written.isdigit()) or int(written) > _LARGEST_ID:
        raise RowRefused("bad_id", f"{column} is no whole number of at most 64 bits.")
    return int(written) or None


def word(cells: Cells, column: str, context: Context, kind: str | None = None) -> str | None:
    """Our word for what a cell says; `kind` is the column of `words` where it is another."""
    written = text(cells, column)
    if written is None:
        return None
    name, plain = kind or column, alike(written)
    found = context.words.get(name, {}).get(plain) or own_words().get(name, {}).get(plain)
    if found is None:
        raise RowRefused(
            "unknown_word", f"{column} has a word that is not known. Add it to words, {name}, in the rules file."
        )
    return found


def day(cells: Cells, column: str, context: Context) -> date | None:
    """A calendar day; of a moment, its day in the organisation's zone."""
    written = _value(cells, column)
    if written is None:
        return None
    try:
        read = _date_or_moment(written, context.dates)
        if isinstance(read, datetime):
            read = (read.astimezone(context.zone) if read.tzinfo else read).date()
        elif isinstance(read, int):
            read = datetime.fromtimestamp(read / 1000, context.zone).date()
    except (ValueError, OverflowError) as error:
        raise RowRefused("bad_date", f"{column} {_NO_DATE}") from error
    if read.year not in _YEARS:
        raise RowRefused("bad_date", f"{column} lies outside of the years {_YEARS.start} to {_YEARS.stop - 1}.")
    return read


def moment(cells: Cells, column: str, context: Context, time_column: str | None = None) -> int | None:
    """A moment as epoch ms, from one column, or from a date and, where it is told, a time of day beside it."""
    written = _value(cells, column)
    if written is None:
        return None
    clock = _value(cells, time_column) if time_column is not None else None
    try:
        ms = (
            _moment(written, context.dates, context.zone)
            if clock is None
            else _joined(written, clock, context.dates, context.zone)
        )
    except (ValueError, OverflowError) as error:
        named = column if clock is None else f"{column} with {time_column}"
        raise RowRefused("bad_moment", f"{named} {_NO_DATE}") from error
    if ms not in _MOMENTS:
        raise RowRefused("bad_moment", f"{column} lies outside of the years 2001 to 2286.")
    return ms


def happened(cells: Cells, context: Context) -> int | None:
    """When a row's event happened, epoch ms: `event_moment`, else `event_date` with `event_time`."""
    whole = moment(cells, "event_moment", context)
    return moment(cells, "event_date", context, "event_time") if whole is None else whole


@lru_cache(maxsize=4096)
def day_of(ms: int, zone: ZoneInfo) -> str:
    """The day of a moment in a zone, `2026-01-31`."""
    return datetime.fromtimestamp(ms / 1000, zone).date().isoformat()


_NO_DATE = "is no date that is known. Name its form in the rules file, under form, dates."


def _value(cells: Cells, column: str) -> str | None:
    found = cells.get(column)
    if found is None:
        return None
    stripped = found.strip()
    return None if len(stripped) <= _LONGEST_NOTHING and stripped.casefold() in _NO_VALUE else stripped


@lru_cache(maxsize=65536)
def _number(written: str, decimal: str, column: str) -> Decimal:
    matched = _NUMBER[decimal].fullmatch(_BLANKS.sub("", written))
    if matched is None or (not matched[2] and len(matched[3] or "") < 2):
        raise RowRefused("bad_number", f"{column} is no number. {_DECIMAL_CURE[decimal]}")
    sign, whole, fraction, power = matched.groups()
    digits = re.sub(r"[.,]", "", whole or "0")
    return Decimal(f"{sign}{digits}.{(fraction or '')[1:]}e{power or 0}")


_DECIMAL_CURE = {
    ".": 'If fractions stand behind a comma, write decimal: "," under form in the rules file.',
    ",": 'If fractions stand behind a point, write decimal: "." under form in the rules file.',
}


def _is_damaged(written: str) -> bool:
    """Whether it is a number as spreadsheets shorten long ids, such as 1.23457E+17."""
    return re.fullmatch(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+", written, re.ASCII) is not None


@lru_cache(maxsize=65536)
def _joined(written: str, clock: str, dates: tuple[str, ...], zone: ZoneInfo) -> int:
    """A date and a time of day; a time that is a moment of its own, or a date that has a time already, counts alone.

    Midnight is no time here: databases write days so.
    """
    try:
        read = _date_or_moment(written, dates)
    except ValueError:
        read = _date_or_moment(written.removesuffix(_MIDNIGHT), dates)
    if isinstance(read, datetime) and read.time() == time():
        read = read.date()
    if not isinstance(read, date) or isinstance(read, datetime):
        return _moment(written, dates, zone)
    matched = _CLOCK.fullmatch(clock)
    return _ms(datetime.combine(read, _time(matched)), zone) if matched else _moment(clock, dates, zone)


def _time(matched: re.Match[str]) -> time:
    hour, minute, second, fraction, half = matched.groups()
    hours = int(hour)
    if half:
        if hours not in range(1, 13):
            raise ValueError("no such hour")
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    return time(hours, int(minute), int(second or 0), int(((fraction or "") + "000000")[:6]))


@lru_cache(maxsize=65536)
def _moment(written: str, dates: tuple[str, ...], zone: ZoneInfo) -> int:
    read = _date_or_moment(written, dates)
    if isinstance(read, int):
        return read
    return _ms(read if isinstance(read, datetime) else datetime.combine(read, time()), zone)


def _ms(read: datetime, zone: ZoneInfo) -> int:
    told = read if read.tzinfo else read.replace(tzinfo=zone, fold=0)
    seconds = int(told.replace(microsecond=0).timestamp())
    return seconds * 1000 + told.microsecond // 1000


@lru_cache(maxsize=65536)
def _date_or_moment(written: str, dates: tuple[str, ...]) -> date | datetime | int:
    """What a text says: a day, a moment with or without its offset, or epoch ms.

    Raises:
        ValueError: nothing of these.
    """
    if epoch := _EPOCH.fullmatch(written):
        whole, fraction = epoch.groups()
        if len(whole) == len("1700000000000"):
            return int(whole)
        return int(whole) * 1000 + int(((fraction or ".")[1:] + "000")[:3])
    is_compact = _COMPACT_DATE.fullmatch(written) is not None
    if is_compact or not written.isdigit():
        try:
            is_date = is_compact or len(written) == len("2026-01-31")
            return date.fromisoformat(written) if is_date else _iso(written)
        except ValueError:
            if not dates:
                raise
    return _by_forms(written, dates)


def _iso(written: str) -> datetime:
    # `2026-01-31 10:15:00 UTC`, as warehouses write it.
    plain = re.sub(r"\s*(UTC|GMT)$", "Z", written)
    return datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d)", "", plain))


def _by_forms(written: str, dates: tuple[str, ...]) -> date | datetime:
    for form in dates:
        try:
            read = datetime.strptime(written, form)  # noqa: DTZ007 - its zone is the organisation's, given later
        except ValueError:
            continue
        return read if _tells_time(form) else read.date()
    raise ValueError("no form fits")


@lru_cache
def _tells_time(form: str) -> bool:
    return any(part in form for part in ("%H", "%I", "%X", "%c", "%s"))
