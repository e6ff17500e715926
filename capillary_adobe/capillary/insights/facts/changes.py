"""Changes of tiers and merges: what they say of customers at their own moments.

Belongs here: making of an exported change the facts that the road makes of the same event later. Does not belong here: the
events (`events.tiers`, `events.merges`), what an event says (`profiles.facts_from_events`).

The facts are merged when a file is imported, before any day of it is worked on, and once more as the event comes by: both
have one stamp and say the same, so that the second changes nothing.
"""

from __future__ import annotations

from typing import Final

import orjson

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import Export, unwrap
from capillary_adobe.capillary.history_line import SHAPE
from capillary_adobe.capillary.insights.events import merges, tiers
from capillary_adobe.capillary.insights.events.reading import Told
from capillary_adobe.capillary.insights.model import Exported, RowIgnored
from capillary_adobe.capillary.keys import event_key
from capillary_adobe.profiles.document import Facts
from capillary_adobe.profiles.facts_from_events import facts_of_event
from capillary_adobe.settings.customers import ProfileSettings

_EVENTS_OF: Final = {"tiers": tiers.events_of, "merges": merges.events_of}
# Decides about events of accounts alone.
_ERASURE_LABEL: Final = ""


def facts_of(told: Told, _exported_ms: int, settings: ProfileSettings) -> list[Facts]:
    """What the change of a row says of its customer, as of the change; nothing where it changes nothing.

    Raises:
        RowRefused: no event can be made of the row.
    """
    try:
        (event,) = _EVENTS_OF[told.template]([told])
    except RowIgnored:
        return []
    return facts_of_event(_raw_row(event, told), settings, _ERASURE_LABEL, told.context.zone).facts


def _raw_row(event: Exported, told: Told) -> dict[str, object]:
    """What of the event's row of `raw_events` its facts depend on."""
    flat = {
        "eventName": event.event_name,
        "orgId": told.context.org_id,
        "createdAt": event.created_ms,
        "eventLogId": event.event_log_id,
        "data": event.data,
    }
    envelope = unwrap(flat).as_export(SHAPE, Export(event.key, ""))
    event_type = shipped_catalogue().find(event.event_name)
    assert event_type is not None  # noqa: S101 - the catalogue has all of them
    return {
        "event_name": event.event_name,
        "event_key": event_key(event_type, envelope),
        "event_log_id": envelope.event_log_id,
        "created_ms": envelope.created_ms,
        "org_id": envelope.org_id,
        "customer_id": str(told.customer_id()),
        "data": orjson.dumps(event.data).decode(),
    }
