"""Identities: the customer id is primary, contacts stand beside it when they are sound."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.profiles.identities import Identity, hashed, identities_of_event
from capillary_adobe.settings import IdentitySettings, load
from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.identities import MOST, identity_map, mark, namespaces_in_use
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.test_conformance import profile

quickly = settings(deadline=None, max_examples=examples(150), database=None)


def policy(**given: Any) -> IdentitySettings:
    return load(IdentitySettings, **given)


def ids(
    holder: Any, *, with_org: bool = False, held: tuple[str, ...] = (), others: tuple[str, ...] = (), **given: Any
) -> dict[str, str | list[str]]:
    """Identity by namespace, a list of them where there are several."""
    made = identity_map(
        50614, "7001", identities_of_event(holder), policy(**given), with_org=with_org, held=held, others=others
    )
    everything = [(namespace, one) for namespace, found in made.items() for one in found]
    for place, (namespace, identity) in enumerate(everything):
        assert identity["primary"] is (place == 0 and namespace == "capillaryCustomerId")
        assert identity["authenticatedState"] == "ambiguous"
    values = {namespace: [one["id"] for one in found] for namespace, found in made.items()}
    return {namespace: found[0] if len(found) == 1 else found for namespace, found in values.items()}


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


def test_several_organisations_in_one_sandbox_are_told_apart() -> None:
    assert ids({}, with_org=True) == {"capillaryCustomerId": "50614-7001"}


def test_each_kind_goes_plain_hashed_or_not_at_all() -> None:
    holder = {"instore": CONTACTS}
    assert ids(holder, email="sha256", phone="sha256", external_id="sha256", card="sha256") == {
        "capillaryCustomerId": "7001",
        "Email_LC_SHA256": hashed(Identity("email", "jane@example.com")),
        "Phone_SHA256_E.164": hashed(Identity("phone", "+919650000000")),
        "capillaryExternalIdSHA256": hashed(Identity("external_id", "ext-1")),
        "capillaryCardNumberSHA256": hashed(Identity("card", "1")),
    }
    assert ids(holder, email="drop", phone="drop", external_id="drop") == {"capillaryCustomerId": "7001"}
    assert ids(holder, card="plain")["capillaryCardNumber"] == "1"


def test_a_hash_is_that_of_the_normal_form() -> None:
    # sha256("jane@example.com"), as Adobe's own tools make it.
    assert ids({"instore": CONTACTS}, email="sha256", email_sha256_namespace="emailHash")["emailHash"] == (
        "8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d"
    )


def test_the_namespaces_in_use_follow_the_policy() -> None:
    assert namespaces_in_use(policy()) == ("capillaryCustomerId", "Email", "Phone", "capillaryExternalId")
    without = policy(email="drop", phone="drop", external_id="drop")
    assert namespaces_in_use(without) == ("capillaryCustomerId",)
    assert namespaces_in_use(policy(email="sha256", card="sha256"))[1:] == (
        *("Email_LC_SHA256", "Phone", "capillaryExternalId", "capillaryCardNumberSHA256"),
    )


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        ("", {"Email", "Phone", "capillaryExternalId"}),
        ("JANE@example.com", {"Phone", "capillaryExternalId"}),
        ("@example.com , +919650000000", {"capillaryExternalId"}),
        ("919650000000,ext-1", {"Email"}),
        ("example.com,jane", {"Email", "Phone", "capillaryExternalId"}),
    ],
)
def test_an_operator_may_refuse_values_and_domains(refused: str, left: set[str]) -> None:
    assert set(ids({"instore": CONTACTS}, refused=refused)) - {"capillaryCustomerId"} == left


@pytest.mark.parametrize("form", ["plain", "sha256"])
def test_what_is_held_is_left_out_in_every_form(form: str) -> None:
    held = (mark(Identity("email", "jane@example.com")), mark(Identity("phone", "+919650000000")))
    assert set(ids({"instore": CONTACTS}, held=held, email=form, phone=form)) == {
        "capillaryCustomerId",
        "capillaryExternalId",
    }


def test_a_merged_customer_stands_beside_the_survivor() -> None:
    assert ids({}, others=("8", "7001", "12")) == {"capillaryCustomerId": ["7001", "12", "8"]}
    assert ids({}, others=("8",), with_org=True) == {"capillaryCustomerId": ["50614-7001", "50614-8"]}


def test_of_too_many_identities_cards_go_first() -> None:
    holder = {"instore": CONTACTS | {"cardNumbers": [f"card{n:02d}" for n in range(9)]}}
    made = ids(holder, card="plain", others=tuple(str(n) for n in range(1, 15)))
    assert made["capillaryCustomerId"] == ["7001", *(str(n) for n in range(14, 0, -1))]
    assert made["capillaryCardNumber"] == ["card00", "card01"]
    many = ids(holder, card="plain", others=tuple(str(n) for n in range(1, 40)))
    assert sum(len(found) if isinstance(found, list) else 1 for found in many.values()) == MOST
    assert {"Email", "Phone", "capillaryExternalId"} < set(many)


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.text(), max_size=1)
)


@quickly
@given(
    holder=st.dictionaries(
        st.sampled_from(["instore", "Instore"]),
        st.dictionaries(st.sampled_from(["email", "mobile", "externalId", "cardNumbers"]), _VALUES) | _VALUES,
    )
)
def test_whatever_contacts_hold_the_identities_conform(holder: Any) -> None:
    made = identity_map(50614, "7001", identities_of_event(holder), policy(card="plain"), with_org=False)
    assert Conformance("profiles", "acme").violations(profile() | {"identityMap": made}, 900) == []
