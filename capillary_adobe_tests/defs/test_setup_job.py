"""The job `adobe_setup`: the plan by default, the set-up when asked for, and the road on the sandbox it made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capillary_adobe.defs.build import SETUP_JOB
from capillary_adobe.defs.setup_job import CHECK, NAME
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.identities import Identity
from capillary_adobe.settings import RECORDED, AdobeSettings, given
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe_tests.adobe.setup.place import COUNT, EVERYTHING, Place
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.emulators.platform_client import eventually

DAY = "2026-11-19"


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An empty sandbox; the environment holds the credential, and no id of any object."""
    behaviour = Behaviour(batch_seconds=0, validation_seconds=0.05)
    with RunningEmulator(tmp_path / "emulator", behaviour=behaviour, empty=True) as emulator:
        settings = {**emulator.environment, "ADOBE_MAX_RECORDS_PER_SECOND": "0", "CAPILLARY_CURRENCY": "INR"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield Place(emulator, Installation(tmp_path / "installation", tmp_path / "landing").state)


@pytest.fixture
def installation(sandbox: Place, tmp_path: Path) -> Installation:
    """An installation beside it."""
    assert not set(given(AdobeSettings)) & set(RECORDED), sandbox
    return Installation(tmp_path / "installation", tmp_path / "landing")


def set_up(installation: Installation, *, raise_on_error: bool = True, **config: Any) -> dg.ExecuteInProcessResult:
    """Launch the job as from the launchpad."""
    return installation.definitions.resolve_job_def(SETUP_JOB).execute_in_process(
        instance=installation.instance,
        run_config={"ops": {NAME: {"config": config}}} if config else None,
        raise_on_error=raise_on_error,
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(NAME)
    return {name: value.value for name, value in event.metadata.items()}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == CHECK]
    return found


def test_launched_as_it_stands_it_shows_the_plan_and_changes_nothing(
    sandbox: Place, installation: Installation
) -> None:
    shown = set_up(installation)

    told = metadata(shown)
    assert (told["to_change"], told["changed"], told["objects"], told["need_a_person"]) == (COUNT, 0, COUNT, 0)
    assert {record["action"] for record in told["plan"].records for record in [record.data]} == {"create"}
    found = check(shown)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "dataset Capillary events is missing." in str(found.metadata["what_differs"].value)
    assert sandbox.counts() == {}


def test_with_apply_it_makes_everything_and_the_road_runs_on_it(sandbox: Place, installation: Installation) -> None:
    made = set_up(installation, apply=True)

    assert sandbox.counts() == EVERYTHING
    assert (metadata(made)["changed"], check(made).passed) == (COUNT, True)
    assert sandbox.emulator.tenant.client_secret not in str(metadata(made))
    again = set_up(installation, apply=True)
    assert (metadata(again)["changed"], sandbox.counts()) == (0, EVERYTHING)

    write_day(installation.store, date.fromisoformat(DAY), 120, mix=Mix.clean())
    installation.run(DAY)

    balance = installation.balance(DAY)
    url = sandbox.emulator.base_url
    assert balance.balanced
    assert balance.delivery["accepted"] == len(events(url)) > 50
    validated = eventually(
        lambda: None if (seen := summary(url))["awaiting_validation"] else seen, "the end of the validation"
    )
    assert validated["failed_later"] == 0
    recorded = sandbox.recorded()
    assert set(validated["by_dataset"]) == {recorded["events_dataset_id"], recorded["profiles_dataset_id"]}
    assert balance.profile_delivery["accepted"] == balance.entities["profiles"] > 10


def test_before_set_up_the_road_names_both_ways_out(installation: Installation) -> None:
    write_day(installation.store, date.fromisoformat(DAY), 5, mix=Mix.clean())

    failed = installation.run(DAY, raise_on_error=False)

    assert not failed.success
    assert "ADOBE_INLET_URL is missing. Set it in the environment or in .env, or run `capillary-adobe setup`" in (
        failure_of(failed)
    )


def test_a_step_for_a_person_fails_the_run_in_words(sandbox: Place, installation: Installation) -> None:
    body = {"name": "taken", "code": "capillaryCustomerId", "idType": "COOKIE"}
    sandbox.call("POST", "core/idnamespace/identities", json=body)

    shown = set_up(installation)
    assert (metadata(shown)["need_a_person"], check(shown).severity) == (1, dg.AssetCheckSeverity.ERROR)
    failed = set_up(installation, apply=True, raise_on_error=False)

    assert not failed.success
    assert failure_of(failed).startswith("Set-up changes nothing until a person has acted.")
    assert sandbox.counts() == {"namespace": 1}


def test_profile_is_not_enabled_while_identities_that_join_customers_are_sent(
    sandbox: Place, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = frozenset({Identity("card", "9990")})
    with installation.state.begin() as connection:
        changes = [(CustomerKey(1, number), frozenset(), card) for number in range(3)]
        IdentityUses(installation.state).change(connection, changes)
    for name, value in {"IDENTITY_CARD": "sha256", "IDENTITY_MAX_CUSTOMERS": "5"}.items():
        monkeypatch.setenv(name, value)

    failed = set_up(installation, raise_on_error=False, apply=True, enable_profile=True)

    assert "card: 1 are shared, one of them by 3 customers" in failure_of(failed)
    assert sandbox.counts() == {}


def test_profile_is_enabled_by_its_own_key_alone(sandbox: Place, installation: Installation) -> None:
    set_up(installation, apply=True)
    assert all("union" not in one.get("meta:immutableTags", []) for one in sandbox.objects()["schema"])

    set_up(installation, apply=True, enable_profile=True)

    assert all("union" in one["meta:immutableTags"] for one in sandbox.objects()["schema"])
    found = check(set_up(installation))
    assert (found.passed, found.metadata["differences"].value) == (True, 0)
