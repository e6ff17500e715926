"""What history covers: days without events, and how exports and webhooks overlap and meet at the watermark."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe import history_coverage
from capillary_adobe.history_coverage import (
    Coverage,
    Overlap,
    coverage,
    coverage_by_type,
    days_with_events,
    overlap_of_day,
)
from capillary_adobe.state.history_files import FileDay
from capillary_adobe_tests.history_days import DAY, VERSION, HistoryDay, key_of

ZONE = ZoneInfo("Asia/Kolkata")
ISSUED = "pointsIssued"
NEXT = "2025-03-11"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# The end of DAY in the organisation's zone.
MARK = ms("2025-03-11T00:00:00+05:30")


@pytest.fixture
def day(tmp_path: Path) -> HistoryDay:
    return HistoryDay(tmp_path)


def overlap(day: HistoryDay, marks: dict[str, int] | None = None, of: str = DAY) -> dict[str, Overlap]:
    day.write()
    return overlap_of_day(of, day.lake, day.files, (marks or {}).get, ZONE)


def exported(day: HistoryDay, number: int, moment: str, of: str = DAY) -> None:
    day.raw(ISSUED, key_of(f"h{number}"), ("h", number), day=of, created_ms=ms(moment), envelope="H")


def posted(day: HistoryDay, number: int, moment: str, of: str = NEXT) -> None:
    day.raw(ISSUED, key_of(f"l{number}"), ("l", number), day=of, created_ms=ms(moment), envelope="A", lane="live")


def noted(day: HistoryDay, *days: str) -> None:
    day.note(*(FileDay(VERSION, "points", one, 1, 1, 1, by_event_type={ISSUED: 1}) for one in days))


def test_days_between_the_first_and_the_last_that_have_no_event_are_missing() -> None:
    assert coverage({"2025-02-27", "2025-03-02", "2025-03-03"}) == Coverage(
        "2025-02-27", "2025-03-03", 3, ["2025-02-28", "2025-03-01"]
    )
    assert coverage(set()) == Coverage()


@given(st.sets(st.integers(0, 400), min_size=1, max_size=60))
def test_every_day_of_the_span_is_there_or_missing(numbers: set[int]) -> None:
    days = {(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in numbers}
    found = coverage(days)
    assert days.isdisjoint(found.missing)
    assert found.days + len(found.missing) == max(numbers) - min(numbers) + 1


def test_types_that_happen_on_most_days_are_missed_on_the_others() -> None:
    days = [FileDay("1", "points", f"2025-03-{n:02}", 1, by_event_type={ISSUED: 1}) for n in range(1, 11) if n != 4]
    days += [FileDay("2", "merges", f"2025-03-{n:02}", 1, by_event_type={"loyaltyCustomerMerge": 1}) for n in (1, 9)]
    days += [FileDay("2", "members", "", ignored={"customer_state": 3}), FileDay("2", "points", "2025-04-01", 0, 0, 1)]
    found = coverage_by_type(days)
    assert (found[ISSUED].missing, found[ISSUED].daily) == (["2025-03-04"], True)
    assert not found["loyaltyCustomerMerge"].daily
    # A day that holds refused rows alone is none with events.
    assert max(days_with_events(days)) == "2025-03-10"
    assert len(days_with_events(days)) == 9


def test_what_the_watermark_cut_is_counted_on_either_side(day: HistoryDay) -> None:
    for number, (lane, reason) in enumerate(
        [("history", "live_covers"), ("live", "history_covers"), ("live", "history_covers"), ("history", "no_person")]
    ):
        day.aside(ISSUED, None, ("o", number), "ignored", reason, lane=lane)
    assert overlap(day) == {ISSUED: Overlap(history_ignored=1, live_ignored=2)}


def test_repeats_count_where_the_other_lane_told_first_on_whatever_day(day: HistoryDay) -> None:
    bill = "transactionAdded"
    # The webhook first, on the day itself and before; the export first; and a repeat within one lane.
    day.raw(bill, key_of("1"), ("l", 1), lane="live")
    day.aside(bill, key_of("1"), ("h", 1), "duplicate", DAY)
    day.raw(bill, key_of("2"), ("l", 2), lane="live", day="2025-03-09")
    day.aside(bill, key_of("2"), ("h", 2), "duplicate", "2025-03-09")
    day.raw(bill, key_of("3"), ("h", 3))
    day.aside(bill, key_of("3"), ("l", 3), "duplicate", DAY, lane="live")
    day.raw(bill, key_of("4"), ("h", 4))
    day.aside(bill, key_of("4"), ("h", 5), "duplicate", DAY)
    assert overlap(day) == {bill: Overlap(history_repeats_live=2, live_repeats_history=1)}


def test_what_memory_cannot_hold_needs_no_room_where_the_program_was_started(
    day: HistoryDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where DuckDB would make a folder of this name, if it were not told of another place.
    (tmp_path / ".tmp").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(history_coverage, "_MEMORY", "6MB")
    count = 60_000
    for number in range(count):
        day.aside(ISSUED, key_of(str(number)), ("l", number), "ignored", "history_covers", lane="live")
    assert overlap(day) == {ISSUED: Overlap(live_ignored=count)}


def test_events_of_both_sources_on_one_side_are_found(day: HistoryDay) -> None:
    noted(day, DAY)
    exported(day, 1, "2025-03-10T10:00:00+05:30")
    exported(day, 2, "2025-03-10T20:00:00+05:30")
    posted(day, 1, "2025-03-11T00:10:00+05:30", DAY)
    assert overlap(day, {ISSUED: MARK})[ISSUED].both_deliver == 0
    # The webhook's events of an afternoon that is history's now, delivered before the watermark was moved.
    posted(day, 2, "2025-03-10T15:00:00+05:30", DAY)
    posted(day, 3, "2025-03-10T15:00:00+05:30", NEXT)
    assert overlap(day, {ISSUED: MARK})[ISSUED].both_deliver == 2
    # An event of history beyond the watermark, where the webhook tells of them.
    assert overlap(day, {ISSUED: ms("2025-03-10T12:00:00+05:30")})[ISSUED].both_deliver == 1


def test_a_type_without_a_watermark_is_never_on_a_wrong_side(day: HistoryDay) -> None:
    noted(day, DAY)
    exported(day, 1, "2025-03-10T10:00:00+05:30")
    posted(day, 1, "2025-03-10T10:00:00+05:30", DAY)
    assert overlap(day) == {}


def test_the_gap_at_the_watermark_is_measured_on_the_last_day_of_history(day: HistoryDay) -> None:
    noted(day, "2025-03-09", DAY)
    exported(day, 1, "2025-03-10T18:00:00+05:30")
    exported(day, 2, "2025-03-09T18:00:00+05:30", "2025-03-09")
    posted(day, 1, "2025-03-13T06:00:00+05:30", "2025-03-13")
    posted(day, 2, "2025-03-14T06:00:00+05:30", "2025-03-14")
    assert overlap(day, {ISSUED: MARK})[ISSUED].gap_hours == 60.0
    # The day before is not the last one.
    assert overlap(day, {ISSUED: MARK}, "2025-03-09") == {}
    # A day further on is history, too, if the watermark lies behind it.
    noted(day, "2025-03-09", DAY, NEXT)
    assert overlap(day, {ISSUED: MARK + 86_400_000}) == {}


def test_a_gap_is_unknown_while_no_webhook_event_lies_behind_the_watermark(day: HistoryDay) -> None:
    noted(day, DAY)
    exported(day, 1, "2025-03-10T18:00:00+05:30")
    assert overlap(day, {ISSUED: MARK}) == {ISSUED: Overlap()}
    assert datetime.fromtimestamp(MARK / 1000, UTC).date().isoformat() == DAY
