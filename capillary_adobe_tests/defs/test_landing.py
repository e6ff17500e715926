"""The landing store as the code location sees it: bodies that lie aside, and how S3 is reached."""

from __future__ import annotations

import json
import subprocess
import sys

import dagster as dg
import pytest

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LandingResource
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.landing import LandingError, LandingUnavailable
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events
from capillary_adobe_tests.defs.test_sensor import Operator, fresh, key, settled, today

assert settled  # the sensor's fixture: objects are taken at once


def test_a_body_that_lies_aside_is_delivered_or_in_quarantine(
    installation: Installation, emulator: RunningEmulator
) -> None:
    operator = Operator(installation)
    installation.land(key("1"), fresh(1))
    aside = key("0").replace("events/", "aside/")
    installation.store.write(f"{aside}.oversize", json.dumps(fresh(2), indent=2).encode())
    installation.store.write(f"{aside}.unreadable", b"<html>\n502\n</html>")
    (request,) = operator.tick().requests
    assert operator.run(request)
    balance = installation.balance(today())
    assert balance.balanced
    assert (balance.landed_lines, balance.raw, balance.quarantined) == (3, 2, {"not_json": 1})
    [row] = installation.rows(QUARANTINE, today())
    assert (row["object"], row["line"], row["text"]) == (f"{aside}.unreadable", 1, "<html>\n502\n</html>")

    # The whole day reads the same.
    assert installation.run(today()).success
    assert installation.balance(today()).quarantined == {"not_json": 1}
    assert {row["object"] for row in installation.rows(RAW_EVENTS, today())} == {key("1"), f"{aside}.oversize"}
    assert len(events(emulator.base_url)) == 2


def test_a_folder_never_asks_for_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder has no use for a client, and a mistyped profile would stop it; nor does a process load what S3 needs."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert LandingResource(url="no/such/folder").open().days("live") == []
    loaded = "import sys, capillary_adobe.definitions; print(sorted({'boto3', 'dagster_aws'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_what_cannot_be_reached_is_told_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(LandingError, match="S3 cannot be used"):
        LandingResource(url="s3://bucket/landing").open()
    monkeypatch.delenv("AWS_PROFILE")
    with pytest.raises(LandingError, match="is no address of S3"):
        LandingResource(url="s3://").open()


@pytest.mark.parametrize(("error", "again"), [(LandingError, False), (LandingUnavailable, True)])
def test_only_what_may_pass_is_tried_again(error: type[LandingError], *, again: bool) -> None:
    with pytest.raises(dg.Failure) as told, told_plainly():
        raise error("words")
    assert (told.value.description, told.value.allow_retries) == ("words", again)
