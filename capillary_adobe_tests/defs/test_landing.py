"""The landing store as the code location sees it: bodies that lie aside, and how S3 is reached."""

from __future__ import annotations

import json
import warnings

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LandingResource, default_resources
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.landing import LandingError, LandingUnavailable
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events
from capillary_adobe_tests.defs.test_sensor import Operator, fresh, key, settled, today
from capillary_adobe_tests.s3_servers import S3Server

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


def test_the_landing_store_is_a_resource_of_s3_that_a_folder_never_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound to a step it is itself, and no client, which a folder has no use for and a mistyped profile would stop."""
    landing = default_resources()["landing"]
    assert isinstance(landing, S3Resource)
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    @dg.op
    def look(landing: LandingResource) -> list[str]:
        return landing.open().days("live")

    @dg.job
    def looking() -> None:
        look()

    folder = LandingResource(url="no/such/folder")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert looking.execute_in_process(resources={"landing": folder}).output_for_node("look") == []


def test_the_resource_reaches_what_the_variables_name_and_what_is_set_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    S3Server("http://127.0.0.1:9").use(monkeypatch)
    client = LandingResource().get_client()
    assert (client.meta.endpoint_url, client.meta.region_name) == ("http://127.0.0.1:9", "us-east-1")
    assert client.meta.config.s3["addressing_style"] == "path"
    other = LandingResource(
        endpoint_url="http://127.0.0.1:8",
        region_name="eu-central-1",
        max_attempts=2,
        aws_access_key_id="another",
        aws_secret_access_key="another-secret",
    ).get_client()
    assert (other.meta.endpoint_url, other.meta.region_name) == ("http://127.0.0.1:8", "eu-central-1")
    assert other.meta.config.retries["total_max_attempts"] == 2
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert LandingResource().get_client().meta.config.s3["addressing_style"] == "virtual"
    unsigned = LandingResource(use_unsigned_session=True).get_client()
    assert "X-Amz-Signature" not in unsigned.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a"})


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
