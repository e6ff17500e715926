"""What the answers of both APIs say of a customer."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from capillary_adobe.profiles.document import DELETED, Stamp
from capillary_adobe.profiles.facts_from_api import facts_of_bulk_customer, facts_of_customer
from capillary_adobe.profiles.identities import Identity, withdrawal
from capillary_adobe.settings import ProfileSettings
from capillary_adobe_tests.profiles.events import CREATED_MS, CUSTOMER, INDIA, KEY, Json

AT_US = CREATED_MS * 1000 + 7

ANSWER: Json = {
    "id": CUSTOMER,
    "profiles": [
        {"source": "WEB_ENGAGE", "firstName": "jj", "identifiers": [{"type": "mobile", "value": "910000000001"}]},
        {
            "source": "INSTORE",
            "firstName": "Jane",
            "lastName": "Roe",
            "fields": {"shoe": "42", "blank": ""},
            "identifiers": [
                {"type": "email", "value": "jane@example.com"},
                {"type": "externalId", "value": "E-42"},
                {"type": "cardnumber", "value": "C2", "statusLabel": "ACTIVE"},
            ],
            "commChannels": [
                {"type": "email", "value": "other@example.com", "primary": True},
                {"type": "mobile", "value": "919650000000"},
            ],
        },
    ],
    "loyaltyInfo": {
        "loyaltyType": "LOYALTY",
        "attributionV2": {"createDate": "2016-06-23T19:11:18+08:00", "createdFromSource": "instore"},
        "lifetimePurchases": 230.5,
    },
    "extendedFields": {"gender": "Female", "dob": "1980-03-04"},
    "customerStatus": {"label": "Active", "reason": "asked for"},
    "pointsSummary": {"loyaltyPoints": 1.0, "currentSlab": "Silver"},
    "loyaltyProgramDetails": [
        {
            "programId": 973,
            "programTitle": "Default",
            "loyaltyPoints": 100.0,
            "lifetimePoints": "250.500",
            "redeemed": 50,
            "expired": 7,
            "returned": 3,
            "adjusted": -2,
            "delayedPoints": 9,
            "cumulativePurchases": 230.5,
            "slabSNo": 1,
            "currentSlab": "Silver",
            "slabExpiryDate": "2116-12-07T23:59:59+05:30",
            "nextSlab": "Gold",
            "nextSlabSerialNumber": 2,
            "upgradeStrategies": [
                {"upgradeBasedOn": "TRACKER_VALUE_BASED", "customerUpgradeEntityValues": {"gapToUpgrade": 1}},
                {"upgradeBasedOn": "CURRENT_POINTS", "customerUpgradeEntityValues": {"gapToUpgrade": 1900.0}},
            ],
        },
        {"programId": 974, "slabSNo": 3, "currentSlab": "Top", "nextSlab": "", "nextSlabSerialNumber": -1},
    ],
    "expirySchedules": [
        {"points": 0.1, "expiryDate": "2026-06-11", "programId": 973},
        {"points": 0.2, "expiryDate": "2026-06-11", "programId": 973},
        {"points": 5000, "expiryDate": "2026-05-01", "programId": 973},
    ],
    "subscriptionInfo": {
        "subscriptions": [
            {"channel": "EMAIL", "priority": "BULK", "type": "OPTIN"},
            {"channel": "SMS", "priority": "TRANS", "type": "OPTOUT"},
        ]
    },
    "cardDetails": [
        {"cardNumber": "C1", "seriesName": "Premier", "statusInfo": {"label": "Active", "status": "ACTIVE"}},
        {"cardNumber": "C3", "seriesCode": "P", "statusInfo": {"status": "NOT_ISSUED"}},
    ],
}

FOUND: Json = {
    "first_name": "Jane",
    "last_name": "Roe",
    "email": "jane@example.com",
    "mobile": "919650000000",
    "external_id": "E-42",
    "loyalty_type": "loyalty",
    "source": "INSTORE",
    "joined_ms": 1466680278000,
    "purchases": 230.5,
    "custom.shoe": "42",
    "extended.gender": "Female",
    "extended.dob": "1980-03-04",
    "gender": "Female",
    "birth_date": "1980-03-04",
    "status": "Active",
    "status_reason": "asked for",
    "consent.email.BULK": "y",
    "consent.sms.TRANS": "n",
    "card.C1": {"series": "Premier", "status": "Active"},
    "card.C2": {"series": None, "status": "ACTIVE"},
    "card.C3": None,
    withdrawal(Identity("card", "C3")): True,
    "program.973.name": "Default",
    "program.973.points": 100,
    "program.973.lifetime_points": 250.5,
    "program.973.redeemed": 50,
    "program.973.expired": 7,
    "program.973.returned": 3,
    "program.973.adjusted": -2,
    "program.973.promised": 9,
    "program.973.purchases": 230.5,
    "program.973.tier_number": 1,
    "program.973.tier_name": "Silver",
    "program.973.tier_expiry": "2116-12-07T23:59:59+05:30",
    "program.973.next_tier": "Gold",
    "program.973.points_to_next_tier": 1900,
    "program.973.expirations": [
        {"points": 5000, "date": "2026-05-01T23:59:59+05:30"},
        {"points": 0.3, "date": "2026-06-11T23:59:59+05:30"},
    ],
    "program.974.tier_number": 3,
    "program.974.tier_name": "Top",
    "program.974.next_tier": None,
    "program.974.points_to_next_tier": None,
    "program.974.expirations": [],
}


def of(answer: Any, **settings: Any) -> Json:
    read = facts_of_customer(answer, KEY, AT_US, ProfileSettings(**settings), INDIA)
    (facts,) = read.facts
    assert facts.key == KEY
    assert facts.stamp == Stamp(AT_US, 0, "api")
    assert (read.masked, read.unreadable) == (0, [])
    return dict(facts.fields)


def test_an_answer_tells_the_whole_customer() -> None:
    assert of(ANSWER) == FOUND


def summary(**fields: Any) -> Json:
    return {"pointsSummary": {"loyaltyPoints": 5, "slabSNo": 2}, **fields}


@pytest.mark.parametrize(
    ("answer", "settings", "points"),
    [
        (summary(), {"default_program": "7"}, {"program.7.points": 5, "program.7.tier_number": 2}),
        (summary(loyaltyProgramDetails=[{"programId": 8, "redeemed": 1}]), {}, {"program.8.redeemed": 1}),
        (
            summary(loyaltyProgramDetails=[{"programId": 8, "redeemed": 1}]),
            {"default_program": "7"},
            {"program.8.redeemed": 1, "program.7.points": 5, "program.7.tier_number": 2},
        ),
        (summary(loyaltyProgramDetails=[{"programId": 8, "redeemed": 1}, {"programId": 9, "redeemed": 2}]), {},
         {"program.8.redeemed": 1, "program.9.redeemed": 2}),
        ({"loyaltyProgramDetails": [{"programId": 8}], "gapToUpgrade": [
            {"upgradeBasedOn": "LIFETIME_POINTS", "customerUpgradeEntityValues": [{"gapToUpgrade": 4}]}]}, {},
         {"program.8.points_to_next_tier": 4}),
    ],
)  # fmt: skip
def test_a_summary_without_a_program_belongs_to_the_default_one(answer: Json, settings: Json, points: Json) -> None:
    assert of(answer, **settings) == points


def test_a_summary_of_nobody_knows_which_program_is_told() -> None:
    read = facts_of_customer(summary(), KEY, AT_US, ProfileSettings(), INDIA)
    assert read == ([], 0, ["pointsSummary without a program"])


def test_what_names_no_program_is_not_guessed_where_there_are_several() -> None:
    programs = [{"programId": 8, "redeemed": 1}, {"programId": 9, "redeemed": 2}]
    schedule = [{"points": 5, "expiryDate": "2026-05-01"}]
    found = of({"loyaltyProgramDetails": programs, "expirySchedules": schedule, **summary()})
    assert [name for name, value in found.items() if value == 5 or (type(value) is list and value)] == []
    one = of({"loyaltyProgramDetails": programs[:1], "expirySchedules": schedule})
    assert one["program.8.expirations"] == [{"points": 5, "date": "2026-05-01T23:59:59+05:30"}]


def test_no_list_of_expirations_is_not_an_empty_one() -> None:
    answer = deepcopy(ANSWER)
    del answer["expirySchedules"]
    assert not [name for name in of(answer) if name.endswith(".expirations")]


@pytest.mark.parametrize("status", [{"label": "deleted"}, {"statusLabel": "Deleted"}, "Deleted", {"name": "Deleted"}])
def test_a_deleted_customer_is_only_that(status: Any) -> None:
    for facts_of in (facts_of_customer, facts_of_bulk_customer):
        read = facts_of({**ANSWER, "customerStatus": status}, KEY, AT_US, ProfileSettings(), INDIA)
        assert [facts.fields for facts in read.facts] == [{DELETED: True}]


def test_masked_values_of_an_answer_are_counted_and_not_taken() -> None:
    answer = {
        "profiles": [
            {"firstName": "J***", "lastName": "XXXX", "identifiers": [{"type": "mobile", "value": "9196*****1"}]},
        ],
        "extendedFields": {"dob": "****"},
        "loyaltyInfo": {"loyaltyType": "loyalty"},
    }
    read = facts_of_customer(answer, KEY, AT_US, ProfileSettings(), INDIA)
    assert [facts.fields for facts in read.facts] == [{"loyalty_type": "loyalty"}]
    assert (read.masked, read.unreadable) == (4, [])


ITEM: Json = {
    "user_id": str(CUSTOMER),
    "firstname": "Jane",
    "lastname": "Roe",
    "mobile": "919650000000",
    "email": "jane@example.com",
    "external_id": "",
    "lifetime_points": "250",
    "loyalty_points": "100",
    "current_slab": "Silver",
    "tier_expiry_date": "2112-09-11 23:59:59",
    "points_summaries": {
        "points_summary": [
            {
                "programId": "973",
                "redeemed": "0",
                "lifetimePoints": "250",
                "loyaltyPoints": "100",
                "currentSlab": "Silver",
                "nextSlab": "Gold",
                "nextSlabSerialNumber": "2",
                "slabSNo": "1",
                "slabExpiryDate": "2112-09-11 23:59:59",
                "totalPoints": "",
                "program_title": "Default",
                "delayed_points": "4",
                "gap_to_upgrade": {
                    "upgrade_strategy": [
                        {
                            "upgrade_based_on": "CURRENT_POINTS",
                            "customer_upgrade_entity_values": [{"current_value": "1", "gap_to_upgrade": "99"}],
                        }
                    ]
                },
            }
        ]
    },
    "lifetime_purchases": 0,
    "registered_on": "2024-08-01 07:28:32",
    "type": "LOYALTY",
    "source": "instore",
    "custom_fields": {"field": [{"name": "address", "value": "1 Example Street"}]},
    "extended_fields": {"field": {"name": "gender", "value": "Male"}},
    "subscriptions": {"subscription": [{"channel": "SMS", "priority": "BULK", "scope": "ALL", "status": "0"}]},
    "expiry_schedule": {"schedule": [{"points": "7", "expiry_date": "2026-05-01", "program_id": "973"}]},
    "card_details": {"card": [{"card_number": "C1", "series_name": "Premier", "status": "ACTIVE"}]},
    "item_status": {"success": "true", "code": "1000"},
}


def test_an_item_of_the_older_api_tells_the_same() -> None:
    read = facts_of_bulk_customer(ITEM, KEY, AT_US, ProfileSettings(), INDIA)
    (facts,) = read.facts
    assert (facts.stamp, read.masked, read.unreadable) == (Stamp(AT_US, 0, "api"), 0, [])
    assert facts.fields == {
        "first_name": "Jane",
        "last_name": "Roe",
        "mobile": "919650000000",
        "email": "jane@example.com",
        "loyalty_type": "loyalty",
        "source": "INSTORE",
        # Without an offset: the organisation's own time.
        "joined_ms": 1722477512000,
        "purchases": 0,
        "custom.address": "1 Example Street",
        "address.street1": "1 Example Street",
        "extended.gender": "Male",
        "gender": "Male",
        "consent.sms.BULK": "n",
        "card.C1": {"series": "Premier", "status": "ACTIVE"},
        "program.973.name": "Default",
        "program.973.points": 100,
        "program.973.lifetime_points": 250,
        "program.973.redeemed": 0,
        "program.973.promised": 4,
        "program.973.tier_number": 1,
        "program.973.tier_name": "Silver",
        "program.973.tier_expiry": "2112-09-11T23:59:59+05:30",
        "program.973.next_tier": "Gold",
        "program.973.points_to_next_tier": 99,
        "program.973.expirations": [{"points": 7, "date": "2026-05-01T23:59:59+05:30"}],
    }


def test_an_item_without_programs_tells_the_default_one() -> None:
    item = {name: ITEM[name] for name in ("lifetime_points", "loyalty_points", "current_slab", "tier_expiry_date")}
    read = facts_of_bulk_customer(item, KEY, AT_US, ProfileSettings(default_program="7"), INDIA)
    assert [dict(facts.fields) for facts in read.facts] == [
        {
            "program.7.points": 100,
            "program.7.lifetime_points": 250,
            "program.7.tier_name": "Silver",
            "program.7.tier_expiry": "2112-09-11T23:59:59+05:30",
        }
    ]
