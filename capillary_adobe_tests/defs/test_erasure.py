"""A person is deleted at Capillary: afterwards nothing of theirs is left, whatever runs again, and the days still balance."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from capillary_adobe.defs.erasure import CHECK, JOB, SCHEDULE, build_erasure_schedule
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake_rewriting import RewritableLake, one_of
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.erasure import ERASED_TEXT
from capillary_adobe.state import Customers, Erasures, State
from capillary_adobe.state.database import metadata
from capillary_adobe.tables import ENRICHED_EVENTS, QUARANTINE, RAW_EVENTS, XDM_EVENTS, XDM_PROFILES
from capillary_adobe_tests.defs.installation import Installation, accepted
from capillary_adobe_tests.services import postgres_database

DAY, NEXT_DAY = "2026-11-19", "2026-11-20"
FIRST_MS = 1_795_000_000_000
PERSON, VICTIM, GRAND_VICTIM, OTHER = 4711, 4712, 4713, 99
VALUES = (
    "Zelmirabel",
    "Quixanthony",
    "zelmirabel@quixanthony.org",
    "919876500123",
    "EXT-ZQ-77",
    "6011000990139424",
    "violet-hippogriff",
    "1987-06-05",
    "said she moved to Lisbon",
)
NAME, LAST, EMAIL, MOBILE, EXTERNAL, CARD, HOBBY, BORN, NOTE = VALUES


def event(number: int, name: str, customer: int | None = PERSON, **data: Any) -> dict[str, Any]:
    about = {} if customer is None else {"customerIdentifiers": identifiers(customer)}
    return {
        "eventName": name,
        "eventId": f"event-{number}",
        "orgId": 7,
        "createdAt": FIRST_MS + number,
        "data": {**about, **data},
    }


def identifiers(customer: int) -> dict[str, Any]:
    if customer == OTHER:
        return {"customerId": OTHER, "firstName": "Bystander", "instore": {"email": "bystander@example.org"}}
    return {
        "customerId": customer,
        "firstName": NAME,
        "lastName": LAST,
        "instore": {"email": EMAIL, "mobile": MOBILE, "externalId": EXTERNAL, "cardNumbers": [CARD]},
    }


def sale(number: int, customer: int = PERSON, **more: Any) -> dict[str, Any]:
    custom = [{"key": "hobby", "value": HOBBY if customer != OTHER else "chess"}]
    bill = {"transactionId": number, "amount": 10.5, "billNumber": f"bill-{number}", "billType": "REGULAR"}
    return event(number, "transactionAdded", customer, **bill, currencyCode="INR", customFields=custom, **more)


def merge(number: int, victim: int, survivor: int) -> dict[str, Any]:
    parties = {"victimCustomerIdentifiers": identifiers(victim), "survivorCustomerIdentifiers": identifiers(survivor)}
    return event(number, "loyaltyCustomerMerge", None, **parties)


def deletion(number: int, customer: int = PERSON) -> dict[str, Any]:
    status = {"currentLabel": "Deleted", "previousLabel": "Active", "reason": NOTE}
    named = {"firstName": NAME, "lastName": LAST, "customFields": [{"key": "hobby", "value": HOBBY}]}
    return event(number, "customerUpdated", customer, **named, updatedFields=[], customerStatus=status)


def life_of_a_person() -> list[dict[str, Any]]:
    added = {
        "firstName": NAME,
        "lastName": LAST,
        "source": "INSTORE",
        "extendedFields": [{"key": "dob", "value": BORN}, {"key": "hobby", "value": HOBBY}],
    }
    return [
        event(1, "customerAdded", **added),
        event(2, "customerAdded", OTHER, firstName="Bystander", source="INSTORE"),
        event(3, "customerAdded", VICTIM, **added),
        event(4, "customerAdded", GRAND_VICTIM, **added),
        sale(10),
        sale(11, OTHER),
        sale(12, notes=NOTE),
        event(13, "pointsRedeemed", totalPointsRedeemed=5, redemptionSummaryId=1, redemptionNotes=NOTE),
        # Another's event that names the person.
        event(
            14, "pointsTransferredReceived", OTHER, transferInitiatingCustomerIdentifiers=identifiers(PERSON), points=3
        ),
        merge(20, GRAND_VICTIM, VICTIM),
        merge(21, VICTIM, PERSON),
        # For the quarantine: its text has all of it.
        {key: value for key, value in sale(30).items() if key != "createdAt"},
        {key: value for key, value in sale(31, OTHER).items() if key != "createdAt"},
    ]


def traces(installation: Installation, values: tuple[str, ...] = VALUES) -> dict[str, list[str]]:
    """Where the values stand, in any byte of state and tables, referenced or not."""
    found: dict[str, list[str]] = {}
    for path in sorted(installation.root.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str).encode()
        if hits := [value for value in values if value.encode() in content]:
            found[str(path.relative_to(installation.root))] = hits
    return found


def erase(installation: Installation) -> dg.ExecuteInProcessResult:
    return installation.definitions.resolve_job_def(JOB).execute_in_process(instance=installation.instance)


def check_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [one for one in result.get_asset_check_evaluations() if one.check_name == CHECK]
    return found


def broken_line(number: int) -> bytes:
    return json.dumps(sale(number)).encode()[:-1] + b"\n"


@pytest.fixture
def person(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation in which a person has lived for two days, been deleted on the second, and everything was delivered."""
    monkeypatch.setenv("CAPILLARY_DELIVER_OTHER_EVENTS", "true")
    installation.land(f"events/{DAY}/10/1.jsonl", *life_of_a_person())
    installation.store.write(f"events/{DAY}/10/2.jsonl", broken_line(32))
    installation.run(DAY)
    installation.land(f"events/{NEXT_DAY}/10/1.jsonl", sale(40), deletion(50), sale(51, OTHER))
    installation.run(NEXT_DAY)
    return installation


def test_nothing_of_a_deleted_person_is_left_and_the_days_balance(
    person: Installation, emulator: RunningEmulator
) -> None:
    before = {day: person.balance(day) for day in (DAY, NEXT_DAY)}
    assert all(balance.balanced for balance in before.values())
    assert {value for hits in traces(person).values() for value in hits} == set(VALUES), "the test finds what is there"
    # The event that tells of the deletion still says who it was; that went nowhere.
    [told] = [row for row in person.rows(RAW_EVENTS, NEXT_DAY) if row["event_name"] == "customerUpdated"]
    [sent] = [one for one in accepted(emulator.base_url) if one.get("_id") == told["event_key"]]
    assert not [value for value in VALUES if value in told["data"] + json.dumps(sent)]
    received = len(accepted(emulator.base_url))

    done = erase(person)

    assert check_of(done).passed, check_of(done).metadata
    assert traces(person) == {}
    assert Erasures(person.state).counts().waiting == 0
    # The accounts that were merged into the person went along.
    keys = [CustomerKey(7, one) for one in (PERSON, VICTIM, GRAND_VICTIM)]
    assert Erasures(person.state).all() == keys
    assert [list(document) for document in Customers(person.state).documents(keys).values()] == [["deleted"]] * 3
    for day, balance in before.items():
        after = person.balance(day)
        assert after.balanced, after.differences
        assert (after.raw, after.delivery, after.quarantined) == (balance.raw, balance.delivery, balance.quarantined)
    # Nobody else has lost anything.
    for table in (RAW_EVENTS, ENRICHED_EVENTS, XDM_EVENTS, XDM_PROFILES):
        assert "bystander@example.org" in json.dumps(person.rows(table, DAY)), table.name
    assert sorted(row["text"] == ERASED_TEXT for row in person.rows(QUARANTINE, DAY)) == [False, True, True]

    # Late events, and both days read from the landing store once more.
    person.land(
        f"events/{NEXT_DAY}/11/1.jsonl", sale(60), sale(61, VICTIM), event(62, "customerUpdated", firstName=NAME)
    )
    redacted = {day: person.rows(RAW_EVENTS, day) for day in (DAY, NEXT_DAY)}
    for day in (DAY, NEXT_DAY):
        person.run(day)
    assert traces(person) == {}
    assert not [value for value in VALUES if value in json.dumps(accepted(emulator.base_url)[received:])]
    assert all(person.balance(day).balanced for day in (DAY, NEXT_DAY))
    assert person.balance(NEXT_DAY).raw == before[NEXT_DAY].raw + 3
    # What the job made of the rows is what the road makes of them.
    assert person.rows(RAW_EVENTS, DAY) == redacted[DAY]
    again = erase(person)
    assert check_of(again).passed, check_of(again).metadata
    [made] = again.asset_materializations_for_node("erased_customers")
    assert made.metadata["rows_redacted"].value == 0

    # Another program writes one of the values back.
    old = {**told, "data": json.dumps({**json.loads(told["data"]), "firstName": NAME})}
    RewritableLake(person.lake_url).put_instead(
        RAW_EVENTS, NEXT_DAY, one_of("event_key", [told["event_key"]]), pa.Table.from_pylist([old], RAW_EVENTS.schema)
    )
    assert traces(person)
    came_back = check_of(erase(person))
    assert (came_back.passed, came_back.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert came_back.metadata["rows_that_had_come_back"].value == 1
    assert traces(person) == {}
    assert check_of(erase(person)).passed


def test_a_job_that_is_killed_anywhere_is_taken_up_again(person: Installation) -> None:
    before = {day: person.balance(day) for day in (DAY, NEXT_DAY)}
    for call in ("lake_rewriting:RewritableLake.put_instead:3", "lake_storage:LocalPlace.remove:1"):
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, person.lake_url, person.state_url, call], check=False, timeout=120
        )
        assert killed.returncode == -signal.SIGKILL
        assert traces(person)
    assert check_of(erase(person)).passed
    assert traces(person) == {}
    for day, balance in before.items():
        after = person.balance(day)
        assert after.balanced, after.differences
        assert (after.raw, after.delivery) == (balance.raw, balance.delivery)


# Runs the job's work and kills itself as a function is called for the nth time.
_KILLED = """
import importlib, os, signal, sys

import dagster as dg

from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.resources import LakeResource, StateResource

lake, state, call = sys.argv[1:]
module, name, times = call.split(":")
kind, method = name.split(".")
owner = getattr(importlib.import_module(f"capillary_adobe.{module}"), kind)
inner, left = getattr(owner, method), [int(times)]

def dying(*arguments):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*arguments)

setattr(owner, method, dying)
defs = build_defs(resources={"lake": LakeResource(url=lake), "state": StateResource(url=state)})
defs.resolve_job_def("erase_deleted_customers").execute_in_process(instance=dg.DagsterInstance.ephemeral())
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_database() as url:
        yield url


def test_nothing_is_left_in_postgresql(
    installation: Installation, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_DELIVER_OTHER_EVENTS", "true")
    installation.state_url, installation.state = postgres, State(postgres)
    installation.land(f"events/{DAY}/10/1.jsonl", *life_of_a_person(), deletion(50))
    installation.run(DAY)
    erase(installation)
    installation.run(DAY)
    assert traces(installation) == {}
    with installation.state.read() as connection:
        dumped = [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table))
            for value in row
        ]
    assert len(dumped) > 100
    assert not [value for value in VALUES if any(value in one for one in dumped)]
    installation.state.engine.dispose()


def test_the_schedule_asks_once_a_night_and_only_if_somebody_was_deleted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    schedule = build_erasure_schedule()
    assert (schedule.name, schedule.cron_schedule) == (SCHEDULE, "0 2 * * *")

    def asked() -> Any:
        with dg.build_schedule_context(
            scheduled_execution_time=datetime(2026, 11, 21, 2, tzinfo=UTC), resources={"state": StateResource(url=url)}
        ) as context:
            return schedule(context)

    assert isinstance(asked(), dg.SkipReason)
    Erasures(State(url)).note([CustomerKey(7, 1)], 1)
    assert asked().run_key == "2026-11-21"
