"""Delivery: every entity of a slice sent once, by the lane that suits it.

Belongs here: what is still to be sent, and the choice between streaming and batches. Does not belong here: the lanes
themselves (`streaming.py`, `batch_lane.py`) and the table of outcomes (`status.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from capillary_adobe.adobe.batch_lane import BatchLane
from capillary_adobe.adobe.batch_verdict import FAILED_UNNAMED
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.errors import DeliveryError
from capillary_adobe.adobe.hold import Entities, nothing
from capillary_adobe.adobe.messages import Message
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.streaming import Streaming
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.pacing import AEP_INLET, Limits, Pacer
from capillary_adobe.settings import AdobeSettings, Lane
from capillary_adobe.state import DayReceipts, Receipts, SentBatches, State

Route = Literal["streaming", "batch"]
ChosenRoute = Literal["auto", "streaming", "batch"]
_FAILED_UNNAMED_TWICE = 2
_DAY_MS = 86_400_000
INLET = AEP_INLET
"""The name under which the inlet's pace is shared."""


@dataclass(frozen=True)
class Work:
    """Entities of one landing day to deliver; live work comes before history's where the quota is short.

    With `only`, none but the entities of these ids are looked at. `whole_day` reads all entities of the day where the work
    is about a part of it: a batch that was left open may hold others. Neither has those that are `held` back for the day,
    which are here only to keep them from leaving with such a batch, and to be counted.
    """

    day: str
    entities: Entities
    lane: Lane = "live"
    route: ChosenRoute = "auto"
    only: frozenset[str] | None = None
    whole_day: Entities | None = None
    held: Entities = nothing

    def wants(self, id_: str) -> bool:
        """Whether the work is about this entity."""
        return self.only is None or id_ in self.only


class Delivery:
    """Delivers to the events dataset; the caller holds the day's lock."""

    def __init__(
        self,
        settings: AdobeSettings,
        state: State,
        token: AccessToken | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._state = state
        self._token = token or AccessToken(settings)
        self._receipts = Receipts(state)

    def deliver(
        self, work: Work, progress: Callable[[str], None], counts: DeliveryCounts | None = None
    ) -> DeliveryCounts:
        """Send the entities whose outcome is open; `counts` is filled also where delivery stops.

        Raises:
            PermanentDeliveryError: AEP refuses for a reason that a person must remove.
            TransientDeliveryError: AEP was down or throttling for longer than the retry budget, or a quota is used up.
        """
        counts = DeliveryCounts() if counts is None else counts
        batches = BatchLane(self._settings, self._state, Platform(self._settings, self._token))
        problem: DeliveryError | None = None
        if work.lane != "live" and work.only is None:
            # A live micro-batch does not wait for what history has under way.
            try:
                batches.judge_open(work.day, counts, progress)
            except DeliveryError as error:
                # A batch that is stuck at AEP holds up none of the others.
                problem = error
        if work.route == "streaming" and work.only is None:
            batches.abandon_open(work.day, counts)
        route = route_of(self._settings, self._state, work)
        if route == "batch":
            if batches.has_uploaded(work.day, work.held):
                batches.abandon_open(work.day, counts)
            batches.send(
                work.day,
                lambda: _messages((work.whole_day or work.entities)(["id", "entity"])),
                lambda: self._unsettled(work, DeliveryCounts()),
                counts,
                progress,
            )
        else:
            self._stream(work, counts, progress)
        if problem is not None:
            raise problem
        return counts

    def _stream(self, work: Work, counts: DeliveryCounts, progress: Callable[[str], None]) -> None:
        limits = Limits(self._settings.max_requests_per_second, self._settings.max_records_per_second)
        pacer = Pacer(self._state, INLET, limits, work.lane, self._clock)
        streaming = Streaming(self._settings, self._state, self._token, pacer)
        streaming.send(work.day, self._unsettled(work, counts), counts, progress)

    def _unsettled(self, work: Work, counts: DeliveryCounts) -> Iterator[Message]:
        known = self._receipts.of_day(work.day)
        for batch in work.entities(["id", "entity"]):
            wanted = to_send(work, known, batch)
            counts.already_settled += batch.num_rows - sum(wanted)
            yield from (message for message, send in zip(_messages([batch]), wanted, strict=True) if send)


def route_of(settings: AdobeSettings, state: State, work: Work) -> Route:
    """The lane that the work takes: streaming for live events and small numbers, batches for the rest."""
    if work.route != "auto":
        return work.route
    if work.lane == "live":
        return "streaming"
    if work.only is None and any(batch.completed_ms is None for batch in SentBatches(state).open(work.day)):
        # What a killed run had begun is taken up where it was left.
        return "batch"
    yesterday_ms = time.time_ns() // 1_000_000 - _DAY_MS
    if SentBatches(state).ended_as(work.day, FAILED_UNNAMED, yesterday_ms) >= _FAILED_UNNAMED_TWICE:
        # One bad row can fail a batch for ever without a name; the inlet's later verdict names it.
        return "streaming"
    known = Receipts(state).of_day(work.day)
    open_ = 0
    for batch in work.entities(["id"]):
        open_ += sum(to_send(work, known, batch))
        if open_ >= settings.batch_from_entities:
            return "batch"
    return "streaming"


def to_send(work: Work, known: DayReceipts, batch: pa.RecordBatch) -> list[bool]:
    """For each entity of a batch (column `id`) whether it is to be sent."""
    ids = batch.column("id").to_pylist()
    states = known.known(ids)
    return [(state is None or not state.settled) and work.wants(id_) for id_, state in zip(ids, states, strict=True)]


def _messages(batches: Iterable[pa.RecordBatch]) -> Iterator[Message]:
    for batch in batches:
        texts = batch.column("entity").cast(pa.binary())
        for place, id_ in enumerate(batch.column("id").to_pylist()):
            yield Message(id_, texts[place].as_py())
