"""Identities of an entity: the Capillary customer id as primary, contacts as secondary when they are sound.

Belongs here: which values become identities, under which namespace, in which form. Does not belong here: finding whom
the event is about (`capillary.person`).
"""

from __future__ import annotations

import re
from typing import Any

from capillary_adobe.capillary.values import Unreadable, identifier

CUSTOMER = "capillaryCustomerId"
EMAIL = "Email"
PHONE = "Phone"
EXTERNAL = "capillaryExternalId"

_EMAIL = re.compile(
    r"[a-z0-9!#$%&'+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# What tills type when a customer gives nothing; as an identity such a value would join strangers.
_PLACEHOLDERS = frozenset({"null", "none", "na", "n/a", "anonymous", "invalid", "test", "unknown", "0", "-1"})


def customer_identity(org_id: int, customer_id: str, *, with_org: bool) -> str:
    """The value of the primary identity."""
    return f"{org_id}-{customer_id}" if with_org else customer_id


def identity_map(
    org_id: int, customer_id: str, holder: Any, *, customer_id_only: bool, with_org: bool
) -> dict[str, Any]:
    """`identityMap` of an entity, exactly one identity of it primary.

    `holder` is the payload's `customerIdentifiers` object or anything else; what is not sound is left out.
    """
    primary = customer_identity(org_id, customer_id, with_org=with_org)
    identities = {CUSTOMER: [_identity(primary, primary=True)]}
    if customer_id_only or type(holder) is not dict:
        return identities
    contacts = holder.get("instore") or holder.get("Instore")
    if type(contacts) is not dict:
        return identities
    mobile = contacts.get("mobile")
    for namespace, value in (
        (EMAIL, email(contacts.get("email"))),
        (PHONE, phone(mobile)),
        (EXTERNAL, external_id(contacts.get("externalId"), mobile)),
    ):
        if value is not None:
            identities[namespace] = [_identity(value, primary=False)]
    return identities


def email(value: Any) -> str | None:
    """A valid address, trimmed and in lower case; AEP compares identities letter by letter."""
    read = _sound(value)
    lowered = read.lower() if read else None
    return lowered if lowered and len(lowered) <= 254 and _EMAIL.fullmatch(lowered) else None


def phone(value: Any) -> str | None:
    """E.164; Capillary sends the digits with the country code and without the plus."""
    read = _sound(value)
    number = f"+{read.removeprefix('+')}" if read else ""
    # One digit over and over is what a form demands and a person refuses to give.
    return number if _E164.fullmatch(number) and len(set(number[2:])) > 1 else None


def external_id(value: Any, mobile: Any) -> str | None:
    """The brand's own id of the customer, unless it only repeats the mobile, be that a sound one or not."""
    read, repeated = _sound(value), _sound(mobile)
    if read is None or "*" in read or len(read) > 1024 or (repeated and read.lstrip("+") == repeated.lstrip("+")):
        return None
    return read


def _sound(value: Any) -> str | None:
    try:
        read = identifier(value)
    except Unreadable:
        return None
    return None if read is None or read.lower() in _PLACEHOLDERS else read


def _identity(value: str, *, primary: bool) -> dict[str, Any]:
    # A server-side feed knows of no login, so no identity in it is authenticated.
    return {"id": value, "authenticatedState": "ambiguous", "primary": primary}
