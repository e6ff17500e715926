"""Cells: how numbers, ids, words, days and moments are read, in every spelling that exports have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.insights import cells
from capillary_adobe.capillary.insights.model import Context, RowRefused
from capillary_adobe_tests.examples import examples

quickly = settings(deadline=None, max_examples=examples(200), database=None)

KOLKATA, NEW_YORK = ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")
CONTEXT = Context(1, KOLKATA)
COMMA = replace(CONTEXT, decimal=",")
EUROPEAN = replace(CONTEXT, dates=("%d/%m/%Y", "%d-%b-%Y %H:%M:%S"))

READERS: dict[str, Callable[[str], Any]] = {
    "text": lambda written: cells.text({"cell": written}, "cell"),
    "number": lambda written: cells.number({"cell": written}, "cell", CONTEXT),
    "number with a comma": lambda written: cells.number({"cell": written}, "cell", COMMA),
    "identifier": lambda written: cells.identifier({"cell": written}, "cell"),
    "number_id": lambda written: cells.number_id({"cell": written}, "cell"),
    "word": lambda written: cells.word({"cell": written}, "cell", CONTEXT, "deduction_type"),
    "day": lambda written: cells.day({"cell": written}, "cell", EUROPEAN),
    "moment": lambda written: cells.moment({"cell": written}, "cell", EUROPEAN),
    "date and time": lambda written: cells.moment({"cell": "2026-01-31", "at": written}, "cell", EUROPEAN, "at"),
    "date with a time": lambda written: cells.moment({"cell": written, "at": "10:15"}, "cell", EUROPEAN, "at"),
}
JUNK = st.text(max_size=24) | st.text("-+0123456789.,:eE/ T", max_size=24)


def number(written: str, context: Context = CONTEXT) -> Decimal | None:
    return cells.number({"cell": written}, "cell", context)


def moment(written: str, context: Context = CONTEXT, at: str = "") -> int | None:
    return cells.moment({"cell": written, "at": at}, "cell", context, "at")


def ms(year: int, month: int, day: int, *clock: int, zone: Any = KOLKATA) -> int:
    return int(datetime(year, month, day, *clock, tzinfo=zone).timestamp() * 1000)


@quickly
@given(written=JUNK)
@pytest.mark.parametrize("reader", READERS)
def test_any_text_is_read_or_refused_and_never_repeated(reader: str, written: str) -> None:
    code, words = "bad_id", "cell"
    try:
        READERS[reader](written)
    except RowRefused as refused:
        code, words = refused.code, refused.detail
    assert code in cells.CELL_REASONS
    assert "cell" in words
    assert len(written.strip()) < 6 or written.strip() not in words


@pytest.mark.parametrize("reader", READERS)
def test_a_cell_that_is_not_there_or_blank_says_nothing(reader: str) -> None:
    if "time" not in reader:
        assert READERS[reader]("  ") is None
        assert READERS[reader]("NULL") is None
    assert cells.number({}, "cell", CONTEXT) is None
    assert cells.moment({}, "cell", CONTEXT) is None


@pytest.mark.parametrize("written", ["-", "--", "n/a", "NaN", "None", "\\N"])
def test_what_stands_for_nothing_in_warehouses_is_no_number_and_no_moment(written: str) -> None:
    assert number(written) is None
    assert moment(written) is None
    assert cells.identifier({"cell": written}, "cell") is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1234.50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("12,34,567.5", "1234567.5"),
        ("1 234 567", "1234567"),
        ("1\u00a0234.5", "1234.5"),
        ("-5", "-5"),
        ("+.25", "0.25"),
        ("7.", "7"),
        ("1.0E7", "10000000"),
        ("007", "7"),
    ],
)
def test_numbers_with_a_point(written: str, read: str) -> None:
    assert number(written) == Decimal(read)


@pytest.mark.parametrize(
    ("written", "read"), [("1.234,50", "1234.50"), ("0,5", "0.5"), ("1234", "1234"), ("-3,", "-3")]
)
def test_numbers_with_a_comma(written: str, read: str) -> None:
    assert number(written, COMMA) == Decimal(read)


@pytest.mark.parametrize("written", ["1,23", "1.234,50", "1,2345", "12.x", "1.2.3", ".", "1e999", "0x10", "٣"])
def test_what_could_be_another_number_is_refused(written: str) -> None:
    with pytest.raises(RowRefused) as refused:
        number(written)
    assert refused.value.code == "bad_number"
    assert "decimal" in refused.value.detail


@quickly
@given(value=st.decimals(min_value=-(10**15), max_value=10**15, places=3), grouped=st.booleans())
def test_a_number_is_read_exactly_however_it_is_grouped(value: Decimal, grouped: bool) -> None:
    written = f"{value:,f}" if grouped else f"{value:f}"
    assert number(written) == value
    assert number(written.translate(str.maketrans(",.", ".,")), COMMA) == value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("123", "123"),
        ("123.0", "123"),
        (" 987654321012345678 ", "987654321012345678"),
        ("a-1", "a-1"),
        ("0", None),
        ("-1", None),
    ],
)
def test_ids(written: str, read: str | None) -> None:
    assert cells.identifier({"cell": written}, "cell") == read


@pytest.mark.parametrize("written", ["1.23457E+17", "9,87654E+17", "1e18"])
def test_an_id_that_a_spreadsheet_has_rounded_is_refused(written: str) -> None:
    with pytest.raises(RowRefused, match="spreadsheet"):
        cells.identifier({"cell": written}, "cell")


@pytest.mark.parametrize("written", ["12.5", "abc", "9223372036854775808", "1" * 30, "-7", "1,234"])
def test_a_number_that_names_something_is_whole_and_of_at_most_64_bits(written: str) -> None:
    with pytest.raises(RowRefused) as refused:
        cells.number_id({"cell": written}, "cell")
    assert refused.value.code == "bad_id"


@quickly
@given(value=st.integers(1, 2**63 - 1), ending=st.sampled_from(["", ".0", ".000"]))
def test_an_id_loses_no_digit(value: int, ending: str) -> None:
    assert cells.number_id({"cell": f"{value}{ending}"}, "cell") == value


def test_a_word_is_found_however_it_is_spelt_and_the_organisations_own_comes_first() -> None:
    own = replace(CONTEXT, words={"deduction_type": {"returned": "cancelled", "einlösung": "redeemed"}})
    assert cells.word({"deduction_type": "Redemption_Reversal"}, "deduction_type", CONTEXT) == "redemption_reversal"
    assert cells.word({"deduction_type": "RETURNED "}, "deduction_type", CONTEXT) == "return"
    assert cells.word({"deduction_type": "Returned"}, "deduction_type", own) == "cancelled"
    assert cells.word({"deduction_type": "EINLÖSUNG"}, "deduction_type", own) == "redeemed"
    with pytest.raises(RowRefused, match="words, deduction_type") as refused:
        cells.word({"deduction_type": "gifted"}, "deduction_type", CONTEXT)
    assert refused.value.code == "unknown_word"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1767225600", 1_767_225_600_000),
        ("1767225600.25", 1_767_225_600_250),
        ("1767225600123", 1_767_225_600_123),
        ("2026-01-31T10:15:00+02:00", ms(2026, 1, 31, 13, 45)),
        ("2026-01-31T04:45:00Z", ms(2026, 1, 31, 10, 15)),
        ("2026-01-31 04:45:00.250 UTC", ms(2026, 1, 31, 10, 15) + 250),
        ("2026-01-31 10:15:00", ms(2026, 1, 31, 10, 15)),
        ("2026-01-31", ms(2026, 1, 31)),
        ("20260131", ms(2026, 1, 31)),
    ],
)
def test_moments(written: str, read: int) -> None:
    assert moment(written) == read


@pytest.mark.parametrize(
    ("written", "at", "read"),
    [
        ("2026-01-31", "10:15:07", ms(2026, 1, 31, 10, 15, 7)),
        ("2026-01-31", "10:15:07.250", ms(2026, 1, 31, 10, 15, 7) + 250),
        ("2026-01-31 00:00:00", "22:15", ms(2026, 1, 31, 22, 15)),
        # Midnight in any form is how databases write a day.
        ("2026-01-31 00:00", "22:15", ms(2026, 1, 31, 22, 15)),
        ("2026-01-31 00:00:00.000", "22:15", ms(2026, 1, 31, 22, 15)),
        ("2026-01-31T00:00:00.000Z", "22:15", ms(2026, 1, 31, 22, 15)),
        ("2026-01-31", "12:05 AM", ms(2026, 1, 31, 0, 5)),
        ("2026-01-31", "12:05:01 pm", ms(2026, 1, 31, 12, 5, 1)),
        ("2026-01-31", "2026-01-31 10:15:07", ms(2026, 1, 31, 10, 15, 7)),
        ("2026-01-31 09:00:00", "10:15", ms(2026, 1, 31, 9)),
        ("2026-01-31", "", ms(2026, 1, 31)),
    ],
)
def test_a_date_and_a_time_beside_it(written: str, at: str, read: int) -> None:
    assert moment(written, CONTEXT, at) == read


@pytest.mark.parametrize(
    ("written", "at"), [("2026-01-31", "25:00"), ("2026-01-31", "13:00 PM"), ("2026-02-31", "10:00")]
)
def test_a_time_or_date_that_is_none_is_refused(written: str, at: str) -> None:
    with pytest.raises(RowRefused) as refused:
        moment(written, CONTEXT, at)
    assert refused.value.code == "bad_moment"
    assert "dates" in refused.value.detail


def test_dates_of_the_organisations_forms() -> None:
    assert moment("31/01/2026", EUROPEAN) == ms(2026, 1, 31)
    assert moment("31/01/2026", EUROPEAN, "10:15") == ms(2026, 1, 31, 10, 15)
    assert moment("31-Jan-2026 10:15:07", EUROPEAN) == ms(2026, 1, 31, 10, 15, 7)
    with_times = replace(CONTEXT, dates=("%d/%m/%Y %H:%M:%S", "%m-%d-%Y %I:%M:%S %p"))
    assert moment("31/01/2026 00:00:00", with_times, "10:15") == ms(2026, 1, 31, 10, 15)
    assert moment("01-31-2026 12:00:00 AM", with_times, "10:15") == ms(2026, 1, 31, 10, 15)
    assert moment("31/01/2026 00:00:00", EUROPEAN, "10:15") == ms(2026, 1, 31, 10, 15)
    assert moment("31122026", replace(CONTEXT, dates=("%d%m%Y",))) == ms(2026, 12, 31)
    with pytest.raises(RowRefused):
        moment("31/01/2026")


@pytest.mark.parametrize("written", ["156474848484", "904788626831872", "1999-12-31", "0001-01-01", "9999-12-31"])
def test_a_moment_outside_of_the_years_that_the_road_takes_is_refused(written: str) -> None:
    with pytest.raises(RowRefused) as refused:
        moment(written)
    assert refused.value.code == "bad_moment"


def test_a_moment_that_the_clock_skips_or_tells_twice() -> None:
    york = replace(CONTEXT, zone=NEW_YORK)
    # On 2026-03-08 the clock goes from 02:00 to 03:00, on 2026-11-01 from 02:00 back to 01:00.
    assert moment("2026-03-08 02:30:00", york) == ms(2026, 3, 8, 7, 30, zone=UTC)
    assert moment("2026-11-01 01:30:00", york) == ms(2026, 11, 1, 5, 30, zone=UTC)


@quickly
@given(
    day=st.dates(date(2002, 1, 1), date(2199, 12, 31)),
    clock=st.times(),
    zone=st.sampled_from([KOLKATA, NEW_YORK, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Pacific/Apia")]),
)
def test_date_and_time_are_the_same_in_one_cell_in_two_and_as_an_epoch(day: date, clock: time, zone: ZoneInfo) -> None:
    context, clock = replace(EUROPEAN, zone=zone), clock.replace(microsecond=clock.microsecond // 1000 * 1000, fold=0)
    local = datetime.combine(day, clock, zone)
    whole = moment(f"{day.isoformat()} {clock.isoformat('milliseconds')}", context)
    assert whole == (local.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert moment(day.isoformat(), context, clock.isoformat("milliseconds")) == whole
    assert moment(f"{day:%d/%m/%Y}", context, clock.isoformat("milliseconds")) == whole
    assert moment(str(whole), context) == whole


@quickly
@given(day=st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_a_day_is_read_in_every_form(day: date) -> None:
    for written in (day.isoformat(), f"{day:%Y%m%d}", f"{day:%d/%m/%Y}", f"{day.isoformat()} 23:59:59"):
        assert cells.day({"cell": written}, "cell", EUROPEAN) == day


def test_the_day_of_a_moment_with_an_offset_is_that_of_the_organisation() -> None:
    assert cells.day({"cell": "2026-01-30T20:00:00Z"}, "cell", CONTEXT) == date(2026, 1, 31)
    assert cells.day({"cell": "1769797800"}, "cell", CONTEXT) == date(2026, 1, 31)
    assert cells.day_of(ms(2026, 1, 31, 0, 0, zone=KOLKATA), KOLKATA) == "2026-01-31"


def test_what_happened_is_told_by_one_column_or_by_two() -> None:
    assert cells.happened({"event_moment": "1769797800", "event_date": "2020-01-01"}, CONTEXT) == 1_769_797_800_000
    assert cells.happened({"event_date": "2026-01-31", "event_time": "10:15"}, CONTEXT) == ms(2026, 1, 31, 10, 15)
    assert cells.happened({"event_time": "10:15"}, CONTEXT) is None
