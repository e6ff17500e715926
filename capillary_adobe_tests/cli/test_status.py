"""`capillary-adobe status`: the balance of a day, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from capillary_adobe.balance import Balance
from capillary_adobe_tests.cli.conftest import Call, DeliveredDay, storage


def test_a_delivered_day_balances_for_programs(call: Call, delivered: DeliveredDay) -> None:
    answer = call("status", "--day", delivered.day.isoformat(), "--json", **delivered.settings)
    assert answer.exit_code == 0
    balance = json.loads(answer.stdout)
    assert set(balance) == {field.name for field in fields(Balance)}
    assert balance["balanced"] is True
    assert balance["landed_lines"] == delivered.written.lines
    assert balance["duplicates"] == delivered.written.duplicates
    assert balance["delivery"]["accepted"] == balance["raw"] > 0


def test_a_delivered_day_balances_for_people(call: Call, delivered: DeliveredDay) -> None:
    numbers = json.loads(call("status", "--day", delivered.day.isoformat(), "--json", **delivered.settings).stdout)
    answer = call("status", "--day", delivered.day.isoformat(), **delivered.settings)
    assert answer.exit_code == 0
    rows = {" ".join(line.split()) for line in answer.stdout.splitlines()}
    assert f"landed lines {delivered.written.lines}" in rows
    assert f"raw events {numbers['raw']}" in rows
    assert f"duplicates {numbers['duplicates']}" in rows
    assert f"accepted {numbers['delivery']['accepted']}" in rows
    assert "balanced yes" in rows
    for reason, count in numbers["ignored"].items():
        assert f"{reason} {count}" in answer.stdout
    for name in numbers["by_event_type"]:
        assert any(row.startswith(f"{name} ") for row in rows)


def test_every_known_day_is_listed(call: Call, delivered: DeliveredDay) -> None:
    listed = json.loads(call("status", "--json", **delivered.settings).stdout)
    assert [one["day"] for one in listed] == [delivered.day.isoformat()]
    told = call("status", **delivered.settings).stdout.splitlines()
    assert told[-1].split()[:2] == [delivered.day.isoformat(), str(delivered.written.lines)]
    assert told[-1].endswith("yes")


def test_what_has_landed_and_is_not_read_yet_is_named(call: Call, place: Path) -> None:
    settings = storage(place)
    assert call("demo", "generate", "--day", "2026-01-05", "--events", "30", "--clean", **settings).exit_code == 0
    balance = json.loads(call("status", "--day", "2026-01-05", "--json", **settings).stdout)
    assert balance["balanced"] is False
    assert balance["differences"] == {"lines": 30}
    told = call("status", "--day", "2026-01-05", **settings)
    assert "objects wait for their micro-batch" in told.stdout
    assert "30 landed lines that no table has yet" in told.stdout


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("day", ["2026-13-99", "2026-02-30", "20260105", "yesterday", "", "2026-1-5", "２０２６-01-05"])  # noqa: RUF001
def test_a_day_that_is_none_is_refused(call: Call, day: str, as_json: list[str]) -> None:
    answer = call("status", "--day", day, *as_json)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr.strip() == f"Error: {day!r} is no day; give one as YYYY-MM-DD, such as 2026-01-31."


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_day_that_nothing_is_known_of(call: Call, delivered: DeliveredDay, as_json: list[str]) -> None:
    day = (delivered.day - timedelta(days=7)).isoformat()
    answer = call("status", "--day", day, *as_json, **delivered.settings)
    assert answer.exit_code == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"Error: Nothing is known of {day}; looked in LANDING_URL=")
    assert len(answer.stderr.splitlines()) == 1


def test_an_empty_installation(call: Call, place: Path) -> None:
    assert json.loads(call("status", "--json", **storage(place)).stdout) == []
    answer = call("status", **storage(place))
    assert answer.exit_code == 0
    assert answer.stdout.startswith("No day is known yet;")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"LANDING_URL": " "}, "LANDING_URL is malformed"),
        ({"LANDING_URL": "gs://bucket"}, "LANDING_URL=gs://bucket is not supported"),
        (
            {"STATE_URL": "sqlite:////proc/nowhere/state.db"},
            "The state database STATE_URL=sqlite:////proc/nowhere/state.db cannot be used",
        ),
    ],
)
def test_unusable_settings_are_one_clear_sentence(call: Call, settings: dict[str, str], named: str) -> None:
    answer = call("status", **settings)
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"Error: {named}")
    assert "Traceback" not in answer.output


def test_a_damaged_table_is_one_clear_sentence(call: Call, place: Path, delivered: DeliveredDay) -> None:
    log = place / "lake" / "raw_events" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("no commit")
    answer = call("status", **{**delivered.settings, "LAKE_URL": str(place / "lake")})
    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: The table raw_events under LAKE_URL=")
    assert len(answer.stderr.splitlines()) == 1
