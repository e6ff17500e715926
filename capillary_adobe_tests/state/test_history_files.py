"""The ledger of imported files: versions, what became of rows, and the days that wait because of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from capillary_adobe.state import FileDay, HistoryDays, HistoryFile, HistoryFiles, State

ONE = HistoryFile("a" * 64, "bills.zip", "/in", 10, 1_000)
OTHER = HistoryFile("b" * 64, "bills.zip", "/in", 11, 2_000)


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(state: State, clock: Clock) -> HistoryFiles:
    return HistoryFiles(state, clock)


def test_what_is_kept_of_a_day_is_what_was_counted(files: HistoryFiles) -> None:
    files.begin(ONE)
    day = FileDay(
        ONE.version,
        "points",
        "2026-01-01",
        events=2,
        event_rows=3,
        lines=4,
        quarantined={"bad_number": 2},
        ignored={"live_covers": 1},
        by_event_type={"pointsIssued": 2},
        totals={"pointsIssued.points": Decimal("0.10")},
    )
    files.finish(ONE.version, 6, [day])
    (kept,) = files.days(ONE.version)
    assert kept == day
    assert kept.rows == 6
    assert str(kept.totals["pointsIssued.points"]) == "0.10"


def test_the_first_beginning_stays_and_the_name_once_objects_are_to_land(files: HistoryFiles, clock: Clock) -> None:
    files.begin(HistoryFile(ONE.version, "first.zip", "/first", 10, 500))
    clock.seconds = 150
    first = files.begin(ONE)
    assert (first.name, first.place, first.size, first.changed_ms) == ("bills.zip", "/in", 10, 1_000)
    files.land(ONE.version, "digest")
    files.fail(ONE.version, "why")
    clock.seconds = 200
    again = files.begin(HistoryFile(ONE.version, "renamed.zip", "/elsewhere", 10, 5_000))
    assert (again.begun_ms, again.name, again.failed) == (first.begun_ms, "bills.zip", None)
    assert (again.place, again.changed_ms) == ("/in", 1_000)
    assert first.begun_ms == 100_000


def test_a_version_follows_the_one_of_its_name_that_was_imported_last(files: HistoryFiles, clock: Clock) -> None:
    files.begin(ONE)
    assert files.before(OTHER) is None, "what was only begun is followed by nobody"
    files.finish(ONE.version, 0, [])
    before = files.before(OTHER)
    assert before is not None
    assert before.version == ONE.version
    assert files.before(ONE) is None
    clock.seconds = 200
    newer = HistoryFile("c" * 64, "bills.zip", "/in", 11, 2_000)
    files.begin(newer)
    files.finish(newer.version, 0, [])
    before = files.before(OTHER)
    assert before is not None
    assert before.version == newer.version


def test_finishing_tells_the_days_how_many_events_they_have_of_all_files(state: State, files: HistoryFiles) -> None:
    days = HistoryDays(state)
    for file, events in ((ONE, 2), (OTHER, 5)):
        files.begin(file)
        files.finish(file.version, events, [FileDay(file.version, "points", "2026-01-01", events=events, lines=events)])
    assert [(day.day, day.events, day.standing) for day in days.all()] == [("2026-01-01", 7, "waiting")]


def test_what_has_not_landed_waits_for_no_backfill(state: State, files: HistoryFiles) -> None:
    files.begin(ONE)
    days = [
        FileDay(ONE.version, "members", "", ignored={"customer_state": 3}),
        FileDay(ONE.version, "points", "2026-01-01", ignored={"deduction_without_event": 1}),
    ]
    files.finish(ONE.version, 4, days)
    assert HistoryDays(state).all() == []


def test_an_import_again_takes_back_the_events_of_days_that_it_no_longer_has(state: State, files: HistoryFiles) -> None:
    files.begin(ONE)
    files.finish(ONE.version, 2, [FileDay(ONE.version, "points", "2026-01-01", events=2, lines=2)])
    files.finish(ONE.version, 2, [FileDay(ONE.version, "points", "2026-02-01", events=2, lines=2)])
    assert [(day.day, day.events) for day in HistoryDays(state).all()] == [("2026-01-01", 0), ("2026-02-01", 2)]
    assert [day.day for day in files.days()] == ["2026-02-01"]


def test_imports_that_end_at_once_miss_no_event_of_one_another(state: State, files: HistoryFiles) -> None:
    versions = [f"{number:064}" for number in range(8)]
    for version in versions:
        files.begin(HistoryFile(version, version, "/in", 1, 1))

    def finish(version: str) -> None:
        files.finish(
            version, 1, [FileDay(version, "points", f"2026-01-{day:02}", events=1, lines=1) for day in range(1, 29)]
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(finish, versions))
    assert {day.events for day in HistoryDays(state).all()} == {len(versions)}


def test_more_days_than_a_statement_takes(state: State, files: HistoryFiles) -> None:
    files.begin(ONE)
    days = [
        FileDay(ONE.version, f"t{number}", f"{2000 + number // 300}-01-01", events=1, lines=1) for number in range(1200)
    ]
    files.finish(ONE.version, 1200, days)
    assert len(files.days(ONE.version)) == 1200
    assert sum(day.events for day in HistoryDays(state).all()) == 1200


def test_the_digest_of_what_lands_is_known_afterwards(files: HistoryFiles) -> None:
    files.begin(ONE)
    files.land(ONE.version, "digest")
    assert files.begin(ONE).landing == "digest"
