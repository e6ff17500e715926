"""Which landing days a day of the organisation lies in, and which are over."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from capillary_adobe.closing import ended_within, is_over, landing_days_of, yesterday


@pytest.mark.parametrize(
    ("name", "now", "day", "parts"),
    [
        ("UTC", "2026-11-20T04:30", date(2026, 11, 19), ["2026-11-19"]),
        ("Asia/Kolkata", "2026-11-20T04:30", date(2026, 11, 19), ["2026-11-18", "2026-11-19"]),
        ("America/New_York", "2026-11-20T04:30", date(2026, 11, 18), ["2026-11-18", "2026-11-19"]),
        ("America/New_York", "2026-11-20T06:00", date(2026, 11, 19), ["2026-11-19", "2026-11-20"]),
        ("Asia/Tokyo", "2026-11-20T04:30", date(2026, 11, 19), ["2026-11-18", "2026-11-19"]),
    ],
)
def test_a_day_lies_in_the_landing_days_that_its_zone_says(name: str, now: str, day: date, parts: list[str]) -> None:
    zone, moment = ZoneInfo(name), datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert yesterday(moment, zone) == day
    assert landing_days_of(day, zone) == parts
    assert ended_within(parts[-1], zone) == day
    assert [is_over(one, moment) for one in parts] == [one < "2026-11-20" for one in parts]
