"""`capillary-adobe subscribe`: what it asks, prints and does, and its exit codes; and the whole way of an event with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from capillary_adobe.cli import main
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe_tests.cli.conftest import Call, storage
from capillary_adobe_tests.emulators.capillary.webhook import ScriptedWebhook, wait_until

SECRET = "hush-hush-hush"


@pytest.fixture
def capillary(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningCapillary]:
    """A Capillary without webhooks, which the environment names with all that the command needs."""
    with RunningCapillary(place / "capillary") as one:
        settings = {
            **one.environment,
            **storage(place),
            "CAPILLARY_API_RETRY_SECONDS": "2",
            "CAPILLARY_WEBHOOK_URL": "https://events.example.com/events",
            "RECEIVE_SECRET": SECRET,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield one


def answering(answers: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["subscribe", *arguments], input=answers)


def test_the_plan_is_shown_and_nothing_is_changed(capillary: RunningCapillary, call: Call) -> None:
    answer = call("subscribe", "--plan")

    assert answer.exit_code == 0, answer.output
    assert "The webhook capillary-adobe to https://events.example.com/events is to be made:" in answer.stdout
    assert "pointsIssued" in answer.stdout
    assert SECRET not in answer.output
    assert capillary.webhooks() == []


def test_it_asks_once_and_takes_no_for_an_answer(capillary: RunningCapillary) -> None:
    for refusal in ("n\n", ""):
        assert (answering(refusal).exit_code, capillary.webhooks()) == (1, [])

    done = answering("y\n")

    assert done.exit_code == 0, done.output
    [made] = capillary.webhooks()
    assert made["webHookHeaders"] == {"Authorization": SECRET, "Content-Type": "application/json"}
    assert "The webhook was made and read back." in done.output
    assert f"its consumer group: {made['consumerGroupId']}" in done.output
    assert SECRET not in done.output


def test_a_script_changes_what_differs_field_by_field_and_then_nothing(capillary: RunningCapillary, call: Call) -> None:
    assert call("subscribe", "--yes").exit_code == 0
    [made] = capillary.webhooks()

    answer = call("subscribe", "--yes", RECEIVE_SECRET="another-secret", CAPILLARY_WEBHOOK_CONNECTIONS="3")

    assert answer.exit_code == 0, answer.output
    told = [line.split() for line in answer.stdout.splitlines()]
    assert ["maxAllowedConnections", "10", "3"] in told
    assert ["header", "Authorization", "***", "(differs)", "***"] in told
    assert "The webhook was changed and read back." in answer.stdout
    assert "secret" not in answer.output
    [changed] = capillary.webhooks()
    assert (changed["webHookId"], changed["maxAllowedConnections"]) == (made["webHookId"], 3)

    again = call("subscribe", RECEIVE_SECRET="another-secret", CAPILLARY_WEBHOOK_CONNECTIONS="3")
    assert again.exit_code == 0
    assert "is as it should be" in again.stdout
    assert "Nothing was changed." in again.stdout
    assert capillary.webhooks() == [changed]


def test_programs_get_json(capillary: RunningCapillary, call: Call) -> None:
    plan = json.loads(call("subscribe", "--plan", "--json").stdout)
    assert (plan["action"], plan["name"], plan["consumer_group_id"]) == ("create", "capillary-adobe", None)

    done = json.loads(call("subscribe", "--yes", "--json", RECEIVE_PATH="/other").stdout)
    assert "RECEIVE_PATH=/other" in done["notes"][0]

    [made] = capillary.webhooks()
    assert (done["action"], done["webhook_id"], done["consumer_group_id"]) == (
        "create",
        made["webHookId"],
        made["consumerGroupId"],
    )
    assert json.loads(call("subscribe", "--plan", "--json").stdout)["action"] == "nothing"
    assert SECRET not in json.dumps(done)


def test_what_needs_a_person_is_one_sentence_and_exit_code_1(capillary: RunningCapillary, call: Call) -> None:
    capillary.subscribe(name="theirs", webHookUrl="https://events.example.com/events")

    for arguments in (("--plan",), ("--yes",), ()):
        answer = call("subscribe", *arguments)
        assert answer.exit_code == 1
        assert answer.stderr.startswith("Error: Nothing is changed until a person has acted. Another webhook posts to")
    assert json.loads(call("subscribe", "--plan", "--json").stdout)["action"] == "needs a person"
    assert len(capillary.webhooks()) == 1


@pytest.mark.parametrize("arguments", [("--plan", "--yes"), ("--json",)])
def test_options_that_contradict_one_another_are_refused(place: Path, call: Call, arguments: tuple[str, ...]) -> None:
    assert call("subscribe", *arguments).exit_code == 2
    assert list(place.iterdir()) == []


def test_what_is_missing_or_wrong_is_told_plainly(place: Path, call: Call) -> None:
    nothing = call("subscribe", "--plan", **storage(place))
    assert nothing.exit_code == 1
    assert "CAPILLARY_WEBHOOK_URL is missing." in nothing.stderr
    assert "RECEIVE_SECRET is missing." in nothing.stderr
    assert "Traceback" not in nothing.output


def test_a_wrong_client_is_one_sentence_without_the_secret(capillary: RunningCapillary, call: Call) -> None:
    answer = call("subscribe", "--yes", CAPILLARY_API_SECRET="not-the-one")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: Capillary refuses the API client (status 401). Check CAPILLARY_API_KEY")
    assert "not-the-one" not in answer.output
    assert capillary.webhooks() == []


def test_events_come_to_the_address_that_was_subscribed(capillary: RunningCapillary, call: Call) -> None:
    with ScriptedWebhook() as webhook:
        assert call("subscribe", "--yes", CAPILLARY_WEBHOOK_URL=webhook.url).exit_code == 0
        body = b'{"eventName":"tierUpgraded","eventId":"e"}'
        assert capillary.send([body])["deliveries"] == 1
        wait_until(lambda: webhook.bodies == [body])
        assert webhook.posted[0].headers["authorization"] == SECRET
