"""The register of days of history: where each stands."""

from __future__ import annotations

import pytest

from capillary_adobe.state import HistoryDay, HistoryDays, State

DAY = "2026-01-01"


class Clock:
    """A second later at each look."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


@pytest.fixture
def days(state: State) -> HistoryDays:
    return HistoryDays(state, Clock())


def standing(days: HistoryDays) -> str:
    found = days.find(DAY)
    assert found is not None
    return found.standing


def test_a_day_goes_from_waiting_to_done(days: HistoryDays) -> None:
    days.imported([(DAY, 3)])
    assert standing(days) == "waiting"
    days.begin(DAY, "run")
    assert standing(days) == "running"
    days.finish(DAY)
    assert standing(days) == "done"


def test_what_is_imported_after_a_run_began_makes_its_day_wait_again(days: HistoryDays) -> None:
    days.imported([(DAY, 3)])
    days.begin(DAY, "run")
    days.imported([(DAY, 5)])
    days.finish(DAY)
    assert standing(days) == "waiting"
    days.begin(DAY, "run")
    days.finish(DAY)
    assert standing(days) == "done"
    assert [day.events for day in days.all()] == [5]


def test_a_day_that_failed_says_why_until_it_is_done(days: HistoryDays) -> None:
    days.imported([(DAY, 3)])
    days.begin(DAY, "run")
    days.fail(DAY, "AEP is down")
    assert standing(days) == "failed"
    days.begin(DAY, "next")
    assert standing(days) == "running"
    days.finish(DAY)
    found = days.find(DAY)
    assert found is not None
    assert (found.standing, found.cause, found.attempts, found.run_id) == ("done", None, 2, "next")


def test_a_day_that_its_run_has_left_waits_until_another_goes_on_with_it(days: HistoryDays) -> None:
    days.imported([(DAY, 3)])
    days.go_on(DAY, "run")
    # Nobody has read it yet.
    assert standing(days) == "waiting"
    days.begin(DAY, "run")
    days.leave(DAY, "another")
    assert standing(days) == "running"
    days.leave(DAY, "run")
    assert standing(days) == "waiting"
    days.go_on(DAY, "next")
    assert standing(days) == "running"
    days.let_go(["next"])
    assert standing(days) == "waiting"
    days.finish(DAY)
    assert standing(days) == "done"
    days.go_on(DAY, "one more")
    assert standing(days) == "done"


def test_a_failure_stands_until_another_run_goes_on(days: HistoryDays) -> None:
    days.imported([(DAY, 3)])
    days.begin(DAY, "run")
    days.fail(DAY, "AEP is down")
    # A later stage of the same run.
    days.go_on(DAY, "run")
    assert standing(days) == "failed"
    days.go_on(DAY, "retry")
    found = days.find(DAY)
    assert found is not None
    assert (found.standing, found.cause, found.run_id) == ("running", None, "retry")


def test_days_without_history_are_left_alone(days: HistoryDays) -> None:
    days.begin(DAY, "run")
    days.fail(DAY, "why")
    days.finish(DAY)
    assert days.all() == []
    assert days.find(DAY) is None


def test_days_are_listed_in_order(days: HistoryDays) -> None:
    days.imported((f"2026-01-{day:02}", day) for day in range(31, 0, -1))
    found = days.all()
    assert [day.events for day in found] == list(range(1, 32))
    assert isinstance(found[0], HistoryDay)
