"""The environment record: it completes the settings, each sandbox by its own, and the environment overrides it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.environment import adobe_settings, overriding, tenant_settings
from capillary_adobe.settings import RECORDED, SettingsError
from capillary_adobe.state import EnvironmentRecord, State

ORG = "0A@AdobeOrg"
MADE = {
    "tenant_id": "acme",
    "inlet_url": "https://dcs.adobedc.net/collection/0ab1",
    "events_schema_id": "https://ns.adobe.com/acme/schemas/1",
    "events_dataset_id": "d",
    "events_flow_id": "f",
    "profiles_dataset_id": "p",
    "base_connection_id": "b",
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    for name in os.environ:
        if name.startswith("ADOBE_"):
            monkeypatch.delenv(name)
    for name, value in {"CLIENT_ID": "id", "CLIENT_SECRET": "hush-hush", "ORG_ID": ORG}.items():
        monkeypatch.setenv(f"ADOBE_{name}", value)
    monkeypatch.chdir(tmp_path)
    opened = State(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.engine.dispose()


def test_what_is_recorded_need_not_be_set(state: State) -> None:
    EnvironmentRecord(state, ORG, "prod").write(MADE)

    settings = adobe_settings(state)

    assert {name: getattr(settings, name) for name in RECORDED if name in MADE} == {
        name: value for name, value in MADE.items() if name in RECORDED
    }
    assert settings.profiles_flow_id is None
    assert tenant_settings(state).tenant_id == "acme"


def test_what_is_set_overrides_the_record(state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    EnvironmentRecord(state, ORG, "prod").write(MADE)
    monkeypatch.setenv("ADOBE_EVENTS_DATASET_ID", "mine")
    (tmp_path / ".env").write_text("ADOBE_EVENTS_FLOW_ID=in the file\nADOBE_TENANT_ID=other\n")

    settings = adobe_settings(state, max_records_per_second=7)

    assert (settings.events_dataset_id, settings.events_flow_id) == ("mine", "in the file")
    assert (settings.events_schema_id, settings.max_records_per_second) == (MADE["events_schema_id"], 7)
    assert tenant_settings(state).tenant_id == "other"
    assert overriding() == {
        "events_dataset_id": "mine",
        "events_flow_id": "in the file",
        "tenant_id": "other",
    }


def test_a_sandbox_and_an_organisation_have_a_record_of_their_own(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    EnvironmentRecord(state, ORG, "prod").write(MADE)
    EnvironmentRecord(state, ORG, "dev").write({**MADE, "events_dataset_id": "of dev"})
    EnvironmentRecord(state, "1B@AdobeOrg", "prod").write({**MADE, "events_dataset_id": "of another"})

    assert adobe_settings(state).events_dataset_id == "d"
    monkeypatch.setenv("ADOBE_SANDBOX_NAME", "dev")
    assert adobe_settings(state).events_dataset_id == "of dev"
    monkeypatch.setenv("ADOBE_SANDBOX_NAME", "third")
    with pytest.raises(SettingsError, match=r"ADOBE_EVENTS_DATASET_ID is missing.*capillary-adobe setup"):
        adobe_settings(state)


def test_without_the_record_both_ways_out_are_named(state: State) -> None:
    with pytest.raises(SettingsError) as found:
        adobe_settings(state)

    lines = str(found.value).splitlines()
    assert {line.split()[0] for line in lines} == {
        "ADOBE_TENANT_ID",
        "ADOBE_INLET_URL",
        "ADOBE_EVENTS_SCHEMA_ID",
        "ADOBE_EVENTS_DATASET_ID",
        "ADOBE_EVENTS_FLOW_ID",
    }
    assert all("in .env, or run `capillary-adobe setup`" in line for line in lines)


def test_without_an_organisation_nothing_is_taken_from_any_record(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    EnvironmentRecord(state, ORG, "prod").write(MADE)
    monkeypatch.delenv("ADOBE_ORG_ID")

    with pytest.raises(SettingsError, match="ADOBE_ORG_ID is missing"):
        adobe_settings(state)


def test_what_overrides_is_judged_alone(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state.is_sqlite
    monkeypatch.delenv("ADOBE_CLIENT_ID")
    monkeypatch.setenv("ADOBE_INLET_URL", "https://dcs.adobedc.net/collection/batch/hushed")

    with pytest.raises(SettingsError) as found:
        overriding()

    assert str(found.value).startswith("ADOBE_INLET_URL is malformed")
    assert "hushed" not in str(found.value)
    assert len(str(found.value).splitlines()) == 1
