"""What is taken for a value of a customer, and the account of what is not."""

from __future__ import annotations

from datetime import date

import pytest

from capillary_adobe.profiles.reading import Reader, is_masked, is_placeholder
from capillary_adobe_tests.profiles.events import INDIA


@pytest.mark.parametrize(
    "value", ["12***", "XXXX", "xxxx1234", "j***@example.com", "•••", "***", "*", "#", "###1", "XXX"]
)
def test_a_masked_value_is_known_as_one_everywhere(value: str) -> None:
    assert is_masked(value)
    assert is_masked(value, of_person=value != "#")


@pytest.mark.parametrize("value", ["J*", "j*@example.com", "5*"])
def test_one_asterisk_masks_a_person_and_no_text(value: str) -> None:
    assert is_masked(value, of_person=True)
    assert not is_masked(value)


@pytest.mark.parametrize("value", ["Foxx", "XXL", "Xavier", "xx", "a 5* hotel", "N° 1", "#1 fan", "Max X. Roe"])
def test_what_only_looks_like_a_mask_is_taken(value: str) -> None:
    assert not is_masked(value)


@pytest.mark.parametrize("value", ["null", " NULL ", "N/A", "undefined", "NaN", "none", "-", "--", "(null)"])
def test_a_placeholder_is_no_value_and_no_fault(value: str) -> None:
    reader = Reader(INDIA)
    assert is_placeholder(value)
    assert [reader.text(value, "t"), reader.of_person(value, "p"), reader.number(value, "n")] == [None] * 3
    assert (reader.masked, reader.unreadable) == (0, [])


@pytest.mark.parametrize("value", ["Na", "No", "NA", "A", "0"])
def test_a_short_word_may_be_somebodys(value: str) -> None:
    assert Reader(INDIA).of_person(value, "p") == value


def test_masked_numbers_dates_and_flags_are_masked_and_not_unreadable() -> None:
    reader = Reader(INDIA)
    today = date(2026, 1, 1)
    assert reader.number("5*", "n") is reader.whole("5681***", "w") is reader.id("7*", "i") is None
    assert reader.epoch("2026-**-**", "e") is reader.birthday("19**-01-01", "b", today) is reader.flag("*", "f") is None
    assert (reader.masked, reader.unreadable) == (6, [])


@pytest.mark.parametrize(
    "value", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+05:30", 10**13 - 1, -(2**63), 1e300, [], [1]]
)
def test_a_moment_beyond_the_calendar_raises_nothing(value: object) -> None:
    reader = Reader(INDIA)
    assert reader.birthday(value, "b", date(2026, 1, 1)) is None
    reader.epoch(value, "e")
    reader.end_of_day({"day": value}, "day", "d")


def test_a_twin_in_milliseconds_is_exact_and_one_that_cannot_be_read_leaves_the_date() -> None:
    reader = Reader(INDIA)
    assert reader.end_of_day({"d": "2026-01-31", "dInMillis": 1769884199999}, "d", "d") == "2026-01-31T18:29:59.999Z"
    assert reader.end_of_day({"d": "2026-01-31", "dInMillis": 156474848484}, "d", "d") == "2026-01-31T23:59:59+05:30"
    assert reader.unreadable == ["d"]


@pytest.mark.parametrize("value", [-1, 0, "-1", "0", "", None])
def test_an_id_that_is_none_is_none(value: object) -> None:
    reader = Reader(INDIA)
    assert reader.id(value, "i") is None
    assert reader.unreadable == []
