"""Identities of an entity: the Capillary customer id as primary, the customer's others as secondary.

Belongs here: under which namespace an identity stands, in which form, and which are left out. Does not belong here: what
is a sound identity (`profiles.identities`), who shares one (`state.identity_uses`), and finding whom the event is about
(`capillary.person`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from capillary_adobe.profiles.identities import KINDS, Identity, Kind, fingerprint, hashed
from capillary_adobe.settings import IdentityPolicy, IdentitySettings

CUSTOMER = "capillaryCustomerId"
EMAIL = "Email"
PHONE = "Phone"
EXTERNAL = "capillaryExternalId"
CARD = "capillaryCardNumber"
# Of our own: AEP has no namespace for the hash of a brand's id.
EXTERNAL_SHA256 = "capillaryExternalIdSHA256"
CARD_SHA256 = "capillaryCardNumberSHA256"

MOST: Final = 20
"""Identities that AEP takes in one record."""

_PLAIN: Final[dict[Kind, str]] = {"email": EMAIL, "phone": PHONE, "external_id": EXTERNAL, "card": CARD}


def customer_identity(org_id: int, customer_id: str | int, *, with_org: bool) -> str:
    """The value of the primary identity."""
    return f"{org_id}-{customer_id}" if with_org else str(customer_id)


def policy_of(kind: Kind, settings: IdentitySettings) -> IdentityPolicy:
    """What the settings say of a kind of identity."""
    return getattr(settings, kind)


def namespaces_in_use(settings: IdentitySettings) -> tuple[str, ...]:
    """The symbols of all namespaces that identities are sent under, the customer's first."""
    return CUSTOMER, *(symbol for kind in KINDS if (symbol := namespace(kind, settings)) is not None)


def namespace(kind: Kind, settings: IdentitySettings) -> str | None:
    """The symbol of the namespace under which identities of a kind are sent; None where they are not."""
    policy = policy_of(kind, settings)
    if policy == "drop":
        return None
    if policy == "plain":
        return _PLAIN[kind]
    return {
        "email": settings.email_sha256_namespace,
        "phone": settings.phone_sha256_namespace,
        "external_id": EXTERNAL_SHA256,
        "card": CARD_SHA256,
    }[kind]


def identity_map(
    org_id: int,
    customer_id: str | int,
    identities: Iterable[Identity],
    settings: IdentitySettings,
    *,
    with_org: bool,
    held: Collection[str] = (),
    others: Iterable[str | int] = (),
) -> dict[str, list[dict[str, Any]]]:
    """`identityMap` of an event or a profile, exactly one identity of it primary: that of `customer_id`.

    `identities` are the customer's, from `profiles.identities`. Left out are those in `held` (by `mark`, since several
    customers share them), those of a kind that is dropped, and those that the settings refuse. `others` are customer ids
    that are the same person's, such as those merged into this one. The same input gives the same bytes, whatever the
    order of its parts; of more than 20 identities the last are left out, cards first, then the lowest `others`.
    """
    primary = customer_identity(org_id, customer_id, with_org=with_org)
    others_known = {customer_identity(org_id, one, with_org=with_org) for one in others} - {primary}
    found = [
        (CUSTOMER, primary),
        *_contacts(identities, settings, held, of_card=False),
        *((CUSTOMER, one) for one in sorted(others_known, key=lambda one: (len(one), one), reverse=True)),
        *_contacts(identities, settings, held, of_card=True),
    ]
    listed: dict[str, list[dict[str, Any]]] = {}
    for place, (symbol, value) in enumerate(islice(found, MOST)):
        # A server-side feed knows of no login, so no identity in it is authenticated.
        one = {"id": value, "authenticatedState": "ambiguous", "primary": place == 0}
        listed.setdefault(symbol, []).append(one)
    return listed


def mark(identity: Identity) -> str:
    """How an identity stands in `held` and in the column `held_identities`: its fingerprint, never its value."""
    return fingerprint(identity).hex()


def _contacts(
    identities: Iterable[Identity], settings: IdentitySettings, held: Collection[str], *, of_card: bool
) -> Iterator[tuple[str, str]]:
    refused = _refused(settings.refused)
    for identity in sorted(identities, key=lambda one: (KINDS.index(one.kind), one.value)):
        if (identity.kind == "card") is not of_card or (held and mark(identity) in held):
            continue
        symbol = namespace(identity.kind, settings)
        if symbol is not None and not is_refused(identity, refused):
            yield symbol, identity.value if policy_of(identity.kind, settings) == "plain" else hashed(identity)


def is_refused(identity: Identity, refused: frozenset[str]) -> bool:
    """Whether an operator's list names the identity, or the domain of its address as `@domain`."""
    if not refused:
        return False
    value = identity.value.lower()
    domain = f"@{value.rpartition('@')[2]}" if identity.kind == "email" else value
    return bool({value, value.removeprefix("+"), domain} & refused)


@lru_cache(maxsize=8)
def _refused(listed: str | None) -> frozenset[str]:
    """IDENTITY_REFUSED, read."""
    return frozenset(one.strip().lower().removeprefix("+") for one in (listed or "").split(",") if one.strip())
