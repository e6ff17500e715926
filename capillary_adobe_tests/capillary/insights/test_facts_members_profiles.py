"""Members and profiles: what rows say of customers as of the export."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from capillary_adobe.capillary.insights.model import RowRefused
from capillary_adobe.profiles.document import MERGED_INTO, CustomerKey, Facts, Stamp, merged
from capillary_adobe.profiles.facts_from_events import facts_of_event
from capillary_adobe.settings import ProfileSettings
from capillary_adobe.state import Customers, LoyaltyHistory, State
from capillary_adobe_tests.capillary.insights.becoming import (
    CONTEXT,
    CUSTOMER,
    EXPORTED_MS,
    ORG,
    PROFILES,
    ZONE,
    facts,
    reason,
    refusal,
)

KEY = CustomerKey(ORG, 406247343)
MEMBER = {
    **CUSTOMER,
    "first_name": "Asha",
    "last_name": "Rao",
    "loyalty_type": "LOYALTY",
    "current_points": "120.5",
    "lifetime_points": 500,
    "redeemed_points": 300,
    "expired_points": 70,
    "cancelled_points": "9.5",
    "lifetime_purchases": "12,000.75",
    "tier_name": "Gold",
    "tier_number": 2,
    "tier_expiry_date": "2026-12-31",
    "joined_date": "2019-05-04",
    "birth_date": "1980-02-29",
    "gender": "Female",
    "preferred_language": "en-IN",
    "source": "instore",
    "status": "Active",
    "consent_sms_bulk": "OPTIN",
    "consent_sms_trans": "OPTOUT",
    "consent_email_bulk": "subscribed",
}
ACCOUNT = {"customer_id": 406247343, "id_email": "line@example.com", "id_mobile": "919800000009", "first_name": "A."}


def only(cells: dict[str, Any], template: str = "members", **more: Any) -> Facts:
    (found,) = facts(template, cells, **more)
    return found


def test_a_member_says_everything_that_a_document_knows() -> None:
    found = only(MEMBER)
    assert found.key == KEY
    assert found.fields == {
        "known": True,
        "first_name": "Asha",
        "last_name": "Rao",
        "email": "a@example.com",
        "mobile": "919800000001",
        "external_id": "x-1",
        "loyalty_type": "loyalty",
        "source": "INSTORE",
        "status": "Active",
        "gender": "Female",
        "language": "en-IN",
        "birth_date": "1980-02-29",
        "joined_ms": 1_556_908_200_000,
        "purchases": 12000.75,
        "program.973.points": 120.5,
        "program.973.lifetime_points": 500,
        "program.973.redeemed": 300,
        "program.973.expired": 70,
        "program.973.returned": 9.5,
        "program.973.tier_number": 2,
        "program.973.tier_name": "Gold",
        "program.973.tier_expiry": "2026-12-31T23:59:59+05:30",
        "consent.sms.BULK": "y",
        "consent.sms.TRANS": "n",
        "consent.email.BULK": "y",
    }


def test_rows_of_one_customer_in_two_programs_both_stand_in_the_history_of_loyalty(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    rows = [only({**MEMBER, "program_id": program, "tier_name": f"Gold of {program}"}) for program in (7, 9)]
    Customers(state, 10).merge(rows)
    after_us = EXPORTED_MS * 1000
    [known] = LoyaltyHistory(state).registers_as_of([(KEY, after_us)])
    assert {known[f"program.{program}.tier_name"].value for program in (7, 9)} == {"Gold of 7", "Gold of 9"}


def test_a_row_is_no_event_and_has_to_name_its_customer() -> None:
    assert reason("members", MEMBER) == "customer_state"
    assert reason("profiles", ACCOUNT) == "customer_state"
    assert refusal("members", {**MEMBER, "customer_id": ""})[0] == "customer_missing"
    assert refusal("profiles", {**ACCOUNT, "customer_id": "4**"})[0] == "customer_masked"


def test_balances_are_of_the_program_that_the_row_names() -> None:
    found = only({**MEMBER, "program_id": 5, "program_name": "Second"})
    assert found.fields["program.5.points"] == 120.5
    assert found.fields["program.5.name"] == "Second"
    assert not any(name.startswith("program.973") for name in found.fields)


def test_balances_of_no_known_program_are_left_out() -> None:
    found = only(MEMBER, settings=ProfileSettings())
    assert not any(name.startswith("program.") for name in found.fields)
    assert found.fields["first_name"] == "Asha"


def test_masked_values_and_dates_that_are_none_are_no_values() -> None:
    hidden = {"first_name": "XXXX", "mobile": "9198***", "birth_date": "1900-01-01", "joined_date": "0000-00-00"}
    found = only({**MEMBER, **hidden})
    assert not {"first_name", "mobile", "birth_date", "joined_ms"} & found.fields.keys()


def test_columns_that_the_organisation_named_are_fields_of_the_customer() -> None:
    context = replace(CONTEXT, custom_fields={"members": ["Mood"]}, extended_fields={"members": ["lang"]})
    settings = ProfileSettings(default_program="973", fields="language=lang")
    cells = {**MEMBER, "Mood": "picnic", "lang": "hi", "preferred_language": ""}
    found = only(cells, settings=settings, context=context)
    assert (found.fields["custom.Mood"], found.fields["extended.lang"]) == ("picnic", "hi")
    assert found.fields["language"] == "hi"


def test_who_was_merged_away_says_that_alone() -> None:
    victim, survivor = facts("members", {**MEMBER, "is_merged": "1", "merged_into": 9})
    assert (victim.key, victim.fields) == (KEY, {MERGED_INTO: 9})
    assert (survivor.key, survivor.fields) == (CustomerKey(ORG, 9), {"known": True, "merged.406247343": True})
    assert only({**MEMBER, "merged_into": "-1"}).fields["first_name"] == "Asha"
    assert only({**MEMBER, "merged_into": 406247343}).fields["first_name"] == "Asha"


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("current_points", "many", "bad_number"),
        ("tier_number", "1.5", "bad_number"),
        ("birth_date", "31.02.1980", "bad_date"),
        ("tier_expiry_date", "soon", "bad_date"),
    ],
)
def test_a_figure_that_cannot_be_read_refuses_the_row(column: str, value: str, code: str) -> None:
    with pytest.raises(RowRefused) as refused:
        facts("members", {**MEMBER, column: value})
    assert (refused.value.code, column in refused.value.detail) == (code, True)


def event_at(at: datetime, points: int) -> dict[str, Any]:
    """The facts of an event that tells a balance."""
    row = {
        "event_name": "pointsIssued",
        "event_key": "0" * 64,
        "event_log_id": None,
        "created_ms": int(at.timestamp() * 1000),
        "org_id": ORG,
        "customer_id": "406247343",
        "data": f'{{"loyaltyProgramId": 973, "programCurrentPoints": {points}}}',
    }
    return facts_of_event(row, PROFILES, "Deleted", ZONE).facts[0].document


@pytest.mark.parametrize(
    ("since_midnight", "points"), [(timedelta(0), 7), (timedelta(hours=2), 7), (-timedelta(milliseconds=1), 120.5)]
)
def test_an_event_of_the_day_of_the_export_is_newer_than_the_export(since_midnight: timedelta, points: float) -> None:
    midnight = datetime(2026, 3, 2, tzinfo=ZONE)
    live = event_at(midnight + since_midnight, 7)
    for hour in (0, 2, 23):
        at_ms = int((midnight + timedelta(hours=hour)).timestamp() * 1000)
        document = merged(only(MEMBER, at_ms=at_ms).document, live)
        assert document["program.973.points"].value == points


def test_a_later_export_replaces_an_earlier_one() -> None:
    later = only({**MEMBER, "current_points": 1}, at_ms=EXPORTED_MS + 86_400_000)
    earlier = only({**MEMBER, "current_points": 2})
    assert merged(later.document, earlier.document)["program.973.points"].value == 1


def test_a_profile_of_another_source_fills_gaps_and_replaces_nothing() -> None:
    found = only(ACCOUNT, "profiles")
    assert found.fields == {"known": True, "email": "line@example.com", "mobile": "919800000009", "first_name": "A."}
    old = Facts(KEY, Stamp(1), {"email": "a@example.com"}).document
    document = merged(old, found.document)
    assert document["email"].value == "a@example.com"
    assert document["mobile"].value == "919800000009"


def test_a_later_profile_replaces_an_earlier_one_and_channels_stand_in_for_identifiers() -> None:
    later = only({"customer_id": 406247343, "channel_email": "aaa@example.com"}, "profiles", at_ms=EXPORTED_MS + 1)
    document = merged(later.document, only(ACCOUNT, "profiles").document)
    assert document["email"].value == "aaa@example.com"
    assert document["mobile"].value == "919800000009"


def test_templates_of_events_say_nothing_of_documents() -> None:
    assert facts("transactions", {"bill_id": 1}) == []
