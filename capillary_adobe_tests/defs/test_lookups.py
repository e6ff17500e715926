"""Look-ups along the real road: delivered without waiting, held and sent with their answers, never of another time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import orjson
import pytest

from capillary_adobe.defs.build import JOB
from capillary_adobe.defs.customer_sensor import LOOKUP_JOB
from capillary_adobe.defs.microbatch import BATCH_TAG
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.state import MicroBatches
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.lookups import LookupQueue
from capillary_adobe.tables import ENRICHED_EVENTS, INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, events
from capillary_adobe_tests.test_looking_up import SETTINGS, key, record

ORG = 50614
YEAR_MS = 365 * 24 * 3_600_000


@pytest.fixture(autouse=True)
def lookups(emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING_SETTLE_SECONDS", "0")
    monkeypatch.setenv("LANDING_SWEEP_SECONDS", "1")
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def capillary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningCapillary]:
    with RunningCapillary(tmp_path / "capillary") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def sale(customer: int, created_ms: int | None = None, **data: Any) -> dict[str, Any]:
    return {
        "eventName": "transactionAdded",
        "eventId": f"sale-{customer}-{created_ms or 0}",
        "orgId": ORG,
        "createdAt": created_ms or now_ms() - 1_000,
        "data": {
            "customerIdentifiers": {"customerId": customer},
            "transactionId": 1000 + customer,
            "billNumber": f"b-{customer}",
            "billType": "REGULAR",
            "amount": 9,
            **data,
        },
    }


class Daemon:
    """Ticks both sensors and runs what they ask for, as Dagster's daemon does."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._cursor: str | None = None

    def tick(self, sensor: str) -> list[dg.RunRequest]:
        """What the tick asked for; it has run."""
        definitions = self._installation.definitions
        with dg.build_sensor_context(
            instance=self._installation.instance,
            cursor=self._cursor if sensor == "landing_sensor" else None,
            resources=self._installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            result = definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        if sensor == "landing_sensor":
            self._cursor = result.cursor
        for request in result.run_requests or []:
            done = definitions.resolve_job_def(request.job_name or JOB).execute_in_process(
                instance=self._installation.instance,
                partition_key=request.partition_key,
                run_config=request.run_config,
                tags=request.tags,
            )
            assert done.success
        return list(result.run_requests or [])

    def land(self) -> list[str]:
        """The ids of the micro-batches that were asked for."""
        return [request.tags[BATCH_TAG] for request in self.tick("landing_sensor")]

    def refresh(self) -> list[str]:
        """The jobs that were asked for."""
        return [request.job_name or "" for request in self.tick("customer_sensor")]


@pytest.fixture
def daemon(installation: Installation) -> Daemon:
    return Daemon(installation)


def enriched(installation: Installation, day: str) -> dict[str, dict[str, Any]]:
    rows = installation.rows(ENRICHED_EVENTS, day)
    return {row["customer_id"]: {**row, "told": orjson.loads(row["looked_up"] or "{}")} for row in rows}


def states(emulator: RunningEmulator) -> dict[str, Any]:
    """The loyalty state that each event took to AEP, by customer."""
    found: dict[str, Any] = {}
    for entity in events(emulator.base_url):
        own = next(value for name, value in entity.items() if name.startswith("_") and name != "_id")["capillary"]
        found[own["customerId"]] = own.get("loyaltyState")
    return found


def land(installation: Installation, name: str, *events: dict[str, Any]) -> None:
    installation.land(f"events/{today()}/{datetime.now(UTC):%H}/{now_ms()}-1-{name}.jsonl", *events)


def test_a_live_sale_takes_todays_state_and_its_details(
    installation: Installation,
    daemon: Daemon,
    emulator: RunningEmulator,
    capillary: RunningCapillary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_TRANSACTIONS", "true")
    capillary.put("customers", record(1))
    details = {"itemCode": "sku-1", "description": "Tea", "qty": 2, "amount": 9, "discount": 1}
    capillary.put(
        "transactions",
        {
            "id": 1001,
            "type": "REGULAR",
            "billDetails": {"tax": 0.5},
            "lineItems": [{"details": details}],
            "paymentModes": [{"id": 4, "mode": "CARD", "amount": 9}],
        },
    )
    land(installation, "000001", sale(1, currencyCode="SGD"))
    assert len(daemon.land()) == 1
    [entity] = events(emulator.base_url)
    assert entity["productListItems"] == [
        {"SKU": "sku-1", "name": "Tea", "quantity": 2, "priceTotal": 9, "discountAmount": 1, "currencyCode": "SGD"}
    ]
    order = entity["commerce"]["order"]
    assert order["payments"] == [
        {"transactionID": "4", "paymentAmount": 9, "paymentType": "CARD", "currencyCode": "SGD"}
    ]
    assert order["taxAmount"] == 0.5
    state = states(emulator)["1"]
    assert (state["program"], state["tier"], state["tierNumber"], state["points"]) == ("973", "Gold", 2, 10)
    assert daemon.land() == []


def test_the_stored_row_and_the_entity_stay_the_same_when_more_is_known(
    installation: Installation, daemon: Daemon, capillary: RunningCapillary
) -> None:
    capillary.put("customers", record(1))
    land(installation, "000001", sale(1, enteredBy={"id": 77}))
    daemon.land()
    before = enriched(installation, today())
    capillary.put("customers", record(1, loyaltyProgramDetails=[{"programId": 973, "loyaltyPoints": 5000}]))
    result = installation.run(today(), begin="xdm_events", until="xdm_events")
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["same_input_same_output"]
    installation.run(today(), begin="customers")
    assert enriched(installation, today()) == before


def test_deliver_waits_for_nothing_while_capillary_is_down(
    installation: Installation, daemon: Daemon, emulator: RunningEmulator, capillary: RunningCapillary
) -> None:
    capillary.put("customers", record(1), record(2))
    capillary.faults.add(kind="status", status=502, times=None)
    land(installation, "000001", sale(1))
    daemon.land()
    began = time.monotonic()
    land(installation, "000002", sale(2))
    daemon.land()
    took = time.monotonic() - began
    assert took < 15
    assert states(emulator) == {"1": None, "2": None}
    assert {row["missing"][-1] for row in enriched(installation, today()).values()} == {"customer"}
    assert MicroBatches(installation.state).unfinished("live") == []
    assert LookupQueue(installation.state).counts(now_ms()).customers == 2


def test_hold_keeps_events_pending_blocks_nobody_and_sends_them_with_their_answers(
    installation: Installation,
    daemon: Daemon,
    emulator: RunningEmulator,
    capillary: RunningCapillary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_POLICY", "hold")
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "0")
    capillary.put("customers", record(1), record(2))
    Customers(installation.state).note_looked_up([key(3)], now_ms())
    land(installation, "000001", sale(1), sale(3))
    [first] = daemon.land()
    assert set(states(emulator)) == {"3"}
    pending = [row for row in installation.rows(INGESTION_STATUS, today()) if row["status"] == "pending"]
    assert [row["detail"].partition(" at ")[0] for row in pending] == ["awaits the look-up of its customer"]
    # The next ones go on meanwhile, and nothing of the first is asked for in vain.
    Customers(installation.state).note_looked_up([key(4)], now_ms())
    land(installation, "000002", sale(4))
    [second] = daemon.land()
    assert second != first
    assert set(states(emulator)) == {"3", "4"}
    assert daemon.land() == []
    assert daemon.refresh() == [LOOKUP_JOB]
    assert daemon.land() == [first]
    assert states(emulator)["1"]["points"] == 10
    assert daemon.land() == []
    assert installation.balance(today()).balanced
    assert {row["status"] for row in installation.rows(INGESTION_STATUS, today())} == {"accepted"}


def test_hold_lets_go_when_its_time_is_up(
    installation: Installation,
    daemon: Daemon,
    emulator: RunningEmulator,
    capillary: RunningCapillary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_POLICY", "hold")
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "0")
    monkeypatch.setenv("CAPILLARY_LOOKUP_HOLD_MINUTES", "0.2")
    capillary.faults.add(kind="status", status=502, times=None)
    land(installation, "000001", sale(1))
    landed = time.monotonic()
    [first] = daemon.land()
    assert states(emulator) == {}
    while not MicroBatches(installation.state).unfinished("live"):
        assert time.monotonic() - landed < 30
        time.sleep(0.1)  # a pause between two looks at the condition
    assert daemon.land() == [first]
    assert states(emulator) == {"1": None}
    assert daemon.land() == []
    assert installation.balance(today()).balanced


def test_hold_of_a_whole_day_is_asked_for_again_as_a_day(
    installation: Installation,
    daemon: Daemon,
    emulator: RunningEmulator,
    capillary: RunningCapillary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_POLICY", "hold")
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "0")
    capillary.put("customers", record(1), record(2))
    land(installation, "000001", sale(1))
    installation.run(today())
    assert states(emulator) == {}
    Customers(installation.state).note_looked_up([key(2)], now_ms())
    land(installation, "000002", sale(2))
    assert len(daemon.land()) == 1
    assert set(states(emulator)) == {"2"}
    daemon.refresh()
    assert daemon.land() == [f"day-{today()}"]
    assert states(emulator)["1"]["points"] == 10
    assert daemon.land() == []


def test_last_years_sale_gets_last_years_tier_or_none(
    installation: Installation, daemon: Daemon, emulator: RunningEmulator, capillary: RunningCapillary
) -> None:
    capillary.put("customers", record(1), record(2))
    land(installation, "000001", sale(1), sale(2))
    daemon.land()
    assert states(emulator)["1"]["tier"] == "Gold"
    then = now_ms() - YEAR_MS
    day = f"{datetime.fromtimestamp(then / 1000, UTC):%Y-%m-%d}"
    upgraded = {
        "eventName": "tierUpgraded",
        "eventId": "upgrade",
        "orgId": ORG,
        "createdAt": then - 60_000,
        "data": {
            "customerIdentifiers": {"customerId": 1},
            "upgradedTierNumber": 1,
            "loyaltyProgramDetails": {
                "id": 973,
                "name": "Club",
                "isDefault": True,
                "tiers": [{"tierNumber": 1, "tierName": "Silver"}],
            },
        },
    }
    installation.land(
        f"history/{day}/export-1.jsonl", upgraded, sale(1, then, transactionId=1), sale(2, then, transactionId=2)
    )
    installation.run(day)
    found = {row["event_name"] + row["customer_id"]: row for row in installation.rows(ENRICHED_EVENTS, day)}
    assert orjson.loads(found["transactionAdded1"]["looked_up"])["customer"]["tier"] == "Silver"
    assert found["transactionAdded2"]["looked_up"] is None
    assert all("customer" not in row["missing"] for row in found.values())
