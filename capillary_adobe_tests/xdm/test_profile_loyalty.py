"""Programs, tiers and consents of a profile."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe.profiles.document import Register
from capillary_adobe.settings.customers import ProfileSettings
from capillary_adobe.xdm.profile_source import ProgramNames
from capillary_adobe_tests.xdm.documents import FULL, document
from capillary_adobe_tests.xdm.rendering import consent, rendered, stage


def later(told: dict[str, tuple[int, Any]]) -> dict[str, Register]:
    """The full document, and values told some seconds after it."""
    return document(FULL, **told)  # pyright: ignore[reportArgumentType] - a name of a field is none of a parameter


# Programs and tiers.


def test_a_tier_name_older_than_the_number_is_that_of_the_tier_before() -> None:
    known = document(program__973__tier_number=(60, 3))

    assert rendered(known)["loyalty"]["tier"] == "3"
    assert rendered(known, stage(names=ProgramNames(tiers={("973", 3): "Platinum"})))["loyalty"]["tier"] == "Platinum"


def test_points_to_the_next_tier_are_none_once_a_newer_balance_is_known() -> None:
    for balance in ("points", "lifetime_points"):
        assert "pointsToNextTier" not in rendered(later({f"program__973__{balance}": (60, 1)}))["loyalty"]
    both = document(program__973__points=(60, 1), program__973__points_to_next_tier=(60, 479))
    assert rendered(both)["loyalty"]["pointsToNextTier"] == 479


def test_a_reminder_of_what_expires_next_shortens_no_list() -> None:
    first = {"points": 80, "date": "2027-01-31T18:29:59Z"}
    later = {"pointsExpiring": 9, "pointsExpirationDate": "2027-02-28T23:59:59+05:30"}
    expirations = [
        {"points": 100, "date": "2027-01-31T23:59:59+05:30"},
        {"points": 9, "date": "2027-02-28T23:59:59+05:30"},
    ]

    def told(at: int) -> list[dict[str, Any]]:
        known = document({**FULL, "program.973.expirations": expirations}, program__973__expires_next=(at, first))
        return rendered(known)["loyalty"]["pointsExpiration"]

    assert told(60) == [{"pointsExpiring": 80, "pointsExpirationDate": first["date"]}, later]
    assert [one["pointsExpiring"] for one in told(-60)] == [100, 9]
    alone = rendered(document({"program.973.is_default": True, "program.973.expires_next": first}))
    assert [one["pointsExpiring"] for one in alone["loyalty"]["pointsExpiration"]] == [80]


def test_what_has_expired_expires_no_more() -> None:
    days = [{"points": 5, "date": "2026-11-19T23:59:59+05:30"}, {"points": 6, "date": "2026-11-20T23:59:59+05:30"}]
    known = {**FULL, "program.973.expirations": days}
    assert [one["pointsExpiring"] for one in rendered(document(known))["loyalty"]["pointsExpiration"]] == [6]
    assert "pointsExpiration" not in rendered(document(known, first_name=(86_400, "Ann")))["loyalty"]


def test_names_that_the_document_lacks_come_from_the_organisation() -> None:
    names = ProgramNames({"5": "Partners"}, {("5", 1): "Basic", ("973", 3): "Diamond"})
    known = document(program__973__next_tier=(1, 3))
    record = rendered(known, stage(names=names))

    [other] = record["_acme"]["capillary"]["programs"]
    assert (other["name"], other["tier"]) == ("Partners", "Basic")
    assert record["loyalty"]["nextTier"] == "Diamond"
    assert record["loyalty"]["program"] == "Acme Club"


@pytest.mark.parametrize(
    ("chosen", "told_by_names", "is_default", "expected"),
    [
        (None, None, True, 1520),
        ("5", None, True, 7),
        (None, "5", False, 7),
        (None, "973", False, None),
        (None, "5", True, 1520),
        (None, None, False, None),
        ("404", None, True, None),
    ],
)
def test_loyalty_is_the_default_programs_and_none_is_guessed(
    chosen: str | None, told_by_names: str | None, is_default: bool, expected: int | None
) -> None:
    by = stage(
        names=ProgramNames(defaults=frozenset(filter(None, [told_by_names]))),
        profiles=ProfileSettings(default_program=chosen),
    )
    record = rendered(document({**FULL, "program.973.is_default": is_default}), by)

    assert record["loyalty"].get("points") == expected
    others = [one["id"] for one in record["_acme"]["capillary"]["programs"]]
    assert others == sorted({"5", "973"} - {{1520: "973", 7: "5"}.get(expected or 0, "")})


# Consents.


def test_a_consent_has_the_moment_it_was_given_at_and_the_record_that_of_the_newest() -> None:
    record = rendered(document(consent__sms__BULK=(60, "y"), first_name=(3600, "Janet")))

    assert record["consents"]["marketing"]["sms"] == {"val": "y", "time": "2026-11-20T09:01:00.000Z"}
    assert record["consents"]["marketing"]["email"]["time"] == "2026-11-20T09:00:00.000Z"
    assert record["consents"]["metadata"]["time"] == "2026-11-20T09:01:00.000Z"


def test_who_opted_out_of_one_account_has_opted_out_until_all_are_told_anew() -> None:
    def told(said: dict[str, tuple[int, Any]]) -> dict[str, Any]:
        return rendered(later(said))["consents"]["marketing"]["whatsApp"]

    first = {"consent__whatsapp__BULK__web//": (60, "n")}
    assert told(first)["val"] == "n"
    opted_in_elsewhere = {**first, "consent__whatsapp__BULK__app//": (120, "y")}
    assert told(opted_in_elsewhere) == {"val": "n", "time": "2026-11-20T09:01:00.000Z"}
    assert told(opted_in_elsewhere | {"consent__whatsapp__BULK__web//": (180, "y")})["val"] == "y"
    assert told(opted_in_elsewhere | {"consent__whatsapp__BULK": (240, "y")}) == {
        "val": "y",
        "time": "2026-11-20T09:04:00.000Z",
    }
    assert told({"consent__whatsapp__TRANS__app": (60, "n")})["val"] == "y"


def test_push_is_allowed_where_one_of_the_phones_allows_it() -> None:
    no = rendered(document(consent__android__BULK=(60, "n")))["consents"]["marketing"]["push"]
    yes = rendered(document(consent__ios__BULK=(60, "n")))["consents"]["marketing"]["push"]

    assert (no["val"], no["time"]) == ("n", "2026-11-20T09:01:00.000Z")
    assert (yes["val"], yes["time"]) == ("y", "2026-11-20T09:00:00.000Z")


def test_consents_are_of_the_priority_that_the_settings_name() -> None:
    record = rendered(document(), stage(profiles=ProfileSettings(consent_priority="TRANS")))

    assert record["consents"]["marketing"] == {"email": consent("n")}
