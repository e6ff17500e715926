"""A customer's document laid out as the source of the profile's mapping.

Belongs here: which registers count (consents, cards, the default program), in which shape rules find them, and the kinds of
these source fields. Does not belong here: the rules (`mappings/profile/`), XDM's forms and the identities.

The source depends on the document, the settings and the names of programs and tiers alone, whatever order the document has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from capillary_adobe.capillary.source_fields import LIST, OBJECT
from capillary_adobe.profiles.consents import consent_of
from capillary_adobe.profiles.document import MERGED_INTO, Document, Register
from capillary_adobe.profiles.identities import identity_of, withdrawal
from capillary_adobe.settings.customers import ProfileSettings

_CUSTOMER: Final = {
    "first_name": "firstName",
    "last_name": "lastName",
    "birth_date": "birthDate",
    "gender": "gender",
    "language": "language",
    "zone": "zone",
    "status": "status",
    "joined_ms": "joinedAt",
    "source": "source",
    "loyalty_type": "loyaltyType",
    "purchases": "purchases",
}
_ADDRESS: Final = {"street1": "street1", "city": "city", "state": "state", "postal_code": "postalCode"}
_PROGRAM: Final = {
    "name": "name",
    "points": "points",
    "lifetime_points": "lifetimePoints",
    "redeemed": "redeemedPoints",
    "expired": "expiredPoints",
    "returned": "returnedPoints",
    "adjusted": "adjustedPoints",
    "promised": "promisedPoints",
    "purchases": "purchases",
    "tier_number": "tierNumber",
    "tier_expiry": "tierExpiry",
    "tier_upgraded_ms": "tierUpgradedAt",
}
# Capillary's channels by XDM's; push goes by the phone's system.
CHANNELS: Final = {
    "email": ("email",),
    "sms": ("sms",),
    "whatsApp": ("whatsapp",),
    "push": ("android", "ios", "push", "mobilepush"),
    "call": ("call", "voice"),
}

_PROGRAM_KINDS: Final = {
    "id": "id",
    "name": "text",
    "points": "points",
    "lifetimePoints": "points",
    "redeemedPoints": "points",
    "expiredPoints": "points",
    "returnedPoints": "points",
    "adjustedPoints": "points",
    "promisedPoints": "points",
    "purchases": "money",
    "tier": "text",
    "tierNumber": "number",
    "tierExpiry": "moment",
    "tierUpgradedAt": "moment",
    "nextTier": "text",
    "pointsToNextTier": "points",
    "expirations": LIST,
    "expirations[].points": "points",
    "expirations[].date": "moment",
}
_KINDS: Final[dict[str, dict[str, str]]] = {
    "customer": dict.fromkeys(_CUSTOMER.values(), "text") | {"joinedAt": "moment", "purchases": "money"},
    "contact": dict.fromkeys(("email", "mobile", "externalId"), "text"),
    "address": dict.fromkeys((*_ADDRESS.values(), "countryCode", "countryName"), "text"),
    "loyalty": _PROGRAM_KINDS,
    "consents": {"changedAt": "moment"},
    "audit": {"key": "text"},
    **{f"consents.{channel}": {"value": "text", "at": "moment"} for channel in CHANNELS},
}
_LISTS: Final = {
    "programs": _PROGRAM_KINDS,
    "cards": dict.fromkeys(("number", "series", "status"), "text"),
    "customFields": {"name": "text", "value": "text"},
    "extendedFields": {"name": "text", "value": "text"},
}


@dataclass(frozen=True)
class ProgramNames:
    """What is known of programs beside a customer's document; it fills in where that has numbers alone.

    `programs` are names by program id, `tiers` names by program id and tier number, `defaults` the programs that Capillary
    calls default.
    """

    programs: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[tuple[str, int], str] = field(default_factory=dict)
    defaults: frozenset[str] = frozenset()


class Contacts(NamedTuple):
    """The contacts of a customer that a profile may show.

    `cards` are the numbers that may be shown; `hidden` the values that must stand nowhere, in lower case, without a plus.
    """

    email: str | None = None
    phone: str | None = None
    external_id: str | None = None
    cards: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    @property
    def loyalty_ids(self) -> list[str]:
        """By which ids the brand knows the customer."""
        return [self.external_id] if self.external_id is not None else sorted(self.cards)

    def hides(self, value: Any) -> bool:
        """Whether a value repeats one that must not be shown."""
        return bool(self.hidden) and str(value).strip().lower().removeprefix("+") in self.hidden


def source_kinds() -> dict[str, str]:
    """Kind by path of every source field, for the check of the mapping."""
    found = {"mergedInto": "id"}
    for owner, kinds in _KINDS.items():
        found[owner] = OBJECT
        found |= {f"{owner}.{name}": kind for name, kind in kinds.items()}
    for owner, kinds in _LISTS.items():
        found[owner] = LIST
        found |= {f"{owner}[].{name}": kind for name, kind in kinds.items()}
    return found


def source_of(
    document: Document, contacts: Contacts, key: str, settings: ProfileSettings, names: ProgramNames
) -> dict[str, Any]:
    """The source of one document; `key` names the customer among all of Capillary's."""
    if (survivor := _value(document, MERGED_INTO)) is not None:
        return {"mergedInto": survivor, "audit": {"key": key}}
    programs = _programs(document, names)
    default = _default_program(document, programs, settings, names)
    return {
        "customer": {ours: _value(document, name) for name, ours in _CUSTOMER.items()},
        "contact": {"email": contacts.email, "mobile": contacts.phone, "externalId": contacts.external_id},
        "address": _address(document),
        "loyalty": programs.get(default, {}),
        "programs": [programs[program] for program in sorted(programs) if program != default],
        "cards": _cards(document, contacts),
        "consents": _consents(document, settings.consent_priority),
        "customFields": _named(document, "custom.", contacts),
        "extendedFields": _named(document, "extended.", contacts),
        "audit": {"key": key},
    }


def _value(document: Document, name: str) -> Any:
    register = document.get(name)
    return None if register is None else register.value


def _address(document: Document) -> dict[str, Any]:
    country = _value(document, "address.country")
    # A country is a code or a name; XDM has a field for each.
    coded = type(country) is str and len(country.strip()) == 2
    return {
        **{ours: _value(document, f"address.{name}") for name, ours in _ADDRESS.items()},
        ("countryCode" if coded else "countryName"): country,
    }


def _programs(document: Document, names: ProgramNames) -> dict[str, dict[str, Any]]:
    registers: defaultdict[str, dict[str, Register]] = defaultdict(dict)
    for name, register in document.items():
        head, _, rest = name.partition(".")
        program, _, part = rest.rpartition(".")
        if head == "program" and program:
            registers[program][part] = register
    newest_us = max((register.stamp.at_us for register in document.values()), default=0)
    return {program: _program(program, parts, names, newest_us) for program, parts in registers.items()}


def _program(program: str, parts: Mapping[str, Register], names: ProgramNames, newest_us: int) -> dict[str, Any]:
    found = {ours: parts[name].value for name, ours in _PROGRAM.items() if name in parts}
    found["id"] = program
    if found.get("name") is None:
        found["name"] = names.programs.get(program)
    found["tier"] = _tier(program, parts, names)
    found["pointsToNextTier"] = _gap(parts)
    found["expirations"] = [one for one in _expirations(parts) if not _is_past(one, newest_us)]
    upcoming = parts.get("next_tier")
    if upcoming is not None:
        found["nextTier"] = _name_of_tier(program, upcoming.value, names) or upcoming.value
    return found


def _tier(program: str, parts: Mapping[str, Register], names: ProgramNames) -> Any:
    """The name of the tier; None where only its number is known."""
    number, name = parts.get("tier_number"), parts.get("tier_name")
    if number is None or number.value is None:
        return name.value if name else None
    # A name that is older than the number is that of the tier before.
    if name is not None and name.value is not None and name.stamp >= number.stamp:
        return name.value
    return _name_of_tier(program, number.value, names)


def _gap(parts: Mapping[str, Register]) -> Any:
    """The points to the next tier; None where a balance was told since, of which nobody has worked it out."""
    gap = parts.get("points_to_next_tier")
    if gap is None or any(gap.stamp < parts[name].stamp for name in ("points", "lifetime_points") if name in parts):
        return None
    return gap.value


def _expirations(parts: Mapping[str, Register]) -> list[Any]:
    """What expires when: the list of the last look-up, and what an event told since of the next day."""
    known, upcoming = parts.get("expirations"), parts.get("expires_next")
    listed = known.value if known is not None and isinstance(known.value, list) else []
    if upcoming is None or upcoming.value is None or (known is not None and known.stamp >= upcoming.stamp):
        return listed
    return [upcoming.value, *(one for one in listed if _second(one) != _second(upcoming.value))]


def _is_past(expiration: Any, newest_us: int) -> bool:
    """Whether the points have expired before the newest value that is known of the customer."""
    second = _second(expiration)
    return type(second) is int and second < newest_us // 1_000_000


def _second(expiration: Any) -> Any:
    day: Any = expiration.get("date") if isinstance(expiration, Mapping) else None
    try:
        return int(datetime.fromisoformat(day).timestamp())
    except (TypeError, ValueError, OverflowError):
        return day


def _name_of_tier(program: str, number: Any, names: ProgramNames) -> str | None:
    if type(number) is str and number.strip().isdecimal():
        number = int(number)
    return names.tiers.get((program, number)) if type(number) is int else None


def _default_program(
    document: Document, programs: Mapping[str, Any], settings: ProfileSettings, names: ProgramNames
) -> str:
    """The program that `loyalty` describes; empty where it is not known which, for none is guessed."""
    if settings.default_program is not None:
        return settings.default_program
    told = {program: document.get(f"program.{program}.is_default") for program in programs}
    said = [(register.stamp, program) for program, register in told.items() if register and register.value is True]
    if said:
        return max(said)[1]
    denied = {program for program, register in told.items() if register and register.value is False}
    return min((program for program in programs if program in names.defaults and program not in denied), default="")


def _cards(document: Document, contacts: Contacts) -> list[dict[str, Any]]:
    cards = []
    for name in sorted(name for name in document if name.startswith("card.")):
        register, number = document[name], name.removeprefix("card.")
        if isinstance(register.value, Mapping) and not _withdrawn(document, number, register):
            told = {part: register.value.get(part) for part in ("series", "status")}
            identity = identity_of("card", number)
            shown = identity.value if identity is not None and identity.value in contacts.cards else None
            cards.append({"number": shown, **told})
    return cards


def _withdrawn(document: Document, number: str, register: Register) -> bool:
    identity = identity_of("card", number)
    withdrawn = None if identity is None else document.get(withdrawal(identity))
    return withdrawn is not None and bool(withdrawn.value) and withdrawn.stamp >= register.stamp


def _consents(document: Document, priority: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    newest: int | None = None
    for channel, sources in CHANNELS.items():
        said = [consent_of(document, source, priority) for source in sources]
        given = [register for register in said if register is not None]
        # Whoever allows messages to one of their phones allows the channel.
        counted = [one for one in given if one.value == "y"] or given
        if counted:
            at = max(one.stamp.at_us for one in counted) // 1000
            found[channel] = {"value": counted[0].value, "at": at}
            newest = at if newest is None else max(newest, at)
    return found if newest is None else {**found, "changedAt": newest}


def _named(document: Document, head: str, contacts: Contacts) -> list[dict[str, Any]]:
    names = sorted(name for name in document if name.startswith(head))
    found = ((name.removeprefix(head), document[name].value) for name in names)
    # A field that repeats a contact would show what the policy keeps back.
    return [{"name": name, "value": value} for name, value in found if value is not None and not contacts.hides(value)]
