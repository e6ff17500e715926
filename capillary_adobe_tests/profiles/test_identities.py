"""Which values are identities: normal form, what is none, what a document holds and what was withdrawn."""

from __future__ import annotations

import random
from typing import Any

import pytest

from capillary_adobe.profiles.document import Register, Stamp, merged
from capillary_adobe.profiles.identities import (
    Identity,
    card,
    email,
    external_id,
    fingerprint,
    hashed,
    hashed_fingerprint,
    identities_of,
    identities_of_event,
    identity_of,
    phone,
    withdrawal,
)

JANE = Identity("email", "jane@example.com")
MOBILE = Identity("phone", "+919650000000")


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
    told = {"email": value, "mobile": value, "externalId": value, "cardNumbers": [value]}
    assert identities_of_event({"instore": told}) == frozenset()


@pytest.mark.parametrize(
    "value",
    [
        *("test@gmail.com", "Test123@gmail.com", "testuser1@brand.com", "testuserfortata@tata.com", "dummy@x.com"),
        *("sample.user@x.com", "noemail@x.com", "no-email@x.com", "na@x.com", "null@x.com", "noreply@brand.com"),
        *("jane@test.com", "jane@brand.test", "jane@brand.invalid", "jane@till.local", "xxxx@example.com"),
        *("jxxxxe@example.com", "guest@brand.com", "fake_mail@x.com", "abc@abc.com"),
    ],
)
def test_an_address_for_nobody_is_no_identity(value: str) -> None:
    assert email(value) is None


@pytest.mark.parametrize("value", ["testarossa@x.com", "nadine@x.com", "contest@x.com", "noah@x.com", "demo.k@x.com"])
def test_an_address_that_only_looks_like_one_stays(value: str) -> None:
    assert email(value) == value


@pytest.mark.parametrize(
    "value",
    ["919999999999", "6599999999", "911234567890", "919876543210", "910123456789", "6512345678", "9188888888"],
)
def test_a_mobile_that_a_form_was_filled_with_is_no_identity(value: str) -> None:
    assert phone(value) is None


@pytest.mark.parametrize("value", ["919999999998", "911234567891", "447911123456"])
def test_a_mobile_that_only_looks_like_one_stays(value: str) -> None:
    assert phone(value) == f"+{value}"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("ext-1", "ext-1"),
        (" ext-1 ", "ext-1"),
        (536236462453, "536236462453"),
        ("7", "7"),
        ("11", "11"),
        ("EC78***", None),
        ("XXXXX6789", None),
        ("testuserfortata", None),
        ("TEST_CUSTOMER_12", None),
        ("0000000", None),
        ("----", None),
        ("e1" * 512, "e1" * 512),
        ("e1" * 512 + "x", None),
        ({"a": 1}, None),
    ],
)
def test_an_external_id_or_card_is_the_brands_own(value: Any, read: str | None) -> None:
    assert external_id(value) == card(value) == read


@pytest.mark.parametrize(
    ("told", "mobile", "left"),
    [
        ("ext-1", "919650000000", "ext-1"),
        ("919650000000", "919650000000", None),
        ("+919650000000", "919650000000", None),
        (919650000000, "+919650000000", None),
        # A mobile that is none joins strangers just as well under another name.
        ("12345", "12345", None),
        ("JANE@example.com", None, None),
    ],
)
def test_an_external_id_or_card_that_repeats_a_contact_is_none(told: Any, mobile: Any, left: str | None) -> None:
    holder = {"instore": {"email": "jane@example.com", "mobile": mobile, "externalId": told, "cardNumbers": [told]}}
    expected = {("external_id", left), ("card", left)} if left else set()
    assert {tuple(one) for one in identities_of_event(holder) if one.kind in ("external_id", "card")} == expected
    of_document = document(email="jane@example.com", mobile=mobile, external_id=told, **{f"card.{told}": {"series": 1}})
    assert {tuple(one) for one in identities_of(of_document) if one.kind in ("external_id", "card")} == expected


def document(at: int = 5, /, **fields: Any) -> dict[str, Register]:
    return {name: Register(Stamp(at), value) for name, value in fields.items()}


def test_a_document_holds_what_an_event_would_say() -> None:
    known = document(
        email=" Jane@Example.com", mobile="919650000000", external_id="E7", **{"card.C1": {"status": "ACTIVE"}}
    )
    found = {JANE, MOBILE, Identity("external_id", "E7"), Identity("card", "C1")}
    assert identities_of(known) == found
    told = {"email": "JANE@example.com ", "mobile": 919650000000, "externalId": "E7", "cardNumbers": ["C1"]}
    assert identities_of_event({"Instore": told}) == found


@pytest.mark.parametrize("value", [None, {}, {"status": "NOT_ISSUED"}, {"status": "deleted"}, {"status": "Not issued"}])
def test_a_card_that_may_be_anothers_is_no_identity(value: Any) -> None:
    assert identities_of(document(**{"card.C1": value})) == frozenset()


@pytest.mark.parametrize(("at", "counts"), [(4, True), (5, False), (6, False)])
@pytest.mark.parametrize(
    ("identity", "field", "value"),
    [
        (JANE, "email", "Jane@example.com"),
        (MOBILE, "mobile", "919650000000"),
        (Identity("external_id", "E7"), "external_id", "E7"),
        (Identity("card", "C1"), "card.C1", {"series": "s"}),
    ],
)
def test_an_identity_counts_while_it_is_newer_than_its_withdrawal(
    identity: Identity, field: str, value: Any, at: int, *, counts: bool
) -> None:
    known = document(5, **{field: value}) | document(at, **{withdrawal(identity): True})
    assert identities_of(known) == ({identity} if counts else set())
    # The withdrawal of one value says nothing of another.
    other = Identity(identity.kind, "other")
    assert identities_of(document(5, **{field: value}) | document(9, **{withdrawal(other): True})) == {identity}


def test_a_merged_or_deleted_customer_has_none() -> None:
    known = document(email="jane@example.com", mobile="919650000000")
    assert identities_of(known | document(merged_into=8)) == frozenset()
    assert identities_of(merged(known, document(1, deleted=True))) == frozenset()


def test_a_fingerprint_tells_kinds_apart_and_follows_from_the_hash() -> None:
    same = [Identity("external_id", "7"), Identity("card", "7")]
    assert len({fingerprint(one) for one in same}) == 2
    for one in (JANE, MOBILE, *same):
        assert len(fingerprint(one)) == 16
        assert hashed_fingerprint(one.kind, hashed(one)) == fingerprint(one)
    assert withdrawal(JANE) == f"withdrawn.email.{fingerprint(JANE).hex()}"


def test_whatever_is_an_identity_is_in_its_normal_form() -> None:
    dice = random.Random(7)  # noqa: S311 - no secret
    letters = "aZ09+@. -_*x\u00e4"
    found = 0
    for _ in range(4000):
        value = "".join(dice.choices(letters, k=dice.randint(1, 14)))
        for kind in ("email", "phone", "external_id", "card"):
            one = identity_of(kind, value)
            if one is not None:
                found += 1
                assert identity_of(kind, one.value) == one == identity_of(kind, f" {value} ")
    assert found > 1000
