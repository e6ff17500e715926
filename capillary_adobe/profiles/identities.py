"""Identities of a customer beside the customer id: which values are sound, and in which one form they are written.

Belongs here: e-mail, mobile, external id and card as identities, their normal form, what is none (masked, test and
placeholder values), those that a document holds. Does not belong here: who else has one (`state.identity_uses`), and
namespaces, hashing and `identityMap` (`xdm.identities`).

Nothing here depends on a setting: the uses of identities are kept by these rules, and a setting that changed would leave
them wrong. What an operator refuses besides is left out where an `identityMap` is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from capillary_adobe.capillary.values import Unreadable, identifier
from capillary_adobe.profiles.document import DELETED, MERGED_INTO, Document, Register

Kind = Literal["email", "phone", "external_id", "card"]
KINDS: Final[tuple[Kind, ...]] = ("email", "phone", "external_id", "card")
"""Every kind, in the order in which an entity names them."""

_EMAIL = re.compile(
    r"[a-z0-9!#$%&'+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST = 1024  # AEP's limit of an identity's value
_MASKED = re.compile(r"[*•]|#{3,}|x{4,}", re.IGNORECASE)
# What tills and forms hold when a customer gives nothing; as an identity such a value would join strangers.
_PLACEHOLDERS = frozenset(
    {
        *("null", "none", "nil", "nan", "na", "n/a", "n.a.", "no", "anonymous", "invalid", "unknown", "undefined"),
        *("noemail", "no-email", "no_email", "no.email", "nomail", "no-mail", "no_mail", "no.mail", "donotreply"),
        *("noreply", "no-reply", "no_reply", "notprovided", "not provided", "notavailable", "not available", "empty"),
        *("default", "guest", "customer", "abc", "abcd", "xyz", "xxx", "asdf", "qwerty", "0", "-1"),
    }
)
_TEST = re.compile(
    r"(?:test|testing|tester|dummy|sample|fake)"
    r"(?:[-_. ]?(?:user|customer|cust|account|member|person|mail|email|mobile|card|id|data)[a-z]*)?[-_. ]?[0-9]*"
)
# RFC 2606 and 6761 keep these from ever being anybody's; `example.com` is left to IDENTITY_REFUSED, since trials use it.
_NOBODYS_ENDS = (".test", ".invalid", ".localhost", ".local", ".example")
_NOBODYS_DOMAINS = frozenset(
    {"test.com", "dummy.com", "noemail.com", "nomail.com", "none.com", "na.com", "invalid.com", "email.invalid"}
)
_KEYPAD = ("1234567890", "0123456789", "9876543210", "12345678")
_REUSABLE = frozenset({"NOT_ISSUED", "DELETED"})


class Identity(NamedTuple):
    """An identity in its normal form, the only one in which it is compared, counted and sent."""

    kind: Kind
    value: str


def fingerprint(identity: Identity) -> bytes:
    """16 bytes that stand for an identity where its value need not be."""
    return hashed_fingerprint(identity.kind, hashed(identity))


def hashed(identity: Identity) -> str:
    """SHA-256 of the normal form in hexadecimal, the form of AEP's namespaces of hashed identities."""
    return sha256(identity.value.encode()).hexdigest()


def hashed_fingerprint(kind: Kind, hexadecimal: str) -> bytes:
    """The fingerprint of an identity of which only `hashed` is known."""
    return sha256(f"{kind}|{hexadecimal}".encode()).digest()[:16]


def withdrawal(identity: Identity) -> str:
    """The field of a document that says that this identity is the customer's no more."""
    return f"withdrawn.{identity.kind}.{fingerprint(identity).hex()}"


def identity_of(kind: Kind, value: Any) -> Identity | None:
    """The identity that a value of Capillary's is, or None where it is none."""
    read = _READERS[kind](value)
    return None if read is None else Identity(kind, read)


def identities_of(document: Document) -> frozenset[Identity]:
    """The identities that a customer has.

    One counts while its register is newer than its withdrawal. A merged or deleted customer has none: they are the
    survivor's now, or nobody's.
    """
    if _says(document.get(DELETED)) or _says(document.get(MERGED_INTO)):
        return frozenset()
    found = set()
    for identity, register in _held(document):
        withdrawn = document.get(withdrawal(identity))
        if not _says(withdrawn) or register.stamp > withdrawn.stamp:  # type: ignore[union-attr]
            found.add(identity)
    return frozenset(_without_repeats(found, _value(document.get("mobile"))))


def identities_of_event(holder: Any) -> frozenset[Identity]:
    """The identities in an event's `customerIdentifiers`, or in whatever stands there; what is not sound is left out."""
    contacts = holder.get("instore") or holder.get("Instore") if type(holder) is dict else None
    if type(contacts) is not dict:
        return frozenset()
    mobile, cards = contacts.get("mobile"), contacts.get("cardNumbers")
    said: list[tuple[Kind, Any]] = [
        ("email", contacts.get("email")),
        ("phone", mobile),
        ("external_id", contacts.get("externalId")),
        *(("card", card) for card in (cards if type(cards) is list else [])),
    ]
    return frozenset(
        _without_repeats((one for kind, value in said if (one := identity_of(kind, value)) is not None), mobile)
    )


def email(value: Any) -> str | None:
    """A valid address, trimmed and in lower case; AEP compares identities letter by letter."""
    read = _sound(value)
    lowered = read.lower() if read else ""
    if len(lowered) > 254 or not _EMAIL.fullmatch(lowered):
        return None
    local, _, domain = lowered.rpartition("@")
    nobodys = domain in _NOBODYS_DOMAINS or domain.endswith(_NOBODYS_ENDS)
    return None if nobodys or _says_nothing(local) else lowered


def phone(value: Any) -> str | None:
    """E.164; Capillary sends the digits with the country code and without the plus."""
    read = _sound(value)
    number = f"+{read.removeprefix('+')}" if read else ""
    if not _E164.fullmatch(number) or number.endswith(_KEYPAD):
        return None
    # One digit over and over is what a form demands and a person refuses to give.
    return None if len(set(number[2:])) == 1 or len(set(number[-8:])) == 1 else number


def external_id(value: Any) -> str | None:
    """The brand's own id of the customer, trimmed."""
    return _own_number(value)


def card(value: Any) -> str | None:
    """A card's number, trimmed."""
    return _own_number(value)


def _own_number(value: Any) -> str | None:
    read = _sound(value)
    repeats = read is not None and len(read) > 3 and len(set(read)) == 1
    return None if read is None or len(read) > _LONGEST or repeats else read


_READERS: Final = {"email": email, "phone": phone, "external_id": external_id, "card": card}


def _held(document: Document) -> Iterator[tuple[Identity, Register]]:
    fields: tuple[tuple[Kind, str], ...] = (("email", "email"), ("phone", "mobile"), ("external_id", "external_id"))
    for kind, name in fields:
        register = document.get(name)
        identity = None if register is None else identity_of(kind, register.value)
        if register is not None and identity is not None:
            yield identity, register
    for name, register in document.items():
        if name.startswith("card.") and _in_use(register.value):
            identity = identity_of("card", name.removeprefix("card."))
            if identity is not None:
                yield identity, register


def _in_use(card: Any) -> bool:
    """Whether a card is its holder's: one that is not issued or deleted may become another person's."""
    status = card.get("status") if type(card) is dict else None
    return bool(card) and str(status or "").upper().replace(" ", "_") not in _REUSABLE


def _without_repeats(found: Iterable[Identity], mobile: Any) -> Iterator[Identity]:
    """Without external ids and cards that only say the mobile or the e-mail once more, be that a sound one or not."""
    known = set(found)
    repeated = {one.value.removeprefix("+") for one in known if one.kind in ("email", "phone")}
    said = _text(mobile)
    if said:
        repeated.add(said.lower().lstrip("+"))
    for identity in known:
        if identity.kind in ("email", "phone") or identity.value.lower().lstrip("+") not in repeated:
            yield identity


def _sound(value: Any) -> str | None:
    read = _text(value)
    return None if read is None or _says_nothing(read.lower()) else read


def _says_nothing(lowered: str) -> bool:
    return lowered in _PLACEHOLDERS or bool(_MASKED.search(lowered) or _TEST.fullmatch(lowered))


def _text(value: Any) -> str | None:
    try:
        return identifier(value)
    except Unreadable:
        return None


def _says(register: Register | None) -> bool:
    return register is not None and register.value not in (None, False)


def _value(register: Register | None) -> Any:
    return None if register is None else register.value
