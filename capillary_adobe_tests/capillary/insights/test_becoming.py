"""What rows become: every template is answered for, and whatever the cells hold, a row is placed, refused or ignored."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.insights.becoming import events_of, facts_of, place_row, told_day
from capillary_adobe.capillary.insights.cells import CELL_REASONS
from capillary_adobe.capillary.insights.model import Exported, Placed, Row, RowIgnored, RowRefused
from capillary_adobe.capillary.insights.templates import own_words, templates
from capillary_adobe.profiles.document import packed
from capillary_adobe.reasons import IGNORED_REASONS, RAW_REASONS
from capillary_adobe_tests.capillary.insights.becoming import CONTEXT, EXPORTED_MS, PROFILES, WHEN, reason, row, rows
from capillary_adobe_tests.capillary.insights.lines import history_line
from capillary_adobe_tests.examples import examples

WORDS = sorted({word for column in own_words().values() for word in column})
# What cells hold, sound and not; sound ones often enough that rows get far.
CELLS = st.one_of(
    st.sampled_from(
        [
            *(
                "1",
                "7",
                "2",
                "0",
                "-1",
                "10.5",
                "-3",
                "1e5",
                "1e99",
                "9" * 18,
                "9" * 19,
                "1,000.25",
                "12***",
                "NA",
                "null",
            ),
            *(
                "2026-03-01",
                "0000-00-00",
                "1772359200000",
                "2026-03-01T10:00:00+05:30",
                "31.12.2026",
                "15:30:00",
                "25:00",
            ),
            *("1970-01-01", "9999-12-31", "Gold", "a@example.com", "\x00", "\ud7ff", "٣"),
        ]
    ),
    st.sampled_from(WORDS),
    st.text(max_size=12),
)
SOUND = {"customer_id": "7", "bill_id": "1", "bill_amount": "5", "event_date": "2026-03-01", "allocated_points": "3"}


@st.composite
def junk(draw: st.DrawFn) -> tuple[str, list[Row]]:
    """Rows of a template: its columns with anything in them, some of them as they should be."""
    name = draw(st.sampled_from(sorted(templates())))
    columns = sorted(templates()[name].columns)
    some = st.dictionaries(st.sampled_from(columns), CELLS, max_size=12)
    base = {column: SOUND[column] for column in columns if column in SOUND}
    told = draw(st.lists(some, min_size=1, max_size=3))
    kept = draw(st.booleans())
    return name, [Row(line, {**(base if kept else {}), **cells}) for line, cells in enumerate(told, 2)]


@settings(max_examples=examples(600), deadline=None)
@given(junk())
def test_whatever_the_cells_hold_rows_are_placed_refused_or_ignored(told: tuple[str, list[Row]]) -> None:
    template, found = told
    by_place: dict[Placed, list[Row]] = {}
    for one in found:
        day = told_day(template, one, CONTEXT)
        assert day is None or re.fullmatch(r"\d{4}-\d{2}-\d{2}", day)
        try:
            placed = place_row(template, one, CONTEXT)
        except (RowRefused, RowIgnored) as why:
            _insist_on_a_known_reason(why, one)
        else:
            assert placed.day == day
            assert placed.key.startswith(f"{template}|")
            by_place.setdefault(placed, []).append(one)
        try:
            for facts in facts_of(template, one, EXPORTED_MS, CONTEXT, PROFILES):
                packed(facts.document)
        except RowRefused as why:
            _insist_on_a_known_reason(why, one)
    for placed, some in by_place.items():
        try:
            (event,) = events_of(template, some, CONTEXT)
        except (RowRefused, RowIgnored) as why:
            _insist_on_a_known_reason(why, *some)
        else:
            _insist_on_a_line(event, template, placed, some)


def _insist_on_a_known_reason(why: RowRefused | RowIgnored, *found: Row) -> None:
    if isinstance(why, RowIgnored):
        assert why.reason in IGNORED_REASONS
        return
    assert why.code in RAW_REASONS
    assert why.code in CELL_REASONS or why.code in {
        "cell_missing",
        "rows_disagree",
        "customer_missing",
        "customer_masked",
    }
    # Long enough to be a customer's: shorter ones may be part of a word.
    values = {text for one in found for text in one.cells.values() if len(text) > 9 and any(map(str.isdigit, text))}
    assert not any(value in why.detail for value in values)


def _insist_on_a_line(event: Exported, template: str, placed: Placed, found: list[Row]) -> None:
    assert event.event_name in templates()[template].events
    assert event.key == placed.key
    assert event.lines == tuple(one.line for one in found)
    assert all(value >= 0 for name, value in event.totals.items() if name != "amount")
    line = orjson.loads(orjson.dumps(history_line(event, template)))
    assert not _empty(line["data"])


def _empty(value: Any) -> bool:
    """Whether there is a null, or an empty text, list or object within."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return not value or any(_empty(one) for one in inner)
    return value in (None, "")


def test_every_template_becomes_events_or_the_state_of_customers() -> None:
    for template in templates().values():
        cells = {"customer_id": 7, "victim_customer_id": 8, **WHEN}
        if template.events:
            with pytest.raises((RowRefused, RowIgnored)) as why:
                place_row(template.name, row({"customer_id": 7, "victim_customer_id": 7, **WHEN}), CONTEXT)
            assert getattr(why.value, "reason", "") != "customer_state"
        else:
            assert reason(template.name, cells) == "customer_state"


def test_a_refused_row_still_tells_its_day() -> None:
    broken, silent = rows({"customer_id": "x", **WHEN}, {"customer_id": 7})
    assert told_day("points", broken, CONTEXT) == "2026-03-01"
    assert told_day("points", silent, CONTEXT) is None


@pytest.mark.parametrize(
    ("clock", "day"), [("2026-03-01T23:59:59+05:30", "2026-03-01"), ("2026-03-01T18:30:00Z", "2026-03-02")]
)
def test_the_day_is_that_of_the_organisations_zone(clock: str, day: str) -> None:
    cells = {"customer_id": 7, "bill_id": 1, "bill_amount": 1, "event_moment": clock}
    assert place_row("transactions", row(cells), CONTEXT) == Placed(day, "transactions|1")
