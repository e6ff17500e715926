"""What holds for whatever an event or an answer says: nothing raises, nothing masked is taken, the order is of no account."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.profiles.document import CustomerKey, Facts, Register, merged, packed
from capillary_adobe.profiles.facts_from_api import facts_of_bulk_customer, facts_of_customer
from capillary_adobe.profiles.facts_from_events import Read, facts_of_event
from capillary_adobe.profiles.reading import is_placeholder
from capillary_adobe.settings import ProfileSettings
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.profiles.events import CREATED_MS, CUSTOMER, INDIA, KEY, row

quickly = settings(deadline=None, max_examples=examples(150), database=None)
PROFILE = ProfileSettings()

FIELDS = re.findall(
    r"\w+",
    "customerIdentifiers customerId instore Instore mobile email externalId cardNumbers cardnumber firstName lastName "
    "loyaltyType source enteredAt customFields extendedFields key value name updatedFields fieldName fieldType previousValue "
    "currentValue customerStatus currentLabel reason loyaltyProgramDetails id isDefault tiers tierNumber tierName "
    "loyaltyProgramId programCurrentPoints programLifetimePoints redemptionFromEarningPrograms programId upgradedTierNumber "
    "currentTierNumber tierExpiryDate tierExpiryDateInMillis scheduledExpiryDate pointsScheduledForExpiry subscriptions "
    "channel priority currentStatus survivorCustomerIdentifiers victimCustomerIdentifiers survivorCustomerLoyaltySummary "
    "currentPoints entityInformation entityType coupons cardNumber currentStatusLabel profiles identifiers type fields "
    "loyaltyInfo attributionV2 createDate pointsSummary loyaltyPoints slabSNo slabExpiryDate nextSlabSerialNumber "
    "expirySchedules points expiryDate cardDetails statusInfo label subscriptionInfo custom_fields field points_summaries "
    "points_summary expiry_schedule schedule firstname registered_on gapToUpgrade upgradeBasedOn customerUpgradeEntityValues",
)
MASKS = st.sampled_from(
    ["12***", "XXXX", "j***@example.com", "91965•••••00", "xxxxxx42", "***", "####", "null", "N/A", " undefined ", "-"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | MASKS
    | st.sampled_from(
        ["1", "2026-01-31", "Tue Mar 04 00:00:00 GMT 1980", "OPTIN", "BULK", "SMS", "gender", "dob", "Deleted"]
    )
    | st.sampled_from(
        [CUSTOMER, 1, -1, 1.5, 10**13 - 1, "9999-12-31T23:59:59-14:00", "0001-01-01", "email", "CURRENT_POINTS"]
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
NAMES = st.sampled_from(
    [
        *("customerAdded", "customerUpdated", "customerSubscription", "loyaltyCustomerMerge", "identifierReleased"),
        *("cardUpdated", "pointsIssued", "pointsRedeemed", "tierUpgraded", "pointsExpiryReminder", "transactionAdded"),
        *("CouponIssue", "requestUpdated"),
    ]
)
MASKED = re.compile(r"[*•]{2,}|#{3,}|x{4,}", re.IGNORECASE)


def texts(value: Any) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) is list:
        for one in value:
            yield from texts(one)
    elif type(value) is dict:
        for name, one in value.items():
            yield from texts(name)
            yield from texts(one)


def is_sound(found: Read) -> None:
    for facts in found.facts:
        for name, value in facts.fields.items():
            said = [*texts(value), *name.split(".", 1)[1:]]
            assert not [
                one for one in said if MASKED.search(one) or is_placeholder(one) or one != one.strip() or not one
            ]
        # What a document cannot hold would break the run that merges it.
        assert packed(facts.document)
        assert 0 < facts.key.customer_id < 2**63
    assert found.masked >= 0
    assert len(found.unreadable) == len(set(found.unreadable))


@quickly
@given(name=NAMES, data=st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), JSON, max_size=8) | JSON)
def test_no_payload_raises_or_yields_a_masked_value(name: str, data: Any) -> None:
    is_sound(facts_of_event(row(name, data), PROFILE, "Deleted", INDIA))


@quickly
@given(answer=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8) | JSON, at_ms=st.integers(0, 4 * 10**12))
def test_no_answer_raises_or_yields_a_masked_value(answer: Any, at_ms: int) -> None:
    is_sound(facts_of_customer(answer, KEY, at_ms * 1000, PROFILE, INDIA))
    is_sound(facts_of_bulk_customer(answer, KEY, at_ms * 1000, PROFILE, INDIA))


@quickly
@given(
    payload=st.sampled_from(["email", "mobile", "externalId", "firstName", "lastName"]),
    head=st.text("abc019@.", max_size=4),
    tail=st.text("abc019@.", max_size=4),
    mask=st.sampled_from(["*", "**", "••", "xxxx", "XXXXXX", "###"]),
)
def test_a_masked_contact_is_never_taken(payload: str, head: str, tail: str, mask: str) -> None:
    value = f"{head}{mask}{tail}"
    holder = {"customerId": CUSTOMER, "instore": {payload: value}, payload: value}
    found = facts_of_event(
        row("customerUpdated", {"customerIdentifiers": holder, payload: value}), PROFILE, "Deleted", INDIA
    )
    assert [facts.fields for facts in found.facts] == [{"known": True}]
    assert found.masked >= 1


@quickly
@given(name=NAMES, data=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8))
def test_facts_depend_on_the_event_alone(name: str, data: Any) -> None:
    one, again = (
        row(name, data) | {"day": day, "batch_id": day, "lane": lane} for day, lane in (("a", "live"), ("b", "x"))
    )
    shuffled = dict(reversed(data.items()))
    first = facts_of_event(one, PROFILE, "Deleted", INDIA)
    assert first == facts_of_event(again, PROFILE, "Deleted", INDIA)
    same = facts_of_event(row(name, shuffled), PROFILE, "Deleted", INDIA)
    assert sorted(map(repr, _documents(first.facts).items())) == sorted(map(repr, _documents(same.facts).items()))


@quickly
@given(
    events=st.lists(
        st.tuples(NAMES, st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6), st.integers(0, 3)), max_size=6
    ),
    seed=st.integers(0, 2**32),
)
def test_a_shuffled_and_repeated_stream_makes_the_same_documents(events: list[Any], seed: int) -> None:
    rows = [
        row(name, data, created_ms=CREATED_MS + at, event_log_id=at or None, event_key=f"{number:064x}"[::-1])
        for number, (name, data, at) in enumerate(events)
    ]
    facts = [one for event in rows for one in facts_of_event(event, PROFILE, "Deleted", INDIA).facts]
    dice = random.Random(seed)  # noqa: S311
    again = facts + dice.choices(facts, k=len(facts)) if facts else []
    dice.shuffle(again)
    assert _documents(facts) == _documents(again)


def _documents(facts: list[Facts]) -> dict[CustomerKey, bytes]:
    documents: dict[CustomerKey, dict[str, Register]] = {}
    for one in facts:
        documents[one.key] = merged(documents.get(one.key, {}), one.document)
    return {key: packed(document) for key, document in documents.items()}


def test_a_deep_payload_is_no_trap() -> None:
    deep = '{"customerIdentifiers":' * 500 + "{}" + "}" * 500
    released = row("identifierReleased", {}) | {"data": deep}
    is_sound(facts_of_event(released, PROFILE, "Deleted", INDIA))
    lists = row("identifierReleased", {}) | {"data": '{"customerIdentifiers":' + "[" * 500 + "]" * 500 + "}"}
    assert orjson.loads(lists["data"])
    is_sound(facts_of_event(lists, PROFILE, "Deleted", INDIA))
