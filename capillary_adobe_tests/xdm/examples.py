"""An event and a profile with something of every part, and changed copies of them.

Belongs here: entities that follow every rule. Does not belong here: any expectation.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def event(**changes: Any) -> dict[str, Any]:
    """A purchase with something of every part of an event; a change of None takes the field away."""
    entity: dict[str, Any] = {
        "_id": "8a5e0c",
        "timestamp": "2026-03-01T10:00:00.000Z",
        "eventType": "commerce.purchases",
        "producedBy": "system",
        "identityMap": {
            "capillaryCustomerId": [{"id": "7001", "authenticatedState": "ambiguous", "primary": True}],
            "Email": [{"id": "ann@example.com", "authenticatedState": "ambiguous", "primary": False}],
        },
        "channel": {"_id": "capillary/instore", "_type": "https://ns.adobe.com/xdm/channel-types/instore"},
        "commerce": {"order": {"priceTotal": 12.5, "currencyCode": "INR"}, "purchases": {"value": 1}},
        "productListItems": [{"SKU": "tea", "quantity": 2, "_acme": {"quantity": 1.5}}],
        "_acme": {"capillary": {"orgId": 4_000_000_000, "tier": {"number": 1}, "trigger": {"name": "BillAdd"}}},
    }
    merged = {**entity, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def profile() -> dict[str, Any]:
    """A profile with something of every part."""
    return {
        "identityMap": {"capillaryCustomerId": [{"id": "7001", "primary": True}]},
        "person": {"birthDate": "1990-02-28", "birthYear": 1990},
        "personalEmail": {"address": "ann@example.com"},
        "homeAddress": {"stateProvince": "IN-MH", "postOfficeBox": "12"},
        "preferredLanguage": "zh-Hant-TW",
        "loyalty": {"points": 10.5, "loyaltyID": ["c-1"]},
        "consents": {"marketing": {"email": {"val": "y", "reason": "asked"}}},
        "extSourceSystemAudit": {"lastUpdatedDate": "2026-03-01T10:00:00Z"},
    }


def put(entity: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a pointer."""
    changed = deepcopy(entity)
    holder: Any = changed
    *steps, last = pointer.strip("/").split("/")
    for step in steps:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    holder[int(last) if isinstance(holder, list) else last] = value
    return changed


def without(entity: dict[str, Any], pointer: str) -> dict[str, Any]:
    """A copy without what stands at a pointer."""
    changed = put(entity, pointer, None)
    holder: Any = changed
    *steps, last = pointer.strip("/").split("/")
    for step in steps:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    del holder[int(last) if isinstance(holder, list) else last]
    return changed
