"""One record: an event to deliver, or the reason why it is none.

Belongs here: everything that is decided by the record alone. Does not belong here: what depends on other records, as
whether it is the first of its key, and writing the outcome (`raw.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import orjson

from capillary_adobe.capillary.catalogue import EventType, shipped_catalogue
from capillary_adobe.capillary.envelope import Envelope, NotAnEvent, unwrap
from capillary_adobe.capillary.history_line import is_history_line, of_rows, read_history_line
from capillary_adobe.capillary.insights.watermark import Watermark
from capillary_adobe.capillary.keys import event_key, shared_name
from capillary_adobe.capillary.person import NotDelivered, customer_id
from capillary_adobe.landing import Record
from capillary_adobe.landing.store import latest_event_ms
from capillary_adobe.settings import CapillarySettings, Lane
from capillary_adobe.state import Place


class Candidate(NamedTuple):
    """An event to deliver, before it is known whether it is the first of its key: a row without its slice.

    It holds no parsed payload: ten thousand of those waiting for a ruling took 0.4 GB and kept the collector busy.
    """

    lane: Lane
    object: str
    line: int
    part: int
    landed_ms: int
    event_key: str
    event_name: str
    event_id: str | None
    org_id: int
    created_ms: int
    ref_id: str | None
    api_request_id: str | None
    loyalty_event_id: str | None
    event_log_id: int | None
    customer_id: str
    envelope: str
    data: bytes

    @property
    def place(self) -> Place:
        """Where it landed."""
        return Place(self.object, self.line, self.part)


class Origin(NamedTuple):
    """Where and when a record landed."""

    lane: Lane
    key: str
    stored_ms: int


class Sorting:
    """What the settings, the mapping and the watermark let pass."""

    def __init__(
        self,
        settings: CapillarySettings,
        mapped: Collection[str],
        known: Callable[[str], EventType | None] | None = None,
        watermark: Watermark | None = None,
    ) -> None:
        self._settings = settings
        self._mapped = mapped
        self._known = known or shipped_catalogue().find
        self._watermark = watermark or Watermark()

    def event(self, record: Record, lane: Lane) -> tuple[EventType, Envelope]:
        """What a record is.

        Raises:
            NotAnEvent: it cannot be read, is in no envelope, names an event that nobody knows, or is a row that its import
                refused.
        """
        if record.problem is not None:
            raise NotAnEvent(record.problem, "The record could not be read.")
        from_rows = lane == "history" and is_history_line(record.value)
        envelope = read_history_line(record.value) if from_rows else unwrap(record.value)
        event_type = self._known(envelope.event_name)
        if event_type is None:
            detail = "The catalogue has no event type of this name."
            raise _of_its_rows(NotAnEvent("event_unknown", detail, envelope.event_name), envelope)
        return event_type, envelope

    def candidate(self, origin: Origin, record: Record, event_type: EventType, envelope: Envelope) -> Candidate:
        """The event to deliver.

        Raises:
            NotAnEvent: codes `time_in_future`, `customer_missing`, `customer_masked`, `no_watermark` and `not_storable`.
            NotDelivered: it is deliberately not delivered.
        """
        try:
            return self._candidate(origin, record, event_type, envelope)
        except NotAnEvent as refused:
            raise _of_its_rows(refused, envelope) from refused

    def _candidate(self, origin: Origin, record: Record, event_type: EventType, envelope: Envelope) -> Candidate:
        latest_ms = min(latest_event_ms(origin.key), origin.stored_ms)
        if envelope.created_ms > latest_ms + self._settings.clock_skew_seconds * 1000:
            raise NotAnEvent("time_in_future", "createdAt lies after the landing.", event_type.name)
        customer = customer_id(event_type, envelope.data)
        if event_type.name not in self._mapped and not self._settings.deliver_other_events:
            raise NotDelivered("no_mapping")
        by_log_number = self._watermark.shares_log_number(event_type.name)
        shared = shared_name(event_type, envelope, customer if by_log_number else None)
        if shared is None:
            self._watermark.cut(event_type.name, envelope.created_ms, exported=envelope.export is not None)
        try:
            data = orjson.dumps(envelope.data)
            key = event_key(event_type, envelope, shared)
        except TypeError as error:
            raise NotAnEvent("not_storable", "The event cannot be written as JSON again.", event_type.name) from error
        return Candidate(
            lane=origin.lane,
            object=origin.key,
            line=record.line,
            part=record.part,
            landed_ms=origin.stored_ms,
            event_key=key,
            event_name=event_type.name,
            event_id=envelope.event_id,
            org_id=envelope.org_id,
            created_ms=envelope.created_ms,
            ref_id=envelope.ref_id,
            api_request_id=envelope.api_request_id,
            loyalty_event_id=envelope.loyalty_event_id,
            event_log_id=envelope.event_log_id,
            customer_id=customer,
            envelope=envelope.shape,
            data=data,
        )


def _of_its_rows(refused: NotAnEvent, envelope: Envelope) -> NotAnEvent:
    return refused if envelope.export is None else of_rows(refused, envelope.export.rows)
