"""A day as lines: the counts, the order, the shapes and the flaws that the mix promises."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.demo.bodies import MAIN_EVENTS
from capillary_adobe.demo.broken import Broken
from capillary_adobe.demo.dice import dice
from capillary_adobe.demo.sidelights import OTHER_EVENTS
from capillary_adobe.demo.traffic import Mix, Shape, broken_line, day_of_events
from capillary_adobe_tests.demo.reading import events, flat_event, name_of
from capillary_adobe_tests.examples import examples

DAY = date(2026, 7, 1)
START_MS = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1000)
LINES = 20_000


@pytest.fixture(scope="module")
def day() -> list[tuple[int, bytes]]:
    return list(day_of_events(DAY, LINES))


@pytest.fixture(scope="module")
def clean() -> list[tuple[Shape, dict[str, Any]]]:
    return [flat_event(orjson.loads(line)) for _, line in day_of_events(DAY, LINES, mix=Mix.clean())]


def test_same_seed_and_day_give_the_same_lines() -> None:
    assert list(day_of_events(DAY, 2_000, seed=7)) == list(day_of_events(DAY, 2_000, seed=7))


@pytest.mark.parametrize(("other_day", "other_seed"), [(date(2026, 7, 2), 7), (DAY, 8)])
def test_another_seed_or_day_gives_other_customers(other_day: date, other_seed: int) -> None:
    def newcomers(lines: list[bytes]) -> set[int]:
        added = [event for event in events(lines) if name_of(event) == "customeradded"]
        return {event["data"]["customerIdentifiers"]["customerId"] for event in added}

    one = newcomers([line for _, line in day_of_events(DAY, 2_000, 7, Mix.clean())])
    other = newcomers([line for _, line in day_of_events(other_day, 2_000, other_seed, Mix.clean())])
    assert one
    assert other
    assert not one & other


def test_lines_land_within_their_day_and_in_order(day: list[tuple[int, bytes]]) -> None:
    landed = [arrival_ms for arrival_ms, _ in day]
    assert len(landed) == LINES
    assert landed == sorted(landed)
    assert landed[0] >= START_MS
    assert landed[-1] < START_MS + 86_400_000
    assert {(arrival_ms - START_MS) // 3_600_000 for arrival_ms in landed} == set(range(24))


def test_events_are_stored_before_they_land(day: list[tuple[int, bytes]]) -> None:
    waits = []
    for arrival_ms, line in day_of_events(DAY, 5_000, mix=Mix.clean()):
        waits.append(arrival_ms - flat_event(json.loads(line))[1]["createdAt"])
    assert min(waits) >= 0
    assert sum(wait <= 180_000 for wait in waits) > 0.9 * len(waits)
    assert max(waits) > 60_000


def test_lines_have_the_size_of_real_payloads(day: list[tuple[int, bytes]]) -> None:
    sizes = sorted(len(line) for _, line in day)
    assert 1_300 < sum(sizes) / len(sizes) < 1_800
    assert sizes[len(sizes) // 20] > 700
    assert sizes[-1] < 5_000
    assert all(b"\n" not in line and b"\r" not in line for _, line in day)


def test_every_event_and_every_shape_occurs(clean: list[tuple[Shape, dict[str, Any]]]) -> None:
    assert {shape for shape, _ in clean} == set(Shape)
    names = Counter(name_of(event) for _, event in clean)
    assert set(names) == {name.lower() for name in MAIN_EVENTS | OTHER_EVENTS}
    assert len(MAIN_EVENTS) == 14
    others = sum(names[name.lower()] for name in OTHER_EVENTS)
    assert others / LINES == pytest.approx(0.05, rel=0.15)


def test_shapes_follow_their_weights() -> None:
    mix = Mix(broken=0, shapes={Shape.B: 3, Shape.D: 1})
    shapes = Counter(flat_event(json.loads(line))[0] for _, line in day_of_events(DAY, 4_000, mix=mix))
    assert set(shapes) == {Shape.B, Shape.D}
    assert shapes[Shape.B] / 4_000 == pytest.approx(0.75, abs=0.03)


def test_the_documented_quirks_occur(clean: list[tuple[Shape, dict[str, Any]]]) -> None:
    found = [event for _, event in clean]
    of = {name: [event for event in found if name_of(event) == name.lower()] for name in MAIN_EVENTS}
    for name in ("promotionEarned", "pointsExpiryChange"):
        assert {"eventId" in event for event in of[name]} == {True, False}
    assert all("eventId" in event for event in of["transactionAdded"])
    bought = [event["data"] for event in of["transactionAdded"]]
    assert {" ", None} < {data.get("currencyCode") for data in bought}
    assert {type(data["amount"]) for data in bought} == {int, float, str}
    assert "RETURN" in {data["billType"] for data in bought}
    assert any(event["data"]["enteredAt"] > event["createdAt"] + 3_600_000 for event in of["transactionAdded"])
    issued = [event["data"] for event in of["pointsIssued"]]
    assert any(data["promisedPointsIssued"] for data in issued)
    assert any(data["promotionalPointsIssued"] for data in issued)
    assert {"expiryAtInMillis" in part for data in issued for part in data["regularPointsBreakup"]} == {True, False}
    keys = [[key["key"] for key in data["triggeringActivity"]["identifiers"]] for data in issued]
    assert any(names.count("BillId") > 1 for names in keys)
    assert any("Instore" in event["data"].get("customerIdentifiers", {}) for event in found)
    assert any(event["data"]["tierExpiryDate"] > "2120" for event in of["tierUpgraded"])
    for name in ("pointsRedeemed", "pointsExpired"):
        groups = [event["data"] for event in of[name] if "customerIdentifiers" not in event["data"]]
        assert groups
        assert {data["entityInformation"]["entityType"] for data in groups} == {"USERGROUP2"}
    exact = MAIN_EVENTS | OTHER_EVENTS
    assert 0 < sum(event["eventName"] not in exact for event in found) < 0.01 * len(found)


def test_only_made_up_contacts(clean: list[tuple[Shape, dict[str, Any]]]) -> None:
    mails, mobiles = set(), set()
    for _, event in clean:
        instore = event["data"].get("customerIdentifiers", {}).get("instore", {})
        mails.add(instore.get("email") or "none@example.com")
        mobiles.add(instore.get("mobile", "999").strip())
    assert len(mails) > 1_000
    assert all(mail.endswith("@example.com") and mail.isascii() for mail in mails)
    assert all(mobile.startswith("999") and mobile.isdecimal() for mobile in mobiles)


@pytest.mark.parametrize("kind", Broken)
def test_a_broken_line_has_its_flaw_and_no_other(kind: Broken) -> None:
    for seed in range(50):
        line = broken_line(kind, dice(seed), created_ms=START_MS)
        assert b"\n" not in line
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            assert kind in {Broken.TRUNCATED, Broken.NOT_JSON}
            assert line.startswith(b"{") == (kind is Broken.TRUNCATED)
            continue
        if kind is Broken.SCALAR:
            assert not isinstance(value, dict | list)
            continue
        flaws = set()
        if "eventName" not in value:
            flaws.add(Broken.NO_EVENT_NAME)
        elif value["eventName"] not in MAIN_EVENTS | OTHER_EVENTS:
            flaws.add(Broken.UNKNOWN_EVENT)
        if "orgId" not in value:
            flaws.add(Broken.NO_ORG)
        if len(str(value["createdAt"])) != 13:
            flaws.add(Broken.TIME_OUT_OF_BOUNDS)
        customer = value["data"].get("customerIdentifiers")
        if customer is None:
            flaws.add(Broken.NO_CUSTOMER)
        elif isinstance(customer["customerId"], str):
            flaws.add(Broken.MASKED_CUSTOMER)
        assert flaws == {kind}


@settings(deadline=None, max_examples=examples(40))
@given(
    lines=st.integers(0, 400),
    seed=st.integers(0, 10**6),
    shares=st.tuples(*[st.floats(0, 0.3)] * 4),
)
def test_any_day_has_exactly_its_lines(lines: int, seed: int, shares: tuple[float, ...]) -> None:
    duplicates, broken, other, stragglers = shares
    mix = Mix(duplicates=duplicates, broken=broken, other=other, stragglers=stragglers)
    assert sum(1 for _ in day_of_events(DAY, lines, seed, mix)) == lines


def test_a_huge_day_streams() -> None:
    assert len(list(islice(day_of_events(DAY, 10_000_000), 50))) == 50


def test_a_mix_refuses_shares_beyond_the_whole() -> None:
    with pytest.raises(ValueError, match="reach 1"):
        Mix(duplicates=0.6, broken=0.3, other=0.2)
    with pytest.raises(ValueError, match="shape"):
        Mix(shapes={Shape.A: 0})
