"""`capillary-adobe setup`: what it asks, prints and records, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from capillary_adobe.cli import main
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.environment import adobe_settings
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.identities import Identity
from capillary_adobe.state import State
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe_tests.adobe.setup.place import COUNT, EVERYTHING, Place
from capillary_adobe_tests.cli.conftest import Call, storage


@pytest.fixture
def sandbox(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An empty sandbox that the environment names, with the credential and nothing else."""
    with RunningEmulator(place / "aep", empty=True) as emulator:
        settings = {**emulator.environment, **storage(place), "ADOBE_RETRY_BUDGET_SECONDS": "5"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield Place(emulator, State(settings["STATE_URL"]))


def answering(answers: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["setup", *arguments], input=answers)


def test_the_plan_is_shown_and_nothing_is_changed(sandbox: Place, call: Call) -> None:
    answer = call("setup", "--plan")

    assert answer.exit_code == 0, answer.output
    assert f"{COUNT} of {COUNT} objects to make or extend" in answer.stdout
    assert "Capillary events flow" in answer.stdout
    assert sandbox.counts() == {}


def test_a_script_sets_up_and_is_told_what_was_made(sandbox: Place, call: Call) -> None:
    answer = call("setup", "--yes")

    assert answer.exit_code == 0, answer.output
    assert sandbox.counts() == EVERYTHING
    assert "about 5 minutes" in answer.stdout
    assert "15 minutes" in answer.stdout
    assert "table `environment`" in answer.stdout
    assert len([line for line in answer.stderr.splitlines() if line.startswith("created ")]) == COUNT
    assert adobe_settings(sandbox.state).events_dataset_id in answer.stdout

    again = call("setup", "--yes")

    assert again.exit_code == 0
    assert "nothing to make" in again.stdout
    assert "Nothing was changed." in again.stdout
    assert again.stderr == ""


def test_it_asks_once_and_takes_no_for_an_answer(sandbox: Place) -> None:
    refused = answering("n\n")
    assert (refused.exit_code, sandbox.counts()) == (1, {})
    assert f"Make these {COUNT} changes in sandbox demo" in refused.output
    # Nobody there to ask is no consent either.
    assert (answering("").exit_code, sandbox.counts()) == (1, {})

    assert answering("y\n").exit_code == 0
    assert sandbox.counts() == EVERYTHING
    assert answering("").exit_code == 0


def test_enabling_for_profile_is_asked_for_with_its_consequences(sandbox: Place) -> None:
    refused = answering("n\n", "--enable-profile")
    assert "cannot be undone" in refused.output
    assert (refused.exit_code, sandbox.counts()) == (1, {})

    done = answering("y\ny\n", "--enable-profile")

    assert done.exit_code == 0, done.output
    assert all("union" in one["meta:immutableTags"] for one in sandbox.objects()["schema"])


def share(state: State, customers: int) -> None:
    """Let several customers have one e-mail address."""
    address = frozenset({Identity("email", "desk@example.com")})
    with state.begin() as connection:
        changes = [(CustomerKey(1, number), frozenset(), address) for number in range(customers)]
        IdentityUses(state).change(connection, changes)


def test_who_enables_for_profile_is_told_of_identities_that_several_share(sandbox: Place) -> None:
    nothing = answering("n\n", "--enable-profile")
    assert "* none is known" in nothing.output

    share(sandbox.state, 3)
    held = answering("y\nn\n", "--enable-profile")

    assert (
        "* email: 1 are shared, one of them by 3 customers; 1 are held back, 0 are sent and join customers."
        in held.output
    )
    assert "desk@" not in held.output
    assert sandbox.counts() == {}


def test_identities_that_would_join_customers_are_asked_for_and_never_by_a_script(
    sandbox: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    share(sandbox.state, 3)
    monkeypatch.setenv("IDENTITY_MAX_CUSTOMERS", "5")

    refused = call("setup", "--yes", "--enable-profile")
    assert refused.exit_code == 1
    assert "0 are held back, 1 are sent and join customers" in refused.stderr
    assert "Set IDENTITY_MAX_CUSTOMERS=1" in refused.stderr
    asked = answering("n\n", "--enable-profile")
    assert "1 identities will join customers for good" in asked.output
    assert (asked.exit_code, sandbox.counts()) == (1, {})
    # Identities that are not sent join nobody.
    assert call("setup", "--yes", "--enable-profile", IDENTITY_EMAIL="drop").exit_code == 0


def test_yes_alone_never_enables_for_profile(sandbox: Place, call: Call) -> None:
    assert call("setup", "--yes", "--card").exit_code == 0
    assert all("union" not in one.get("meta:immutableTags", []) for one in sandbox.objects()["schema"])

    assert call("setup", "--yes", "--enable-profile").exit_code == 0
    assert all("union" in one["meta:immutableTags"] for one in sandbox.objects()["schema"])


def test_programs_get_json(sandbox: Place, call: Call) -> None:
    plan = json.loads(call("setup", "--plan", "--json").stdout)
    assert {step["action"] for step in plan["steps"]} == {"create"}
    fields = [step["adds"] for step in plan["steps"] if step["object"] == "field group"]
    assert "/_demo/capillary/customerId" in fields[0]
    assert "/_demo/capillary/points/promotional[*]/points" in fields[0]
    assert (plan["sandbox"], plan["tenant_id"]) == ("demo", "demo")

    done = json.loads(call("setup", "--yes", "--json").stdout)

    assert done["differences"] == []
    assert {step["name"]: step["id"] for step in done["steps"]}["Capillary events flow"] == sandbox.recorded()[
        "events_flow_id"
    ]


def test_drift_is_told_by_the_exit_code_too(sandbox: Place, call: Call) -> None:
    assert call("setup", "--drift").exit_code == 3
    call("setup", "--yes")
    nothing = call("setup", "--drift")
    assert (nothing.exit_code, "nothing differs" in nothing.stdout) == (0, True)

    sandbox.call("DELETE", f"foundation/flowservice/flows/{sandbox.recorded()['events_flow_id']}")
    found = call("setup", "--drift")

    assert found.exit_code == 3
    assert "dataflow Capillary events flow is missing." in found.stdout
    assert json.loads(call("setup", "--drift", "--json").stdout)["differences"] == [
        "dataflow Capillary events flow is missing."
    ]


@pytest.mark.parametrize("arguments", [("--plan", "--drift"), ("--plan", "--yes"), ("--json",)])
def test_options_that_contradict_one_another_are_refused(place: Path, call: Call, arguments: tuple[str, ...]) -> None:
    answer = call("setup", *arguments)

    assert answer.exit_code == 2
    assert list(place.iterdir()) == []


def test_without_a_credential_every_variable_is_named(place: Path, call: Call) -> None:
    answer = call("setup", "--plan", **storage(place))

    assert answer.exit_code == 1
    named = ("ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET", "ADOBE_ORG_ID")
    assert all(f"{name} is missing" in answer.stderr for name in named)
    assert "ADOBE_INLET_URL" not in answer.stderr


def test_a_wrong_secret_is_one_sentence_without_the_secret(sandbox: Place, call: Call) -> None:
    answer = call("setup", "--yes", ADOBE_CLIENT_SECRET="hush-hush")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: Adobe's identity service refuses the credential (400 invalid_client).")
    assert "hush-hush" not in answer.output
    assert sandbox.counts() == {}


def test_what_needs_a_person_is_told_with_the_plan(sandbox: Place, call: Call) -> None:
    body = {"name": "taken", "code": "capillaryCustomerId", "idType": "COOKIE"}
    sandbox.call("POST", "core/idnamespace/identities", json=body)

    for option in ("--plan", "--yes"):
        answer = call("setup", option)
        assert answer.exit_code == 1
        assert "needs a person" in answer.stdout
        assert "Set-up changes nothing until a person has acted." in answer.stderr
    assert sandbox.counts() == {"namespace": 1}
