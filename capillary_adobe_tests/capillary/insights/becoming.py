"""Rows of exports by our column names, and what becomes of them.

Belongs here: building and calling. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from capillary_adobe.capillary.insights.becoming import events_of, facts_of, place_row
from capillary_adobe.capillary.insights.model import Context, Exported, Row, RowIgnored, RowRefused
from capillary_adobe.profiles.document import Facts
from capillary_adobe.settings import ProfileSettings

ORG = 50614
ZONE = ZoneInfo("Asia/Kolkata")
CONTEXT = Context(ORG, ZONE)
EXPORTED_MS = 1_772_400_000_000  # 2026-03-02 02:50 in the zone
PROFILES = ProfileSettings(default_program="973")

WHEN = {"event_date": "2026-03-01", "event_time": "15:30:00"}
WHEN_MS = 1_772_359_200_000
CUSTOMER = {"customer_id": 406247343, "mobile": "919800000001", "email": "a@example.com", "external_id": "x-1"}
PROGRAM = {"program_id": 973, "program_name": "Default"}
OUTLET = {
    "store_code": "st-1",
    "store_name": "Store",
    "store_external_id": "x1",
    "till_id": 5,
    "till_code": "t-1",
    "till_name": "Till",
}

Cells = Mapping[str, Any]


def row(cells: Cells, line: int = 2) -> Row:
    """A row as the reader of CSV hands it over: texts, without empty ones."""
    return Row(line, {name: str(value) for name, value in cells.items() if value not in (None, "")})


def rows(*cells: Cells) -> list[Row]:
    return [row(one, line) for line, one in enumerate(cells, start=2)]


def told(template: str, *cells: Cells, context: Context = CONTEXT) -> Exported:
    """The one event of rows that belong together, placed and grouped as an import does it."""
    found = rows(*cells)
    assert len({place_row(template, one, context) for one in found}) == 1
    (event,) = events_of(template, found, context)
    return event


def key(template: str, cells: Cells, context: Context = CONTEXT) -> str:
    return place_row(template, row(cells), context).key


def refusal(template: str, *cells: Cells, context: Context = CONTEXT) -> tuple[str, str]:
    """Code and words with which rows are refused, be it one by one or together."""
    with pytest.raises(RowRefused) as refused:
        told(template, *cells, context=context)
    return refused.value.code, refused.value.detail


def reason(template: str, *cells: Cells, context: Context = CONTEXT) -> str:
    """Why rows are ignored, be it one by one or together."""
    with pytest.raises(RowIgnored) as ignored:
        told(template, *cells, context=context)
    return ignored.value.reason


def facts(
    template: str,
    cells: Cells,
    settings: ProfileSettings = PROFILES,
    context: Context = CONTEXT,
    at_ms: int = EXPORTED_MS,
) -> list[Facts]:
    return facts_of(template, row(cells), at_ms, context, settings)


def with_words(**words: dict[str, str]) -> Context:
    return replace(CONTEXT, words=words)
