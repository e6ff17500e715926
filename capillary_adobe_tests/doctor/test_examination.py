"""The examination as a whole: one look never hides another, takes its time only, and nothing secret is told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from capillary_adobe.doctor.findings import Check, Outcome, Verdict, examine, fail, ok, split_cure
from capillary_adobe.doctor.order import secrets_of_settings
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.settings import every_class, variable
from capillary_adobe_tests.doctor.conftest import Examine, told
from capillary_adobe_tests.examples import examples


def test_an_installation_that_is_set_up_has_nothing_to_mend(look: Examine, aep: RunningEmulator) -> None:
    found = look(**aep.environment)
    assert {one.outcome for many in found.values() for one in many} <= {Outcome.OK, Outcome.WARN, Outcome.SKIPPED}
    skipped = [name for name, many in found.items() if many[0].outcome is Outcome.SKIPPED]
    assert skipped == ["receiver", "exports", "capillary api", "look-ups", "webhook"]
    assert "58 variables" not in told(found, "python")


def test_a_new_machine_gets_a_line_for_every_look(look: Examine) -> None:
    found = look()
    assert "ADOBE_CLIENT_SECRET is missing." in told(found, "settings")
    assert "ADOBE_EVENTS_FLOW_ID is missing." in told(found, "settings")
    assert {one.outcome for one in found["settings"]} == {Outcome.FAIL}
    assert told(found, "ims") == "skipped: Needs settings that are missing or malformed; `settings` names them. "
    assert found["lake"][0].outcome is Outcome.OK


def test_nothing_outside_is_asked_offline(look: Examine, aep: RunningEmulator) -> None:
    settings = {**aep.environment, "ADOBE_PLATFORM_URL": "http://127.0.0.1:9", "ADOBE_IMS_URL": "http://127.0.0.1:9"}
    found = look(offline=True, **settings)
    assert told(found, "ims") == told(found, "inlet") == "skipped: Not asked: --offline. "
    assert found["settings"][0].outcome is Outcome.OK
    assert not [one for many in found.values() for one in many if one.outcome is Outcome.FAIL]


def test_a_look_that_breaks_or_hangs_hides_no_other() -> None:
    hanging = threading.Event()

    def breaks() -> Verdict:
        raise RuntimeError("of a private kind")

    def hangs() -> Verdict:
        hanging.wait(10)
        return ok("late")

    checks = [Check("breaks", breaks), Check("hangs", hangs, seconds=0.2), Check("works", lambda: ok("well"))]
    found = list(examine(checks, []))
    hanging.set()
    assert [(one.check, one.outcome) for one in found] == [("breaks", "fail"), ("hangs", "fail"), ("works", "ok")]
    assert "private" not in found[0].words
    assert found[1].words == "No answer within 0.2 seconds."


def test_an_error_is_split_into_what_is_wrong_and_the_cure() -> None:
    assert split_cure("It is (x.y).\nMend it. Then go on.") == ("It is (x.y).", "Mend it. Then go on.")
    assert split_cure("It is so") == ("It is so", "")


# With a beginning of its own: eight zeros stand in the id of an organisation too.
_secret = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=20).map("zQ{}".format)


@limits(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(client=_secret, api=_secret, password=_secret)
def test_no_secret_is_ever_told(look: Examine, aep: RunningEmulator, client: str, api: str, password: str) -> None:
    host = aep.base_url.replace("http://", f"http://user:{password}@")
    settings = {
        **aep.environment,
        "ADOBE_CLIENT_SECRET": client,
        "CAPILLARY_API_URL": f"http://key:{password}@127.0.0.1:9",
        "CAPILLARY_API_KEY": "k",
        "CAPILLARY_API_SECRET": api,
        "STATE_URL": f"postgresql://me:{password}@127.0.0.1:9/none",
        "ADOBE_PLATFORM_URL": host,
    }
    written = str(look(**settings))
    for secret in (client, api, password):
        assert secret not in written
    assert "fail" in written


def test_a_secret_within_an_error_is_cut_out() -> None:
    found = list(examine([Check("x", lambda: fail("with s3cr3t-1 in it", "and s3cr3t"))], ["s3cr3t", "s3cr3t-1"]))
    assert (found[0].words, found[0].cure) == ("with *** in it", "and ***")


def test_every_secret_setting_is_known_for_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.is_dir()
    (place / ".env").write_text("CAPILLARY_API_SECRET=of-the-file\n")
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", " of-the-environment ")
    assert set(secrets_of_settings()) == {"of-the-environment", "of-the-file"}
    named = {variable(one, name) for one in every_class() for name in one.model_fields if "secret" in name}
    receiver = {f"RECEIVE_{name}" for name in ("SECRET", "PREVIOUS_SECRET", "HMAC_SECRET", "HMAC_PREVIOUS_SECRET")}
    assert named == {"ADOBE_CLIENT_SECRET", "CAPILLARY_API_SECRET", *receiver}
