"""Enriched events: names and context that the payload holds, and a list of what it does not tell."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS
from capillary_adobe_tests.capillary.events import PROGRAM, Json, enriched, event, raw_batch
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.entities import places

_FROM_ELSEWHERE = ("person_id", "held_identities", "looked_up", "waits_for")
ADDED = [name for name in ENRICHED_EVENTS.names[len(RAW_EVENTS.names) :] if name not in _FROM_ELSEWHERE]
INDIA = CapillarySettings(org_timezone="Asia/Kolkata", currency="INR")


WHOLE: Json = {
    "currencyCode": " sgd ",
    "enteredBy": {
        "id": 5,
        "till": {"code": "t-1", "name": "Till"},
        "store": {"code": "st-1", "name": "Store", "externalId": "x1", "externalId1": ""},
    },
    "loyaltyProgramDetails": PROGRAM,
    "loyaltyProgramId": 973,
    "upgradedTierNumber": 2,
    "previousTierNumber": 1,
}


def one(name: str, data: Json, settings: CapillarySettings = INDIA) -> Json:
    [row] = enriched([event(name, data)], settings)
    return {column: row[column] for column in ADDED}


def test_a_payload_that_tells_everything_misses_nothing() -> None:
    assert one("tierUpgraded", WHOLE) == {
        "store_code": "st-1",
        "store_name": "Store",
        "store_external_id": "x1",
        "till_code": "t-1",
        "till_name": "Till",
        "program_id": "973",
        "program_name": "Default",
        "tier_number": 2,
        "tier_name": "Gold",
        "previous_tier_number": 1,
        "previous_tier_name": "Silver",
        "currency": "SGD",
        "zone": "Asia/Kolkata",
        "missing": [],
    }


@pytest.mark.parametrize("who", ["enteredBy", "addedBy", "updatedBy", "createdBy"])
def test_whoever_entered_it_tells_store_and_till(who: str) -> None:
    found = one("CouponRedeem", {who: {"store": {"code": "st-1"}, "till": {"name": "Till"}}})
    assert (found["store_code"], found["till_name"], found["store_name"]) == ("st-1", "Till", None)


@pytest.mark.parametrize("nothing", [None, "", " ", "null"])
def test_nothing_gives_way_to_the_next_source(nothing: Any) -> None:
    data = {"enteredBy": {"store": {"code": nothing}}, "addedBy": {"store": {"code": "st-2"}}}
    assert one("CouponRedeem", data)["store_code"] == "st-2"


@pytest.mark.parametrize(
    ("tiers", "name"),
    [
        ([{"tierNumber": 2, "tierName": "Gold"}], "Gold"),
        ([{"tierNumber": "2", "tierName": " Gold "}], "Gold"),
        ([{"tierNumber": 2.0, "tierName": "Gold"}], "Gold"),
        # A published sample repeats a number; the first name stands.
        ([{"tierNumber": 2, "tierName": "Gold"}, {"tierNumber": 2, "tierName": "Lead"}], "Gold"),
        ([{"tierNumber": 2, "tierName": ""}, {"tierNumber": 2, "tierName": "Lead"}], "Lead"),
        ([{"tierNumber": 3, "tierName": "Gold"}], None),
        ([{"tierNumber": None, "tierName": "Gold"}], None),
        ([{"tierNumber": 2, "tierName": None}], None),
        ([{"tierNumber": 2, "tierName": "null"}], None),
        ([{"tierNumber": 2}], None),
        ([None, 5, "x", [], {}], None),
        ([], None),
        (None, None),
        ("no list", None),
        ("{broken", None),
        ({"tierNumber": 2, "tierName": "Gold"}, None),
        (5, None),
    ],
)
def test_a_tier_is_named_by_its_program(tiers: Any, name: str | None) -> None:
    found = one("tierRenewed", {"currentTierNumber": 2, "loyaltyProgramDetails": {**PROGRAM, "tiers": tiers}})
    assert (found["tier_number"], found["tier_name"]) == (2, name)
    assert found["missing"] == ([] if name else ["tier_name"])


@pytest.mark.parametrize(
    ("field", "value", "number"),
    [
        ("upgradedTierNumber", 2, 2),
        ("downgradedTierNumber", "2", 2),
        ("currentTierNumber", 2.0, 2),
        ("currentTierNumber", "2.000", 2),
        ("currentTierNumber", 1.5, None),
        ("currentTierNumber", "Gold", None),
        ("currentTierNumber", "NaN", None),
        ("currentTierNumber", "Infinity", None),
        ("currentTierNumber", 1e300, None),
        ("currentTierNumber", True, None),
        ("currentTierNumber", {"a": 1}, None),
        ("currentTierNumber", None, None),
    ],
)
def test_the_tier_after_the_event(field: str, value: Any, number: int | None) -> None:
    assert one("tierRenewed", {field: value})["tier_number"] == number


@pytest.mark.parametrize(
    ("data", "program"),
    [
        ({"loyaltyProgramDetails": {"id": 973, "name": "Default"}, "loyaltyProgramId": 5}, ("973", "Default")),
        ({"loyaltyProgramId": 5.0}, ("5", None)),
        ({"loyaltyProgramDetails": {"id": "null", "name": "null"}, "loyaltyProgramId": "5"}, ("5", None)),
        ({"loyaltyProgramDetails": [], "loyaltyProgramId": "none"}, (None, None)),
        ({"loyaltyProgramId": 9007199254740993}, ("9007199254740993", None)),
        ({}, (None, None)),
    ],
)
def test_the_program(data: Json, program: tuple[str | None, str | None]) -> None:
    found = one("pointsExpired", data)
    assert (found["program_id"], found["program_name"]) == program
    assert found["missing"] == ([] if program[1] else ["program_name"])


@pytest.mark.parametrize("sent", [None, "", " ", "null", "RUPEE", "R$", 356])
def test_without_a_currency_the_organisations_counts(sent: Any) -> None:
    data = {"currencyCode": sent, "enteredBy": {"store": {"code": "s"}}}
    assert one("transactionAdded", data)["currency"] == "INR"
    found = one("transactionAdded", data, CapillarySettings())
    assert (found["currency"], found["missing"]) == (None, ["currency"])


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("transactionAdded", ["store", "currency"]),
        ("transactionUpdated", ["store"]),
        ("pointsIssued", ["program_name"]),
        ("tierRenewed", ["program_name"]),
        ("customerAdded", []),
        ("promotionEarned", []),
    ],
)
def test_only_what_an_event_should_tell_is_missing(name: str, missing: list[str]) -> None:
    assert one(name, {}, CapillarySettings())["missing"] == missing


def test_rows_keep_their_order_and_their_raw_columns() -> None:
    batches = [
        raw_batch([event(eventId=str(number)) for number in range(start, start + 3000)]) for start in (0, 3000, 6000)
    ]
    found = pa.Table.from_batches(enrich(batches, INDIA))
    assert found.schema == ENRICHED_EVENTS.schema
    assert found.select(RAW_EVENTS.names).to_pylist() == pa.Table.from_batches(batches).to_pylist()


def test_no_rows_give_no_rows() -> None:
    empty = raw_batch([event()]).slice(0, 0)
    assert sum(batch.num_rows for batch in enrich([empty], INDIA)) == 0
    assert list(enrich([], INDIA)) == []


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Text without half surrogates, which no raw event holds.
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.sampled_from(["null", "{", '["', "\0", "'"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["code", "tierNumber"]), inner),
    max_leaves=3,
)


@st.composite
def _payloads(draw: st.DrawFn) -> Json:
    """A payload that tells everything, in which up to three values were replaced."""
    data: Json = deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(places(data))))
        holder[key] = deepcopy(draw(_ANYTHING))
    return data


@settings(deadline=None, max_examples=examples(30), database=None)
@given(payloads=st.lists(_payloads(), min_size=1, max_size=10))
def test_whatever_a_payload_holds_its_neighbours_are_enriched(payloads: list[Json]) -> None:
    good = event("tierUpgraded", WHOLE)
    rows = enriched([good, *(event("tierUpgraded", data) for data in payloads), good], INDIA)
    assert [row["tier_name"] for row in (rows[0], rows[-1])] == ["Gold", "Gold"]
    assert len(rows) == len(payloads) + 2
    for row in rows:
        for column in ("store_code", "program_name", "tier_name", "till_name"):
            assert row[column] is None or row[column] == row[column].strip(" ") != ""
