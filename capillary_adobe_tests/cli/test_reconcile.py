"""`capillary-adobe reconcile`: the account of a day for people and for programs, and an exit code that tells of a loss."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from capillary_adobe.cli_reconcile import SOMETHING_LOST
from capillary_adobe.landing import open_landing_store
from capillary_adobe_tests.cli.conftest import Call, storage
from capillary_adobe_tests.posting import YESTERDAY, Posting, told


@pytest.fixture
def posting(place: Path) -> Iterator[Posting]:
    with Posting(place, open_landing_store(storage(place)["LANDING_URL"])) as running:
        yield running


def settings(place: Path, posting: Posting) -> dict[str, str]:
    return {**storage(place), **posting.capillary.environment}


def test_a_day_without_a_loss(call: Call, place: Path, posting: Posting) -> None:
    posting.send(told(str(number)) for number in range(3))
    answer = call("reconcile", "--day", YESTERDAY, **settings(place, posting))
    assert answer.exit_code == 0, answer.output
    rows = {" ".join(line.split()) for line in answer.stdout.splitlines()}
    assert "sent 3 events in Capillary's log of the day" in rows
    assert "arrived 3 delivered by Capillary's log, and landed" in rows
    assert "pointsExpired 3 3" in rows
    assert "3 landed objects are not read by a run yet; their events count as landed." in rows
    assert answer.stdout.splitlines()[-1] == "Nothing is missing."
    assert answer.stderr == ""


def test_what_is_missing_is_named_and_all_of_it_for_programs(call: Call, place: Path, posting: Posting) -> None:
    lost = [f"lost-{number:02d}" for number in range(23)]
    posting.webhook.dropped = {*lost, "waiting"}
    posting.webhook.answers = {"waiting": 503, "lost-05": 400}
    posting.send([told(name) for name in (*lost, "kept", "waiting")])
    answer = call("reconcile", "--day", YESTERDAY, **settings(place, posting))
    assert answer.exit_code == SOMETHING_LOST == 3
    named = [line.split()[0] for line in answer.stdout.splitlines() if line.startswith("lost-")]
    assert len(named) == 20
    assert set(named) < set(lost)
    assert "and 3 more; --json names all" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("23 events are missing. See docs/troubleshooting.md")
    assert {"failed 400 1", "missing 200 22", "retrying 503 1"} <= {
        " ".join(x.split()) for x in answer.stdout.splitlines()
    }

    answer = call("reconcile", "--day", YESTERDAY, "--json", **settings(place, posting))
    assert answer.exit_code == SOMETHING_LOST
    found = json.loads(answer.stdout)
    assert sorted(one["event_id"] for one in found["lost"]) == lost
    assert found["outcomes"] | {"arrived": 1, "missing": 22, "failed": 1, "retrying": 1} == found["outcomes"]
    assert found["by_event_type"] == {"pointsExpired": {"arrived": 1, "missing": 22, "failed": 1, "retrying": 1}}
    assert found["nothing_lost"] is False
    one = next(one for one in found["lost"] if one["event_id"] == "lost-05")
    assert (one["judged"], one["event_type"], one["http_status"], one["attempts"]) == (
        "failed",
        "pointsExpired",
        400,
        1,
    )
    assert one["ingested"].startswith(f"{YESTERDAY}T12:00:0")


def test_a_day_that_nothing_was_sent_on(call: Call, place: Path, posting: Posting) -> None:
    day = (date.fromisoformat(YESTERDAY) - timedelta(days=10)).isoformat()
    answer = call("reconcile", "--day", day, **settings(place, posting))
    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[-1] == "Capillary's log names no event of this day."


def test_a_log_that_may_not_be_whole_ends_with_neither_yes_nor_no(call: Call, place: Path, posting: Posting) -> None:
    posting.webhook.dropped = {None}
    posting.send([told("kept"), told(None)])
    answer = call("reconcile", "--day", YESTERDAY, **settings(place, posting))
    assert answer.exit_code == 1
    lines = answer.stdout.splitlines()
    assert "The log may not be whole: 1 events of the log carry no id, and only 0 such records landed." in lines
    assert lines[-1] == "Nothing is missing of what the log gave; whether that is all, cannot be told."
    posting.webhook.dropped = {"lost"}
    posting.send([told("lost")])
    assert call("reconcile", "--day", YESTERDAY, **settings(place, posting)).exit_code == SOMETHING_LOST


def test_what_stands_in_the_way_is_said_in_one_sentence(call: Call, place: Path, posting: Posting) -> None:
    without = call("reconcile", "--day", YESTERDAY, **storage(place))
    wrong = {**settings(place, posting), "CAPILLARY_API_SECRET": "not-the-secret"}
    refused = call("reconcile", "--day", YESTERDAY, **wrong)
    too_old = call("reconcile", "--day", "2020-01-01", **settings(place, posting))
    for answer, words in (
        (without, "CAPILLARY_API_URL is missing"),
        (refused, "CAPILLARY_API_KEY"),
        (too_old, "Capillary keeps its delivery log for 30 days"),
    ):
        assert answer.exit_code == 1
        assert answer.stdout == ""
        assert words in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
    assert "not-the-secret" not in refused.output
    assert call("reconcile", "--day", "tomorrow").exit_code == 2
