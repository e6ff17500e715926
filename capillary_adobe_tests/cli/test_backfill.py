"""`capillary-adobe status --backfill`: how far history is, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from capillary_adobe.state import HistoryDays, State
from capillary_adobe_tests.cli.conftest import Call, storage


def some_days(settings: dict[str, str]) -> None:
    """Of four imported days one is through, one is being worked on, one failed, one waits."""
    days = HistoryDays(State(settings["STATE_URL"]))
    days.imported((f"2025-03-0{place}", 100) for place in (1, 2, 3, 4))
    for day in ("2025-03-01", "2025-03-02", "2025-03-03"):
        days.begin(day, "a-run")
    days.finish("2025-03-01")
    days.fail("2025-03-02", "AEP's batch ingestion refuses with status 403. Give the credential the right.")


def test_progress_for_people(call: Call, place: Path) -> None:
    settings = storage(place)
    some_days(settings)
    answer = call("status", "--backfill", **settings)
    assert answer.exit_code == 0
    rows = {" ".join(line.split()) for line in answer.stdout.splitlines()}
    assert "History from 2025-03-01 to 2025-03-04" in rows
    assert "days that are through 1 of 4" in rows
    assert "days that wait for a backfill 1 2025-03-04" in rows
    assert "days that a run has begun 1 2025-03-03" in rows
    assert "events 400 100 through, 200 left" in rows
    assert any(row.startswith("Expected end: ") for row in rows)
    assert any(row.startswith("2025-03-02 ") and "1 AEP's batch ingestion refuses" in row for row in rows)


def test_progress_for_programs(call: Call, place: Path) -> None:
    settings = storage(place)
    some_days(settings)
    found = json.loads(call("status", "--backfill", "--json", **settings).stdout)
    assert found["days"] == {"waiting": 1, "running": 1, "at_aep": 0, "done": 1, "failed": 1}
    assert (found["days_left"], found["running"]) == (3, ["2025-03-03"])
    assert [one["day"] for one in found["failed"]] == ["2025-03-02"]


def test_without_history_it_says_how_to_import_some(call: Call, place: Path) -> None:
    answer = call("status", "--backfill", **storage(place))
    assert (answer.exit_code, "import-history" in answer.stdout) == (0, True)


def test_one_day_is_no_backfill(call: Call, place: Path) -> None:
    answer = call("status", "--backfill", "--day", "2025-03-01", **storage(place))
    assert answer.exit_code == 2
    assert "leave --day out" in answer.stderr
