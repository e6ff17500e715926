"""The streaming lane: entities in requests to the inlet, several in flight, a durable row for each.

Belongs here: packing, connections, receipts, and when to stop. Does not belong here: one request's fate (`inlet.py`), the
choice between streaming and batches (`delivery.py`) and what must not leave any more (`profile_delivery.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from capillary_adobe.adobe.causes import cause_of
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.adobe.inlet import Inlet, Request, Settled
from capillary_adobe.adobe.messages import Envelope, Message
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.pacing import Pacer
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Detail, Fate, Receipt, Receipts, State

# Requests that AEP answered and of which it took nothing, in a row from the start, before delivery gives up: with the
# wrong organisation or dataset every message is refused, and that must not condemn a whole day.
_REFUSED_IN_A_ROW = 3


def _unwatched(_messages: Sequence[Message]) -> None:
    """Whoever sends events need not know when they leave."""


def _untold(_messages: Sequence[Message], _fates: Sequence[Fate]) -> None:
    """Whoever sends events reads their fates from the receipts."""


@dataclass(frozen=True)
class Dataset:
    """Where messages go: `kind` as the receipts call it and as the settings spell it, ADOBE_<KIND>_*.

    `leaving` is called right before each sending, `settled` as soon as the fates of messages are in the receipts; both from
    any connection's thread.
    """

    kind: Literal["events", "profiles"]
    envelope: Envelope
    leaving: Callable[[Sequence[Message]], None] = _unwatched
    settled: Callable[[Sequence[Message], Sequence[Fate]], None] = _untold

    @property
    def words(self) -> str:
        """What its messages are called in progress messages."""
        return "entities" if self.kind == "events" else self.kind


class Streaming:
    """The streaming lane of one dataset."""

    def __init__(
        self, settings: AdobeSettings, state: State, token: AccessToken, pacer: Pacer, dataset: Dataset | None = None
    ) -> None:
        self._settings = settings
        self._receipts = Receipts(state)
        self._pacer = pacer
        self._stopping = threading.Event()
        self._dataset = dataset or Dataset("events", Envelope.of_events(settings))
        self._inlet = Inlet(settings, token, pacer, self._stopping, self._dataset.envelope)

    def send(
        self, day: str, messages: Iterable[Message], counts: DeliveryCounts, progress: Callable[[str], None]
    ) -> None:
        """Send messages until each has a fate, or delivery stops.

        Raises:
            PermanentDeliveryError: AEP refuses for a reason that a person must remove.
            TransientDeliveryError: AEP was down or throttling for longer than the retry budget.
        """
        with self.opened(day, counts, progress) as send:
            send(messages)

    @contextmanager
    def opened(
        self, day: str, counts: DeliveryCounts, progress: Callable[[str], None]
    ) -> Iterator[Callable[[Iterable[Message]], bool]]:
        """A sender of messages in several parts, over the same connections; it returns when each has a fate.

        It tells whether more may follow: after a stop it sends nothing. Leaving the context judges the whole.

        Raises:
            PermanentDeliveryError: AEP refuses for a reason that a person must remove.
            TransientDeliveryError: AEP was down or throttling for longer than the retry budget.
        """
        book = _Book(day, self._dataset, self._receipts, self._inlet.target, self._stopping, counts)
        with ThreadPoolExecutor(self._settings.connections, thread_name_prefix="inlet") as pool:

            def send(messages: Iterable[Message]) -> bool:
                if not book.stopped:
                    self._stopping.clear()
                    most = self._pacer.records_per_request
                    packed = self._inlet.envelope.pack(messages, self._settings.max_request_bytes, most)
                    for _ in self._send_all(packed, book, pool):
                        progress(f"{counts.sent} {self._dataset.words} sent in {counts.requests} requests")
                return not book.stopped

            yield send
        book.close()

    def _send_all(self, packed: Iterator[list[Message]], book: _Book, pool: ThreadPoolExecutor) -> Iterator[None]:
        """Send, as many requests in flight as there are connections; yields when one of them is settled.

        A connection's next request is packed only after its last one has its receipt.
        """
        flying: set[Future[None]] = set()
        try:
            for messages in packed:
                if self._stopping.is_set():
                    break
                flying.add(pool.submit(self._inlet.send, messages, book))
                if len(flying) >= self._settings.connections:
                    done, flying = wait(flying, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while flying:
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            # Those still in flight end with the answer they wait for, and are not repeated.
            self._stopping.set()
            wait(flying)


class _Book:
    """Receipts and counts of one delivery; written to by every connection."""

    def __init__(
        self,
        day: str,
        dataset: Dataset,
        receipts: Receipts,
        target: str,
        stopping: threading.Event,
        counts: DeliveryCounts,
    ) -> None:
        self._dataset = dataset
        self._counts = counts
        self._day = day
        self._receipts = receipts
        self._target = target
        self._stopping = stopping
        self._lock = threading.Lock()
        self._refused: list[Settled] = []
        self._accepted = False
        self._hopeless = False
        self._stop: DeliveryError | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing more should be sent."""
        return self._stop is not None or self._hopeless

    def leaving(self, request: Request) -> None:
        """Tell whoever has to know that messages leave, before they do."""
        self._dataset.leaving(request.messages)

    def sending(self, request: Request) -> None:
        """Note a request before it leaves; should this process die now, its entities are known to be in doubt."""
        count = len(request.messages)
        self._record(request, [Fate.UNKNOWN] * count)

    def settle(self, settled: Settled) -> None:
        """Note fates, durably before anything else is done with them.

        Whose fault it is that a whole request is refused shows at the end; until then it is a failure, sent again.
        """
        with self._lock:
            if settled.request.opened:
                self._note(settled, condemn=not settled.took_nothing)
            self._count(settled)
            if settled.took_nothing:
                self._refused.append(settled)
            self._accepted |= Fate.ACCEPTED in settled.fates
            self._stop = self._stop or settled.stop
            self._hopeless |= len(self._refused) >= _REFUSED_IN_A_ROW and not self._accepted
            if self._stop is not None or self._hopeless:
                self._stopping.set()

    def close(self) -> None:
        """Condemn the records of refused requests if AEP took others under the same settings; else blame the settings.

        Raises:
            DeliveryError: delivery stopped, or nothing was taken.
        """
        condemn = bool(self._refused) and self._settings_are_sound()
        if condemn:
            for settled in self._refused:
                self._note(settled, condemn=True)
        if self._stop is not None:
            raise self._stop
        if self._refused and not condemn:
            code, words, _ = next(iter(self._refused[0].details.values()))
            name = f"ADOBE_{self._dataset.kind.upper()}"
            raise PermanentDeliveryError(
                f"AEP refuses every message ({code}: {words}). Nothing was taken, so a setting is more likely wrong than the "
                f"records: compare ADOBE_ORG_ID, {name}_SCHEMA_ID, {name}_DATASET_ID and {name}_FLOW_ID "
                "with the sandbox. The entities are kept and sent again by the next run."
            )
        if self._hopeless:
            raise TransientDeliveryError(
                "AEP refused the first requests whole and took a later one, after delivery had stopped for fear of a wrong "
                "setting. The refused entities are in quarantine; the rest stays pending, the next run sends it."
            )

    def _settings_are_sound(self) -> bool:
        """Whether AEP has taken an entity in this run, or did before while only a request or two are refused now.

        A lone bad record on a quiet feed would else be blamed on the settings for ever; a dataset that was removed at AEP
        refuses request after request.
        """
        if self._accepted:
            return True
        return len(self._refused) < _REFUSED_IN_A_ROW and self._receipts.accepted_under(self._target)

    def _count(self, settled: Settled) -> None:
        counts = self._counts
        counts.outcomes.update(fate.outcome for fate in settled.fates if fate in (Fate.ACCEPTED, Fate.REJECTED))
        if settled.request.http_status is not None and settled.request.opened:
            counts.requests += 1
            counts.sent += len(settled.request.messages)
            counts.bytes += sum(len(message.entity) for message in settled.request.messages)

    def _note(self, settled: Settled, *, condemn: bool) -> None:
        fates = [Fate.FAILED if fate is Fate.REJECTED and not condemn else fate for fate in settled.fates]
        details = {
            place: detail._replace(cause=cause_of(str(detail.code))) if fates[place] is Fate.REJECTED else detail
            for place, detail in settled.details.items()
        }
        self._record(settled.request, fates, details, settled.aep_id)
        self._dataset.settled(settled.request.messages, fates)

    def _record(
        self,
        request: Request,
        fates: list[Fate],
        details: dict[int, Detail] | None = None,
        aep_id: str | None = None,
    ) -> None:
        self._receipts.record(
            Receipt(
                request_id=request.request_id,
                day=self._day,
                kind=self._dataset.kind,
                target=self._target,
                ids=[message.id for message in request.messages],
                fates=fates,
                http_status=request.http_status,
                aep_id=aep_id,
                lost=request.lost,
                details=details or {},
            )
        )
