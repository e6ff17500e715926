"""Profiles at AEP over real runs: a backfill, a newer record in another slice, AEP's later verdict, one kind in trouble."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
import requests

from capillary_adobe.adobe.hold import NOTHING_HELD
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.outcomes import write_outcomes
from capillary_adobe.state import Customers, DaysToSettle
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, XDM_PROFILES
from capillary_adobe_tests.defs.installation import Installation, failure_of
from capillary_adobe_tests.defs.test_customers import AT, update
from capillary_adobe_tests.defs.verdicts import numbers, read_verdict, validated

DAY, EARLIER, LAST_YEAR = "2026-11-19", "2026-11-18", ("2025-11-18", "2025-11-19")
YEAR_MS = 365 * 86_400_000
CUSTOMERS = range(101, 131)


@pytest.fixture(autouse=True)
def _no_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "0")


def profiles(emulator: RunningEmulator) -> dict[str, dict[str, Any]]:
    """Every customer's profile at AEP, by customer id."""
    validated(emulator)
    lines = requests.get(f"{emulator.base_url}/control/profiles", timeout=10).content.splitlines()
    return {one["identity"]["id"]: one["entity"] for one in map(orjson.loads, lines)}


def outcomes(installation: Installation, day: str) -> dict[str, int]:
    """How many profiles of a day have which outcome, and that the day balances."""
    balance = installation.balance(day)
    assert balance.balanced, balance.differences
    return {name: n for name, n in balance.profile_delivery.items() if n}


def names(entity: dict[str, Any]) -> dict[str, str]:
    """What a profile calls its person."""
    return entity.get("person", {}).get("name", {})


def test_a_backfill_of_last_year_changes_no_profile_to_an_older_value(
    installation: Installation, emulator: RunningEmulator
) -> None:
    chance = random.Random(7)  # noqa: S311
    known = list(CUSTOMERS)
    live = [update(n, who, firstName=f"New{who}") for n, who in enumerate(known[:20])]
    installation.land(f"events/{DAY}/10/1.jsonl", *live)
    installation.run(DAY)
    before = profiles(emulator)
    assert {names(entity)["firstName"] for entity in before.values()} == {f"New{who}" for who in known[:20]}
    for number, day in enumerate(LAST_YEAR):
        past = [
            update(1000 * number + n, who, at=AT - YEAR_MS + n, firstName=f"Old{who}", lastName=f"Roe{number}")
            for n, who in enumerate(chance.sample(known, 25))
        ]
        installation.land(f"history/{day}/1.jsonl", *past)
    for day in chance.sample(LAST_YEAR, 2):
        installation.run(day)
    after = profiles(emulator)
    for who, entity in before.items():
        assert names(after[who])["firstName"] == names(entity)["firstName"]
        newest = entity["extSourceSystemAudit"]["lastUpdatedDate"]
        assert after[who]["extSourceSystemAudit"]["lastUpdatedDate"] == newest
    # What only last year knows is told all the same.
    assert any("lastName" in names(after[who]) for who in before)
    assert {names(entity)["firstName"] for who, entity in after.items() if who not in before} <= {
        f"Old{who}" for who in known[20:]
    }
    for day in (DAY, *LAST_YEAR):
        assert set(outcomes(installation, day)) == {"accepted"}
    sent = len(requests.get(f"{emulator.base_url}/accepted.json", timeout=10).json())
    for day in (*LAST_YEAR, DAY):
        installation.run(day)
    assert len(requests.get(f"{emulator.base_url}/accepted.json", timeout=10).json()) == sent
    assert profiles(emulator) == after


def test_the_day_of_a_record_that_is_superseded_elsewhere_is_written_anew(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(f"events/{EARLIER}/10/1.jsonl", update(1, 101, firstName="Old"))
    installation.run(EARLIER, until="xdm_profiles")
    with installation.state.day_lock(EARLIER):
        write_outcomes(installation.lake, installation.state, Slice(EARLIER), NOTHING_HELD)
    assert outcomes(installation, EARLIER) == {"pending": 1}
    installation.land(f"events/{DAY}/10/1.jsonl", update(2, 101, firstName="New"))
    installation.run(DAY)
    assert outcomes(installation, DAY) == {"accepted": 1}
    assert list(DaysToSettle(installation.state).all()) == [EARLIER]
    read_verdict(installation)
    assert outcomes(installation, EARLIER) == {"superseded": 1}
    assert not DaysToSettle(installation.state).all()
    (entity,) = profiles(emulator).values()
    assert names(entity)["firstName"] == "New"


def test_a_profile_that_aep_refuses_later_is_in_quarantine_and_goes_anew(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(
        f"events/{DAY}/10/1.jsonl", update(1, 101, firstName="Ann"), update(2, 102, firstName="Forbidden")
    )
    name = {"properties": {"firstName": {"not": {"const": "Forbidden"}}}}
    emulator.demand({"properties": {"person": {"properties": {"name": name}}}})
    installation.run(DAY)
    assert outcomes(installation, DAY) == {"accepted": 2}
    assert set(profiles(emulator)) == {"101"}
    found = numbers(read_verdict(installation), "aep_verdict")
    assert (found["refused_entities"], found["records_not_ours"]) == (1, 0)
    assert outcomes(installation, DAY) == {"accepted": 1, "rejected": 1}
    (aside,) = [row for row in installation.rows(QUARANTINE, DAY) if row["event_name"] == "(profile)"]
    (refused,) = [row for row in installation.rows(XDM_PROFILES, DAY) if row["customer_id"] == 102]
    assert (aside["stage"], aside["event_key"], aside["text"]) == ("aep", refused["id"], refused["entity"])
    assert not Customers(installation.state).counts().due
    # A newer record goes although the older one was refused.
    emulator.demand(None)
    installation.land(f"events/{DAY}/11/1.jsonl", update(3, 102, firstName="Bob"))
    installation.run(DAY)
    assert outcomes(installation, DAY) == {"accepted": 2, "rejected": 1}
    assert set(profiles(emulator)) == {"101", "102"}


@pytest.mark.parametrize("broken", ["events", "profiles"])
def test_what_keeps_one_kind_from_being_sent_does_not_keep_the_other(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    installation.land(f"events/{DAY}/10/1.jsonl", update(1, 101, firstName="Ann"))
    with monkeypatch.context() as patch:
        patch.setenv(f"ADOBE_{broken.upper()}_DATASET_ID", "5e0000000000000000000000")
        words = failure_of(installation.run(DAY, raise_on_error=False))
    assert f"ADOBE_{broken.upper()}_DATASET_ID" in words
    statuses = {row["kind"]: row["status"] for row in installation.rows(INGESTION_STATUS, DAY)}
    assert statuses == {"events": "accepted", "profiles": "accepted"} | {broken: "failed"}
    installation.run(DAY)
    assert outcomes(installation, DAY) == {"accepted": 1}
