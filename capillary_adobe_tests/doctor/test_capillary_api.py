"""The looks at Capillary's API, against the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe_tests.doctor.conftest import Examine, told


@pytest.fixture
def capillary(tmp_path: Path) -> Iterator[RunningCapillary]:
    with RunningCapillary(tmp_path / "capillary", Behaviour(token_seconds=300)) as one:
        yield one


def test_the_client_gets_a_token_or_is_refused(look: Examine, capillary: RunningCapillary) -> None:
    found = look(**capillary.environment)
    assert told(found, "capillary api") == "ok: Capillary gives a token, good for 300 seconds. "
    assert told(found, "webhook").startswith("skipped: Not set up (CAPILLARY_WEBHOOK_URL")
    found = look(**capillary.environment | {"CAPILLARY_API_SECRET": "wrong-secret"})
    assert told(found, "capillary api") == (
        "fail: Capillary refuses the API client (status 401). Check CAPILLARY_API_KEY and CAPILLARY_API_SECRET, and that "
        "the client is active."
    )


def test_a_client_that_is_half_set_or_a_host_that_is_down(look: Examine) -> None:
    assert told(look(CAPILLARY_API_KEY="k"), "capillary api").startswith("fail: Of CAPILLARY_API_URL")
    down = look(CAPILLARY_API_URL="http://127.0.0.1:9", CAPILLARY_API_KEY="k", CAPILLARY_API_SECRET="s-e-c-r-e-t")
    assert "does not answer (ConnectionError)" in told(down, "capillary api")


def test_the_client_may_look_things_up_or_not(look: Examine, tmp_path: Path) -> None:
    assert told(look(), "look-ups").startswith("skipped: Not set up (CAPILLARY_API_URL)")
    with RunningCapillary(tmp_path / "free") as capillary:
        free = told(look(**capillary.environment | {"CAPILLARY_LOOKUP_TRANSACTIONS": "true"}), "look-ups")
        assert free == "ok: The client may read stores, programs, customers, bills. "
        bulk = told(look(**capillary.environment | {"CAPILLARY_LOOKUP_CUSTOMERS_PER_CALL": "9"}), "look-ups")
        assert bulk.startswith("ok: ")
        odd = told(look(**capillary.environment | {"CAPILLARY_LOOKUP_SOURCE": "WECHAT"}), "look-ups")
        assert odd == (
            "fail: The client may not read customers (status 400). Set CAPILLARY_LOOKUP_ACCOUNT_ID to the account of "
            "CAPILLARY_LOOKUP_SOURCE."
        )
    with RunningCapillary(tmp_path / "denied", Behaviour(denied=frozenset({"Customer", "Organization"}))) as capillary:
        found = look(**capillary.environment)["look-ups"]
    assert [one.words for one in found] == [
        f"The client may not read {what} (status 403)." for what in ("stores", "programs", "customers")
    ]
    assert all("read on Customer, Transaction and Organization" in one.cure for one in found)


def test_the_webhook_is_held_against_the_settings(look: Examine, capillary: RunningCapillary) -> None:
    url = "https://events.example.com/events"
    settings = {**capillary.environment, "CAPILLARY_WEBHOOK_URL": url, "CAPILLARY_WEBHOOK_EVENTS": "pointsIssued"}
    assert told(look(**settings), "webhook").startswith("fail: RECEIVE_SECRET is missing. Set it")

    settings["RECEIVE_SECRET"] = "hush-hush-hush"
    assert told(look(**settings), "webhook").startswith("warn: Capillary has no webhook capillary-adobe. Run")

    capillary.subscribe(
        name="capillary-adobe",
        webHookUrl=url,
        maxAllowedConnections=10,
        webHookHeaders={"Authorization": "hush-hush-hush", "Content-Type": "application/json"},
        customerIdentifiersToBeEnriched=["Instore"],
        tillDetailsEnrichmentEnabled=True,
        storeDetailsEnrichmentEnabled=True,
    )
    assert told(look(**settings), "webhook") == "ok: The webhook capillary-adobe is as it should be; event types: 1. "
    differs = told(look(**settings | {"CAPILLARY_WEBHOOK_CONNECTIONS": "3"}), "webhook")
    assert differs.startswith("warn: The webhook capillary-adobe differs: maxAllowedConnections.")
    blocked = told(look(**settings | {"CAPILLARY_WEBHOOK_NAME": "second"}), "webhook")
    assert blocked.startswith("fail: The webhook cannot be as the settings describe it. Another webhook posts")
