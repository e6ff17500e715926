"""Identities: the customer id is primary, contacts stand beside it when they are sound."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.identities import email, external_id, identity_map, phone
from capillary_adobe_tests.xdm.test_conformance import profile

quickly = settings(deadline=None, max_examples=150, database=None)


def ids(holder: Any, *, customer_id_only: bool = False, with_org: bool = False) -> dict[str, str]:
    """Identity by namespace; there is one of each at most."""
    made = identity_map(50614, "7001", holder, customer_id_only=customer_id_only, with_org=with_org)
    for namespace, found in made.items():
        [identity] = found
        assert identity["primary"] is (namespace == "capillaryCustomerId")
        assert identity["authenticatedState"] == "ambiguous"
    return {namespace: found[0]["id"] for namespace, found in made.items()}


CONTACTS = {"email": " Jane@Example.com ", "mobile": "919650000000", "externalId": "ext-1", "cardNumbers": ["1"]}


def test_sound_contacts_are_secondary() -> None:
    assert ids({"customerId": 7001, "instore": CONTACTS, "wechat": {"accounts": [{"accountId": "w"}]}}) == {
        "capillaryCustomerId": "7001",
        "Email": "jane@example.com",
        "Phone": "+919650000000",
        "capillaryExternalId": "ext-1",
    }


def test_instore_may_be_spelled_otherwise() -> None:
    assert ids({"Instore": {"email": "a@example.com"}})["Email"] == "a@example.com"


@pytest.mark.parametrize("holder", [None, "text", 5, [], [CONTACTS], {}, {"instore": None}, {"instore": []}])
def test_without_contacts_the_customer_stands_alone(holder: Any) -> None:
    assert ids(holder) == {"capillaryCustomerId": "7001"}


def test_an_erased_customer_keeps_the_customer_id_alone() -> None:
    assert ids({"instore": CONTACTS}, customer_id_only=True) == {"capillaryCustomerId": "7001"}


def test_several_organisations_in_one_sandbox_are_told_apart() -> None:
    assert ids({}, with_org=True) == {"capillaryCustomerId": "50614-7001"}


@pytest.mark.parametrize(
    "value",
    ["a@example.com", "A.B+c@Example.CO.IN", " x_y@sub.example.com\t", "o'neil@example.com", "1@2.museum"],
)
def test_an_address_is_trimmed_and_in_lower_case(value: str) -> None:
    assert email(value) == value.strip().lower()


@pytest.mark.parametrize(
    "value",
    [
        *(
            "testuserfortata",
            "a@b",
            "a@",
            "@example.com",
            "a b@example.com",
            "a@example..com",
            "a..b@example.com",
            "null",
        ),
        *(
            ".a@example.com",
            "a.@example.com",
            "a@-example.com",
            "Jane <a@example.com>",
            "a***@example.com",
            "",
            " ",
            None,
        ),
        *(
            "a@example.com,b@example.com",
            "ü@example.com",
            f"{'a' * 250}@example.com",
            5,
            True,
            {"a": 1},
            ["a@example.com"],
        ),
    ],
)
def test_what_is_no_address_is_no_identity(value: Any) -> None:
    assert email(value) is None


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("6282396092287", "+6282396092287"),
        ("+6282396092287", "+6282396092287"),
        (" 609110544825 ", "+609110544825"),
        (919650000000, "+919650000000"),
        (919650000000.0, "+919650000000"),
        ("1234567", "+1234567"),
        ("123456789012345", "+123456789012345"),
    ],
)
def test_a_mobile_is_written_in_e164(value: Any, read: str) -> None:
    assert phone(value) == read


@pytest.mark.parametrize(
    "value",
    [
        *(
            "0123456789",
            "123456",
            "1234567890123456",
            "91 9650000000",
            "91-9650",
            "9196***",
            "++919650000000",
            "mobile",
        ),
        *("+٩١٩٦٥٠٠٠٠٠٠٠", "1111111111", "9999999999", "", None, -1, "-1", 0, "null", {"a": 1}, ["919650000000"]),
    ],
)
def test_what_is_no_mobile_is_no_identity(value: Any) -> None:
    assert phone(value) is None


@pytest.mark.parametrize(
    "value", ["", " ", "null", "NULL", "none", "N/A", "anonymous", "Invalid", "test", "0", "-1", -1, 0]
)
def test_what_tills_write_for_nothing_joins_nobody(value: Any) -> None:
    assert ids({"instore": {"email": value, "mobile": value, "externalId": value}}) == {"capillaryCustomerId": "7001"}


@pytest.mark.parametrize(
    ("value", "mobile", "read"),
    [
        ("ext-1", None, "ext-1"),
        (" ext-1 ", "919650000000", "ext-1"),
        (536236462453, None, "536236462453"),
        ("919650000000", "919650000000", None),
        ("+919650000000", "919650000000", None),
        (919650000000, "+919650000000", None),
        # A mobile that is none joins strangers just as well under another name.
        ("1111111111", "1111111111", None),
        ("EC78***", None, None),
        ("x" * 1024, None, "x" * 1024),
        ("x" * 1025, None, None),
        ({"a": 1}, None, None),
    ],
)
def test_an_external_id_is_the_brands_own(value: Any, mobile: Any, read: str | None) -> None:
    assert external_id(value, mobile) == read


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.text(), max_size=1)
)


@quickly
@given(
    holder=st.dictionaries(
        st.sampled_from(["instore", "Instore"]),
        st.dictionaries(st.sampled_from(["email", "mobile", "externalId"]), _VALUES) | _VALUES,
    )
)
def test_whatever_contacts_hold_the_identities_conform(holder: Any) -> None:
    made = identity_map(50614, "7001", holder, customer_id_only=False, with_org=False)
    assert Conformance("profiles", "acme").violations(profile() | {"identityMap": made}, 900) == []
