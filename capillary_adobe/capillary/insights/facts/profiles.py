"""Profiles of other sources: what they know of a customer whom the organisation's own shops may know better.

Belongs here: which column is which field of the document. Does not belong here: when it was true (`stamps.py`).

A name or contact of a source fills a gap and never replaces what anybody else has said, so it is older than everything that
has a time. Accounts, devices and the sources' own ids have no place in a document and are left out.
Source: docs.capillarytech.com/docs/profiles-2-standard-export-template
"""

from __future__ import annotations

from typing import Final

from capillary_adobe.capillary.insights.events.reading import Told, said
from capillary_adobe.capillary.insights.facts.stamps import stamp_beneath
from capillary_adobe.profiles.document import CustomerKey, Facts
from capillary_adobe.profiles.facts_from_events import KNOWN
from capillary_adobe.profiles.reading import Reader
from capillary_adobe.settings.customers import ProfileSettings

_COLUMNS: Final = {
    "first_name": ("first_name",),
    "last_name": ("last_name",),
    "email": ("id_email", "channel_email"),
    "mobile": ("id_mobile", "channel_mobile"),
    "external_id": ("id_external",),
}


def facts_of(told: Told, exported_ms: int, _settings: ProfileSettings) -> list[Facts]:
    """What a row says of its customer.

    Raises:
        RowRefused: the customer's number is missing, masked or cannot be read.
    """
    reader = Reader(told.context.zone)
    fields = {name: _first(reader, told, columns) for name, columns in _COLUMNS.items()}
    key = CustomerKey(told.context.org_id, told.customer_id())
    return [Facts(key, stamp_beneath(exported_ms), {KNOWN: True, **said(**fields)})]


def _first(reader: Reader, told: Told, columns: tuple[str, ...]) -> str | None:
    values = (reader.of_person(told.text(column), column) for column in columns)
    return next((value for value in values if value is not None), None)
