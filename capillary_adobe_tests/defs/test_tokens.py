"""Access tokens that end in the middle of a run: it renews them and goes on, by either lane."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_road import DAY

LINES = 300
LIFE_SECONDS = 3
LATENCY_SECONDS = 0.2
# A token is renewed when three quarters of so short a life are over.
RENEWED_AFTER_SECONDS = 0.75 * LIFE_SECONDS
STREAMING = {"ADOBE_MAX_REQUEST_BYTES": "20000", "ADOBE_CONNECTIONS": "1"}
BATCH = {
    "ADOBE_BATCH_FROM_ENTITIES": "1",
    "ADOBE_BATCH_FILE_BYTES": "100000",
    "ADOBE_BATCH_PUT_BYTES": "1",
    "ADOBE_BATCH_PART_BYTES": "15000",
}
# The addresses that entities are sent to, and where their answers are counted.
LANES = [
    pytest.param(STREAMING, "/collection/", "requests", id="streaming"),
    pytest.param(BATCH, "/data/foundation/import/", "platform", id="batch"),
]


@contextmanager
def installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, lane: dict[str, str]
) -> Iterator[tuple[Installation, RunningEmulator]]:
    """A day that has landed, and an emulator that is its environment's."""
    with RunningEmulator(tmp_path / "emulator", behaviour=behaviour) as emulator:
        more = {
            "ADOBE_MAX_RECORDS_PER_SECOND": "0",
            "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
            "CAPILLARY_CURRENCY": "INR",
        }
        for name, value in {**emulator.environment, **more, **lane}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        # An emulator of another test may have had the same port, and its token would do here.
        monkeypatch.setattr("capillary_adobe.adobe.token._shared", {})
        installation = Installation(tmp_path / "installation", tmp_path / "landing")
        write_day(installation.store, date.fromisoformat(DAY), LINES)
        yield installation, emulator


def refused(seen: dict[str, Any], answers: str) -> int:
    return sum(seen[answers].get(status, 0) for status in ("401", "403"))


def assert_all_arrived(installation: Installation, seen: dict[str, Any]) -> None:
    balance = installation.balance(DAY)
    assert balance.balanced, balance.differences
    assert balance.delivery["accepted"] == balance.raw == seen["distinct"] == seen["accepted"]


@pytest.mark.parametrize(("lane", "_path", "answers"), LANES)
def test_tokens_are_renewed_while_a_run_lasts_longer_than_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: dict[str, str], _path: str, answers: str
) -> None:
    behaviour = Behaviour(token_seconds=LIFE_SECONDS, latency_seconds=LATENCY_SECONDS)
    with installed(tmp_path, monkeypatch, behaviour, lane) as (installation, emulator):
        installation.run(DAY, until="xdm_events")
        began = time.monotonic()
        assert installation.run(DAY, begin="ingestion_status").success
        lasted = time.monotonic() - began
        seen = summary(emulator.base_url)
    assert_all_arrived(installation, seen)
    assert lasted > 2 * LIFE_SECONDS
    assert seen["tokens"].keys() == {"200"}
    # A machine that stalls between taking a token and sending it may find it expired; no more than now and then.
    assert refused(seen, answers) <= 3
    assert 1 < seen["tokens"]["200"] <= 1 + lasted / RENEWED_AFTER_SECONDS + refused(seen, answers)


@pytest.mark.parametrize(("lane", "path", "answers"), LANES)
def test_a_token_revoked_in_the_middle_is_replaced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: dict[str, str], path: str, answers: str
) -> None:
    with installed(tmp_path, monkeypatch, Behaviour(), lane) as (installation, emulator):
        emulator.faults.add(kind="revoke_token", path=path, skip=10)
        assert installation.run(DAY).success
        (fault,) = emulator.faults.overview()
        seen = summary(emulator.base_url)
    assert_all_arrived(installation, seen)
    assert fault["fired"] == 1
    assert fault["met"] > 20, "nothing was left to be sent after the revocation"
    assert seen["tokens"] == {"200": 2}
    assert refused(seen, answers) == 1
