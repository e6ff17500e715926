"""The demo's population: the local Capillary tells of its customers and transactions what the events tell of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from capillary_adobe.demo.brand import PROGRAM_ID, STORES, TIERS
from capillary_adobe.demo.members import TWINS, customer_of, member_id, place_of
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.population import DemoPopulation
from capillary_adobe.demo.traffic import day_of_events
from capillary_adobe.emulators.capillary.app import RunningCapillary

DAY = date(2026, 11, 25)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    lines = (orjson.loads(raw) for _, raw in day_of_events(DAY, 600, mix=Mix.clean()))
    return [one for one in lines if "data" in one and "eventName" in one]


def test_a_customer_of_an_event_is_the_one_of_the_api(events: list[dict[str, Any]]) -> None:
    population, seen = DemoPopulation(lambda: DAY), 0
    for one in events:
        told = one["data"].get("customerIdentifiers", {})
        if "firstName" not in told:
            continue
        found = population.customer(told["customerId"])
        assert found is not None
        if "profiles" in found:
            seen += 1
            assert found["profiles"][0]["lastName"] == told["lastName"]
            [program] = found["loyaltyProgramDetails"]
            assert program["programId"] == PROGRAM_ID
            assert program["currentSlab"] == TIERS[program["slabSNo"] - 1].name
            expiring = sum(one["points"] for one in found["expirySchedules"])
            assert expiring - 0.001 < program["loyaltyPoints"] <= program["lifetimePoints"]
    assert seen > 300


def test_a_transaction_of_an_event_has_the_same_amount_in_its_lines(events: list[dict[str, Any]]) -> None:
    population, seen = DemoPopulation(lambda: DAY), 0
    for one in events:
        data = one["data"]
        if one["eventName"] != "transactionAdded":
            continue
        found = population.transaction(data["transactionId"])
        assert found is not None
        seen += 1
        assert found["billDetails"]["amount"] == pytest.approx(float(data["amount"]))
        assert sum(line["details"]["amount"] for line in found["lineItems"]) == pytest.approx(float(data["amount"]))
        assert len(found["lineItems"]) == data["lineItemCount"]
    assert seen > 50


def test_ids_tell_where_they_come_from() -> None:
    number = member_id(3, DAY.toordinal(), 77)
    assert place_of(number) == (3, DAY.toordinal(), 77)
    assert place_of(12) is None
    assert customer_of(number * 1000 + 5) == number
    population = DemoPopulation(lambda: DAY)
    assert population.customer(12) is None
    assert population.customer(member_id(1, DAY.toordinal() + 1, 5)) is None, "registers tomorrow"
    assert population.customer(member_id(1, DAY.toordinal(), TWINS[0])) == {
        "id": member_id(1, DAY.toordinal(), TWINS[0]),
        "mergedInto": 0,
    }
    assert population.transaction(number * 1000 + 999) is None


def test_the_emulator_knows_the_brand(tmp_path: Path) -> None:
    population = DemoPopulation(lambda: DAY)
    with RunningCapillary(tmp_path, population=population) as running:
        assert running.base_url
    assert len(list(population.organisation()["stores"])) == len(STORES)
