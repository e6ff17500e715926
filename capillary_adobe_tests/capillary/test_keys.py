"""The idempotency key: its exact parts, and that it depends on the event alone."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import unwrap
from capillary_adobe.capillary.keys import shared_name
from capillary_adobe.demo.envelopes import dress
from capillary_adobe.demo.traffic import Shape
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, Json, event, key_of, shapes
from capillary_adobe_tests.examples import examples

quickly = settings(deadline=None, max_examples=examples(100), database=None)


def digest(parts: str) -> str:
    return sha256(parts.encode()).hexdigest()


@pytest.mark.parametrize(
    ("flat", "parts"),
    [
        (event("pointsExpired", eventId="abc"), "50614|pointsExpired|abc"),
        (event("POINTSEXPIRED", eventId=" abc "), "50614|pointsExpired|abc"),
        (event("pointsExpired", eventId=15), "50614|pointsExpired|15"),
        (event("transactionAdded", {"transactionId": 2149289332}), "50614|transactionAdded|2149289332"),
        (event("transactionAdded", {"transactionId": "2149289332 "}), "50614|transactionAdded|2149289332"),
        (event("transactionAdded", {"transactionId": 2149289332.0}), "50614|transactionAdded|2149289332"),
        (event("promotionEarned", {"earnedId": 35509}, eventId=None), "50614|promotionEarned|35509"),
        (event("pointsRedeemed", {"redemptionSummaryId": 8768}), "50614|pointsRedeemed|8768"),
        (
            event("loyaltyCustomerMerge", {"victimCustomerIdentifiers": {"customerId": 5}}, eventId="abc"),
            "50614|loyaltyCustomerMerge|5",
        ),
        # An update is another happening each time, although it names the same transaction.
        (event("transactionUpdated", {"transactionId": 7}, eventId="abc"), "50614|transactionUpdated|abc"),
    ],
)
def test_the_key_is_the_hash_of_organisation_type_and_name(flat: Json, parts: str) -> None:
    assert key_of(flat) == digest(parts)


def test_known_keys_stay_what_they_are() -> None:
    # Written down, since a key that changes would send everything again.
    known = "090ddb8e01f64de33b1400fba68e37faeb23b6ba8ef6c8bf2b75de39079402a3"
    assert key_of(event("pointsExpired", eventId="abc")) == known
    known = "a72dc1d1fd0de2e4ce7a572e546efae74fb0d50da3623341f598ff51fb17b95f"
    assert key_of(event("transactionAdded", {"transactionId": 2149289332})) == known


@pytest.mark.parametrize("nothing", [None, "", "null", " ", "-1", -1, 0, "0", {}, [], {"a": 1}])
def test_without_a_natural_key_the_event_id_names_the_event(nothing: Any) -> None:
    flat = event("transactionAdded", {"transactionId": nothing}, eventId="abc")
    assert key_of(flat) == digest("50614|transactionAdded|abc")


@pytest.mark.parametrize(
    "victim", [None, [], "5", {}, {"customerId": None}, {"customerId": {"a": 1}}, {"customerId": "12***"}]
)
def test_a_merge_without_its_victim_is_named_by_its_event_id(victim: Any) -> None:
    flat = event("loyaltyCustomerMerge", {"victimCustomerIdentifiers": victim}, eventId="abc")
    assert key_of(flat) == digest("50614|loyaltyCustomerMerge|abc")


@pytest.mark.parametrize("program", [{"loyaltyProgramDetails": {"id": 973}}, {"loyaltyProgramId": "973"}])
def test_the_number_of_the_log_names_an_event_only_with_customer_and_program(program: Json) -> None:
    kind = shipped_catalogue().find("pointsIssued")
    assert kind is not None

    def named(data: Json, log_number: int | None = 41, customer: str | None = "5") -> str | None:
        return shared_name(kind, unwrap(event("pointsIssued", data, eventLogId=log_number)), customer)

    assert named(program) == "log|41|5|973"
    assert (named(program, None), named(program, 0), named({}), named(program, customer=None)) == (None,) * 4


@pytest.mark.parametrize("name", ["insights|points|1", "log|41|5|973", "|insights|points|1", "|"])
def test_no_webhook_gives_itself_a_name_of_another_kind(name: str) -> None:
    assert key_of(event("pointsIssued", eventId=name)) == digest(f"50614|pointsIssued||{name}")


@pytest.mark.parametrize("nothing", [None, "", "null", " ", {}, {"a": 1}])
def test_without_both_the_content_names_the_event(nothing: Any) -> None:
    flat = event("pointsExpired", {"points": 7}) | {"eventId": nothing}
    content = orjson.dumps(flat["data"], option=orjson.OPT_SORT_KEYS).decode()
    assert key_of(flat) == digest(f"50614|pointsExpired|{CREATED_MS}|request-1|{content}")
    del flat["apiRequestId"]
    assert key_of(flat) == digest(f"50614|pointsExpired|{CREATED_MS}||{content}")


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
_FIELDS = st.dictionaries(
    _TEXTS.map("field{}".format),
    st.integers(-(2**53), 2**53) | _TEXTS | st.booleans() | st.lists(st.integers(-9, 9), max_size=2) | st.none(),
    max_size=4,
)
_EVENTS = st.builds(
    lambda name, data, event_id: event(name, data, eventId=event_id),
    st.sampled_from(["pointsExpired", "transactionAdded", "promotionEarned", "CouponRedeem"]),
    st.builds(lambda fields, known: {**fields, **known}, _FIELDS, st.just({}) | st.just({"transactionId": 5})),
    st.none() | st.uuids().map(str),
)


@quickly
@given(flat=_EVENTS)
def test_an_event_has_one_key_in_every_envelope(flat: Json) -> None:
    assert {name: key_of(value) for name, value in shapes(flat).items()} == dict.fromkeys(shapes(flat), key_of(flat))


@quickly
@given(flat=_EVENTS, seed=st.integers(0, 2**32))
def test_an_event_has_one_key_as_the_demo_dresses_it(flat: Json, seed: int) -> None:
    for shape in Shape:
        dressed = orjson.loads(orjson.dumps(dress(flat, shape, random.Random(seed))))  # noqa: S311 - the demo is made of dice
        assert key_of(dressed) == key_of(flat)


@quickly
@given(flat=_EVENTS, order=st.randoms(use_true_random=False))
def test_the_order_of_fields_means_nothing(flat: Json, order: random.Random) -> None:
    assert key_of(_shuffled(flat, order)) == key_of(flat)


def _shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        members = list(value.items())
        order.shuffle(members)
        return {key: _shuffled(member, order) for key, member in members}
    return [_shuffled(member, order) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("field", ["refId", "loyaltyEventId", "eventLogId", "eventSearchKey", "traceAttributes"])
def test_what_events_share_or_the_bus_adds_is_no_part_of_a_key(field: str) -> None:
    for event_id in ("abc", None):
        flat = event("pointsExpired", eventId=event_id)
        assert key_of(flat | {field: {"a": "other"}}) == key_of(flat)


@pytest.mark.parametrize("field", ["createdAt", "apiRequestId", "data"])
def test_an_event_id_is_enough(field: str) -> None:
    changed = {"createdAt": CREATED_MS + 1, "apiRequestId": "2", "data": {"customerIdentifiers": {"customerId": 1}}}
    assert key_of(event() | {field: changed[field]}) == key_of(event())
    assert key_of(event(eventId=None) | {field: changed[field]}) != key_of(event(eventId=None))


def test_another_organisation_or_type_is_another_event() -> None:
    keys = {
        key_of(event("pointsExpired")),
        key_of(event("pointsExpired", orgId=1)),
        key_of(event("tierRenewed")),
        key_of(event("tierRenewed", eventId=None)),
        key_of(event("pointsExpired", {"customerIdentifiers": {"customerId": CUSTOMER + 1}}, eventId=None)),
    }
    assert len(keys) == 5
