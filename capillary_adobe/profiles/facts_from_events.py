"""Facts that an event tells about its customer.

Belongs here: which event says what: contacts, status, merge, release, deletion. Does not belong here: how values are read
(`reading.py`), programs and tiers (`loyalty_of_event.py`), an organisation's own fields (`own_fields.py`), the merge of
facts (`document.py`).

What an event does not tell is unknown, never gone: payloads are enriched by halves, and updates tell a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from capillary_adobe.profiles.cards import card_fact
from capillary_adobe.profiles.consents import consents
from capillary_adobe.profiles.document import DELETED, MERGED_INTO, CustomerKey, Facts, Stamp
from capillary_adobe.profiles.identities import Kind, identity_of, withdrawal
from capillary_adobe.profiles.loyalty_of_event import loyalty_of_event, tier_names
from capillary_adobe.profiles.own_fields import changes, own_fields
from capillary_adobe.profiles.reading import Read, Reader, day_after, inner, objects
from capillary_adobe.settings.customers import ProfileSettings

__all__ = ["KNOWN", "UNDATED", "Read", "facts_of_event", "stamp_of_event"]

UNDATED: Final = Stamp(0)
"""Stamp of what is true without a known time, so that everything that has one is newer."""

KNOWN: Final = "known"
"""Field of every customer who has an event, so that there is a document though the event told nothing else."""

ACCOUNT: Final = frozenset({"customerAdded", "customerUpdated"})
"""Events whose own fields are the customer's; those of a bill or a promotion are not."""
MERGE: Final = "loyaltyCustomerMerge"
RELEASE: Final = "identifierReleased"
CARD: Final = "cardUpdated"
# A request asks for a change and may be refused; what it changed comes as an update of the customer.
_NOT_ABOUT_THE_CUSTOMER: Final = frozenset({"requestUpdated", "requestWorkflowEvent"})

_CARDS: Final = ("cardNumbers", "cardnumber", "card_number")
_RELEASED: Final[dict[str, Kind]] = {
    "email": "email",
    "mobile": "phone",
    "phone": "phone",
    "externalid": "external_id",
    "cardnumber": "card",
    "cardnumbers": "card",
}
_RELEASED_TYPES: Final = ("type", "identifierType", "identifierName", "fieldName", "key", "name")
_RELEASED_VALUES: Final = ("value", "identifierValue", "previousValue", "fieldValue")


def stamp_of_event(row: Mapping[str, Any]) -> Stamp:
    """When what an event says was true."""
    return Stamp(row["created_ms"] * 1000, row["event_log_id"] or 0, row["event_key"][:16])


def facts_of_event(row: Mapping[str, Any], settings: ProfileSettings, erasure_label: str, zone: ZoneInfo) -> Read:
    """The facts of a row of `raw_events`; they depend on the row alone.

    `erasure_label` is the label of the status that means deletion; such an event says nothing else, though its payload
    still tells who it was. `zone` is the one in which dates without one are read.
    """
    data = orjson.loads(row["data"])
    data = data if type(data) is dict else {}
    key = CustomerKey(int(row["org_id"]), int(row["customer_id"]))
    stamp, name, reader = stamp_of_event(row), row["event_name"], Reader(zone)
    if name in ACCOUNT and _is_deleted(data, erasure_label):
        return Read([Facts(key, stamp, {DELETED: True})], 0, [])
    fields: dict[str, Any] = {KNOWN: True}
    if name in _NOT_ABOUT_THE_CUSTOMER:
        return Read([Facts(key, stamp, fields)], 0, [])
    if name == RELEASE:
        found = [Facts(key, stamp, fields | dict(_released(reader, data, settings)))]
    elif name == MERGE:
        found = _merge(reader, data, key, stamp)
    else:
        if name in ACCOUNT:
            fields |= _account(reader, name, data, settings, row["created_ms"])
        if name == CARD:
            fields |= _card(reader, data)
        fields |= loyalty_of_event(reader, name, data, row["created_ms"])
        if name == "customerSubscription":
            fields |= consents(reader, data.get("subscriptions"), "currentStatus", "subscriptions[]", by_account=True)
        holder = _identifiers(data, key)
        found = [Facts(key, stamp, fields | _contacts(reader, holder)), *_cards(reader, holder, key)]
    return Read(found, reader.masked, reader.unreadable)


def _is_deleted(data: dict[str, Any], erasure_label: str) -> bool:
    label = inner(data, "customerStatus", "currentLabel")
    return type(label) is str and label.strip().casefold() == erasure_label.strip().casefold()


def _account(
    reader: Reader, name: str, data: dict[str, Any], settings: ProfileSettings, created_ms: int
) -> dict[str, Any]:
    """What an account's own events say; what is in force now goes before what is said to have changed."""
    born_until = day_after(created_ms)
    found = changes(reader, data.get("updatedFields"), settings, born_until)
    found |= own_fields(reader, data.get("customFields"), data.get("extendedFields"), settings, born_until)
    label = reader.text(inner(data, "customerStatus", "currentLabel"), "customerStatus.currentLabel")
    if label is not None:
        found["status"] = label
        found["status_reason"] = reader.text(inner(data, "customerStatus", "reason"), "customerStatus.reason")
    if name == "customerAdded":
        # An update repeats the registration's time or tells its own, and its source is where it was made.
        found |= _told(
            source=_upper(reader.text(data.get("source"), "source")),
            joined_ms=reader.epoch(data.get("enteredAt"), "enteredAt"),
        )
    return found | _names(reader, data, "")


def _identifiers(data: dict[str, Any], key: CustomerKey) -> dict[str, Any]:
    """The object with the identifiers of the event's customer: where it stands, and nobody else's."""
    holder = data.get("customerIdentifiers")
    if type(holder) is dict and _customer_id(holder.get("customerId")) in (key.customer_id, None):
        return holder
    for one in objects(data.get("coupons")):
        holder = one.get("customerIdentifiers")
        if type(holder) is dict and _customer_id(holder.get("customerId")) == key.customer_id:
            return holder
    return {}


def _customer_id(value: Any) -> int | None:
    """A customer id; 0, which is nobody's, for something else."""
    quiet = Reader(ZoneInfo("UTC"))
    known = quiet.id(value, "")
    return 0 if quiet.unreadable or quiet.masked else known


def _contacts(reader: Reader, holder: dict[str, Any], path: str = "customerIdentifiers.") -> dict[str, Any]:
    instore = _instore(holder)
    return _names(reader, holder, path) | _told(
        email=reader.of_person(instore.get("email"), f"{path}instore.email"),
        mobile=reader.of_person(instore.get("mobile"), f"{path}instore.mobile"),
        external_id=reader.of_person(instore.get("externalId"), f"{path}instore.externalId"),
    )


def _names(reader: Reader, holder: dict[str, Any], path: str) -> dict[str, Any]:
    kind = reader.text(holder.get("loyaltyType"), f"{path}loyaltyType")
    return _told(
        first_name=reader.of_person(holder.get("firstName"), f"{path}firstName"),
        last_name=reader.of_person(holder.get("lastName"), f"{path}lastName"),
        loyalty_type=None if kind is None else kind.lower(),
    )


def _instore(holder: dict[str, Any]) -> dict[str, Any]:
    # `Instore` in one published payload; the last of the spellings in order is the documented one.
    names = sorted(name for name, value in holder.items() if name.strip().lower() == "instore" and type(value) is dict)
    return holder[names[-1]] if names else {}


def _cards(reader: Reader, holder: dict[str, Any], key: CustomerKey) -> list[Facts]:
    """Cards that are told by their number alone: undated, or a card's series and status would be forgotten by it."""
    instore, found = _instore(holder), {}
    for name in _CARDS:
        told = instore.get(name)
        for one in told if type(told) is list else [told]:
            number = reader.of_person(one, f"customerIdentifiers.instore.{name}")
            if number is not None:
                found[f"card.{number}"] = {"series": None, "status": None}
    return [Facts(key, UNDATED, found)] if found else []


def _card(reader: Reader, data: dict[str, Any]) -> dict[str, Any]:
    """A card whose status changed; one that may be issued to another is the customer's no more."""
    number = reader.of_person(data.get("cardNumber"), "cardNumber")
    status = reader.text(data.get("currentStatusLabel"), "currentStatusLabel")
    if number is None or status is None:
        return {}
    return card_fact(number, None, status)


def _merge(reader: Reader, data: dict[str, Any], survivor: CustomerKey, stamp: Stamp) -> list[Facts]:
    """A customer merged into another: who, and the survivor's loyalty, which is both's together."""
    path = "survivorCustomerLoyaltySummary[]"
    fields: dict[str, Any] = {KNOWN: True}
    program = reader.id(inner(data, "loyaltyProgramDetails", "id"), "loyaltyProgramDetails.id")
    names = tier_names(reader, inner(data, "loyaltyProgramDetails", "tiers"))
    fields |= loyalty_of_event(reader, MERGE, data, stamp.at_us // 1000)
    for one in objects(data.get("survivorCustomerLoyaltySummary")):
        known = reader.id(one.get("loyaltyProgramId"), f"{path}.loyaltyProgramId")
        if known is None:
            continue
        told = _told(
            points=reader.number(one.get("currentPoints"), f"{path}.currentPoints"),
            lifetime_points=reader.number(one.get("lifetimePoints"), f"{path}.lifetimePoints"),
            promised=reader.number(one.get("promisedPoints"), f"{path}.promisedPoints"),
            tier_number=reader.whole(one.get("tierNumber"), f"{path}.tierNumber"),
        )
        if "tier_number" in told:
            # What was known of the tier may be another tier's.
            told["tier_name"] = names.get(told["tier_number"]) if known == program else None
            told |= {"tier_expiry": None, "next_tier": None, "points_to_next_tier": None}
        fields |= {f"program.{known}.{name}": value for name, value in told.items()}
    holder = data.get("survivorCustomerIdentifiers")
    holder = holder if type(holder) is dict else {}
    fields |= _contacts(reader, holder, "survivorCustomerIdentifiers.")
    found = _cards(reader, holder, survivor)
    path = "victimCustomerIdentifiers.customerId"
    victim = reader.id(inner(data, *path.split(".")), path)
    if victim is None:
        reader.refuse(path)
    elif victim != survivor.customer_id:
        fields[f"merged.{victim}"] = True
        found.append(Facts(CustomerKey(survivor.org_id, victim), stamp, {MERGED_INTO: survivor.customer_id}))
    return [Facts(survivor, stamp, fields), *found]


def _released(reader: Reader, data: dict[str, Any], settings: ProfileSettings) -> Iterator[tuple[str, Any]]:
    """Withdrawals of every identity that stands under the paths of the settings."""
    for path in settings.released_paths.split(","):
        waiting: list[Any] = [inner(data, *path.strip().split("."))]
        while waiting:
            value = waiting.pop()
            if type(value) is list:
                waiting += value
            elif type(value) is dict:
                yield from _released_here(reader, value, path.strip())
                waiting += value.values()


def _released_here(reader: Reader, holder: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    said = [(name, value) for name, value in holder.items() if _plain(name) in _RELEASED]
    kinds = [holder[name] for name in _RELEASED_TYPES if type(holder.get(name)) is str]
    said += [(kind, holder.get(name)) for kind in kinds if _plain(kind) in _RELEASED for name in _RELEASED_VALUES]
    for name, value in said:
        for one in value if type(value) is list else [value]:
            read = None if type(one) in (dict, list) else reader.of_person(one, path)
            identity = identity_of(_RELEASED[_plain(name)], read)
            if identity is not None:
                yield withdrawal(identity), True


def _plain(name: str) -> str:
    return name.replace("_", "").strip().lower()


def _upper(value: str | None) -> str | None:
    return None if value is None else value.upper()


def _told(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
