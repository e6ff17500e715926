"""Settings: the names operators know, every problem at once, nothing secret in any words."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from capillary_adobe.object_store import storage_options
from capillary_adobe.settings import (
    RECORDED,
    AdobeSettings,
    AlertSettings,
    CapillarySettings,
    CredentialSettings,
    HistorySettings,
    LandingSettings,
    SettingsError,
    SetupSettings,
    StorageSettings,
    TenantSettings,
    Thresholds,
    every_class,
    given,
    load,
    names_in_use,
    variable,
)

CLASSES = [
    StorageSettings,
    LandingSettings,
    CapillarySettings,
    HistorySettings,
    TenantSettings,
    AdobeSettings,
    CredentialSettings,
    SetupSettings,
    Thresholds,
]
PROMISED = [
    "LANDING_URL",
    "LAKE_URL",
    "STATE_URL",
    "ADOBE_IMS_URL",
    "ADOBE_PLATFORM_URL",
    "ADOBE_CLIENT_ID",
    "ADOBE_CLIENT_SECRET",
    "ADOBE_SCOPES",
    "ADOBE_ORG_ID",
    "ADOBE_SANDBOX_NAME",
    "ADOBE_TENANT_ID",
    "ADOBE_INLET_URL",
    "ADOBE_EVENTS_SCHEMA_ID",
    "ADOBE_EVENTS_DATASET_ID",
    "ADOBE_EVENTS_FLOW_ID",
    "ADOBE_PROFILES_SCHEMA_ID",
    "ADOBE_PROFILES_DATASET_ID",
    "ADOBE_PROFILES_FLOW_ID",
    "ADOBE_MAX_REQUESTS_PER_SECOND",
    "ADOBE_MAX_RECORDS_PER_SECOND",
    "CAPILLARY_ORG_TIMEZONE",
    "CAPILLARY_CURRENCY",
    "HISTORY_START",
]
ADOBE = {
    "ADOBE_CLIENT_ID": "id",
    "ADOBE_CLIENT_SECRET": "hush-hush",
    "ADOBE_ORG_ID": "0A@AdobeOrg",
    "ADOBE_TENANT_ID": "acme",
    "ADOBE_INLET_URL": "https://dcs.adobedc.net/collection/0ab1",
    "ADOBE_EVENTS_SCHEMA_ID": "https://ns.adobe.com/acme/schemas/1",
    "ADOBE_EVENTS_DATASET_ID": "d",
    "ADOBE_EVENTS_FLOW_ID": "f",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("ADOBE_", "LANDING_", "LAKE_", "STATE_", "CAPILLARY_", "HISTORY_", "CHECK_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def setting(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def field_of(name: str) -> tuple[type[BaseSettings], str]:
    return next((kind, field) for kind in CLASSES for field in kind.model_fields if variable(kind, field) == name)


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_variable_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    samples = {
        "ADOBE_IMS_URL": "http://127.0.0.1:9",
        "ADOBE_PLATFORM_URL": "http://127.0.0.1:9",
        "ADOBE_INLET_URL": "http://127.0.0.1:9/collection/other",
        "ADOBE_ORG_ID": "1B@AdobeOrg",
        "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
        "CAPILLARY_CURRENCY": "INR",
        "HISTORY_START": "2021-02-03",
        "ADOBE_MAX_REQUESTS_PER_SECOND": "7",
        "ADOBE_MAX_RECORDS_PER_SECOND": "7",
    }
    sample = samples.get(name, "something")
    setting(monkeypatch, **ADOBE | {name: sample})
    kind, field = field_of(name)
    value = getattr(load(kind), field)
    shown = value.get_secret_value() if name == "ADOBE_CLIENT_SECRET" else str(value).removesuffix(".0")
    assert shown == sample


def test_every_field_says_what_it_is_for() -> None:
    for kind in CLASSES:
        assert all(field.description for field in kind.model_fields.values())


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, **ADOBE)
    adobe = load(AdobeSettings)
    assert (adobe.max_requests_per_second, adobe.max_records_per_second) == (1000, 1500)
    assert adobe.ims_url == "https://ims-na1.adobelogin.com"
    assert adobe.profiles_dataset_id is None
    assert load(HistorySettings).start == date(2024, 1, 1)
    assert load(CapillarySettings).zone.key == "UTC"
    assert load(StorageSettings).landing_url == ".data/landing"


def test_a_rate_of_nothing_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, **ADOBE, ADOBE_MAX_RECORDS_PER_SECOND="0")
    assert load(AdobeSettings).max_records_per_second == 0


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as found:
        load(AdobeSettings)
    lines = str(found.value).splitlines()
    assert {line.split()[0] for line in lines} == set(ADOBE)
    made = ", or run `capillary-adobe setup`, which makes and records it"
    for line in lines:
        recorded = line.split()[0].removeprefix("ADOBE_").lower() in RECORDED
        assert f"is missing. Set it in the environment or in .env{made if recorded else ''}:" in line


MALFORMED = {
    "ADOBE_IMS_URL": "https://ims.example/ims/token/secretpath",
    "ADOBE_PLATFORM_URL": "secretplatform",
    "ADOBE_INLET_URL": "https://dcs.adobedc.net/collection/batch/secretinlet",
    "ADOBE_TENANT_ID": "_secrettenant",
    "ADOBE_ORG_ID": "secretorg",
    "ADOBE_CLIENT_ID": " \t ",
    "ADOBE_MAX_REQUESTS_PER_SECOND": "secretrate",
    "ADOBE_MAX_RECORDS_PER_SECOND": "-1",
    "ADOBE_MAX_REQUEST_BYTES": "99999999",
    "ADOBE_CONNECTIONS": "secretnumber",
}


def test_every_malformed_variable_is_named_at_once_and_never_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, **ADOBE | MALFORMED)
    monkeypatch.delenv("ADOBE_EVENTS_FLOW_ID")
    with pytest.raises(SettingsError) as found:
        load(AdobeSettings)
    lines = str(found.value).splitlines()
    assert {line.split()[0] for line in lines} == {*MALFORMED, "ADOBE_EVENTS_FLOW_ID"}
    assert sum("is malformed: " in line for line in lines) == len(MALFORMED)
    assert "secret" not in str(found.value).replace("Client secret", "")
    assert found.value.__cause__ is None


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (CapillarySettings, "CAPILLARY_ORG_TIMEZONE", "Mars/Olympus"),
        (CapillarySettings, "CAPILLARY_CURRENCY", "rupees"),
        (HistorySettings, "HISTORY_START", "31-12-2024"),
        (StorageSettings, "LAKE_URL", "   "),
        (SetupSettings, "ADOBE_SETUP_NAME", "Brand==x"),
        (LandingSettings, "LANDING_BATCH_MAX_OBJECTS", "-37"),
        (Thresholds, "CHECK_MAX_QUARANTINED_SHARE", "7.25"),
    ],
)
def test_a_malformed_value_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseSettings], name: str, value: str
) -> None:
    setting(monkeypatch, **{name: value})
    with pytest.raises(SettingsError, match=rf"^{name} is malformed: .*\.") as found:
        load(kind)
    assert value not in str(found.value)


@pytest.mark.parametrize(("given", "secret"), [("", False), ("   ", False), ("s", True)])
def test_an_empty_secret_is_no_secret(monkeypatch: pytest.MonkeyPatch, given: str, secret: bool) -> None:
    setting(monkeypatch, **ADOBE | {"ADOBE_CLIENT_SECRET": given})
    if secret:
        assert load(AdobeSettings).client_secret.get_secret_value() == given
        return
    with pytest.raises(SettingsError, match="ADOBE_CLIENT_SECRET"):
        load(AdobeSettings)


def test_the_secret_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, **ADOBE)
    adobe = load(AdobeSettings)
    shown: list[Any] = [repr(adobe), str(adobe), adobe.model_dump(), adobe.model_dump_json(), f"{adobe.client_secret}"]
    assert "hush-hush" not in str(shown)
    assert adobe.client_secret.get_secret_value() == "hush-hush"


def test_a_file_beside_the_working_directory_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = [f'{name}="{value}"' for name, value in ADOBE.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "# a comment", "SOMETHING_ELSE=1", "ADOBE_SANDBOX_NAME=é"]))
    assert load(AdobeSettings).sandbox_name == "é"
    setting(monkeypatch, ADOBE_SANDBOX_NAME="dev")
    assert load(AdobeSettings).sandbox_name == "dev"


def test_the_batch_address_follows_from_the_inlet(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, **ADOBE)
    assert load(AdobeSettings).batch_url == "https://dcs.adobedc.net/collection/batch/0ab1"


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, **ADOBE)
    with pytest.raises(ValueError, match="frozen"):
        load(AdobeSettings).org_id = "other"


def test_a_secret_may_stand_in_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    setting(monkeypatch, **ADOBE, SECRETS_DIR=str(folder))
    (folder / "ADOBE_CLIENT_SECRET").write_text("of the file\n")
    (folder / "STATE_URL").write_text("postgresql://me:hushed@db/state\n")
    # As Kubernetes mounts them.
    (folder / "..data").mkdir()
    assert load(AdobeSettings).client_secret.get_secret_value() == "hush-hush"
    monkeypatch.delenv("ADOBE_CLIENT_SECRET")
    assert load(AdobeSettings).client_secret.get_secret_value() == "of the file"
    assert given(AdobeSettings)["client_secret"] == "of the file"
    storage = load(StorageSettings)
    assert storage.state_url == "postgresql://me:hushed@db/state"
    assert "hushed" not in repr(storage)
    assert {"ADOBE_CLIENT_SECRET", "STATE_URL"} <= names_in_use()
    (tmp_path / ".env").write_text("ADOBE_CLIENT_SECRET=of .env\n")
    assert load(AdobeSettings).client_secret.get_secret_value() == "of .env"


def test_the_key_of_s3_may_stand_in_such_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    setting(monkeypatch, SECRETS_DIR=str(tmp_path), AWS_CONFIG_FILE="none", AWS_SHARED_CREDENTIALS_FILE="none")
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("a-key")
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("hushed\n")
    options = storage_options()
    assert (options["AWS_ACCESS_KEY_ID"], options["AWS_SECRET_ACCESS_KEY"]) == ("a-key", "hushed")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, r"SECRETS_DIR=\S+ cannot be read \(No such"), (b"\xff", r"STATE_URL in SECRETS_DIR=\S+ cannot be read")],
)
def test_a_folder_of_secrets_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, words: str
) -> None:
    folder = tmp_path / "secrets"
    setting(monkeypatch, SECRETS_DIR=str(folder))
    if content is not None:
        folder.mkdir()
        (folder / "STATE_URL").write_bytes(content)
    with pytest.raises(SettingsError, match=words) as found:
        load(StorageSettings)
    assert "\n" not in str(found.value)


def test_every_secret_is_a_secret_in_no_text() -> None:
    # Whatever is called a secret or password is of the type that shows itself to nobody.
    named = {
        variable(one, name): "SecretStr" in str(given.annotation)
        for one in every_class()
        for name, given in one.model_fields.items()
        if re.search(r"secret(?!s?_(?:dir|file))|password|passphrase|token(?!_)", name) or name == "channels"
    }
    assert named == dict.fromkeys(named, True)
    assert len(named) >= 9


def test_what_was_read_is_kept_only_while_nothing_has_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".env"
    file.write_text("LANDING_URL=/one\nLAKE_URL=/lake\nSTATE_URL=sqlite:////s\n")
    first = load(StorageSettings)
    assert load(StorageSettings) is first
    # As long as before, within the same moment.
    file.write_text(file.read_text().replace("/one", "/two"))
    assert load(StorageSettings).landing_url == "/two"
    monkeypatch.setenv("LANDING_URL", "/three")
    assert load(StorageSettings).landing_url == "/three"
    assert load(StorageSettings, landing_url="/four").landing_url == "/four"
    file.unlink()
    assert load(StorageSettings).lake_url != "/lake"


def test_a_file_that_settings_name_is_read_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    channels = tmp_path / "channels"
    monkeypatch.setenv("ALERT_CHANNELS_FILE", str(channels))
    for name in ("one", "two"):
        channels.write_text(f"{name}=json://127.0.0.1:1")
        assert list(load(AlertSettings).addresses) == [name]
