"""Looks at AEP, against an emulator that works, refuses, is down, or has been set up otherwise."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path

import pytest
import requests

from capillary_adobe.doctor.aep import SERVICES, _ahead, judge_clock
from capillary_adobe.doctor.aep_objects import judge_inlet
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import EnvironmentRecord, State
from capillary_adobe_tests.doctor.conftest import Examine, told

DOWN = "http://127.0.0.1:9"


def test_a_wrong_secret(look: Examine, aep: RunningEmulator) -> None:
    found = look(**{**aep.environment, "ADOBE_CLIENT_SECRET": "of-yesterday"})
    assert "fail: Adobe's identity service refuses the credential (400 invalid_client)." in told(found, "ims")
    assert "Check ADOBE_CLIENT_ID and ADOBE_CLIENT_SECRET" in told(found, "ims")
    for check in (
        "platform",
        "clock",
        "sandbox",
        "event objects",
        "inlet",
        *(f"right: {one.name}" for one in SERVICES),
    ):
        assert told(found, check).startswith("skipped: Needs an access token")


def test_another_organisation(look: Examine, aep: RunningEmulator) -> None:
    found = look(**{**aep.environment, "ADOBE_ORG_ID": "ANOTHER@AdobeOrg"})
    assert told(found, "ims").startswith("ok")
    assert told(found, "platform").startswith("fail")
    assert "Profile is not valid" in told(found, "platform")
    assert told(found, "sandbox").startswith("skipped")


def test_hosts_that_are_down(look: Examine, aep: RunningEmulator) -> None:
    started = time.monotonic()
    found = look(**{**aep.environment, "ADOBE_IMS_URL": DOWN})
    assert "ADOBE_IMS_URL=http://127.0.0.1:9 cannot be reached" in told(found, "ims")
    found = look(**{**aep.environment, "ADOBE_PLATFORM_URL": DOWN, "ADOBE_INLET_URL": f"{DOWN}/collection/x"})
    assert "No answer from" in told(found, "platform")
    for check in ("clock", "sandbox", "right: catalog", "event objects"):
        assert told(found, check).startswith("skipped: Needs an answer of the Platform API")
    assert "The inlet does not answer (ConnectionError)" in told(found, "inlet")
    assert time.monotonic() - started < 20


def test_a_sandbox_that_does_not_exist(look: Examine, aep: RunningEmulator) -> None:
    found = look(**{**aep.environment, "ADOBE_SANDBOX_NAME": "nowhere"})
    assert told(found, "platform").startswith("ok")
    assert "fail: The sandbox nowhere does not exist" in told(found, "sandbox")
    assert aep.environment["ADOBE_SANDBOX_NAME"] in told(found, "sandbox")


def test_rights_that_are_missing(look: Examine, aep: RunningEmulator) -> None:
    for service in SERVICES:
        path = service.path.partition("?")[0]
        aep.faults.add(kind="status", path=path, method=service.method, status=403, times=None)
    try:
        found = look(**aep.environment)
    finally:
        aep.faults.clear()
    for service in SERVICES:
        said = told(found, f"right: {service.name}")
        assert said.startswith("fail")
        assert f"the right to {service.right} in the sandbox" in said
    assert told(found, "platform").startswith("ok")
    assert told(found, "inlet").startswith("ok")


def test_namespaces_that_do_not_exist(look: Examine, aep: RunningEmulator) -> None:
    assert told(look(**aep.environment), "identity namespaces").startswith("ok")
    said = told(look(**{**aep.environment, "ADOBE_SANDBOX_NAME": "prod"}), "identity namespaces")
    for code in ("capillaryCustomerId", "capillaryExternalId"):
        assert f"fail: The sandbox has no active namespace {code}. Run `capillary-adobe setup`." in said


def test_namespaces_of_the_identities_in_use(look: Examine, aep: RunningEmulator) -> None:
    hashed = {"IDENTITY_EMAIL": "sha256", "IDENTITY_PHONE": "sha256"}
    assert told(look(**aep.environment, **hashed), "identity namespaces").startswith("ok")
    asked = {"IDENTITY_CARD": "plain", "IDENTITY_EMAIL": "sha256", "IDENTITY_EMAIL_SHA256_NAMESPACE": "Email_Hash"}
    said = told(look(**aep.environment, **asked), "identity namespaces")
    for code in ("capillaryCardNumber", "Email_Hash"):
        assert f"fail: The sandbox has no active namespace {code}." in said


def test_objects_that_do_not_exist(look: Examine, aep: RunningEmulator) -> None:
    wrong = {
        "ADOBE_EVENTS_SCHEMA_ID": "https://ns.adobe.com/demo/schemas/0000",
        "ADOBE_EVENTS_DATASET_ID": "000000000000000000000000",
        "ADOBE_EVENTS_FLOW_ID": "00000000-0000-4000-8000-000000000000",
    }
    said = told(look(**{**aep.environment, **wrong}), "event objects")
    for variable in wrong:
        assert f"as {variable} names it in this sandbox" in said
    assert "capillary-adobe setup" in said


def test_objects_that_do_not_belong_together(look: Examine, aep: RunningEmulator) -> None:
    environment = dict(aep.environment)
    environment["ADOBE_EVENTS_DATASET_ID"] = environment["ADOBE_PROFILES_DATASET_ID"]
    environment["ADOBE_INLET_URL"] = f"{aep.base_url}/collection/{'0' * 64}"
    found = look(**environment)
    said = told(found, "event objects")
    assert "has another schema than ADOBE_EVENTS_SCHEMA_ID names" in said
    assert "leads to another dataset" in said
    assert "begins at another inlet than ADOBE_INLET_URL names" in said
    assert "fail: There is no such inlet." in told(found, "inlet")


def test_profiles_are_not_asked_for_where_they_are_not_set_up(look: Examine, aep: RunningEmulator) -> None:
    without = {name: value for name, value in aep.environment.items() if not name.startswith("ADOBE_PROFILES_")}
    assert told(look(**without), "profile objects").startswith("skipped: Not set up")
    only = {**without, "ADOBE_PROFILES_SCHEMA_ID": aep.environment["ADOBE_PROFILES_SCHEMA_ID"]}
    assert "fail: ADOBE_PROFILES_DATASET_ID is not set" in told(look(**only), "profile objects")


def test_a_look_at_the_inlet_brings_nothing_in(look: Examine, aep: RunningEmulator) -> None:
    assert told(look(**aep.environment), "inlet").startswith("ok: The inlet answers (status 207")
    assert requests.get(f"{aep.base_url}/accepted.json", timeout=10).json() == []


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (207, "ok"), (400, "ok"), (401, "fail"), (403, "fail"), (404, "fail"), (503, "warn")],
)
def test_answers_of_the_inlet(status: int, outcome: str) -> None:
    assert judge_inlet(status).outcome == outcome


@pytest.mark.parametrize(("ahead", "outcome"), [(0.4, "ok"), (-45, "warn"), (45, "warn"), (-4000, "fail")])
def test_clocks(ahead: float, outcome: str) -> None:
    assert judge_clock(ahead).outcome == outcome


def test_a_clock_is_compared_with_the_date_of_an_answer() -> None:
    assert _ahead(formatdate(7200, usegmt=True), 0) == 7200
    assert _ahead("no date", 0) is None
    assert _ahead(None, 0) is None


def test_the_record_is_compared_with_the_environment(look: Examine, aep: RunningEmulator, place: Path) -> None:
    assert place.is_dir()
    environment = dict(aep.environment)
    record = EnvironmentRecord(
        State("sqlite:///state.db"), environment["ADOBE_ORG_ID"], environment["ADOBE_SANDBOX_NAME"]
    )
    record.write({"events_dataset_id": "another", "tenant_id": environment["ADOBE_TENANT_ID"]})
    said = told(look(**environment), "environment record")
    assert said == (
        "warn: ADOBE_EVENTS_DATASET_ID is not what set-up recorded. Take ADOBE_EVENTS_DATASET_ID out of the environment "
        "unless that is meant."
    )
    record.write({"events_dataset_id": environment["ADOBE_EVENTS_DATASET_ID"]})
    assert told(look(**environment), "environment record").startswith("ok: 2 values are recorded")
