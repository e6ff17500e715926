"""Where the emulator's identifiers come from, and what it tells a client."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from capillary_adobe.emulators.aep import RunningEmulator, Tenant
from capillary_adobe.settings import AdobeSettings, load, variable
from capillary_adobe_tests.emulators.client import Client, StartEmulator


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without ADOBE_* variables and without a .env file."""
    for field in AdobeSettings.model_fields:
        monkeypatch.delenv(variable(AdobeSettings, field), raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_the_environment_satisfies_the_settings(
    clean_environment: pytest.MonkeyPatch, store: Path, tenant: Tenant
) -> None:
    with RunningEmulator(store) as emulator:
        for name, value in emulator.environment.items():
            clean_environment.setenv(name, value)
        settings = load(AdobeSettings)

    assert settings.ims_url == settings.platform_url == emulator.base_url
    assert settings.batch_url == f"{emulator.base_url}/collection/batch/{tenant.inlet_id}"
    assert settings.client_secret.get_secret_value() == tenant.client_secret
    same = {field.name for field in fields(Tenant)} - {"inlet_id", "client_secret"}
    assert {name: getattr(settings, name) for name in same} == {name: getattr(tenant, name) for name in same}


def test_the_demo_values_look_like_real_ones_and_differ(tenant: Tenant) -> None:
    values = [
        getattr(tenant, field.name) for field in fields(tenant) if field.name not in {"tenant_id", "sandbox_name"}
    ]

    assert len(set(values)) == len(values)
    assert tenant == Tenant.demo()
    assert len(tenant.inlet_id) == 64
    assert int(tenant.inlet_id, 16)
    assert tenant.org_id.endswith("@AdobeOrg")
    assert tenant.events_schema_id.startswith("https://ns.adobe.com/demo/schemas/")
    assert tenant.profiles_schema_id.startswith("https://ns.adobe.com/demo/schemas/")


def test_without_variables_it_is_the_demo() -> None:
    assert Tenant.from_environment({}) == Tenant.demo()
    assert Tenant.from_environment({"ADOBE_ORG_ID": "", "OTHER": "x"}) == Tenant.demo()


def test_each_variable_replaces_its_demo_value(tenant: Tenant) -> None:
    other = Tenant(**{field.name: f"other-{field.name}" for field in fields(Tenant)})

    assert Tenant.from_environment(other.environment("https://dcs.example.com")) == other
    assert Tenant.from_environment({"ADOBE_ORG_ID": "1@AdobeOrg"}) == replace(tenant, org_id="1@AdobeOrg")
    assert Tenant.from_environment({"ADOBE_INLET_URL": "http://x/collection/abc/"}) == replace(tenant, inlet_id="abc")


def test_the_base_url_may_end_with_a_slash(tenant: Tenant) -> None:
    assert tenant.environment("http://x:1/") == tenant.environment("http://x:1")


def test_two_emulators_run_side_by_side(start: StartEmulator, tmp_path: Path) -> None:
    first: Client = start()
    with RunningEmulator(tmp_path / "other") as second:
        assert second.base_url != first.base_url
        assert second.environment["ADOBE_IMS_URL"] == second.base_url
