"""Whom an event is about: one customer, nobody, a group, several, or somebody who cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe.capillary.catalogue import EventType, shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.person import NotDelivered, customer_id, identifiers_of
from capillary_adobe_tests.capillary.events import Json


def known(name: str) -> EventType:
    found = shipped_catalogue().find(name)
    assert found is not None
    return found


def about(data: Json, name: str = "pointsExpired") -> str:
    """The customer, or why there is none."""
    try:
        return customer_id(known(name), data)
    except (NotDelivered, NotAnEvent) as told:
        return told.reason if isinstance(told, NotDelivered) else told.code


def customer(value: Any) -> Json:
    return {"customerIdentifiers": {"customerId": value}}


USER, GROUP = {"entityType": "USER", "entityId": 7}, {"entityType": "USERGROUP2", "entityId": 9}


@pytest.mark.parametrize("value", [84793759919, "84793759919", " 84793759919 ", 84793759919.0])
def test_a_customer_is_told_in_digits(value: Any) -> None:
    assert about(customer(value)) == "84793759919"


@pytest.mark.parametrize("value", [None, "", "null", " ", -1, "-1", {}, []])
def test_an_event_of_a_person_without_one_is_refused(value: Any) -> None:
    assert about(customer(value)) == "customer_missing"
    assert about({}) == "customer_missing"
    assert about({"customerIdentifiers": None}) == "customer_missing"
    assert about({"customerIdentifiers": [{"customerId": 7}]}) == "customer_missing"


@pytest.mark.parametrize("value", ["5681***", "abc", "7-8", 1.5, -7, True, {"id": 7}, [7], 10**18, "٣", "1e3"])
def test_what_is_no_whole_number_is_no_customer(value: Any) -> None:
    assert about(customer(value)) == "customer_masked"


def test_a_refusal_names_no_value() -> None:
    with pytest.raises(NotAnEvent) as told:
        customer_id(known("pointsExpired"), customer("5681***"))
    assert "5681" not in told.value.detail
    assert told.value.event_name == "pointsExpired"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("loyaltyCustomerMerge", {"survivorCustomerIdentifiers": {"customerId": 1}}, "1"),
        ("CouponIssue", {"coupons": [customer(3)]}, "3"),
        ("CouponIssue", {"coupons": [customer(3), customer("3")]}, "3"),
        ("CouponIssue", {"coupons": [customer(3), customer(4)]}, "several_persons"),
        ("IssueBulkCoupon", {"coupons": [customer(3), customer(4)]}, "several_persons"),
        ("CouponIssue", {"coupons": [{"code": "x"}]}, "customer_missing"),
        ("CouponIssue", {"coupons": "x"}, "customer_missing"),
        ("updateRewardTransaction", {"transactionUpdates": [{"customerId": 5}, {"id": 1}]}, "5"),
        ("groupCreated", {"primaryMember": customer(1)}, "group"),
        ("pointsContributionToGroup", customer(1), "group"),
        ("cardUpdated", {"cardNumber": "1"}, "no_person"),
        ("promotionCreated", {"promotionId": 1}, "no_person"),
    ],
)
def test_each_type_says_where_its_person_stands(name: str, data: Json, expected: str) -> None:
    assert about(data, name) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"entityInformation": USER}, "7"),
        ({"triggeringActivity": {"entityInformation": USER}}, "7"),
        ({"entityInformation": {"entityType": " user ", "entityId": "7"}}, "7"),
        ({"entityInformation": GROUP}, "group"),
        # The actor of a group's event is not the one whose points were spent.
        ({"entityInformation": GROUP, "triggeringActivity": {"entityInformation": USER}}, "group"),
        ({"entityInformation": {"entityType": "usergroup2"}}, "group"),
        ({"entityInformation": {"entityType": "TILL", "entityId": 7}}, "no_person"),
        ({"entityInformation": {}, "triggeringActivity": {"entityInformation": USER}}, "7"),
        ({"entityInformation": {"entityType": "USER"}}, "customer_missing"),
        ({"entityInformation": {"entityType": "USER", "entityId": "56***"}}, "customer_masked"),
        ({"entityInformation": {"entityType": "USER", "entityId": {"a": 1}}}, "customer_masked"),
        ({"entityInformation": {"entityType": ["USER"], "entityId": 7}}, "customer_missing"),
        ({"entityInformation": "USER", "triggeringActivity": [USER]}, "customer_missing"),
        ({**customer(5), "entityInformation": USER}, "5"),
        ({**customer(5), "entityInformation": GROUP}, "5"),
    ],
)
def test_where_no_customer_stands_the_acting_person_counts(data: Json, expected: str) -> None:
    assert about(data) == expected


def test_the_identifiers_are_those_of_the_person() -> None:
    holder = {"customerId": 3, "instore": {"mobile": "1"}}
    assert identifiers_of(known("pointsExpired"), {"customerIdentifiers": holder}) is holder
    assert identifiers_of(known("CouponIssue"), {"coupons": [{}, {"customerIdentifiers": holder}]}) is holder
    assert identifiers_of(known("pointsExpired"), {"entityInformation": USER}) is None
    assert identifiers_of(known("groupCreated"), {"customerIdentifiers": holder}) is None
    assert identifiers_of(known("cardUpdated"), {"customerIdentifiers": holder}) is None
