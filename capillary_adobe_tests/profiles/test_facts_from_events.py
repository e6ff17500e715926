"""What each kind of event says of its customer, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe.profiles.document import DELETED, Stamp
from capillary_adobe.profiles.facts_from_events import KNOWN, UNDATED, facts_of_event
from capillary_adobe.settings import ProfileSettings
from capillary_adobe_tests.profiles.events import (
    CREATED_MS,
    CUSTOMER,
    INDIA,
    KEY,
    Json,
    read,
    row,
    said,
)

CONTACTS = {"mobile": "919650000000 ", "email": " Jane@example.com", "externalId": 42, "cardNumbers": []}
IDENTIFIERS = {"customerId": CUSTOMER, "instore": CONTACTS}
KNOWN_CONTACTS = {"mobile": "919650000000", "email": "Jane@example.com", "external_id": "42"}


def pairs(**fields: str) -> list[Json]:
    return [{"key": key, "value": value} for key, value in fields.items()]


def test_a_stamp_is_source_time_then_the_log_then_the_event() -> None:
    for event_log_id, sequence in ((77, 77), (None, 0)):
        one = row("pointsExpired", {}, event_log_id=event_log_id)
        (facts,) = facts_of_event(one, ProfileSettings(), "Deleted", INDIA).facts
        assert facts.key == KEY
        assert facts.stamp == Stamp(CREATED_MS * 1000, sequence, one["event_key"][:16])


@pytest.mark.parametrize("name", ["instore", "Instore", "INSTORE "])
def test_contacts_are_read_however_their_object_is_spelled(name: str) -> None:
    found = said("transactionAdded", {"customerIdentifiers": {"customerId": CUSTOMER, name: CONTACTS}})
    assert found == KNOWN_CONTACTS


def test_contacts_of_somebody_else_are_not_taken() -> None:
    elsewhere = {"customerId": CUSTOMER + 1, "instore": CONTACTS}
    coupons = [
        {"customerIdentifiers": elsewhere},
        {"customerIdentifiers": {**IDENTIFIERS, "customerId": str(CUSTOMER)}},
    ]
    event: Json = {"customerIdentifiers": None, "coupons": [coupons[1]]}
    assert said("CouponIssue", event) == KNOWN_CONTACTS
    assert said("pointsTransferredInitiated", {"transferReceivingCustomerIdentifiers": elsewhere}) == {}


def test_an_event_that_tells_nothing_makes_its_customer_known() -> None:
    (facts,) = read("CouponRedeem", {"addedAt": CREATED_MS}).facts
    assert facts.fields == {KNOWN: True}


def test_a_registration() -> None:
    found = said(
        "customerAdded",
        {
            "loyaltyType": "LOYALTY",
            "source": "instore",
            "firstName": " Jane ",
            "lastName": "",
            "enteredAt": 1685166366000,
            "customerIdentifiers": IDENTIFIERS,
            "customFields": pairs(address="1 Example Street", blank=" ", none="null"),
            "extendedFields": pairs(PreferredLanguage="en", dob="Tue Mar 04 00:00:00 GMT 1980", gender="Female"),
        },
    )
    assert found == {
        **KNOWN_CONTACTS,
        "loyalty_type": "loyalty",
        "source": "INSTORE",
        "first_name": "Jane",
        "joined_ms": 1685166366000,
        "custom.address": "1 Example Street",
        "extended.PreferredLanguage": "en",
        "extended.dob": "Tue Mar 04 00:00:00 GMT 1980",
        "extended.gender": "Female",
        "address.street1": "1 Example Street",
        "language": "en",
        "birth_date": "1980-03-04",
        "gender": "Female",
    }


def test_an_update_tells_no_registration() -> None:
    found = said("customerUpdated", {"source": "MOBILE_APP", "enteredAt": 1685166366000, "updatedFields": []})
    assert found == {}


def test_what_changed_is_taken_and_what_is_gone_is_gone() -> None:
    changed = [
        {"fieldName": "email", "previousValue": "old@example.com", "currentValue": "", "fieldType": "StandardField"},
        {"fieldName": "firstname", "previousValue": "Janet", "currentValue": "Jane", "fieldType": "StandardField"},
        {"fieldName": "gender", "previousValue": "Male", "currentValue": None, "fieldType": "ExtendedField"},
        {"fieldName": "dob", "previousValue": "", "currentValue": "1980-03-04", "fieldType": "ExtendedField"},
        {"fieldName": "shoe", "previousValue": "41", "currentValue": "42", "fieldType": "CustomField"},
        {"fieldName": "never_had", "previousValue": "", "currentValue": "", "fieldType": "CustomField"},
        {"fieldName": "not_told", "previousValue": "x", "fieldType": "CustomField"},
    ]
    assert said("customerUpdated", {"updatedFields": changed}) == {
        "email": None,
        "first_name": "Jane",
        "extended.gender": None,
        "gender": None,
        "extended.dob": "1980-03-04",
        "birth_date": "1980-03-04",
        "custom.shoe": "42",
    }


def test_what_is_in_force_goes_before_what_is_said_to_have_changed() -> None:
    changed = [{"fieldName": "email", "previousValue": "a@example.com", "currentValue": "b@example.com"}]
    found = said("customerUpdated", {"updatedFields": changed, "customerIdentifiers": IDENTIFIERS})
    assert found["email"] == "Jane@example.com"


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("1980-03-04", "1980-03-04"),
        ("1980-03-04 00:00:00.0", "1980-03-04"),
        ("1980-03-04T00:00:00+0530", "1980-03-04"),
        # Midnight in India, as a server writes it that knows UTC alone.
        ("1980-03-03T18:30:00Z", "1980-03-04"),
        ("1980-03-04T00:00:00Z", "1980-03-04"),
        ("1980-03-04T11:00:00Z", "1980-03-04"),
        ("Tue Mar 04 23:00:00 IST 1980", "1980-03-04"),
        ("1905-06-01", "1905-06-01"),
        ("1900-01-01", None),
        ("0001-01-01", None),
        ("2999-01-01", None),
        ("04/03/1980", None),
        ("Tue Feb 31 00:00:00 GMT 1980", None),
    ],
)
def test_a_birthday_is_the_day_that_was_written(written: str, day: str | None) -> None:
    found = read("customerUpdated", {"extendedFields": pairs(dob=written)})
    assert found.facts[0].fields.get("birth_date") == day
    assert bool(found.unreadable) == (day is None)


def test_fields_of_the_person_are_where_the_settings_say() -> None:
    settings = ProfileSettings(fields="gender=sex, address.city=Home-Town")
    fields = pairs(sex="F", home_town="Pune", gender="Male")
    found = said("customerUpdated", {"customFields": fields}, settings)
    assert (found["gender"], found["address.city"]) == ("F", "Pune")
    assert found["custom.gender"] == "Male"


@pytest.mark.parametrize("value", ["gender", "gender=", "name=first_name", "=dob"])
def test_a_field_that_no_profile_has_is_refused_with_the_cure(value: str) -> None:
    with pytest.raises(ValueError, match=r"give pairs such as .*address\.country"):
        ProfileSettings(fields=value)


def test_the_own_fields_of_a_bill_are_not_the_customers() -> None:
    assert (
        said("transactionAdded", {"customFields": pairs(gender="Male"), "extendedFields": pairs(dob="1980-03-04")})
        == {}
    )


def test_a_status_comes_with_its_reason_or_without_any() -> None:
    status: Json = {"customerStatus": {"currentLabel": "Active", "reason": "asked for"}}
    assert said("customerUpdated", status) == {"status": "Active", "status_reason": "asked for"}
    status = {"customerStatus": {"currentLabel": "Active", "reason": ""}}
    assert said("customerUpdated", status) == {"status": "Active", "status_reason": None}


@pytest.mark.parametrize("label", ["Deleted", " deleted", "DELETED"])
def test_a_deletion_says_nothing_else(label: str) -> None:
    found = read(
        "customerUpdated",
        {"firstName": "Jane", "customerStatus": {"currentLabel": label}, "customerIdentifiers": IDENTIFIERS},
    )
    assert [facts.fields for facts in found.facts] == [{DELETED: True}]


@pytest.mark.parametrize("label", ["Pending Deletion", "Active", "", None, ["Deleted"]])
def test_another_label_is_no_deletion(label: Any) -> None:
    found = read("customerUpdated", {"customerStatus": {"currentLabel": label}})
    assert DELETED not in found.facts[0].fields
    other = read("transactionAdded", {"customerStatus": {"currentLabel": "Deleted"}})
    assert DELETED not in other.facts[0].fields


def test_a_request_is_no_fact() -> None:
    changed = [{"fieldName": "email", "previousValue": "a@example.com", "currentValue": "b@example.com"}]
    assert (
        said("requestUpdated", {"updatedFields": changed, "customerIdentifiers": IDENTIFIERS, "status": "REJECTED"})
        == {}
    )


def test_masked_values_are_counted_and_not_taken() -> None:
    holder = {
        "customerId": CUSTOMER,
        "firstName": "J***",
        "lastName": "XXXX",
        "instore": {
            "mobile": "91965*****00",
            "email": "j*@example.com",
            "externalId": "xxxxxx42",
            "cardNumbers": ["XXXX1234"],
        },
    }
    data = {
        "customerIdentifiers": holder,
        "programCurrentPoints": "5681***",
        "loyaltyProgramId": 7,
        "customFields": pairs(pan="ABC**34", hotel="a 5* hotel", size="XXL"),
    }
    found = read("customerUpdated", data)
    (facts,) = found.facts
    assert facts.fields == {KNOWN: True, "custom.hotel": "a 5* hotel", "custom.size": "XXL"}
    assert found.masked == 8
    assert found.unreadable == []


def test_what_cannot_be_read_is_named_by_its_path_and_stops_nothing() -> None:
    data = {
        "loyaltyProgramId": 7,
        "programCurrentPoints": "many",
        "programLifetimePoints": 12,
        "customerIdentifiers": {"customerId": CUSTOMER, "firstName": ["Jane"]},
    }
    found = read("pointsIssued", data)
    assert found.unreadable == ["programCurrentPoints", "customerIdentifiers.firstName"]
    assert found.facts[0].fields == {KNOWN: True, "program.7.lifetime_points": 12}


def test_undated_is_older_than_everything() -> None:
    assert Stamp(1) > UNDATED
