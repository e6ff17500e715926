"""Whom an event is about.

Belongs here: finding the one customer id of an event, or why there is none. Does not belong here: other identities.
"""

from __future__ import annotations

import re
from typing import Any

from capillary_adobe.capillary.catalogue import GROUP, NO_PERSON, EventType
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.values import Unreadable, identifier, text

_CUSTOMER_ID = re.compile(r"[0-9]{1,18}")


class NotDelivered(Exception):
    """An event that is deliberately not delivered; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def customer_id(event_type: EventType, data: dict[str, Any]) -> str:
    """The Capillary customer id of an event, digits only.

    Raises:
        NotDelivered: reasons `no_person`, `group` and `several_persons`.
        NotAnEvent: codes `customer_missing` and `customer_masked`.
    """
    if event_type.person == NO_PERSON:
        raise NotDelivered("no_person")
    if event_type.person == GROUP:
        raise NotDelivered("group")
    found = {known for holder in _holders(data, event_type.person.split(".")) if (known := _id_of(holder)) is not None}
    if len(found) > 1:
        raise NotDelivered("several_persons")
    known = found.pop() if found else _id_of_entity(data)
    if known is None:
        raise NotAnEvent("customer_missing", "The event names no customer: customerId is missing.", event_type.name)
    if not _CUSTOMER_ID.fullmatch(known):
        raise NotAnEvent(
            "customer_masked",
            "customerId is not a whole number; masked identifiers (12***) come from a user without the right to see them.",
            event_type.name,
        )
    return known


def identifiers_of(event_type: EventType, data: dict[str, Any]) -> Any:
    """The object with the customer's identifiers, or None."""
    if event_type.person in (NO_PERSON, GROUP):
        return None
    return next((h for h in _holders(data, event_type.person.split(".")) if h is not None), None)


def _holders(value: Any, path: list[str]) -> list[Any]:
    """The objects at a path; a step that ends in [] stands for every element."""
    if not path:
        return [value]
    step = path[0].removesuffix("[]")
    inner = value.get(step) if type(value) is dict else None
    if path[0].endswith("[]"):
        return (
            [found for element in (inner or []) for found in _holders(element, path[1:])] if type(inner) is list else []
        )
    return _holders(inner, path[1:])


def _id_of(holder: Any) -> str | None:
    return _id(holder.get("customerId")) if type(holder) is dict else None


def _id(value: Any) -> str | None:
    """An id, or a text that is no customer's where something stands there that cannot be read."""
    try:
        return identifier(value)
    except Unreadable:
        return ""


def _id_of_entity(data: dict[str, Any]) -> str | None:
    """The acting entity where no customer stands: a person's id is its customer id, a group's is not."""
    for owner in (data, data.get("triggeringActivity")):
        entity = owner.get("entityInformation") if type(owner) is dict else None
        if type(entity) is not dict or (kind := _kind(entity.get("entityType"))) is None:
            continue
        if kind != "USER":
            raise NotDelivered("group" if kind.startswith("USERGROUP") else "no_person")
        return _id(entity.get("entityId"))
    return None


def _kind(value: Any) -> str | None:
    try:
        return (text(value) or "").upper() or None
    except Unreadable:
        return None
