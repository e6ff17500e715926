"""Delivery: every entity of a slice sent once, with a durable receipt for each request.

Belongs here: choosing what is still to be sent, several requests in flight, receipts, when to stop. Does not belong
here: one request's fate (`inlet.py`) and the table of outcomes (`status.py`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import pyarrow as pa

from capillary_adobe.adobe.errors import DeliveryError, PermanentDeliveryError
from capillary_adobe.adobe.inlet import Inlet, Settle, Settled
from capillary_adobe.adobe.messages import Message
from capillary_adobe.adobe.pacing import Pacer
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Outcome, Receipt, Receipts, State
from capillary_adobe.state.receipts import DayReceipts

# Requests that AEP answered and of which it took nothing, in a row from the start, before delivery gives up: with the
# wrong organisation or dataset every message is refused, and that must not condemn a whole day.
_REFUSED_IN_A_ROW = 3


@dataclass
class DeliveryCounts:
    """What a run sent."""

    sent: int = 0
    requests: int = 0
    bytes: int = 0
    already_settled: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


class Delivery:
    """The streaming lane of the events dataset."""

    def __init__(self, settings: AdobeSettings, state: State) -> None:
        self._settings = settings
        self._receipts = Receipts(state)
        self._stopping = threading.Event()
        pacer = Pacer(settings.max_requests_per_second, settings.max_records_per_second)
        self._inlet = Inlet(settings, AccessToken(settings), pacer, self._stopping)

    def deliver(self, day: str, entities: Iterable[pa.RecordBatch], progress: Callable[[str], None]) -> DeliveryCounts:
        """Send the entities (columns `id` and `entity`) that have no final outcome yet.

        Raises:
            PermanentDeliveryError: AEP refuses for a reason that a person must remove.
            TransientDeliveryError: AEP was down or throttling for longer than the retry budget.
        """
        self._stopping.clear()
        book = _Book(day, self._receipts, self._inlet.target, self._stopping)
        unsettled = _unsettled(entities, self._receipts.of_day(day), book.counts)
        requests = self._inlet.envelope.pack(unsettled, self._settings.max_request_bytes)
        for _ in self._send_all(requests, book.settle):
            progress(f"{book.counts.sent} entities sent in {book.counts.requests} requests")
        book.close()
        return book.counts

    def _send_all(self, requests: Iterator[list[Message]], settle: Settle) -> Iterator[None]:
        """Send, as many requests in flight as there are connections; yields when one of them is settled."""
        connections = self._settings.connections
        with ThreadPoolExecutor(connections, thread_name_prefix="inlet") as pool:
            flying: set[Future[None]] = set()
            try:
                for messages in requests:
                    if self._stopping.is_set():
                        break
                    flying.add(pool.submit(self._inlet.send, messages, settle))
                    if len(flying) >= connections:
                        done, flying = wait(flying, return_when=FIRST_COMPLETED)
                        yield from (future.result() for future in done)
                while flying:
                    done, flying = wait(flying, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            finally:
                # Those still in flight end with the answer they wait for, and are not repeated.
                self._stopping.set()


class _Book:
    """Receipts and counts of one delivery; written to by every connection."""

    def __init__(self, day: str, receipts: Receipts, target: str, stopping: threading.Event) -> None:
        self.counts = DeliveryCounts()
        self._day = day
        self._receipts = receipts
        self._target = target
        self._stopping = stopping
        self._lock = threading.Lock()
        self._refused: list[Settled] = []
        self._stop: DeliveryError | None = None

    def settle(self, settled: Settled) -> None:
        """Note outcomes, durably before anything else is done with them."""
        with self._lock:
            self._record(settled, condemn=not settled.all_refused)
            if settled.http_status is not None:
                self.counts.requests += 1
                self.counts.sent += len(settled.messages)
                self.counts.bytes += sum(len(message.entity) for message in settled.messages)
            self.counts.outcomes.update(settled.outcomes)
            if settled.all_refused:
                self._refused.append(settled)
            self._stop = self._stop or settled.stop
            hopeless = len(self._refused) >= _REFUSED_IN_A_ROW and not self.counts.outcomes[Outcome.ACCEPTED]
            if self._stop is not None or hopeless:
                self._stopping.set()

    def close(self) -> None:
        """Condemn the records of refused requests if AEP took others under the same settings; else blame the settings.

        Raises:
            DeliveryError: delivery stopped, or nothing was taken.
        """
        condemn = bool(self._refused) and self._settings_are_sound()
        if condemn:
            for settled in self._refused:
                self._record(settled, condemn=True)
        if self._stop is not None:
            raise self._stop
        if self._refused and not condemn:
            code, words = self._refused[0].details[0]
            raise PermanentDeliveryError(
                f"AEP refuses every message ({code}: {words}). Nothing was taken, so a setting is more likely wrong than the "
                "records: compare ADOBE_ORG_ID, ADOBE_EVENTS_SCHEMA_ID, ADOBE_EVENTS_DATASET_ID and ADOBE_EVENTS_FLOW_ID "
                "with the sandbox. The entities are kept and sent again by the next run."
            )

    def _settings_are_sound(self) -> bool:
        """Whether AEP has taken an entity in this run, or did before while only a request or two are refused now.

        A lone bad record on a quiet feed would else be blamed on the settings for ever; a dataset that was removed at AEP
        refuses request after request.
        """
        if self.counts.outcomes[Outcome.ACCEPTED]:
            return True
        return len(self._refused) < _REFUSED_IN_A_ROW and self._receipts.accepted_under(self._target)

    def _record(self, settled: Settled, *, condemn: bool) -> None:
        """Store the receipt; a request that nobody answered has none.

        Whose fault it is that a whole request is refused shows at the end; until then it is a failure, sent again.
        """
        if settled.http_status is None:
            return
        outcomes = settled.outcomes if condemn else [Outcome.FAILED] * len(settled.outcomes)
        self._receipts.record(
            Receipt(
                request_id=settled.request_id,
                day=self._day,
                kind="events",
                target=self._target,
                ids=[message.id for message in settled.messages],
                outcomes=outcomes,
                http_status=settled.http_status,
                aep_id=settled.aep_id,
                details=settled.details,
            )
        )


def _unsettled(entities: Iterable[pa.RecordBatch], known: DayReceipts, counts: DeliveryCounts) -> Iterator[Message]:
    final = (Outcome.ACCEPTED, Outcome.REJECTED)
    for batch in entities:
        ids = batch.column("id").to_pylist()
        texts = batch.column("entity").cast(pa.binary())
        for place, (id_, receipt) in enumerate(zip(ids, known.known(ids), strict=True)):
            if receipt is not None and receipt.outcome in final:
                counts.already_settled += 1
            else:
                yield Message(id_, texts[place].as_py())
