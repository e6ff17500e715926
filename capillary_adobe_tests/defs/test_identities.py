"""An identity that several customers share joins none of them: real runs, and the identity graph of the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pytest
import requests

from capillary_adobe.defs.build import REFRESH_JOB
from capillary_adobe.defs.identity_guard import CHECK, identity_result
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.tables import XDM_EVENTS, XDM_PROFILES
from capillary_adobe_tests.capillary.events import CREATED_MS, DAY, event
from capillary_adobe_tests.defs.installation import Installation, accepted
from capillary_adobe_tests.emulators.platform_client import eventually

CUSTOMERS = 50
SHARED = "Front.Desk@brand-store.com"


@pytest.fixture(autouse=True)
def without_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "0")


def of_customer(number: int, name: str, minute: int, data: dict[str, Any] | None = None, **contacts: Any) -> Any:
    """An event of one of the customers, whose mobile is its own."""
    instore = {"mobile": f"9198{number:03d}40312", **contacts}
    identifiers = {"customerId": 1000 + number, "instore": instore}
    return event(
        name,
        {"customerIdentifiers": identifiers, **(data or {})},
        eventId=f"0a1b2c3d-{minute:04d}-4000-8000-{number:012d}",
        createdAt=CREATED_MS + minute * 60_000 + number,
    )


def micro_batch(installation: Installation, number: int, events: Iterable[Any]) -> dg.ExecuteInProcessResult:
    """Land events and run the road for them, as the landing sensor has it run."""
    before = f"events/{DAY}/{9 + number:02d}/z.jsonl" if number else ""
    key = installation.land(f"events/{DAY}/{10 + number:02d}/a.jsonl", *events)
    return installation.run(DAY, batch=MicroBatchConfig(batch_id=f"b{number}", after_key=before, up_to_key=key))


def refresh(installation: Installation, number: int) -> None:
    """Send the profiles that no micro-batch sends, as the customer sensor has it done."""
    names = ("xdm_profiles", "ingestion_status")
    config = MicroBatchConfig(batch_id=f"lookups-{number}")
    job = installation.definitions.resolve_job_def(REFRESH_JOB)
    job.execute_in_process(
        instance=installation.instance, partition_key=DAY, run_config=dg.RunConfig(ops=dict.fromkeys(names, config))
    )


def graph(emulator: RunningEmulator, entities: int) -> dict[str, Any]:
    """The identity graph when everything that was sent is in it."""
    url = f"{emulator.base_url}/summary.json"

    def validated() -> bool | None:
        seen = requests.get(url, timeout=30).json()
        return None if seen["awaiting_validation"] else True

    eventually(validated, "the end of the validation")
    assert len(accepted(emulator.base_url)) == entities
    return requests.get(f"{emulator.base_url}/control/identity-graph", timeout=30).json()


def profiles(emulator: RunningEmulator) -> dict[str, dict[str, Any]]:
    """The record that AEP holds of each customer."""
    answer = requests.get(f"{emulator.base_url}/control/profiles", timeout=30)
    found = [json.loads(line) for line in answer.text.splitlines()]
    return {one["identity"]["id"]: one["entity"] for one in found}


def guard(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The check's evaluations by asset."""
    found = [one for one in result.get_asset_check_evaluations() if one.check_name == CHECK]
    return {one.asset_key.to_user_string(): one for one in found}


def sent(installation: Installation) -> int:
    """How many entities the runs made; each of them was sent."""
    return sum(installation.lake.count(table, Slice(DAY)) for table in (XDM_EVENTS, XDM_PROFILES))


def everybody(numbers: Iterable[int], minute: int) -> list[Any]:
    """For each customer a registration and a purchase's points, each with the shared address, spelled as tills do."""
    return [
        of_customer(number, name, minute + turn, data, email=SHARED if (number + turn) % 2 else f" {SHARED.upper()} ")
        for number in numbers
        for turn, (name, data) in enumerate(
            [("customerAdded", {"firstName": "A", "enteredAt": CREATED_MS}), ("pointsExpired", {"pointsExpired": 5})]
        )
    ]


def test_an_address_that_fifty_customers_share_joins_none_of_them(
    emulator: RunningEmulator, installation: Installation
) -> None:
    # At first one customer alone has it, and it goes out; then all others, at once.
    alone = micro_batch(installation, 0, everybody([0], 0))
    others = micro_batch(installation, 1, everybody(range(1, CUSTOMERS), 10))
    refresh(installation, 1)

    found = graph(emulator, sent(installation))
    assert (found["primaries"], found["joined"]) == (CUSTOMERS, [])
    held = profiles(emulator)
    assert set(held) == {str(1000 + number) for number in range(CUSTOMERS)}
    for number in range(CUSTOMERS):
        identities = held[str(1000 + number)]["identityMap"]
        assert "Email" not in identities
        assert [one["id"] for one in identities["Phone"]] == [f"+9198{number:03d}40312"]
    carrying = [one for one in accepted(emulator.base_url) if "Email" in one["identityMap"]]
    assert {one["identityMap"]["capillaryCustomerId"][0]["id"] for one in carrying} == {"1000"}

    (email, *kinds) = IdentityUses(installation.state).fan_in()
    assert (email.worst, email.held, email.let_through) == (CUSTOMERS, 1, 0)
    assert not any(one.worst for one in kinds)
    for result in (alone, others):
        checks = guard(result)
        assert set(checks) == {"xdm_events", "xdm_profiles"}
        assert all(check.passed for check in checks.values()), checks
    shown = guard(others)["xdm_events"].metadata
    assert (shown["held_back"].value, shown["worst"].value, shown["joining"].value) == (1, CUSTOMERS, 0)
    assert SHARED.lower() not in repr(shown).lower()
    # Made again, the first batch's events leave it out, too, now that it is known.
    installation.run(DAY, begin="enriched_events", until="xdm_events")
    assert not [row for row in installation.rows(XDM_EVENTS, DAY) if '"Email"' in row["entity"]]


def test_whoever_lets_them_share_it_has_them_joined_and_is_told(
    emulator: RunningEmulator, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_MAX_CUSTOMERS", "3")
    monkeypatch.setenv("IDENTITY_PHONE", "sha256")
    result = micro_batch(installation, 0, everybody(range(3), 0))

    (cluster,) = graph(emulator, sent(installation))["joined"]
    assert [one["id"] for one in cluster["primaries"]] == ["1000", "1001", "1002"]
    assert cluster["joined_by"] == [{"namespace": "Email", "id": SHARED.lower()}]
    assert all("Phone_SHA256_E.164" in record["identityMap"] for record in profiles(emulator).values())
    assert guard(result)["xdm_profiles"].metadata["let_through"].value == 1
    # The operator thinks better of it, too late for what went out: the check says so of the entities that are stored.
    monkeypatch.setenv("IDENTITY_MAX_CUSTOMERS", "1")
    check = identity_result(installation.lake, installation.state, XDM_EVENTS, Slice(DAY))
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["joining"].value == 1


def test_a_mobile_that_was_released_does_not_join_its_new_owner_with_the_old(
    emulator: RunningEmulator, installation: Installation
) -> None:
    first, mobile = {"firstName": "A"}, "919650001234"
    micro_batch(installation, 0, [of_customer(0, "customerAdded", 0, first, mobile=mobile)])
    # The first has another mobile since, and the old one is somebody else's; AEP still has it with the first. An event of
    # the past that comes late tells it of the first one once more.
    micro_batch(
        installation,
        1,
        [
            of_customer(0, "customerUpdated", 10, mobile="919650005678"),
            of_customer(1, "customerAdded", 20, {"firstName": "B"}, mobile=mobile),
            of_customer(0, "pointsExpired", 5, {"pointsExpired": 1}, mobile=mobile),
        ],
    )

    found = graph(emulator, sent(installation))
    assert (found["primaries"], found["joined"]) == (2, [])
    assert "Phone" not in profiles(emulator)["1001"]["identityMap"]
    assert profiles(emulator)["1000"]["identityMap"]["Phone"][0]["id"] == "+919650005678"
