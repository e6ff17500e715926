"""The profile of a document: what it holds, what it must not hold, and that no document breaks it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.profiles.document import CustomerKey, Document, Register, Stamp
from capillary_adobe.profiles.identities import Identity, withdrawal
from capillary_adobe.reasons import XDM_REASONS
from capillary_adobe.settings.customers import IdentitySettings
from capillary_adobe.xdm.checking.profile import check_profile
from capillary_adobe.xdm.language.rules import load_profile_rules
from capillary_adobe.xdm.profiles import MAX_BYTES
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.documents import AT_US, EMAIL, FULL, KEY, PHONE, any_documents, document, sound_documents
from capillary_adobe_tests.xdm.official import official_validators, unknown_paths
from capillary_adobe_tests.xdm.rendering import STAGE, consent, made, rendered, stage

quickly = settings(deadline=None, max_examples=examples(80), database=None)


def test_the_rules_have_no_fault() -> None:
    assert check_profile(load_profile_rules(), "acme") == []


def test_a_full_document_fills_the_whole_record() -> None:
    profile = STAGE.render(KEY, document())

    assert profile.unreadable == []
    assert profile.newest_ms == AT_US // 1000
    assert made(profile) == {
        "identityMap": {
            "capillaryCustomerId": [identity("387599999", primary=True)],
            "Email": [identity("jane.doe@example.com")],
            "Phone": [identity("+919650004321")],
            "capillaryExternalId": [identity("EXT-77")],
            "capillaryCardNumber": [identity("5550001")],
        },
        "person": {
            "name": {"firstName": "Jane", "lastName": "Doe"},
            "birthDate": "1990-02-28",
            "gender": "female",
        },
        "personalEmail": {"address": "jane.doe@example.com", "primary": True},
        "mobilePhone": {"number": "+919650004321", "primary": True},
        "homeAddress": {
            "street1": "1 Main St",
            "city": "Mumbai",
            "state": "Maharashtra",
            "postalCode": "400001",
            "countryCode": "IN",
        },
        "preferredLanguage": "en-IN",
        "timeZone": "Asia/Kolkata",
        "loyalty": {
            "loyaltyID": ["EXT-77"],
            "program": "Acme Club",
            "status": "Active",
            "joinDate": "2023-11-14T22:13:20.000Z",
            "tier": "Gold",
            "nextTier": "Platinum",
            "pointsToNextTier": 480,
            "tierUpgradeDate": "2026-09-21T14:13:20.000Z",
            "tierExpiryDate": "2027-04-27T23:59:59+05:30",
            "points": 1520,
            "lifetimePoints": 2000.5,
            "pointsRedeemed": 40,
            "expiredPoints": 10,
            "returnedPoints": 3,
            "adjustedPoints": -2,
            "promisedPoints": 500,
            "lifetimePurchases": 1200.5,
            "pointsExpiration": [{"pointsExpiring": 100, "pointsExpirationDate": "2027-01-31T23:59:59+05:30"}],
            "cardsDetails": [{"number": "5550001", "series": "gold", "status": "ACTIVE"}],
        },
        "consents": {
            "marketing": {
                "email": consent("y"),
                "sms": consent("n"),
                "whatsApp": consent("y"),
                "push": consent("y"),
                "call": consent("n"),
            },
            "metadata": {"time": "2026-11-20T09:00:00.000Z"},
        },
        "extSourceSystemAudit": {
            "createdDate": "2023-11-14T22:13:20.000Z",
            "lastUpdatedDate": "2026-11-20T09:00:00.000Z",
            "externalKey": {
                "sourceType": "Capillary",
                "sourceInstanceID": "100458",
                "sourceID": "387599999",
                "sourceKey": "387599999@100458.Capillary",
            },
        },
        "_acme": {
            "capillary": {
                "customerId": "387599999",
                "orgId": 100458,
                "externalId": "EXT-77",
                "registrationSource": "INSTORE",
                "loyaltyType": "LOYALTY",
                "programs": [
                    {"id": "5", "tier": "1", "tierExpiryDate": "2027-01-01T00:00:00Z", "points": 7, "lifetimePoints": 9}
                ],
                "customFields": [{"name": "shoe.size", "value": "42"}],
                "extendedFields": [{"name": "pet", "value": "cat"}],
            }
        },
    }


def identity(value: str, *, primary: bool = False) -> dict[str, Any]:
    return {"id": value, "authenticatedState": "ambiguous", "primary": primary}


def test_a_document_that_knows_next_to_nothing_is_a_record_all_the_same() -> None:
    record = rendered(document({"program.5.points": 1}))

    assert set(record) == {"identityMap", "extSourceSystemAudit", "_acme"}
    assert record["extSourceSystemAudit"]["lastUpdatedDate"] == "2026-11-20T09:00:00.000Z"


def test_the_primary_identity_carries_the_organisation_where_several_share_a_sandbox() -> None:
    record = rendered(document({"merged.7": True}), stage(with_org=True))

    assert record["_acme"]["capillary"]["customerId"] == "100458-387599999"
    assert [one["id"] for one in record["identityMap"]["capillaryCustomerId"]] == ["100458-387599999", "100458-7"]


# Merged and deleted customers.


def test_a_merged_customer_ends_in_a_record_of_nothing_else() -> None:
    record = rendered(document({**FULL, "merged_into": 5, "merged.3": True}))

    assert set(record) == {"identityMap", "extSourceSystemAudit", "_acme"}
    assert record["_acme"]["capillary"] == {"customerId": "387599999", "orgId": 100458, "mergedInto": "5"}
    assert set(record["identityMap"]) == {"capillaryCustomerId"}
    assert [one["id"] for one in record["identityMap"]["capillaryCustomerId"]] == ["387599999", "3"]


def test_the_survivor_names_its_victims() -> None:
    ids = rendered(document({**FULL, "merged.3": True, "merged.12": True, "merged.4": None}))["identityMap"]

    assert [(one["id"], one["primary"]) for one in ids["capillaryCustomerId"]] == [
        ("387599999", True),
        ("12", False),
        ("3", False),
    ]


def test_of_two_merges_in_a_circle_the_newer_one_counts() -> None:
    record = rendered(document({**FULL, "merged_into": 5}, merged__5=(1, True)))

    assert record["person"]["name"]["firstName"] == "Jane"
    assert "mergedInto" not in record["_acme"]["capillary"]


def test_a_deleted_customer_has_no_record() -> None:
    profile = STAGE.render(KEY, document({"deleted": True}))

    assert profile.nothing
    assert STAGE.render(KEY, {}).nothing
    assert not STAGE.render(KEY, document()).nothing


# Contacts and what the policy keeps back.


def test_a_hash_is_no_contact_whatever_its_namespace() -> None:
    record = rendered(document(), stage(IdentitySettings(email="sha256", email_sha256_namespace="Email")))

    assert "personalEmail" not in record
    assert len(record["identityMap"]["Email"][0]["id"]) == 64


def test_an_identity_that_others_share_still_is_a_contact() -> None:
    record = rendered(document(), held=(Identity("email", EMAIL.lower()), Identity("phone", f"+{PHONE}")))

    assert record["personalEmail"]["address"] == EMAIL.lower()
    assert record["mobilePhone"]["number"] == f"+{PHONE}"
    assert not {"Email", "Phone"} & set(record["identityMap"])


def test_a_withdrawn_identity_is_no_contact_either() -> None:
    gone = {
        withdrawal(Identity("email", EMAIL.lower())): Register(Stamp(AT_US + 1), True),
        withdrawal(Identity("card", "5550001")): Register(Stamp(AT_US + 1), True),
    }
    record = rendered({**document(), **gone})

    assert "personalEmail" not in record
    assert "cardsDetails" not in record["loyalty"]
    assert not {"Email", "capillaryCardNumber"} & set(record["identityMap"])


def test_a_placeholder_is_no_contact() -> None:
    record = rendered(document({**FULL, "email": "noemail@acme.com", "mobile": "9999999999"}))

    assert not {"personalEmail", "mobilePhone"} & set(record)


def test_a_refused_value_is_no_contact() -> None:
    record = rendered(document(), stage(IdentitySettings(refused=EMAIL)))

    assert "personalEmail" not in record
    assert "mobilePhone" in record


@pytest.mark.parametrize("policy", ["drop", "sha256"])
@pytest.mark.parametrize(
    ("kind", "values"),
    [("email", [EMAIL]), ("phone", [PHONE]), ("external_id", ["EXT-77"]), ("card", ["5550001"])],
)
def test_no_value_of_a_kind_that_is_not_plain_is_in_the_record(kind: str, values: list[str], policy: str) -> None:
    identities = IdentitySettings.model_validate({"card": "plain", kind: policy})
    known = document({**FULL, "custom.contact": f" {values[0].upper()}", "extended.contact": f"+{values[0]}"})
    text = stage(identities).render(KEY, known).text.decode().lower()

    assert [value for value in values if value.lower() in text] == []


@quickly
@given(sound_documents, st.sampled_from(["drop", "sha256"]))
def test_no_document_gets_a_dropped_value_into_its_record(known: Document, policy: Any) -> None:
    dropping = stage(IdentitySettings(email=policy, phone=policy, external_id=policy, card=policy))
    secret = document({"email": "zq.secret@zq-host.com", "mobile": "919650098765", "external_id": "ZQ-EXT"})
    text = (
        dropping.render(KEY, {**known, **secret, "card.ZQ-CARD": Register(Stamp(1), {"series": "s"})})
        .text.decode()
        .lower()
    )

    assert [one for one in ("zq.secret", "9650098765", "zq-ext", "zq-card") if one in text] == []


# Values that AEP would not take.


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("birth_date", "28/02/1990", "customer.birthDate"),
        ("birth_date", "1990-02-30", "customer.birthDate"),
        ("language", "English", "customer.language"),
        ("address.country", "++", "address.countryCode"),
        ("program.973.points", "many", "loyalty.points"),
        ("program.973.tier_expiry", "soon", "loyalty.tierExpiry"),
        ("first_name", ["Jane"], "customer.firstName"),
        ("joined_ms", 121212, "customer.joinedAt"),
    ],
)
def test_a_value_that_cannot_be_read_is_left_out_and_told(name: str, value: Any, place: str) -> None:
    profile = STAGE.render(KEY, document({**FULL, name: value}))

    assert profile.violations == []
    assert place in profile.unreadable
    assert str(value) not in profile.text.decode()


def test_an_unknown_gender_is_left_out() -> None:
    assert "gender" not in rendered(document({**FULL, "gender": "?"}))["person"]


def test_a_value_that_only_the_schema_refuses_is_left_out_and_told() -> None:
    host = f"jane@{'h' * 70}.com"
    profile = STAGE.render(CustomerKey(2**60, 7), document({**FULL, "email": host}))

    assert profile.unreadable == ["/personalEmail/address", "/_acme/capillary/orgId"]
    record = made(profile)
    assert record["personalEmail"] == {"primary": True}
    assert "orgId" not in record["_acme"]["capillary"]


def test_a_document_of_no_possible_time_is_refused_with_a_name() -> None:
    profile = STAGE.render(KEY, {"first_name": Register(Stamp(10**20), "Jane")})

    assert [one.code for one in profile.violations] == ["mapping_failed"]
    assert "Jane" not in profile.violations[0].words


def test_a_record_that_is_too_large_goes_without_the_lists_that_no_one_bounds() -> None:
    many = {f"extended.f{n}": "x" * 900 for n in range(150)}
    profile = STAGE.render(KEY, document({**FULL, **many}))

    assert "extendedFields" not in made(profile)["_acme"]["capillary"]
    assert profile.unreadable == ["/_acme/capillary/extendedFields"]
    assert made(profile)["_acme"]["capillary"]["customFields"]


def test_a_record_that_is_too_large_in_itself_is_refused() -> None:
    profile = STAGE.render(KEY, document({**FULL, "first_name": "x" * MAX_BYTES}))

    assert [one.code for one in profile.violations] == ["entity_too_large"]


def test_the_line_of_the_mapping_is_told() -> None:
    profile = STAGE.render(KEY, document({**FULL, "first_name": "x" * MAX_BYTES}))

    assert STAGE.rule_of(profile, profile.violations[0]) is None


# Any document.


@quickly
@given(any_documents)
def test_any_document_is_a_valid_record_or_named_as_none(known: Document) -> None:
    profile = STAGE.render(KEY, known)

    if profile.violations:
        assert all(one.code in XDM_REASONS for one in profile.violations)
    elif not profile.nothing:
        assert STAGE.judge(orjson.loads(profile.text), len(profile.text)) == []


@quickly
@given(sound_documents)
def test_a_document_with_a_few_odd_values_never_loses_its_record(known: Document) -> None:
    profile = STAGE.render(KEY, known)

    assert profile.violations == []
    record = orjson.loads(profile.text)
    assert STAGE.judge(record, len(profile.text)) == []
    assert record["identityMap"]["capillaryCustomerId"][0]["primary"] is True


@quickly
@given(sound_documents, st.randoms(use_true_random=False))
def test_the_same_document_has_the_same_bytes(known: Document, dice: Any) -> None:
    several = {
        f"{head}.{n}": Register(Stamp(AT_US + n), {"series": "s"}) for head in ("card", "program") for n in (1, 2, 3)
    }
    several |= {
        f"{head}.{n}": Register(Stamp(AT_US), "x") for head in ("custom", "extended", "merged") for n in (1, 2, 3)
    }
    whole = {**known, **several}
    names = list(whole)
    dice.shuffle(names)

    assert STAGE.render(KEY, {name: whole[name] for name in names}) == STAGE.render(KEY, whole)


@quickly
@given(any_documents)
def test_adobes_schemas_take_every_record(known: Document) -> None:
    validators = official_validators("profiles")
    for profile in (STAGE.render(KEY, known), STAGE.render(KEY, document() | dict(known))):
        if profile.text and not profile.violations:
            record = orjson.loads(profile.text)
            assert [error.message for one in validators for error in one.iter_errors(record)] == []
            assert unknown_paths(record, "profiles") == []


def test_customers_of_two_organisations_are_two() -> None:
    other = STAGE.render(CustomerKey(1, KEY.customer_id), document())

    assert other.text != STAGE.render(KEY, document()).text
