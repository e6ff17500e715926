"""Delivery of profiles: of each customer the newest record, and never one that is older than what AEP may have.

Belongs here: which records of a slice may leave, under the lock that all writers of profiles share, and settling them.
Does not belong here: making records (`xdm.profiles`), the requests themselves (`streaming.py`), what is known of open
records (`state.open_profiles`), the table of outcomes (`profile_status.py`).

A record replaces all that AEP holds of the customer from this dataset, and AEP promises no order. So writers take turns;
each notes what is about to leave before it does; a record that is not newer than everything that may have left before
stays here for good; and one that is newer waits until the last one has had the time that PROFILE_SPACING_SECONDS gives it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.delivery import INLET
from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.hold import Entities
from capillary_adobe.adobe.messages import Envelope, Message
from capillary_adobe.adobe.streaming import Dataset, Streaming
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.pacing import Limits, Pacer, Turn, Verdict
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.settings import AdobeSettings, Lane
from capillary_adobe.state import DayReceipts, Fate, Outcome, Receipts, State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.open_profiles import NOBODY, OpenProfiles, ProfileRow, Standing
from capillary_adobe.state.pace import CLOCK_SLACK_SECONDS

PROFILES = "profiles"
"""The kind of these records in receipts and tables, and the name of the lock that their writers share."""
NEXT = "profiles-next"
"""The lock of who is next, so that a writer of many chunks lets others come between."""

_KEYS = ["org_id", "customer_id", "revision"]
_LIVE_CHUNK = 2000
# One request: whoever sends history holds the lock no longer than that takes.
_HISTORY_CHUNK = 500
_HISTORY_BUDGET_SECONDS = 10.0
# Beyond what the clocks of several machines differ by, one was set back, and nobody waits until it has caught up.
_CLOCK_SLACK_MS = round(CLOCK_SLACK_SECONDS * 1000)


class _Record(NamedTuple):
    row: ProfileRow
    message: Message


@dataclass
class _Chunk:
    """What is known of the records that are under way together; written to by every connection."""

    day: str
    open: OpenProfiles
    customers: Customers
    clock: Callable[[], float]
    rows: dict[str, ProfileRow] = field(default_factory=dict)
    blamed: dict[str, ProfileRow] = field(default_factory=dict)
    """Records of this and of earlier chunks whose request AEP refused whole; the end shows whose fault that was."""
    final: list[ProfileRow] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def leaving(self, messages: Sequence[Message]) -> None:
        """Note what is about to leave."""
        self.open.leave(self.day, [self.rows[message.id] for message in messages], _ms(self.clock))

    def settled(self, messages: Sequence[Message], fates: Sequence[Fate]) -> None:
        """Remember which records have a final outcome."""
        with self.lock:
            for message, fate in zip(messages, fates, strict=True):
                row = self.rows.get(message.id) or self.blamed[message.id]
                if fate in (Fate.ACCEPTED, Fate.REJECTED):
                    self.final.append(row)
                elif fate is Fate.FAILED:
                    self.blamed[message.id] = row

    def settle(self) -> None:
        """Note them as settled: what was sent may be followed by a newer one only after the spacing."""
        with self.lock:
            final, self.final = self.final, []
        if final:
            self.customers.settle(final, _ms(self.clock), by_day=self.day)


class ProfileDelivery:
    """Delivers to the profiles dataset; the caller holds the day's lock."""

    def __init__(
        self,
        settings: AdobeSettings,
        state: State,
        token: AccessToken | None = None,
        clock: Callable[[], float] = time.time,
        *,
        spacing_seconds: float = 30.0,
    ) -> None:
        self._settings = settings
        self._state = state
        self._token = token or AccessToken(settings)
        self._clock = clock
        self._spacing_ms = round(spacing_seconds * 1000)
        self._receipts = Receipts(state)
        self._open = OpenProfiles(state)
        self._customers = Customers(state)

    def deliver(
        self,
        day: str,
        read: Entities,
        lane: Lane,
        progress: Callable[[str], None],
        counts: DeliveryCounts | None = None,
    ) -> DeliveryCounts:
        """Send the records of a slice of `xdm_profiles` that may leave; `counts` is filled also where delivery stops.

        `read` gives the columns `id`, `org_id`, `customer_id`, `revision` and `entity`. Without a profiles dataset nothing
        is sent.

        Raises:
            PermanentDeliveryError: AEP refuses for a reason that a person must remove.
            TransientDeliveryError: AEP was down or throttling for longer than the retry budget, or a quota is used up.
        """
        counts = DeliveryCounts() if counts is None else counts
        envelope = Envelope.of_profiles(self._settings)
        if envelope is None:
            return counts
        chunk = _Chunk(day, self._open, self._customers, self._clock)
        dataset = Dataset(PROFILES, envelope, chunk.leaving, chunk.settled)
        with self._turn():
            self._take_up(day)
        records = self._unsettled(day, read, counts)
        pacer = self._pacer(lane)
        streaming = Streaming(self._patient(lane), self._state, self._token, pacer, dataset)
        with self._settling(chunk), streaming.opened(day, counts, progress) as send:
            for some in _chunks(records, self._size(lane, pacer)):
                pacer.prepare(len(some), self._settings.retry_budget_seconds)
                with self._turn():
                    if not self._send(some, chunk, counts, send):
                        break
        return counts

    def _send(
        self, records: list[_Record], chunk: _Chunk, counts: DeliveryCounts, send: Callable[[Iterable[Message]], bool]
    ) -> bool:
        """Send those that may leave now, and settle them before any other writer has its turn."""
        going = list(self._may_leave(records, counts))
        chunk.rows = {record.message.id: record.row for record in going}
        try:
            return send([record.message for record in going])
        finally:
            chunk.settle()

    @contextmanager
    def _settling(self, chunk: _Chunk) -> Iterator[None]:
        """Settle also what is judged at the very end: records of requests that AEP refused whole."""
        try:
            yield
        finally:
            chunk.settle()

    def _may_leave(self, records: list[_Record], counts: DeliveryCounts) -> Iterator[_Record]:
        keys = {record.row.key for record in records}
        standings = self._open.standings(keys)
        if self._settle_left_behind(keys, standings):
            standings = self._open.standings(keys)
        now_ms = _ms(self._clock)
        for record in records:
            revision = record.row.revision
            standing = standings.get(record.row.key, NOBODY)
            if standing.supersedes(revision):
                counts.outcomes[Outcome.SUPERSEDED] += 1
            elif revision > standing.last_revision and -_CLOCK_SLACK_MS <= now_ms - standing.last_ms < self._spacing_ms:
                # It stays pending, and goes with a later run, or a newer one does.
                counts.outcomes[Outcome.PENDING] += 1
            else:
                yield record

    def _settle_left_behind(self, keys: Iterable[CustomerKey], standings: dict[CustomerKey, Standing]) -> bool:
        """Settle what AEP has answered for, where a run was killed before it could; whether there was any.

        Nobody else sends meanwhile, so what has left and is not settled belongs to runs that are over.
        """
        by_day: dict[str, list[ProfileRow]] = {}
        for key in keys:
            for sending in standings.get(key, NOBODY).sendings:
                by_day.setdefault(sending.day, []).append(ProfileRow(key, sending.revision))
        found = 0
        for day, rows in by_day.items():
            found += self._settle_answered(day, rows, self._receipts.of_day(day, PROFILES))
        return found > 0

    def _take_up(self, day: str) -> None:
        """The same for a day, whose records may be none of those that are looked at now."""
        rows = self._open.of_day(day)
        if rows:
            self._settle_answered(day, rows, self._receipts.of_day(day, PROFILES))

    def _settle_answered(self, day: str, rows: list[ProfileRow], receipts: DayReceipts) -> int:
        states = receipts.known([row.id for row in rows])
        answered = [row for row, known in zip(rows, states, strict=True) if known and known.settled]
        if answered:
            self._customers.settle(answered, _ms(self._clock), by_day=day)
        return len(answered)

    def _unsettled(self, day: str, read: Entities, counts: DeliveryCounts) -> Iterator[_Record]:
        """The records without an outcome of their own, of each customer the newest."""
        known = self._receipts.of_day(day, PROFILES)
        older = older_rows(read)
        for batch in read(["id", *_KEYS, "entity"]):
            ids = batch.column("id").to_pylist()
            columns = (batch.column(name).to_pylist() for name in _KEYS)
            texts = batch.column("entity").cast(pa.binary())
            for place, (id_, state, org, customer, revision) in enumerate(
                zip(ids, known.known(ids), *columns, strict=True)
            ):
                row = ProfileRow(CustomerKey(org, customer), revision)
                if state is not None and state.settled:
                    counts.already_settled += 1
                elif row in older:
                    counts.outcomes[Outcome.SUPERSEDED] += 1
                else:
                    yield _Record(row, Message(id_, texts[place].as_py()))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The turn of one writer; those who wait for theirs get it before this one gets its next."""
        with ExitStack() as held:
            with self._state.day_lock(NEXT):
                held.enter_context(self._state.day_lock(PROFILES))
            yield

    def _pacer(self, lane: Lane) -> _PreparedPacer:
        limits = Limits(self._settings.max_requests_per_second, self._settings.max_records_per_second)
        return _PreparedPacer(self._state, limits, lane, self._clock)

    def _patient(self, lane: Lane) -> AdobeSettings:
        """History holds up the other writers no longer than a short while; what it could not send goes with its next run."""
        if lane == "live":
            return self._settings
        budget = min(self._settings.retry_budget_seconds, _HISTORY_BUDGET_SECONDS)
        return self._settings.model_copy(update={"retry_budget_seconds": budget})

    def _size(self, lane: Lane, pacer: Pacer) -> int:
        if lane == "live":
            return _LIVE_CHUNK
        return min(_HISTORY_CHUNK, pacer.records_per_request or _HISTORY_CHUNK)


def foreseen(state: State, day: str, read: Entities) -> tuple[int, int, int]:
    """How many records a slice has, how many a delivery would send, and how many are superseded; changes nothing."""
    known, register, older = Receipts(state).of_day(day, PROFILES), OpenProfiles(state), older_rows(read)
    every = going = superseded = 0
    for batch in read(["id", *_KEYS]):
        ids, *columns = (column.to_pylist() for column in batch.columns)
        rows = [
            ProfileRow(CustomerKey(org, customer), revision) for org, customer, revision in zip(*columns, strict=True)
        ]
        states = known.known(ids)
        unsettled = [row for row, one in zip(rows, states, strict=True) if one is None or not one.settled]
        standings = register.standings({row.key for row in unsettled})
        gone = sum(row in older or standings.get(row.key, NOBODY).supersedes(row.revision) for row in unsettled)
        every, going, superseded = every + len(rows), going + len(unsettled) - gone, superseded + gone
    return every, going, superseded


class _PreparedPacer(Pacer):
    """Turns at the inlet, which history takes before it holds up the other writers of profiles."""

    def __init__(self, state: State, limits: Limits, lane: Lane, clock: Callable[[], float]) -> None:
        super().__init__(state, INLET, limits, "live", clock)
        self._before = Pacer(state, INLET, limits, "history", clock) if lane == "history" else None
        self._taken = 0

    def prepare(self, records: int, seconds: float) -> None:
        """Wait for the turn of one request, at most so many seconds.

        Raises:
            TransientDeliveryError: it does not come in that time.
        """
        if self._before is None:
            return
        turn = self._before.take(records, threading.Event(), time.monotonic() + seconds)
        if not turn:
            raise TransientDeliveryError(
                f"{turn.words}, so no more profiles of the past can be sent now. They stay pending; the next run sends them."
            )
        self._taken = 1

    def take(self, records: int, stopping: threading.Event, deadline: float) -> Turn:
        """The prepared turn, else one as live work has it."""
        if self._taken:
            self._taken = 0
            return Turn(Verdict.GRANTED)
        return super().take(records, stopping, deadline)


def older_rows(read: Entities) -> set[ProfileRow]:
    """Records of the work of whose customer it has a newer one."""
    columns: list[list[np.ndarray]] = [[], [], []]
    for batch in read(_KEYS):
        for parts, name in zip(columns, _KEYS, strict=True):
            parts.append(batch.column(name).to_numpy(zero_copy_only=False))
    if not columns[0]:
        return set()
    org, customer, revision = (np.concatenate(parts) for parts in columns)
    order = np.lexsort((revision, customer, org))
    org, customer, revision = org[order], customer[order], revision[order]
    followed = (org[1:] == org[:-1]) & (customer[1:] == customer[:-1]) & (revision[1:] > revision[:-1])
    places = np.flatnonzero(followed)
    return {ProfileRow(CustomerKey(int(org[at]), int(customer[at])), int(revision[at])) for at in places}


def _chunks(records: Iterator[_Record], size: int) -> Iterator[list[_Record]]:
    """Records in chunks, none with two of one customer."""
    some: list[_Record] = []
    keys: Counter[CustomerKey] = Counter()
    for record in records:
        if len(some) == size or keys[record.row.key]:
            yield some
            some, keys = [], Counter()
        some.append(record)
        keys[record.row.key] += 1
    if some:
        yield some


def _ms(clock: Callable[[], float]) -> int:
    return round(clock() * 1000)
