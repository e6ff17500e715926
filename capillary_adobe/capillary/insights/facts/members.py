"""Members: what a customer was like on the day of the export.

Belongs here: which column is which field of the document. Does not belong here: when it was true (`stamps.py`), the fields'
meaning (`profiles.facts_from_api`, which reads the same state from Capillary's API).

Balances and tier are of the program that the row names, else of PROFILE_DEFAULT_PROGRAM; where neither says, they are left out.
Source: docs.capillarytech.com/docs/members-standard-export-template, /docs/customer-summary-members-fact-table
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from capillary_adobe.capillary.insights.events.reading import Told, plain, said
from capillary_adobe.capillary.insights.facts.stamps import stamp_of_export
from capillary_adobe.profiles.consents import PRIORITIES, consents
from capillary_adobe.profiles.document import MERGED_INTO, CustomerKey, Facts
from capillary_adobe.profiles.facts_from_events import KNOWN
from capillary_adobe.profiles.own_fields import own_fields
from capillary_adobe.profiles.reading import Reader, day_after
from capillary_adobe.settings.customers import ProfileSettings

_BALANCES: Final = {
    "points": "current_points",
    "lifetime_points": "lifetime_points",
    "redeemed": "redeemed_points",
    "expired": "expired_points",
    "returned": "cancelled_points",
}
_CHANNELS: Final = ("sms", "email", "wechat")


def facts_of(told: Told, exported_ms: int, settings: ProfileSettings) -> list[Facts]:
    """What a row says of its customer; of one who was merged away, that and nothing else.

    Raises:
        RowRefused: the customer's number is missing, masked or cannot be read, or a figure or date cannot be read.
    """
    key = CustomerKey(told.context.org_id, told.customer_id())
    reader = Reader(told.context.zone)
    program = told.id("program_id") or reader.id(settings.default_program, "PROFILE_DEFAULT_PROGRAM")
    stamp = stamp_of_export(exported_ms, told.context.zone, program)
    survivor = told.id("merged_into")
    if survivor is not None and survivor != key.customer_id:
        into = CustomerKey(key.org_id, survivor)
        return [
            Facts(key, stamp, {MERGED_INTO: survivor}),
            Facts(into, stamp, {KNOWN: True, f"merged.{key.customer_id}": True}),
        ]
    fields = {KNOWN: True, **_person(reader, told, exported_ms, settings), **_program(reader, told, program)}
    fields |= consents(reader, list(_subscriptions(told)), "status", "consent")
    return [Facts(key, stamp, fields)]


def _person(reader: Reader, told: Told, exported_ms: int, settings: ProfileSettings) -> dict[str, Any]:
    born_until = day_after(exported_ms)
    kind, source = told.member("loyalty_type"), told.member("source")
    custom, extended = _pairs(told, told.context.custom_fields), _pairs(told, told.context.extended_fields)
    return {
        **own_fields(reader, custom, extended, settings, born_until),
        **said(
            first_name=reader.of_person(told.text("first_name"), "first_name"),
            last_name=reader.of_person(told.text("last_name"), "last_name"),
            email=reader.of_person(told.text("email"), "email"),
            mobile=reader.of_person(told.text("mobile"), "mobile"),
            external_id=reader.of_person(told.text("external_id"), "external_id"),
            gender=reader.text(told.member("gender"), "gender"),
            language=reader.text(told.member("preferred_language"), "preferred_language"),
            birth_date=reader.birthday(told.calendar_day("birth_date"), "birth_date", born_until),
            loyalty_type=None if kind is None else kind.lower(),
            source=None if source is None else source.upper(),
            status=reader.text(told.member("status"), "status"),
            joined_ms=told.moment("joined_moment") or reader.epoch(told.calendar_day("joined_date"), "joined_date"),
            purchases=plain(told.number("lifetime_purchases")),
        ),
    }


def _program(reader: Reader, told: Told, program: int | None) -> dict[str, Any]:
    if program is None:
        return {}
    last_day = told.calendar_day("tier_expiry_date")
    fields = said(
        name=told.member("program_name"),
        tier_number=told.whole("tier_number"),
        tier_name=told.member("tier_name"),
        tier_expiry=reader.end_of_day({"date": last_day}, "date", "tier_expiry_date"),
        **{name: plain(told.number(column)) for name, column in _BALANCES.items()},
    )
    return {f"program.{program}.{name}": value for name, value in fields.items()}


def _subscriptions(told: Told) -> Iterator[dict[str, Any]]:
    for channel in _CHANNELS:
        for priority in PRIORITIES:
            status = told.member(f"consent_{channel}_{priority.lower()}")
            yield {"channel": channel, "priority": priority, "status": status}


def _pairs(told: Told, names: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [{"key": name, "value": told.text(name)} for name in names.get(told.template, ())]
