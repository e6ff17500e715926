"""What stays of a payload when its customer is erased."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.erasure import (
    as_kept,
    bare_record,
    customers_in,
    is_of,
    may_name_others,
    redacted,
    tells_deletion,
    without_parties,
)

SALE = {
    "transactionId": 9,
    "amount": 10.5,
    "billNumber": "bill-9",
    "billDateInMillis": 1795000000000,
    "customerIdentifiers": {"customerId": 5, "firstName": "Zoe", "instore": {"id": 77, "email": "zoe@z.org"}},
    "customFields": [{"key": "hobby", "value": "chess"}],
    "notes": "likes chess",
    "enteredBy": {"id": 3, "user": {"username": "zoe"}, "store": {"code": "S1", "name": "Shop"}},
    "loyaltyProgramDetails": {"id": 1, "tiers": [{"tierNumber": 1, "tierName": "Gold"}]},
    "somethingNew": {"deep": ["zoe"], "number": 4},
}
KEPT = {
    "transactionId": 9,
    "amount": 10.5,
    "billNumber": "bill-9",
    "billDateInMillis": 1795000000000,
    "customerIdentifiers": {"customerId": 5},
    "enteredBy": {"id": 3, "store": {"code": "S1", "name": "Shop"}},
    "loyaltyProgramDetails": {"id": 1, "tiers": [{"tierNumber": 1, "tierName": "Gold"}]},
}

# Words that no documented field holds: where one is found, it came from a place that anybody may fill.
_SECRET = "zq☂personal"


def test_only_what_the_brand_sets_and_figures_stay() -> None:
    assert json.loads(redacted("transactionAdded", json.dumps(SALE))) == KEPT


def test_of_an_event_that_nobody_documented_only_its_customer_and_place_stay() -> None:
    data = {
        "customerIdentifiers": {"customerId": 5, "firstName": "Zoe"},
        "amount": 4,
        "enteredBy": {"till": {"code": "T"}},
    }
    kept = {"customerIdentifiers": {"customerId": 5}, "enteredBy": {"till": {"code": "T"}}}
    assert json.loads(redacted("somethingOfTheTenant", json.dumps(data))) == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "zoe@z.org"),
        ("transactionId", "zoe@z.org"),
        ("billDate", "Zoe's birthday"),
        ("lineItemCount", {"a": "Zoe"}),
        ("billNumber", ["Zoe"]),
        ("amount", True),
    ],
)
def test_a_value_that_does_not_look_like_its_kind_goes(field: str, value: Any) -> None:
    assert json.loads(redacted("transactionAdded", json.dumps({field: value}))) == {}


_LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.just(_SECRET))


@given(
    name=st.sampled_from([known.name for known in shipped_catalogue()]),
    data=st.dictionaries(
        st.sampled_from(
            ["customFields", "customerIdentifiers", "notes", "firstName", "enteredBy", "amount", "user", "x"]
        ),
        st.recursive(
            _LEAF,
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["email", "customerId", "value", "user", "username", "id"]), inner, max_size=3
                ),
            ),
            max_leaves=8,
        ),
        max_size=5,
    ),
)
def test_nothing_free_stays_and_a_second_time_changes_nothing(name: str, data: dict[str, Any]) -> None:
    once = redacted(name, json.dumps(data))
    assert _SECRET not in once.decode()
    assert redacted(name, once) == once


def test_another_customers_event_keeps_all_but_the_erased_party() -> None:
    data = {
        "customerIdentifiers": {"customerId": 1, "firstName": "Ann"},
        "other": [{"customerId": "5", "email": "z@z.org"}],
    }
    kept = {"customerIdentifiers": {"customerId": 1, "firstName": "Ann"}, "other": [{"customerId": "5"}]}
    text = orjson.dumps(data)
    assert customers_in(text) == {1, 5}
    assert json.loads(without_parties(text, {5})) == kept
    assert json.loads(as_kept("pointsIssued", 7, 1, text, {CustomerKey(7, 5)})) == kept
    # Of another organisation is another person.
    assert as_kept("pointsIssued", 7, 1, text, {CustomerKey(8, 5), CustomerKey(8, 1)}) == text


def test_events_that_may_name_others_are_known() -> None:
    known = {one.name for one in shipped_catalogue() if may_name_others(one.name)}
    assert {"loyaltyCustomerMerge", "pointsTransferredInitiated", "pointsTransferredReceived"} <= known
    assert "transactionAdded" not in known
    assert may_name_others("somethingOfTheTenant")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"orgId": 7, "data": {"customerIdentifiers": {"customerId": 5}}}', True),
        ('{"orgId":"7","body":"{\\"customerId\\":\\"5\\"}"', True),
        ('{"customerId": 5', True),
        ('{"orgId": 8, "customerId": 5}', False),
        ('{"orgId": 7, "customerId": 55}', False),
        ('{"orgId": 7, "customerId": "5***"}', False),
        ('{"orgId": 7, "amount": 5}', False),
        # Rows of an export: each whole number may be the customer, but for the number of the line.
        ('{"export":{"file":"5.csv","rows":[{"line":9,"cells":{"User":"5"}}]}}', True),
        ('{"export":{"file":"5.csv","rows":[{"line":9,"text":"a;5;b"}]}}', True),
        ('{"export":{"file":"5.csv","rows":[{"line":9,"text":"a\\t5\\tb"}]}}', True),
        ('{"export":{"file":"5.csv","rows":[{"line":9,"text":"a,\\u00005\\u0000,b"}]}}', True),
        ('{"export":{"file":"5.csv","rows":[{"line":9,"text":"t5,u00005"}]}}', False),
        (
            '{"export":{"file":"5.csv","rows":[{"line":5,"cells":{"User":"55","Other":"5*","Rate":"1.5","Code":"a5"}}]}}',
            False,
        ),
        ('{"rows":[{"line":9,"cells":{"User":"5"}}]}', False),
    ],
)
def test_a_text_is_told_by_the_customer_it_names(text: str, found: bool) -> None:
    assert is_of(text, {CustomerKey(7, 5)}) is found


def test_a_deletion_is_told_by_its_label() -> None:
    data = orjson.dumps({"customerStatus": {"currentLabel": " deleted "}})
    assert tells_deletion("customerUpdated", data, "Deleted")
    assert not tells_deletion("customerUpdated", data, "Active")
    assert not tells_deletion("transactionAdded", data, "Deleted")
    assert not tells_deletion("customerUpdated", b'{"currentLabel":"Deleted"}', "Deleted")


def test_of_an_entity_head_and_primary_identity_stay() -> None:
    entity = {
        "_id": "a",
        "timestamp": "t",
        "person": {"name": {"firstName": "Zoe"}},
        "identityMap": {
            "capillaryCustomerId": [{"id": "5", "primary": True}, {"id": "6", "primary": False}],
            "Email": [{"id": "z@z.org", "primary": False}],
        },
    }
    bare = {"_id": "a", "timestamp": "t", "identityMap": {"capillaryCustomerId": [{"id": "5", "primary": True}]}}
    once = bare_record(json.dumps(entity))
    assert json.loads(once) == bare
    assert bare_record(once.decode()) == once
