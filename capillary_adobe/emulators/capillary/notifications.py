"""The notification service: posts each event to every active webhook that wants it, until it is taken or lost.

Belongs here: the queue and the connections of each webhook, and the rules of retrying. Does not belong here: the record
of what was done (`log`) and faults on request (`delivery_faults`).

As docs.capillarytech.com/docs/consuming-event-notifications has it, and where it is silent as marked:

* One event per request, with the webhook's headers and nothing that signs it.
* A 2xx delivers. A status that is never retried (400) loses the event at once. Anything else, and no answer within 30
  seconds, is retried with exponential back-off for 7 days; then the event is lost and the next one has its turn.
* A connection stays with its event until it is delivered or lost, so the queue behind waits; with one connection, all of
  it. How Capillary divides a queue among connections is not published.
* Retry-After is not honoured: nothing says that Capillary does.
* Each attempt uses the webhook as it is then, so a changed secret heals what is being retried. Not published.
* A body without an event name goes to every webhook: the emulator is there to try bodies that nobody should send.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable

import urllib3
from urllib3.exceptions import HTTPError

from capillary_adobe.emulators.capillary.behaviour import Behaviour
from capillary_adobe.emulators.capillary.delivery_faults import DeliveryFaults
from capillary_adobe.emulators.capillary.log import Attempt, Log, Status, now_ms
from capillary_adobe.emulators.capillary.reading import read
from capillary_adobe.emulators.capillary.webhooks import Record, Webhooks

# As captured on docs.capillarytech.com/docs/event-schema-loyalty.
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "text/plain, application/json, application/*+json, */*",
    "User-Agent": "Java/1.8.0_272",
}
_IDLE_SECONDS = 2.0
_LONGEST_STOP_SECONDS = 2.0


class Notifications:
    """Everything that is to be delivered; threads may share it."""

    def __init__(self, webhooks: Webhooks, log: Log, behaviour: Behaviour, faults: DeliveryFaults) -> None:
        self._webhooks = webhooks
        self._log = log
        self._behaviour = behaviour
        self._faults = faults
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}

    def start(self) -> None:
        """Go on with what was open."""
        self._stopping.clear()
        for group, delivery in self._log.open_deliveries():
            self._queue(group).put(delivery)

    def stop(self) -> None:
        """End; what is not settled is posted again at the next start."""
        self._stopping.set()
        for queue in list(self._queues.values()):
            queue.stop()
        deadline = time.monotonic() + _LONGEST_STOP_SECONDS
        for queue in list(self._queues.values()):
            queue.join(deadline)
        self._queues.clear()

    def take(self, bodies: Iterable[bytes]) -> Counter[str]:
        """Take events in; counts `events`, `deliveries` and `unwanted`, the events that no webhook wants."""
        counts: Counter[str] = Counter(events=0, deliveries=0, unwanted=0)
        active = self._webhooks.active()
        for body in bodies:
            told = read(body)
            wanting = [
                one["consumerGroupId"]
                for one in active
                if told.event_name is None or told.event_name in one["eventNames"]
            ]
            for group, delivery in self._log.add(body, told, wanting):
                self._queue(group).put(delivery)
            counts.update(events=1, deliveries=len(wanting), unwanted=not wanting)
        return counts

    def most_at_once(self) -> dict[str, int]:
        """The most connections that each consumer group has had at the same time."""
        with self._lock:
            return {group: queue.most_at_once for group, queue in self._queues.items()}

    def _queue(self, group: str) -> _Queue:
        with self._lock:
            if group not in self._queues:
                sender = _Sender(group, self._webhooks, self._log, self._behaviour, self._faults, self._stopping)
                self._queues[group] = _Queue(sender)
            return self._queues[group]


class _Queue:
    """What waits for one webhook, and its connections: threads that come when there is work and go when there is none."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender
        self._waiting: deque[int] = deque()
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._stopped = False
        self._busy = 0
        self.most_at_once = 0

    def put(self, delivery: int) -> None:
        with self._changed:
            self._waiting.append(delivery)
            self._changed.notify()
            if len(self._waiting) > self._idle and len(self._threads) < self._sender.connections():
                thread = threading.Thread(target=self._work, name="capillary-connection", daemon=True)
                self._threads.add(thread)
                thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for the connections; one that waits for its webhook beyond the deadline is left behind."""
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (delivery := self._next()) is not None:
            try:
                self._sender.deliver(delivery)
            finally:
                with self._changed:
                    self._busy -= 1

    def _next(self) -> int | None:
        with self._changed:
            while not self._stopped and len(self._threads) <= self._sender.connections():
                if self._waiting:
                    self._busy += 1
                    self.most_at_once = max(self.most_at_once, self._busy)
                    return self._waiting.popleft()
                self._idle += 1
                woken = self._changed.wait(_IDLE_SECONDS)
                self._idle -= 1
                if not woken and not self._waiting:
                    break
            self._threads.discard(threading.current_thread())
            return None


class _Sender:
    """Delivers to one webhook."""

    def __init__(
        self,
        group: str,
        webhooks: Webhooks,
        log: Log,
        behaviour: Behaviour,
        faults: DeliveryFaults,
        stopping: threading.Event,
    ) -> None:
        self._group = group
        self._webhooks = webhooks
        self._log = log
        self._behaviour = behaviour
        self._faults = faults
        self._stopping = stopping
        self._pool = urllib3.PoolManager(maxsize=64, retries=False)

    def connections(self) -> int:
        """How many may be open at once; none to a webhook that was deactivated."""
        webhook = self._webhooks.active_in(self._group)
        return webhook["maxAllowedConnections"] if webhook else 0

    def deliver(self, delivery: int) -> None:
        """Post an event until it is delivered or lost, or the webhook or the emulator ends."""
        found = self._log.body_of(delivery)
        if found is None:
            return
        body, started_ms = found
        pause = self._behaviour.first_pause_seconds
        while not self._stopping.is_set():
            webhook = self._webhooks.active_in(self._group)
            if webhook is None:
                return
            attempt = self._attempt(webhook, body)
            if attempt is None:
                return
            started_ms = started_ms or attempt.started_ms
            status = self._judged(attempt, started_ms)
            self._log.attempted(delivery, attempt, status)
            if status is Status.SUCCESS and self._faults.hit("duplicate"):
                again = self._attempt(webhook, body)
                self._log.attempted(delivery, again or attempt, status)
            if status is not Status.RETRYING:
                return
            # Jitter, so that connections that failed together do not come back together.
            self._stopping.wait(pause * random.uniform(0.5, 1.0) * self._behaviour.time_scale)  # noqa: S311
            pause = min(pause * 2, self._behaviour.longest_pause_seconds)

    def _judged(self, attempt: Attempt, started_ms: int) -> Status:
        if attempt.http_status is not None and 200 <= attempt.http_status < 300:
            return Status.SUCCESS
        if attempt.http_status in self._behaviour.never_again:
            return Status.FAILED
        tried_seconds = (now_ms() - started_ms) / 1000
        long_enough = tried_seconds >= self._behaviour.give_up_seconds * self._behaviour.time_scale
        return Status.FAILED if long_enough else Status.RETRYING

    def _attempt(self, webhook: Record, body: bytes) -> Attempt | None:
        late = self._faults.hit("delay")
        if late is not None and self._stopping.wait(late.seconds):
            return None
        headers = _HEADERS | {name: str(value) for name, value in webhook["webHookHeaders"].items()}
        timeout = urllib3.Timeout(total=self._behaviour.answer_seconds)
        started_ms, started = now_ms(), time.monotonic()
        try:
            answer = self._pool.request(
                webhook["methodType"],
                webhook["webHookUrl"],
                body=body,
                headers=headers,
                timeout=timeout,
                redirect=False,
            )
            status = answer.status
        except (HTTPError, ValueError):
            status = None
        if self._faults.hit("lose_answer"):
            status = None
        return Attempt(started_ms, round((time.monotonic() - started) * 1000), status)
