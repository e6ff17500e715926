"""Facts that an answer of Capillary's API tells about a customer.

Belongs here: which field of which answer says what. Does not belong here: asking (`capillary.api`), how values are read
(`reading.py`), programs and tiers (`loyalty_of_answer.py`).
Sources: docs.capillarytech.com/reference/get-customer-details-by-user-id and /get-customer-details (v1.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from capillary_adobe.profiles.cards import card_fact
from capillary_adobe.profiles.consents import consents
from capillary_adobe.profiles.document import DELETED, CustomerKey, Facts, Stamp
from capillary_adobe.profiles.loyalty_of_answer import ProgramRows, first
from capillary_adobe.profiles.own_fields import own_fields
from capillary_adobe.profiles.reading import Read, Reader, day_after, inner, objects
from capillary_adobe.settings.customers import ProfileSettings

__all__ = ["Read", "facts_of_bulk_customer", "facts_of_customer", "stamp_of_answer"]

_CONTACTS: Final = {"email": "email", "mobile": "mobile", "externalid": "external_id"}
_STATUS: Final = ("currentLabel", "label", "statusLabel", "name", "status")


def stamp_of_answer(at_us: int) -> Stamp:
    """When what an answer says was true: when the question was asked, since the answer may be older than it arrives."""
    return Stamp(at_us, 0, "api")


def facts_of_customer(
    answer: Any, key: CustomerKey, at_us: int, settings: ProfileSettings, zone: ZoneInfo, erasure_label: str = "Deleted"
) -> Read:
    """The facts of an answer of `GET /v2/customers/{id}`, asked at `at_us` (epoch microseconds).

    `erasure_label` is the label of the status that means deletion. `zone` is the one in which dates without one are read.
    """
    reader, answer = Reader(zone), _object(answer)
    status = _status(reader, answer, erasure_label)
    if status is None:
        return _deleted(key, at_us)
    profiles = _profiles(answer)
    profile = profiles[0] if profiles else {}
    loyalty, born_until = _object(answer.get("loyaltyInfo")), day_after(at_us // 1000)
    registered = _object(first(loyalty, ("attributionV2",)) or profile.get("attribution"))
    fields = {
        **own_fields(reader, profile.get("fields"), answer.get("extendedFields"), settings, born_until),
        **status,
        **_contacts(reader, profiles),
        **_told(
            first_name=reader.of_person(profile.get("firstName"), "profiles[].firstName"),
            last_name=reader.of_person(profile.get("lastName"), "profiles[].lastName"),
            loyalty_type=_lower(reader.text(loyalty.get("loyaltyType"), "loyaltyInfo.loyaltyType")),
            source=_upper(reader.text(registered.get("createdFromSource"), "attributionV2.createdFromSource")),
            joined_ms=reader.epoch(registered.get("createDate"), "attributionV2.createDate"),
            purchases=reader.number(loyalty.get("lifetimePurchases"), "loyaltyInfo.lifetimePurchases"),
        ),
        **consents(reader, inner(answer, "subscriptionInfo", "subscriptions"), "type", "subscriptions[]"),
        **_cards(reader, profiles, answer.get("cardDetails")),
    }
    programs = ProgramRows(
        reader, answer.get("loyaltyProgramDetails"), answer.get("pointsSummary"), settings.default_program
    )
    strategies = first(answer, ("upgradeStrategies", "gapToUpgrade"))
    fields |= programs.fields(answer.get("expirySchedules"), strategies)
    return _read(key, at_us, fields, reader)


def facts_of_bulk_customer(
    answer: Any, key: CustomerKey, at_us: int, settings: ProfileSettings, zone: ZoneInfo, erasure_label: str = "Deleted"
) -> Read:
    """The facts of an item of `GET /v1.1/customer/get`; see `facts_of_customer`. Times in it have no offset."""
    reader, item = Reader(zone), _object(answer)
    status = _status(reader, item, erasure_label)
    if status is None:
        return _deleted(key, at_us)
    fields = {
        **own_fields(
            reader,
            list(objects(inner(item, "custom_fields", "field"))),
            list(objects(inner(item, "extended_fields", "field"))),
            settings,
            day_after(at_us // 1000),
        ),
        **status,
        **_told(
            first_name=reader.of_person(item.get("firstname"), "firstname"),
            last_name=reader.of_person(item.get("lastname"), "lastname"),
            email=reader.of_person(item.get("email"), "email"),
            mobile=reader.of_person(item.get("mobile"), "mobile"),
            external_id=reader.of_person(item.get("external_id"), "external_id"),
            loyalty_type=_lower(reader.text(item.get("type"), "type")),
            source=_upper(reader.text(item.get("source"), "source")),
            joined_ms=reader.epoch(item.get("registered_on"), "registered_on"),
            purchases=reader.number(item.get("lifetime_purchases"), "lifetime_purchases"),
        ),
        **consents(reader, _listed(item.get("subscriptions"), "subscription"), "status", "subscriptions[]"),
        **_cards(reader, [], _listed(item.get("card_details"), "card")),
    }
    summary = item if first(item, ("loyalty_points", "current_slab")) is not None else None
    programs = ProgramRows(
        reader, _listed(item.get("points_summaries"), "points_summary"), summary, settings.default_program
    )
    fields |= programs.fields(_listed(item.get("expiry_schedule"), "schedule"), item.get("tier_upgrade_criteria"))
    return _read(key, at_us, fields, reader)


def _read(key: CustomerKey, at_us: int, fields: dict[str, Any], reader: Reader) -> Read:
    found = [Facts(key, stamp_of_answer(at_us), fields)] if fields else []
    return Read(found, reader.masked, reader.unreadable)


def _deleted(key: CustomerKey, at_us: int) -> Read:
    return Read([Facts(key, stamp_of_answer(at_us), {DELETED: True})], 0, [])


def _status(reader: Reader, answer: dict[str, Any], erasure_label: str) -> dict[str, Any] | None:
    """Label and reason of the customer's status, or None where it means deletion."""
    told = first(answer, ("customerStatus", "customer_status"))
    label = reader.text(first(told, _STATUS) if type(told) is dict else told, "customerStatus")
    if label is None:
        return {}
    if label.casefold() == erasure_label.strip().casefold():
        return None
    return {"status": label, "status_reason": reader.text(inner(told, "reason"), "customerStatus.reason")}


def _profiles(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Accounts of the customer, the one of the brand's own shops first."""

    def elsewhere(profile: dict[str, Any]) -> bool:
        source = profile.get("source")
        return type(source) is not str or source.strip().upper() != "INSTORE"

    return sorted(objects(answer.get("profiles")), key=elsewhere)


def _contacts(reader: Reader, profiles: list[dict[str, Any]]) -> dict[str, Any]:
    """The first identifier of each kind, of an account's the channel of communication where it has none."""
    found: dict[str, Any] = {}
    for profile in profiles:
        for part in ("identifiers", "commChannels"):
            for kind, value, _ in _typed([profile], part):
                name = _CONTACTS.get(kind)
                if name is not None and name not in found:
                    read = reader.of_person(value, f"profiles[].{part}[].value")
                    found |= {name: read} if read is not None else {}
    return found


def _cards(reader: Reader, profiles: list[dict[str, Any]], details: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, value, one in _typed(profiles, "identifiers"):
        if kind == "cardnumber":
            number = reader.of_person(value, "profiles[].identifiers[].value")
            status = reader.text(one.get("statusLabel"), "profiles[].identifiers[].statusLabel")
            found |= card_fact(number, None, status) if number is not None else {}
    for one in objects(details):
        number = reader.of_person(first(one, ("cardNumber", "card_number", "number")), "cardDetails[].cardNumber")
        series = reader.text(
            first(one, ("seriesName", "series_name", "seriesCode", "series_code")), "cardDetails[].seriesName"
        )
        told = first(one, ("statusInfo", "status_info", "statusLabel", "status_label", "status"))
        status = reader.text(
            first(told, ("label", "status")) if type(told) is dict else told, "cardDetails[].statusInfo"
        )
        found |= card_fact(number, series, status) if number is not None else {}
    return found


def _typed(profiles: list[dict[str, Any]], part: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for profile in profiles:
        for one in objects(profile.get(part)):
            kind = one.get("type")
            if type(kind) is str:
                yield kind.replace("_", "").strip().lower(), one.get("value"), one


def _listed(value: Any, name: str) -> Any:
    """A list of the older API, which it puts under the name of its elements."""
    return value[name] if type(value) is dict and name in value else value


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()


def _upper(value: str | None) -> str | None:
    return None if value is None else value.upper()


def _told(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
