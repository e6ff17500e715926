"""Changes of tiers and merges of customers, as events and as facts at their own moments."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe.capillary.insights.events import tiers
from capillary_adobe.capillary.insights.templates import own_words
from capillary_adobe.profiles.document import MERGED_INTO, CustomerKey
from capillary_adobe.profiles.facts_from_events import facts_of_event
from capillary_adobe_tests.capillary.insights.becoming import (
    CUSTOMER,
    ORG,
    OUTLET,
    PROFILES,
    PROGRAM,
    WHEN,
    WHEN_MS,
    ZONE,
    facts,
    key,
    reason,
    refusal,
    told,
)
from capillary_adobe_tests.capillary.insights.lines import history_line, raw_row

CHANGE = {
    **CUSTOMER,
    **PROGRAM,
    **WHEN,
    "change_id": 31,
    "change_action": "UPGRADE",
    "tier_name": "Gold",
    "tier_number": "2",
    "previous_tier_name": "Silver",
    "previous_tier_number": 1,
    "tier_expiry_date": "2026-12-31",
    "notes": "well done",
    "upgrade_type": "STRATEGY",
}
END_MS = 1_798_741_799_000  # 2026-12-31T23:59:59+05:30
MERGE = {**CUSTOMER, **WHEN, "victim_customer_id": 8, "victim_mobile": "919800000008", "merge_event_id": 4}


def test_an_upgrade_tells_both_tiers_expiry_type_and_notes() -> None:
    event = told("tiers", {**CHANGE, **OUTLET})
    assert event.event_name == "tierUpgraded"
    assert event.data == {
        "customerIdentifiers": {
            "customerId": 406247343,
            "instore": {"mobile": "919800000001", "email": "a@example.com", "externalId": "x-1"},
        },
        "triggeringActivity": {
            "enteredBy": {
                "id": 5,
                "till": {"code": "t-1", "name": "Till"},
                "store": {"code": "st-1", "name": "Store", "externalId": "x1"},
            }
        },
        "loyaltyProgramDetails": {
            "id": 973,
            "name": "Default",
            "tiers": [{"tierNumber": 2, "tierName": "Gold"}, {"tierNumber": 1, "tierName": "Silver"}],
        },
        "loyaltyProgramId": 973,
        "previousTierNumber": 1,
        "upgradedTierNumber": 2,
        "tierExpiryDate": "2026-12-31",
        "tierExpiryDateInMillis": END_MS,
        "upgradeType": "STRATEGY",
        "notes": "well done",
        "exportedTier": {"name": "Gold", "previousName": "Silver"},
    }
    assert (event.created_ms, event.key, event.totals) == (WHEN_MS, "tiers|31", {})


def test_a_downgrade_and_a_renewal_have_their_own_fields() -> None:
    down = told("tiers", {**CHANGE, "change_action": "downgraded", "tier_number": 1, "previous_tier_number": 2})
    assert (down.event_name, down.data["downgradedTierNumber"], down.data["previousTierNumber"]) == (
        "tierDowngraded",
        1,
        2,
    )
    assert "upgradeType" not in down.data
    kept = told("tiers", {**CHANGE, "change_action": "renewed", "previous_tier_number": 2})
    assert (kept.event_name, kept.data["currentTierNumber"], kept.data["renewType"]) == ("tierRenewed", 2, "STRATEGY")
    assert "previousTierNumber" not in kept.data


def test_a_renewal_does_not_say_that_there_is_no_tier_above() -> None:
    (said,) = facts("tiers", {**CHANGE, "change_action": "renewed"})
    assert said.fields["program.973.tier_number"] == 2
    assert "program.973.next_tier" not in said.fields


@pytest.mark.parametrize(
    ("before", "after", "name"), [(1, 2, "tierUpgraded"), (2, 1, "tierDowngraded"), (2, 2, "tierRenewed")]
)
def test_numbers_tell_the_change_where_no_word_does(before: int, after: int, name: str) -> None:
    cells = {**CHANGE, "change_action": "", "previous_tier_number": before, "tier_number": after}
    assert told("tiers", cells).event_name == name


def test_a_tier_that_has_a_name_alone_gets_no_number() -> None:
    event = told("tiers", {**CHANGE, "tier_number": "", "previous_tier_number": ""})
    assert event.data["exportedTier"] == {"name": "Gold", "previousName": "Silver"}
    assert not {"upgradedTierNumber", "previousTierNumber"} & event.data.keys()
    assert "tiers" not in event.data["loyaltyProgramDetails"]


def test_changes_are_told_apart_without_a_number_of_their_own() -> None:
    cells = {**CHANGE, "change_id": ""}
    assert key("tiers", cells) == f"tiers|406247343|973|{WHEN_MS}|upgraded"
    assert key("tiers", {**cells, "change_action": "renewed"}) != key("tiers", cells)


def test_of_a_change_that_is_told_twice_the_last_row_counts() -> None:
    event = told("tiers", CHANGE, {**CHANGE, "notes": "corrected"})
    assert (event.data["notes"], event.lines) == ("corrected", (2, 3))


def test_rows_that_tell_no_change_are_ignored_or_refused() -> None:
    assert reason("tiers", {**CHANGE, "change_action": "no_change"}) == "tier_unchanged"
    assert facts("tiers", {**CHANGE, "change_action": "no_change"}) == []
    code, detail = refusal("tiers", {**CHANGE, "change_action": "", "tier_number": ""})
    assert (code, "change_action" in detail) == ("cell_missing", True)
    assert refusal("tiers", {**CHANGE, "tier_number": "1.5"})[0] == "bad_number"
    assert refusal("tiers", {**CHANGE, "change_action": "sideways"})[0] == "unknown_word"
    assert refusal("tiers", {**CHANGE, "customer_id": "4***3"})[0] == "customer_masked"


def test_every_word_for_a_change_is_an_event_or_none() -> None:
    for word in set(own_words()["change_action"].values()):
        cells = {**CHANGE, "change_action": word}
        if word == "no_change":
            assert reason("tiers", cells) == "tier_unchanged"
        else:
            assert told("tiers", cells).event_name.lower() == f"tier{word}"
    assert tiers.UPGRADED in own_words()["change_action"].values()


def test_a_merge_names_survivor_and_victim() -> None:
    event = told("merges", MERGE)
    assert event.event_name == "loyaltyCustomerMerge"
    assert event.data["survivorCustomerIdentifiers"]["customerId"] == 406247343
    assert event.data["victimCustomerIdentifiers"] == {"customerId": 8, "instore": {"mobile": "919800000008"}}
    assert (event.created_ms, event.key) == (WHEN_MS, "merges|8")
    assert told("merges", {**MERGE, "event_time": "16:00:00"}, MERGE).created_ms == WHEN_MS


def test_a_merge_that_is_none_is_ignored_and_one_into_two_refused() -> None:
    assert reason("merges", {**MERGE, "victim_customer_id": 406247343}) == "merged_into_itself"
    assert refusal("merges", MERGE, {**MERGE, "customer_id": 9})[0] == "rows_disagree"
    assert refusal("merges", {**MERGE, "victim_customer_id": ""}) == (
        "customer_missing",
        "victim_customer_id is empty, so the row names no customer.",
    )


@pytest.mark.parametrize(
    ("template", "cells"),
    [
        ("tiers", CHANGE),
        ("tiers", {**CHANGE, "event_log_id": 77}),
        ("tiers", {**CHANGE, "change_action": "renewed", "change_id": ""}),
        ("tiers", {**CHANGE, "tier_number": "", "previous_tier_number": ""}),
        ("merges", MERGE),
    ],
)
def test_what_a_row_says_at_import_is_what_its_event_says_on_the_road(template: str, cells: dict[str, Any]) -> None:
    assert (
        facts(template, cells)
        == facts_of_event(raw_row(history_line(told(template, cells), template)), PROFILES, "Deleted", ZONE).facts
    )


def test_a_change_is_a_fact_of_its_own_moment() -> None:
    (said,) = facts("tiers", CHANGE)
    assert said.key == CustomerKey(ORG, 406247343)
    assert said.stamp.at_us == WHEN_MS * 1000
    assert said.fields["program.973.tier_number"] == 2
    assert said.fields["program.973.tier_name"] == "Gold"
    assert said.fields["program.973.tier_expiry"] == "2026-12-31T18:29:59.000Z"


def test_a_merge_is_a_fact_of_both_customers() -> None:
    survivor, victim = facts("merges", MERGE)
    assert survivor.fields["merged.8"] is True
    assert (victim.key, victim.fields) == (CustomerKey(ORG, 8), {MERGED_INTO: 406247343})
    assert facts("merges", {**MERGE, "victim_customer_id": 406247343}) == []
