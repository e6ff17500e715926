"""Delivery: every entity of a slice, or of the days of a run, sent once, by the lane that suits it.

Belongs here: what is still to be sent, and the choice between streaming and batches. Does not belong here: the lanes
themselves (`streaming.py`, `batch_lane.py`) and the table of outcomes (`status.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from capillary_adobe.adobe.batch_filling import DayToSend
from capillary_adobe.adobe.batch_judging import Failures
from capillary_adobe.adobe.batch_lane import BatchLane
from capillary_adobe.adobe.batch_verdict import FAILED_UNNAMED
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.errors import DeliveryError, TransientDeliveryError
from capillary_adobe.adobe.hold import Entities, nothing
from capillary_adobe.adobe.messages import Message
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.streaming import Streaming
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.pacing import AEP_INLET, AEP_PLATFORM, Limits, Pacer
from capillary_adobe.settings import AdobeSettings, Lane
from capillary_adobe.state import DayReceipts, Receipts, SentBatches, State
from capillary_adobe.state.failed_calls import FailedCalls

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


WorkOf = Callable[[str], Work | None]
"""The work of any day; None where nothing of it can be read."""


def nowhere(_day: str) -> Work | None:
    """Where no other day can be read."""
    return None


class Delivery:
    """Delivers to the events dataset."""

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
        self, work: Work, progress: Callable[[str], None], counts: DeliveryCounts | None = None, other: WorkOf = nowhere
    ) -> DeliveryCounts:
        """Send the entities of a day whose outcome is open; `counts` is filled also where delivery stops.

        The caller holds the day's lock. `other` gives the work of any other day, which is read where a batch that was left
        open holds files of it.

        Raises:
            PermanentDeliveryError: AEP refuses for a reason that a person must remove.
            TransientDeliveryError: AEP was down or throttling for longer than the retry budget, or a quota is used up.
        """
        counts = DeliveryCounts() if counts is None else counts
        run = _Run({work.day: work}, {work.day: counts}, other, lambda _: nullcontext(), progress)
        failures = self._deliver(run)
        if work.day in failures:
            raise failures[work.day]
        return counts

    def deliver_days(
        self, works: Sequence[Work], progress: Callable[[str], None], counts: dict[str, DeliveryCounts], other: WorkOf
    ) -> Failures:
        """Send the entities of several days whose outcome is open, by batches that they share; the failures by day.

        Each day's lock is taken while the day is read, and by nobody else of this run: the caller holds none. `counts` gets
        the counts of each day. A day that fails stops no other, unless what stopped it would stop them, too.
        """
        for work in works:
            counts.setdefault(work.day, DeliveryCounts())
        return self._deliver(_Run({work.day: work for work in works}, counts, other, self._state.day_lock, progress))

    def _deliver(self, run: _Run) -> Failures:
        platform = Platform(self._settings, self._token, failed_calls=FailedCalls(self._state, AEP_PLATFORM))
        lane = BatchLane(self._settings, self._state, platform)
        # A live micro-batch does not wait for what history has under way.
        past = [day for day, work in run.works.items() if work.lane != "live" and work.only is None]
        # A batch that is stuck at AEP holds up none of the others.
        failures = lane.look(past, run.counts_of, run.progress)
        stopped = self._abandon(run, lane)
        routes = routes_of(self._settings, self._state, list(run.works.values()))
        going = [work for day, work in run.works.items() if day not in stopped]
        self._stream_all(run, [work for work in going if routes[work.day] == "streaming"], stopped)
        batched = [self._sending(run, work) for work in going if routes[work.day] == "batch"]
        if batched:
            stopped |= lane.send(batched, lambda day: self._any_day(run, day), run.counts_of, run.progress)
        streamed = [day for day in past if routes[day] == "streaming"]
        return failures | lane.look(streamed, run.counts_of, run.progress, wait=True) | stopped

    def _abandon(self, run: _Run, lane: BatchLane) -> Failures:
        """Give up what was left open of days that are to be streamed on purpose."""
        failures = Failures()
        for day, work in run.works.items():
            if work.route == "streaming" and work.only is None:
                try:
                    with run.locked(day):
                        lane.abandon_open(day, run.counts_of, run.progress)
                except DeliveryError as error:
                    failures[day] = error
        return failures

    def _stream_all(self, run: _Run, works: Sequence[Work], failures: Failures) -> None:
        away: TransientDeliveryError | None = None
        for work in works:
            try:
                with run.locked(work.day):
                    if away is None:
                        self._stream(work, run.counts_of(work.day), run.progress)
                    elif next(self._unsettled(work, DeliveryCounts()), None) is not None:
                        # AEP has just been asked for as long as the retry budget allows.
                        failures[work.day] = away
            except TransientDeliveryError as error:
                away = failures[work.day] = error
            except DeliveryError as error:
                failures[work.day] = error

    def _stream(self, work: Work, counts: DeliveryCounts, progress: Callable[[str], None]) -> None:
        limits = Limits(self._settings.max_requests_per_second, self._settings.max_records_per_second)
        pacer = Pacer(self._state, INLET, limits, work.lane, self._clock)
        streaming = Streaming(self._settings, self._state, self._token, pacer)
        streaming.send(work.day, self._unsettled(work, counts), counts, progress)

    def _any_day(self, run: _Run, day: str) -> DayToSend | None:
        work = run.works.get(day) or run.other(day)
        return self._sending(run, work) if work is not None else None

    def _sending(self, run: _Run, work: Work) -> DayToSend:
        return DayToSend(
            work.day,
            lambda: _messages((work.whole_day or work.entities)(["id", "entity"])),
            lambda: self._unsettled(work, DeliveryCounts()),
            work.held,
            lambda: run.locked(work.day),
        )

    def _unsettled(self, work: Work, counts: DeliveryCounts) -> Iterator[Message]:
        known = self._receipts.of_day(work.day)
        for batch in work.entities(["id", "entity"]):
            wanted = to_send(work, known, batch)
            counts.already_settled += batch.num_rows - sum(wanted)
            yield from (message for message, send in zip(_messages([batch]), wanted, strict=True) if send)


@dataclass(frozen=True)
class _Run:
    """The days of a run, what becomes of each, how one is locked while it is read, and where other days are found."""

    works: Mapping[str, Work]
    counts: Mapping[str, DeliveryCounts]
    other: WorkOf
    locked: Callable[[str], AbstractContextManager[None]]
    progress: Callable[[str], None]

    def counts_of(self, day: str) -> DeliveryCounts:
        """The counts of a day; those of a day that the run is not about are nobody's."""
        return self.counts.get(day) or DeliveryCounts()


def route_of(settings: AdobeSettings, state: State, work: Work) -> Route:
    """The lane that the work takes by itself."""
    return routes_of(settings, state, [work])[work.day]


def routes_of(settings: AdobeSettings, state: State, works: Sequence[Work]) -> dict[str, Route]:
    """The lane that each work of a run takes: streaming for live events and small numbers, batches for the rest.

    All days of a run are counted together: those that are small alone share a batch.
    """
    routes: dict[str, Route] = {}
    free: list[Work] = []
    for work in works:
        if work.route != "auto":
            routes[work.day] = work.route
        elif work.lane == "live" or _fails_unnamed(state, work.day):
            routes[work.day] = "streaming"
        else:
            free.append(work)
    chosen: Route = "batch" if _wants_batch(settings, state, free) else "streaming"
    routes |= {work.day: chosen for work in free}
    return routes


def _fails_unnamed(state: State, day: str) -> bool:
    """Whether one bad row fails a batch for ever without a name: the inlet's later verdict names it."""
    if SentBatches(state).unfinished(day):
        return False
    yesterday_ms = time.time_ns() // 1_000_000 - _DAY_MS
    return SentBatches(state).ended_as(day, FAILED_UNNAMED, yesterday_ms) >= _FAILED_UNNAMED_TWICE


def _wants_batch(settings: AdobeSettings, state: State, works: Sequence[Work]) -> bool:
    # What a killed run had begun is taken up where it was left.
    if any(work.only is None and SentBatches(state).unfinished(work.day) for work in works):
        return True
    open_ = 0
    for work in works:
        known = Receipts(state).of_day(work.day)
        for batch in work.entities(["id"]):
            open_ += sum(to_send(work, known, batch))
            if open_ >= settings.batch_from_entities:
                return True
    return False


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
