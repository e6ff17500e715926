"""Cards, merges and released identifiers, as events tell them."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.facts_from_events import KNOWN, UNDATED, facts_of_event
from capillary_adobe.profiles.identities import Identity, withdrawal
from capillary_adobe.settings import ProfileSettings
from capillary_adobe_tests.profiles.events import (
    CUSTOMER,
    INDIA,
    KEY,
    ORG,
    Json,
    dated,
    read,
    row,
    said,
)

CONTACTS = {"mobile": "919650000000 ", "email": " Jane@example.com", "externalId": 42, "cardNumbers": []}
IDENTIFIERS = {"customerId": CUSTOMER, "instore": CONTACTS}
KNOWN_CONTACTS = {"mobile": "919650000000", "email": "Jane@example.com", "external_id": "42"}


def test_a_card_told_by_its_number_is_undated_and_one_with_a_status_is_not() -> None:
    holder = {"customerId": CUSTOMER, "instore": {"cardNumbers": ["C1", "C1", "12**34", ""], "cardnumber": "C2"}}
    found = read("transactionAdded", {"customerIdentifiers": holder})
    (cards,) = [facts for facts in found.facts if facts.stamp == UNDATED]
    unknown = {"series": None, "status": None}
    assert cards.fields == {"card.C1": unknown, "card.C2": unknown}
    assert found.masked == 1


def test_a_card_that_another_may_get_is_withdrawn() -> None:
    def of(status: str) -> Json:
        data = {"cardNumber": "C1", "currentStatusLabel": status}
        (facts,) = facts_of_event(row("cardUpdated", data), ProfileSettings(), "Deleted", INDIA).facts
        return {name: value for name, value in facts.fields.items() if name != KNOWN}

    assert of("Blocked") == {"card.C1": {"series": None, "status": "Blocked"}}
    for status in ("NOT_ISSUED", "Not Issued", "deleted"):
        assert of(status) == {"card.C1": None, withdrawal(Identity("card", "C1")): True}


MERGED = {
    "customerIdentifiers": None,
    "survivorCustomerIdentifiers": IDENTIFIERS,
    "victimCustomerIdentifiers": {"customerId": 675819046, "instore": {"email": "victim@example.com"}},
    "survivorCustomerLoyaltySummary": [
        {
            "loyaltyProgramId": 18,
            "lifetimePoints": 300.0,
            "currentPoints": 200.0,
            "promisedPoints": 0.0,
            "tierNumber": 3,
        }
    ],
}


def test_a_merge_links_the_victim_and_tells_the_survivors_totals() -> None:
    survivor, victim = dated(read("loyaltyCustomerMerge", MERGED))
    assert (victim.key, victim.fields) == (CustomerKey(ORG, 675819046), {"merged_into": CUSTOMER})
    assert survivor.key == KEY
    assert survivor.stamp == victim.stamp
    assert survivor.fields == {
        KNOWN: True,
        **KNOWN_CONTACTS,
        "merged.675819046": True,
        "program.18.points": 200,
        "program.18.lifetime_points": 300,
        "program.18.promised": 0,
        "program.18.tier_number": 3,
        "program.18.tier_name": None,
        "program.18.tier_expiry": None,
        "program.18.next_tier": None,
        "program.18.points_to_next_tier": None,
    }


@pytest.mark.parametrize("victim", [CUSTOMER, None, "12***", {}, -1, True])
def test_a_merge_with_nobody_merges_nobody(victim: Any) -> None:
    found = read("loyaltyCustomerMerge", {**MERGED, "victimCustomerIdentifiers": {"customerId": victim}})
    (facts,) = found.facts
    assert not [name for name in facts.fields if name.startswith("merged")]


RELEASED = {
    withdrawal(Identity("email", "jane@example.com")): True,
    withdrawal(Identity("phone", "+919650000000")): True,
    withdrawal(Identity("external_id", "42")): True,
}


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        ({"customerIdentifiers": IDENTIFIERS}, "customerIdentifiers"),
        ({"released": {"deep": [{"instore": CONTACTS}]}}, "other.path, released.deep"),
        (
            {
                "releasedIdentifiers": [
                    {"type": "email", "value": "jane@example.com"},
                    {"identifierType": "MOBILE", "identifierValue": "919650000000"},
                    {"fieldName": "external_id", "previousValue": "42"},
                ]
            },
            "releasedIdentifiers",
        ),
    ],
)
def test_what_was_released_is_withdrawn_and_not_taken(data: Json, paths: str) -> None:
    assert said("identifierReleased", data, ProfileSettings(released_paths=paths)) == RELEASED
