"""Customers, stores and tills in the form of the older API (v1.1).

Belongs here: the translation of records. Does not belong here: the envelope (`answers`).
Sources: docs.capillarytech.com/reference/get-customer-details and /get-organization-entities. Much is text there that is a
number in v2, and lists lie in an object of their own.
"""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

_SUMMARY = (
    "programId",
    "programTitle",
    "redeemed",
    "expired",
    "returned",
    "adjusted",
    "lifetimePoints",
    "loyaltyPoints",
    "cumulativePurchases",
    "currentSlab",
    "nextSlab",
    "nextSlabSerialNumber",
    "slabSNo",
    "slabExpiryDate",
)


def older_customer(record: Record) -> Record:
    """A customer of v2 as v1.1 tells it."""
    profile: Record = next(iter(record.get("profiles", [])), {})
    identifiers = {one.get("type"): one.get("value") for one in profile.get("identifiers", [])}
    points = record.get("pointsSummary") or next(iter(record.get("loyaltyProgramDetails", [])), {})
    loyalty = record.get("loyaltyInfo", {})
    told: Record = {
        "id": str(record["id"]),
        "user_id": str(record["id"]),
        "firstname": profile.get("firstName"),
        "lastname": profile.get("lastName"),
        "mobile": identifiers.get("mobile"),
        "email": identifiers.get("email"),
        "external_id": identifiers.get("externalId"),
        "lifetime_points": points.get("lifetimePoints"),
        "lifetime_purchases": loyalty.get("lifetimePurchases"),
        "loyalty_points": points.get("loyaltyPoints"),
        "current_slab": points.get("currentSlab"),
        "slab_expiry_date": points.get("slabExpiryDate"),
        "registered_on": profile.get("attribution", {}).get("createDate"),
        "updated_on": profile.get("attribution", {}).get("modifiedDate"),
        "type": str(loyalty.get("loyaltyType", "")).upper(),
        "source": profile.get("source"),
        "custom_fields": {"field": _fields(profile.get("fields"))},
        "extended_fields": {"field": _fields(record.get("extendedFields"))},
    }
    programs = record.get("loyaltyProgramDetails")
    if programs is not None:
        summaries = [{name: one.get(name) for name in _SUMMARY} for one in programs]
        told["points_summaries"] = {"points_summary": summaries}
    subscriptions = record.get("subscriptionInfo", {}).get("subscriptions")
    if subscriptions is not None:
        told["subscriptions"] = {
            "subscription": [
                {"channel": one.get("channel"), "priority": one.get("priority"), "status": one.get("type")}
                for one in subscriptions
            ]
        }
    schedules = record.get("expirySchedules")
    if schedules is not None:
        listed = [{"points": one.get("points"), "expiry_date": one.get("expiryDate")} for one in schedules]
        told["expiry_schedule"] = {"schedule": listed}
    cards = record.get("cardDetails")
    if cards is not None:
        told["card_details"] = {"card": cards}
    status = record.get("customerStatus")
    if status is not None:
        told["customer_status"] = status
    return told


def older_entity(record: Record, kind: str) -> Record:
    """A store or a till as the list of entities tells it: what was handed in, with ids and flags as texts."""
    active = record.get("is_active", record.get("isActive", True))
    told = {name: value for name, value in record.items() if name != "isActive"}
    return told | {"id": str(record["id"]), "type": kind, "is_active": "true" if active else "false"}


def _fields(fields: Any) -> list[Record]:
    given = fields if type(fields) is dict else {}
    return [{"name": name, "value": value} for name, value in given.items()]
