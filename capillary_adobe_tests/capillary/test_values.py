"""Reading rules: what counts as nothing, and how numbers, ids, epochs and dates are read."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary import values
from capillary_adobe.capillary.values import Edge, Unreadable
from capillary_adobe_tests.examples import examples

quickly = settings(deadline=None, max_examples=examples(200), database=None)

KOLKATA, BERLIN, UTC_ZONE = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
DATE_TIME = jsonschema_rs.validator_for({"type": "string", "format": "date-time"}, validate_formats=True)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("null"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
READERS: list[Any] = [
    values.text,
    values.number,
    values.integer,
    values.identifier,
    values.limit,
    values.boolean,
    values.currency,
    values.epoch_ms,
    lambda value: values.moment(value, KOLKATA, "end"),
]


@quickly
@given(value=JSON_VALUES)
def test_a_reader_gives_a_value_nothing_or_unreadable_and_never_repeats_what_it_read(value: Any) -> None:
    for reader in READERS:
        try:
            read = reader(value)
        except Unreadable as told:
            read, words = None, str(told)
        else:
            words = ""
        assert len(str(value)) < 3 or str(value) not in words
        assert read is None or not values.nothing(read)
        assert not isinstance(read, float) or math.isfinite(read)


@pytest.mark.parametrize("nothing", [None, "", " ", "\t\n", "null", " null ", {}, []])
@pytest.mark.parametrize("reader", READERS)
def test_nothing_reads_as_none(reader: Any, nothing: Any) -> None:
    assert values.nothing(nothing)
    assert reader(nothing) is None


@pytest.mark.parametrize("something", [0, False, 0.0, "0", "NULL", "none", [None], {"a": None}, "-1", -1])
def test_zero_and_false_are_something(something: Any) -> None:
    assert not values.nothing(something)


@quickly
@given(value=st.text(max_size=12))
def test_text_loses_its_outer_blanks_only(value: str) -> None:
    stripped = value.strip()
    assert values.text(value) == (None if stripped in ("", "null") else stripped)


@pytest.mark.parametrize(("value", "read"), [(5, "5"), (5.0, "5"), (0.5, "0.5"), (True, "true"), (False, "false")])
def test_a_number_or_truth_value_becomes_text(value: Any, read: str) -> None:
    assert values.text(value) == read


@quickly
@given(whole=st.integers(-(2**53), 2**53))
def test_a_whole_number_is_one_value_however_it_is_written(whole: int) -> None:
    for written in (whole, float(whole), str(whole), f" {whole}.000 ", f"{Decimal(whole):E}"):
        read = values.number(written)
        assert (read, type(read)) == (whole, int)


@quickly
@given(value=st.decimals(-(10**9), 10**9, places=3))
def test_three_places_stay_as_they_are(value: Decimal) -> None:
    assert values.number(str(value)) == values.number(float(value)) == float(value)
    assert Decimal(repr(values.number(str(value)))) == value


@pytest.mark.parametrize(
    "value",
    [
        *(
            "abc",
            "5681***",
            "1,000",
            "0x1f",
            "1e",
            "--1",
            "1.",
            ".5",
            "٣٤",
            "²",
            "nan",
            "inf",
            "1 0",
            True,
            [1],
            {"a": 1},
        ),
        *(math.nan, math.inf, 2**63, -(2**63) - 1, 1e300, "1e300", "9" * 41, "1e999"),
    ],
)
def test_what_is_no_number_is_unreadable(value: Any) -> None:
    with pytest.raises(Unreadable):
        values.number(value)


@pytest.mark.parametrize(
    ("value", "read"), [(-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), ("1.73985783E12", 1739857830000)]
)
def test_numbers_of_64_bits_are_read(value: Any, read: int) -> None:
    assert values.number(value) == values.integer(value) == read


@pytest.mark.parametrize("value", [0.5, "0.5", "1e-3"])
def test_a_fraction_is_no_whole_number(value: Any) -> None:
    with pytest.raises(Unreadable, match="whole number"):
        values.integer(value)


@pytest.mark.parametrize("value", [-1, "-1", -1.0, " -1 "])
def test_minus_one_is_no_id_and_no_limit(value: Any) -> None:
    assert values.identifier(value) is None
    assert values.limit(value) is None
    assert values.number(value) == -1


@pytest.mark.parametrize(("value", "read"), [(84793759919, "84793759919"), ("007", "007"), (973.0, "973"), (0, "0")])
def test_an_id_is_text(value: Any, read: str) -> None:
    assert values.identifier(value) == read


@pytest.mark.parametrize(("value", "read"), [(True, True), ("TRUE", True), (" false ", False)])
def test_truth_values(value: Any, read: bool) -> None:
    assert values.boolean(value) is read
    for other in (1, 0, "yes", ["true"]):
        with pytest.raises(Unreadable):
            values.boolean(other)


@pytest.mark.parametrize(("value", "read"), [("INR", "INR"), (" inr ", "INR")])
def test_a_currency_has_three_letters(value: str, read: str) -> None:
    assert values.currency(value) == read
    for other in ("RS", "€", "ÄÖÜ", "RUPEE", 356):
        with pytest.raises(Unreadable):
            values.currency(other)


# Epochs.


@quickly
@given(ms=st.integers(10**12, 10**13 - 1))
def test_milliseconds_are_one_moment_however_they_are_written(ms: int) -> None:
    for written in (ms, float(ms), str(ms), f" {ms}.0 ", f"{Decimal(ms):E}"):
        assert values.epoch_ms(written) == ms


@quickly
@given(seconds=st.integers(10**9, 10**10 - 1), rest=st.integers(0, 999))
def test_seconds_are_scaled_without_losing_a_millisecond(seconds: int, rest: int) -> None:
    assert values.epoch_ms(seconds) == values.epoch_ms(str(seconds)) == seconds * 1000
    assert values.epoch_ms(f"{seconds}.{rest:03d}") == seconds * 1000 + rest


@quickly
@given(value=st.integers(-(2**62), 2**62).filter(lambda n: n not in range(10**9, 10**10)))
def test_other_magnitudes_are_no_epoch(value: int) -> None:
    if value not in range(10**12, 10**13):
        with pytest.raises(Unreadable, match="epoch"):
            values.epoch_ms(value)


@quickly
@given(ms=st.integers(10**12, 10**13 - 1))
def test_a_moment_is_rfc_3339_with_milliseconds(ms: int) -> None:
    written = values.utc(ms)
    assert written.endswith("Z")
    assert len(written) == 24
    assert datetime.fromisoformat(written) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert values.moment(ms, BERLIN, "start") == written


# Dates.


@pytest.mark.parametrize(
    ("value", "zone", "edge", "read"),
    [
        ("2026-01-31", KOLKATA, "end", "2026-01-31T23:59:59+05:30"),
        ("2026-01-31", KOLKATA, "start", "2026-01-31T00:00:00+05:30"),
        ("2026-01-31", UTC_ZONE, "end", "2026-01-31T23:59:59Z"),
        # Summer time begins on the last Sunday of March, at two in the morning.
        ("2026-03-28", BERLIN, "end", "2026-03-28T23:59:59+01:00"),
        ("2026-03-29", BERLIN, "start", "2026-03-29T00:00:00+01:00"),
        ("2026-03-29", BERLIN, "end", "2026-03-29T23:59:59+02:00"),
        ("2026-10-25", BERLIN, "start", "2026-10-25T00:00:00+02:00"),
        ("2026-10-25", BERLIN, "end", "2026-10-25T23:59:59+01:00"),
        ("2124-08-19", KOLKATA, "end", "2124-08-19T23:59:59+05:30"),
        ("2025-10-28 23:59:59", KOLKATA, "start", "2025-10-28T23:59:59+05:30"),
        ("2025-10-28 23:59:59.0", KOLKATA, "start", "2025-10-28T23:59:59+05:30"),
        ("2025-10-28T23:59:59.719", KOLKATA, "end", "2025-10-28T23:59:59.719+05:30"),
        ("2025-10-28T23:59:59+0530", BERLIN, "end", "2025-10-28T23:59:59+05:30"),
        ("2025-10-28T23:59:59-08:00", BERLIN, "end", "2025-10-28T23:59:59-08:00"),
        ("2025-10-28T23:59:59Z", BERLIN, "end", "2025-10-28T23:59:59Z"),
        ("Tue Mar 04 00:00:00 GMT 2025", BERLIN, "end", "2025-03-04T00:00:00Z"),
        (" 2026-01-31 ", KOLKATA, "end", "2026-01-31T23:59:59+05:30"),
        # Before railways had a common time, zones were seconds away from UTC.
        ("1890-01-01", BERLIN, "start", "1889-12-31T23:06:32Z"),
        (1693334444, KOLKATA, "end", "2023-08-29T18:40:44.000Z"),
        ("1762367399000", KOLKATA, "end", "2025-11-05T18:29:59.000Z"),
        (1720440349027.0, KOLKATA, "end", "2024-07-08T12:05:49.027Z"),
    ],
)
def test_moments(value: Any, zone: ZoneInfo, edge: Edge, read: str) -> None:
    assert values.moment(value, zone, edge) == read


@pytest.mark.parametrize(
    "value",
    [
        *("2026-02-30", "2026-13-01", "0000-01-01", "2026-01-31 25:00:00", "2026-01-31T10:00:00+99:99", "31.01.2026"),
        *("2026-01", "20260131", "Tue Foo 04 00:00:00 GMT 2025", "Tue Mar 04 00:00:00 IST 2025", "٢٠٢٦-01-31", "soon"),
        *(904788626831872, 156474848484, True, {"a": 1}, ["2026-01-31"]),
    ],
)
def test_what_is_no_moment_is_unreadable(value: Any) -> None:
    with pytest.raises(Unreadable):
        values.moment(value, KOLKATA, "end")


@quickly
@given(day=st.dates(), zone=st.sampled_from([KOLKATA, BERLIN, UTC_ZONE, ZoneInfo("America/St_Johns")]))
def test_every_date_becomes_a_valid_date_time_of_that_day(day: date, zone: ZoneInfo) -> None:
    edges: tuple[Edge, Edge] = ("start", "end")
    try:
        start, end = (values.moment(day.isoformat(), zone, edge) for edge in edges)
    except Unreadable:
        # The first and the last day of the calendar may lie beyond it in UTC.
        assert day.year in (1, 9999)
        return
    assert DATE_TIME.is_valid(start)
    assert DATE_TIME.is_valid(end)
    if day.year > 1:
        first, last = (datetime.fromisoformat(str(moment)).astimezone(zone) for moment in (start, end))
        assert first.date() == last.date() == day
        assert first <= last
