"""Progress of a backfill: the standing of each day, the rate of the last hour, and an end only where it can be told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.backfill_progress import STANDINGS, BackfillProgress, expected_end, progress
from capillary_adobe.cli_backfill import told
from capillary_adobe.state import HistoryDays, HistoryFile, HistoryFiles, SentBatch, SentBatches, State
from capillary_adobe_tests.examples import examples

NOON_MS = 1_764_158_400_000  # 2025-11-26 12:00 UTC
MINUTE_MS = 60_000


class Story:
    """A state database and a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.state = State(f"sqlite:///{folder}/state.db")
        self.now_ms = NOON_MS
        self.days = HistoryDays(self.state, lambda: self.now_ms / 1000)

    def imported(self, number: int, events: int = 600) -> list[str]:
        """So many days from 2025-01-01 on."""
        days = [f"2025-01-{place + 1:02d}" for place in range(number)]
        self.days.imported((day, events) for day in days)
        return days

    def worked_on(self, days: list[str], minutes: int) -> None:
        """A run begins the days and is through with them after so long."""
        for day in days:
            self.days.begin(day, "run")
        self.now_ms += minutes * MINUTE_MS
        for day in days:
            self.days.finish(day)

    @property
    def progress(self) -> BackfillProgress:
        """Where it stands now."""
        return progress(self.state, self.now_ms)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    told = Story(tmp_path)
    yield told
    told.state.engine.dispose()


def test_nothing_is_imported(story: Story) -> None:
    found = story.progress
    assert (found.days, found.days_left, found.first_day) == (dict.fromkeys(STANDINGS, 0), 0, None)
    assert expected_end(found) == "unknown: no day of history is imported"


def test_days_wait_and_nobody_works_on_them(story: Story) -> None:
    story.imported(3)
    found = story.progress
    assert (found.days["waiting"], found.events, found.events_left) == (3, 1800, 1800)
    assert expected_end(found) == "unknown: no run is at work on the days that wait; launch the backfill"


def test_what_waits_of_a_day_that_is_not_over_waits_for_its_end(story: Story) -> None:
    story.worked_on(story.imported(1), minutes=1)
    story.days.imported([("2025-11-26", 0)])
    assert story.progress.waiting == ["2025-11-26"]
    assert "still filling; launch the backfill when it is over" in expected_end(story.progress)


def test_as_long_as_no_day_came_through_the_end_is_unknown(story: Story) -> None:
    first, *_ = story.imported(3)
    story.days.begin(first, "run")
    found = story.progress
    assert (found.running, found.events_per_second) == ([first], None)
    assert "no day with events came through within the last hour" in expected_end(found)


def test_the_end_follows_from_the_rate_of_the_last_hour(story: Story) -> None:
    days = story.imported(10)
    story.worked_on(days[:2], minutes=10)
    story.days.begin(days[2], "run")
    found = story.progress
    # 1,200 events in ten minutes, 4,800 are left.
    assert (found.events_per_second, found.events_done, found.events_left) == (2.0, 1200, 4800)
    assert found.expected_end_ms == NOON_MS + 50 * MINUTE_MS
    assert expected_end(found) == "2025-11-26 12:50 UTC, if it goes on as in the last hour"


def test_what_came_through_long_ago_tells_nothing_of_the_rate(story: Story) -> None:
    days = story.imported(4)
    story.worked_on(days[:2], minutes=1)
    story.now_ms += 61 * MINUTE_MS
    story.days.begin(days[2], "run")
    assert (story.progress.events_per_second, story.progress.expected_end_ms) == (None, None)


def test_a_day_that_took_longer_than_an_hour_counts_by_the_hour(story: Story) -> None:
    days = story.imported(2, events=7200)
    story.worked_on(days[:1], minutes=120)
    assert story.progress.events_per_second == 2.0


def test_failed_days_are_listed_with_their_cause_and_are_no_part_of_the_end(story: Story) -> None:
    first, second = story.imported(2)
    story.worked_on([first], minutes=1)
    story.days.begin(second, "run")
    story.days.fail(second, "The 90 batches of today are used.")
    found = story.progress
    assert (found.days["failed"], found.days_left, found.events_left) == (1, 1, 0)
    assert [(one.day, one.cause, one.attempts) for one in found.failed] == [
        (second, "The 90 batches of today are used.", 1)
    ]
    assert "the 1 that failed" in expected_end(found)


def test_what_is_imported_anew_waits_again(story: Story) -> None:
    days = story.imported(2)
    story.worked_on(days, minutes=1)
    assert expected_end(story.progress) == "unknown: every imported day is through"
    story.now_ms += MINUTE_MS
    story.days.imported([(days[0], 700)])
    assert (story.progress.days["waiting"], story.progress.days["done"]) == (1, 1)


def test_a_day_that_is_sent_waits_for_aep_and_for_no_run(story: Story) -> None:
    first, second, third = story.imported(3)
    for day in (first, second, third):
        story.days.begin(day, "run")
    register = SentBatches(story.state)
    complete, filling = SentBatch("a", first, "t", NOON_MS), SentBatch("b", third, "t", NOON_MS)
    for batch in (complete, filling):
        register.begin(batch)
        register.join(batch, second)
    register.update("a", completed_ms=NOON_MS)
    found = story.progress
    # The second day has files in a batch that is still being filled.
    assert (found.days["at_aep"], found.running) == (1, [second, third])
    register.update("b", completed_ms=NOON_MS)
    assert expected_end(story.progress) == "unknown: every day is sent; AEP's verdict on their batches is awaited"


def test_files_are_counted_by_how_far_they_are(story: Story) -> None:
    files = HistoryFiles(story.state, lambda: story.now_ms / 1000)
    for version in ("a", "b", "c"):
        files.begin(HistoryFile(version, f"{version}.csv", "/exports", 10, NOON_MS))
    files.finish("a", 42, [])
    files.fail("b", "The zip is damaged.")
    found = story.progress
    assert (found.files, found.files_done, found.files_failed, found.file_rows) == (3, 1, 1, 42)


def test_a_file_whose_import_failed_only_when_it_was_repeated_is_imported(story: Story) -> None:
    files = HistoryFiles(story.state, lambda: story.now_ms / 1000)
    for version in ("a", "b"):
        files.begin(HistoryFile(version, f"{version}.csv", "/exports", 10, NOON_MS))
    files.finish("a", 42, [])
    # Such as with --again under other rules: what landed before stands, and nothing was written.
    files.begin(HistoryFile("a", "a.csv", "/exports", 10, NOON_MS))
    files.fail("a", "An import of this file under other rules has landed objects that differ.")
    found = story.progress
    assert (found.files, found.files_done, found.files_failed) == (2, 1, 0)
    assert "Files imported: 1 with 42 rows, 1 under way" in told(found)
    # It had begun to write when it stopped.
    files.land("a", "digest")
    files.fail("a", "The landing store cannot be written.")
    found = story.progress
    assert (found.files, found.files_done, found.files_failed) == (2, 0, 1)


def test_the_progress_is_plain_values(story: Story) -> None:
    story.imported(2)
    assert json.loads(json.dumps(story.progress.as_dict()))["days_left"] == 2


@settings(deadline=None, max_examples=examples(40))
@given(moves=st.lists(st.sampled_from(["begin", "finish", "fail", "import", "wait"]), max_size=12))
def test_every_day_stands_somewhere_and_no_end_is_told_without_a_rate(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str]
) -> None:
    story = Story(tmp_path_factory.mktemp("story"))
    days = story.imported(2)
    for place, move in enumerate(moves):
        day = days[place % 2]
        story.now_ms += 7 * MINUTE_MS
        if move == "begin":
            story.days.begin(day, "run")
        elif move == "finish":
            story.days.finish(day)
        elif move == "fail":
            story.days.fail(day, "why")
        elif move == "import":
            story.days.imported([(day, 600 + place)])
    found = story.progress
    assert sum(found.days.values()) == 2
    assert found.events_done + found.events_left <= found.events
    assert (found.expected_end_ms is None) == (found.why_unknown is not None)
    if found.expected_end_ms is not None:
        assert found.events_per_second
        assert found.expected_end_ms >= story.now_ms
    story.state.engine.dispose()
