"""Looking up: what the queue holds is asked of Capillary, and what it answers becomes facts and details.

Belongs here: who is asked for next and by how many connections, until when, and what an answer or a failure leads to. Does
not belong here: the queue (`state.lookups`), a single call and its pace (`capillary.api`), which events want a look-up
(`known_elsewhere.py`).

| answer | becomes | the look-up |
| --- | --- | --- |
| found | facts of the customer, as of the moment when the question left | is done |
| merged | the merge as a fact; the survivor's account, or a look-up of it | is done |
| deleted | the deletion as a fact | is done |
| unknown customer | nothing | is done, until the customer has an event when that is no longer fresh |
| a passing failure | nothing | comes again after a pause that doubles |
| no turn within the quota, or Capillary is down | nothing | stays as it was, and the run ends |
| the client is refused (401, 403) | nothing | stays as it was, and the run ends |
| refused for itself, or no such transaction, eight times | nothing | is given up |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from capillary_adobe.capillary.api.client import CapillaryApi
from capillary_adobe.capillary.api.customers import CustomerAnswer, CustomerApi
from capillary_adobe.capillary.api.errors import (
    CapillaryApiError,
    PermanentCapillaryApiError,
    UnaskedCapillaryApiError,
)
from capillary_adobe.capillary.api.transactions import TransactionAnswer, TransactionApi
from capillary_adobe.capillary.api.turns import lookup_pacer
from capillary_adobe.looked_up_answers import Answers
from capillary_adobe.pacing import CAPILLARY_API
from capillary_adobe.settings import CapillaryApiSettings, Lane, LookupSettings, load
from capillary_adobe.state import Paces, State
from capillary_adobe.state.lookups import HISTORY, LIVE, Lookup, LookupCounts, LookupQueue, Wanted

GIVE_UP_AFTER: Final = 8
# Answers are merged together; a kill loses no more than these, and they are asked for again.
_FLUSH_AFTER: Final = 100
_FLUSH_SECONDS: Final = 1.0
# Beyond the time of the run: for the last answers and their merge.
_LEASE_MS: Final = 120_000
_GLANCE_SECONDS: Final = 0.2
_REFUSES_CLIENT: Final = frozenset({401, 403})

Answer = CustomerAnswer | TransactionAnswer


@dataclass
class Asked:
    """What a run of look-ups did; `ended` tells in words why it ended before its time, empty where it did not.

    `failed` come again after a pause, `unasked` at once. `partial` answers told nothing of points. `refused` is true where
    Capillary refuses the client, so that an operator has to do something.
    """

    calls: int = 0
    found: int = 0
    unknown: int = 0
    merged: int = 0
    deleted: int = 0
    transactions: int = 0
    partial: int = 0
    masked: int = 0
    unreadable: int = 0
    failed: int = 0
    given_up: int = 0
    unasked: int = 0
    ended: str = ""
    refused: bool = False
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Look-ups that are done with."""
        return self.found + self.unknown + self.merged + self.deleted + self.transactions


class LookUps:
    """Look-ups of one installation; every method raises StateError where the database cannot be used."""

    def __init__(
        self,
        state: State,
        settings: LookupSettings,
        api: CapillaryApiSettings,
        answers: Answers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._settings = settings
        self._api = api
        self._answers = answers
        self._clock = clock
        self._queue = LookupQueue(state)

    @classmethod
    def of(cls, state: State) -> LookUps | None:
        """Look-ups as the environment has them; None where CAPILLARY_API_* is not set or nothing is to be looked up."""
        settings, api = load(LookupSettings), load(CapillaryApiSettings)
        if not api.complete or not (settings.customers or settings.transactions):
            return None
        return cls(state, settings, api, Answers.of(state))

    def down_words(self) -> str:
        """Since when Capillary's API is down and when it is tried again; empty where it may be asked now."""
        now = self._clock()
        seen = Paces(self._state).look(CAPILLARY_API, now)
        if seen is None or seen.next_try is None or seen.next_try <= now:
            return ""
        return f"Capillary's API does not answer ({seen.words})"

    def ask_now(self, wanted: Collection[Wanted]) -> Asked:
        """Look these up at once, as far as CAPILLARY_LOOKUP_INLINE_SECONDS go; the rest stays in the queue.

        With Capillary known to be down it takes no time at all.
        """
        seconds = self._settings.inline_seconds
        if not wanted or not seconds:
            return Asked(unasked=len(wanted))
        if words := self.down_words():
            return Asked(unasked=len(wanted), ended=words)
        # One try each, that ends with the time there is: who waits here holds up events.
        hurried = self._api.model_copy(update={"retry_seconds": 0.0})
        return self._run(seconds, "live", hurried, LIVE, wanted)

    def drain(self, urgency: int = HISTORY) -> Asked:
        """Look up what is due, live events' customers first, for CAPILLARY_LOOKUP_RUN_SECONDS at most."""
        if words := self.down_words():
            return Asked(ended=words)
        # A failure gives its place to the next customer; the queue itself repeats.
        impatient = self._api.model_copy(update={"retry_seconds": 0.0})
        return self._run(self._settings.run_seconds, "history", impatient, urgency, None)

    def any_due(self) -> bool:
        """Whether there is anything to ask now."""
        return self._queue.any_due(self._now_ms())

    def counts(self) -> LookupCounts:
        """How the queue stands."""
        return self._queue.counts(self._now_ms())

    def _run(
        self, seconds: float, lane: Lane, api: CapillaryApiSettings, urgency: int, only: Collection[Wanted] | None
    ) -> Asked:
        deadline = time.monotonic() + seconds
        caller = _Caller(
            CapillaryApi(api, pacer=lookup_pacer(self._state, self._settings, lane)), self._settings, deadline
        )
        run = _Run(self._queue, self._answers, self._settings, self._now_ms)
        left = None if only is None else set(only)
        with ThreadPoolExecutor(self._settings.connections, "look-up") as pool:
            running: dict[Future[dict[Wanted, Answer]], list[Lookup]] = {}
            while True:
                while len(running) < self._settings.connections and not run.asked.ended and time.monotonic() < deadline:
                    task = run.next_call(seconds, urgency, left)
                    if not task:
                        break
                    running[pool.submit(caller.ask, [one.wanted for one in task])] = task
                if not running:
                    break
                for future in wait(running, _GLANCE_SECONDS, FIRST_COMPLETED).done:
                    run.take_in(running.pop(future), future)
                run.flush_some()
        run.end()
        return run.asked

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


class _Caller:
    """Makes one call; its methods run in several threads."""

    def __init__(self, api: CapillaryApi, settings: LookupSettings, deadline: float) -> None:
        self._customers = CustomerApi(api, settings)
        self._transactions = TransactionApi(api)
        self._deadline = deadline

    def ask(self, wanted: Sequence[Wanted]) -> dict[Wanted, Answer]:
        """What Capillary says, of several customers or of one transaction; some may be left out."""
        first = wanted[0]
        if first.kind == "transaction":
            kind, _, transaction_id = first.key.partition(":")
            return {first: self._transactions.one(transaction_id, kind, self._deadline)}
        if len(wanted) == 1:
            return {first: self._customers.one(first.customer_id, self._deadline)}
        told = self._customers.several([one.customer_id for one in wanted], self._deadline)
        return {one: told[one.customer_id] for one in wanted if one.customer_id in told}


class _Run:
    """The bookkeeping of one run, in one thread."""

    def __init__(
        self, queue: LookupQueue, answers: Answers, settings: LookupSettings, now_ms: Callable[[], int]
    ) -> None:
        self.asked = Asked()
        self._queue = queue
        self._answers = answers
        self._settings = settings
        self._now_ms = now_ms
        self._ahead: list[Lookup] = []
        self._came_in: list[tuple[Lookup, Answer]] = []
        self._failed: list[Lookup] = []
        self._refused: list[Lookup] = []
        self._unasked: list[Lookup] = []
        self._flushed = time.monotonic()

    def next_call(self, seconds: float, urgency: int, only: set[Wanted] | None) -> list[Lookup]:
        """The look-ups of the next call: customers of one organisation, or one transaction."""
        if not self._ahead:
            self._ahead = self._taken(seconds, urgency, only)
        if not self._ahead:
            return []
        first = self._ahead[0].wanted
        most = self._settings.customers_per_call if first.kind == "customer" else 1
        task = [one for one in self._ahead if one.wanted[:2] == first[:2]][:most]
        self._ahead = [one for one in self._ahead if one not in task]
        return task

    def _taken(self, seconds: float, urgency: int, only: set[Wanted] | None) -> list[Lookup]:
        limit = max(16, 2 * self._settings.connections * self._settings.customers_per_call)
        lease_ms = int(seconds * 1000) + _LEASE_MS
        if only is None:
            return self._queue.take(limit, self._now_ms(), lease_ms, urgency=urgency)
        while only:
            some = sorted(only)[:limit]
            # Another run may be asking for some of them; its answers are as good.
            only.difference_update(some)
            if taken := self._queue.take(limit, self._now_ms(), lease_ms, some, urgency):
                return taken
        return []

    def take_in(self, task: list[Lookup], future: Future[dict[Wanted, Answer]]) -> None:
        """What came of a call."""
        self.asked.calls += 1
        try:
            told = future.result()
        except UnaskedCapillaryApiError as error:
            self.asked.calls -= 1
            self.asked.ended = self.asked.ended or str(error)
            self._unasked += task
        except PermanentCapillaryApiError as error:
            if error.status in _REFUSES_CLIENT:
                self.asked.ended, self.asked.refused = str(error), True
                self._unasked += task
            else:
                self._fail(task, f"status {error.status}", self._refused)
        except CapillaryApiError:
            self._fail(task, "no answer, or Capillary was busy", self._failed)
        else:
            for one in task:
                answer = told.get(one.wanted)
                if answer is None:
                    self._fail([one], "left out of an answer", self._refused)
                elif isinstance(answer, TransactionAnswer) and answer.kind == "unknown":
                    # A bill may be heard of before it can be read.
                    self._fail([one], "transaction unknown to Capillary", self._refused)
                else:
                    self._came_in.append((one, answer))

    def _fail(self, task: list[Lookup], cause: str, into: list[Lookup]) -> None:
        if task:
            self.asked.causes[cause] = self.asked.causes.get(cause, 0) + len(task)
        into += task

    def flush_some(self) -> None:
        """Write down what came in, once that is much or long ago."""
        late = time.monotonic() - self._flushed >= _FLUSH_SECONDS
        if len(self._came_in) >= _FLUSH_AFTER or (late and (self._came_in or self._failed or self._refused)):
            self._flush()

    def end(self) -> None:
        """Write down everything, and give back what was not asked."""
        self._unasked += self._ahead
        self._ahead = []
        self._flush()

    def _flush(self) -> None:
        now_ms = self._now_ms()
        if self._came_in:
            self._answers.take([(one.wanted, answer) for one, answer in self._came_in], now_ms, self.asked)
        # What passes is never given up: an outage may last for days, and nobody would ask again.
        hopeless = [one for one in self._refused if one.attempts + 1 >= GIVE_UP_AFTER]
        if hopeless:
            self._answers.give_up([one.wanted for one in hopeless], now_ms)
        again = self._failed + [one for one in self._refused if one.attempts + 1 < GIVE_UP_AFTER]
        self._queue.put_back(again, now_ms, failed=True)
        self._queue.put_back(self._unasked, now_ms, failed=False)
        self.asked.failed += len(again)
        self.asked.given_up += len(hopeless)
        self.asked.unasked += len(self._unasked)
        self._came_in, self._failed, self._refused, self._unasked = [], [], [], []
        self._flushed = time.monotonic()
