"""Every class of fault, on every call of either lane, at the first, a middle and the last request: nothing is lost.

What AEP may hold twice is what the ledger names as doubtful, and is twice only where an answer was lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests

from capillary_adobe.adobe import (
    Delivery,
    DeliveryCounts,
    DeliveryError,
    PermanentDeliveryError,
    TransientDeliveryError,
)
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import SentBatches, State
from capillary_adobe_tests.adobe.arrivals import (
    Arrivals,
    Ledger,
    assert_nothing_lost,
    assert_one_batch,
    conformant_from,
    taken_so_far,
)
from capillary_adobe_tests.adobe.sending import DAY, settings_for, work
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.platform_client import Platform

ENTITIES = 100
MOST_RUNS = 3
# A request carries 28 of these entities: the first, a middle and the last one. A file of a batch carries 42.
MESSAGES, PLACES = 28, (0, 2, 3)
FILES = 3
SAME_RUN, NEXT_RUN = 5.0, 0.0
"""Retry budgets: the fault is overcome within the run, or ends it."""
IMPORT = "/data/foundation/import/batches"
CATALOG = "/data/foundation/catalog/batches"
SOON = {"Retry-After": "1"}
# The client waits this long where the fault is a late answer; elsewhere as long as it has to.
IMPATIENT = 0.4

_numbers = itertools.count(step=ENTITIES)


@dataclass(frozen=True)
class Case:
    """A class of fault and what follows from it for the request that it hits."""

    name: str
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    doubtful: int | None = 0
    """How many messages of it AEP may have taken without saying so; None stands for all of them."""
    arrives: bool = False
    """Whether it did take them."""
    rejected: int | None = 0
    """How many of them AEP refuses for what they hold."""
    stops: bool = False
    """Whether the run ends for a person to look at it."""
    timeout: float = 30

    def __str__(self) -> str:
        return self.name


def _status(code: int, name: str = "", *, doubtful: int | None = 0, stops: bool = False, **fields: Any) -> Case:
    return Case(name or str(code), "status", {"status": code, **fields}, doubtful=doubtful, stops=stops)


THROTTLED = (
    _status(429),
    _status(429, "429-retry-after", headers=SOON),
    _status(503, "503-retry-after", headers=SOON),
)
UNANSWERED = (
    # Twenty pieces, each later than the client waits for the next one.
    Case("trickle", "slow_body", {"seconds": 25 * IMPATIENT}, doubtful=None, arrives=True, timeout=IMPATIENT),
    _status(500, doubtful=None),
    _status(502, doubtful=None),
    _status(504, doubtful=None),
    _status(408, doubtful=None),
    Case("reset-before", "reset_before", doubtful=None),
    Case("reset-after", "reset_after", doubtful=None, arrives=True),
    Case("late", "delay", {"seconds": 3 * IMPATIENT}, doubtful=None, arrives=True, timeout=IMPATIENT),
    Case("page", "html", doubtful=None),
)
ANSWERED = (
    Case("slow-body", "slow_body", {"seconds": 0.2}),
    Case("revoked-token", "revoke_token"),
    _status(401, "401-once"),
    _status(403, "403-once"),
    _status(413),
)
STOPPING = (
    _status(401, "401-again", stops=True, times=2),
    _status(403, "403-again", stops=True, times=2),
    _status(404, stops=True),
    _status(415, stops=True),
    _status(501, stops=True),
)
STREAMING_ONLY = (
    _status(400),
    Case("some-400", "partial", {"status": 400, "places": [0, 5]}, rejected=2),
    Case("all-400", "partial", {"status": 400, "share_of_messages": 1.0}, rejected=None),
    Case("some-429", "partial", {"status": 429, "places": [0, 5, 6]}),
    Case("some-503", "partial", {"status": 503, "places": [1, 2]}),
    Case("all-503", "partial", {"status": 503, "share_of_messages": 1.0}),
    Case("short-items", "short_items", {"places": [0, 3]}, doubtful=2, arrives=True),
)
BATCH_ONLY = (
    _status(400, stops=True),
    _status(409, stops=True),
)


@dataclass
class Road:
    """A day's entities on their way to the shared emulator, by one lane."""

    emulator: RunningEmulator
    platform: Platform
    state: State
    batch: pa.RecordBatch
    before: int

    def run(self, settings: AdobeSettings, lane: str) -> DeliveryCounts:
        """One run."""
        parts = (self.batch.slice(0, 30), self.batch.slice(30))
        todo = work(*parts, route="streaming") if lane == "streaming" else work(*parts, lane="history", route="batch")
        return Delivery(settings, self.state).deliver(todo, lambda _: None)

    def run_until_done(self, lane: str, **more: Any) -> list[DeliveryError]:
        """Runs until one ends well with every verdict known; why the others did not."""
        settings = settings_for(self.emulator.environment, max_request_bytes=20_000, **more)
        errors: list[DeliveryError] = []
        for _ in range(MOST_RUNS):
            try:
                if not self.run(settings, lane).waiting:
                    return errors
            except DeliveryError as error:
                errors.append(error)
            self._await_verdicts()
        raise AssertionError(f"not done after {MOST_RUNS} runs: {errors}")

    def _await_verdicts(self) -> None:
        # The next run finds a verdict instead of waiting for it with a pause.
        for sent in SentBatches(self.state).open(DAY):
            if sent.completed_ms is not None and sent.aep_id is not None:
                self.platform.final(sent.aep_id)

    def ledger(self) -> Ledger:
        """What the state says in the end."""
        return Ledger.of(self.state, self.batch)

    def arrivals(self) -> Arrivals:
        """What the emulator has in the end."""
        return Arrivals.since(self.emulator.base_url, self.before, self.batch)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    behaviour = Behaviour(batch_seconds=0, validate=False)
    with RunningEmulator(tmp_path_factory.mktemp("aep"), behaviour=behaviour) as running:
        yield running


@pytest.fixture(scope="module")
def platform(emulator: RunningEmulator) -> Iterator[Platform]:
    with requests.Session() as session:
        yield Platform(Client(emulator, session))


@pytest.fixture
def road(emulator: RunningEmulator, platform: Platform, tmp_path: Path, state: State) -> Road:
    emulator.faults.clear()
    batch = conformant_from(next(_numbers), ENTITIES)
    return Road(emulator, platform, state, batch, taken_so_far(emulator.base_url))


def stream(road: Road, case: Case, place: int, budget: float) -> None:
    road.emulator.faults.add(kind=case.kind, path="/collection/batch/", skip=place, **case.fields)
    # One refused request ends the run; with two connections the second refusal might be another one's first.
    more = {"retry_budget_seconds": budget, "timeout_seconds": case.timeout, "connections": 1 if case.stops else 2}
    errors = road.run_until_done("streaming", **more)
    (fault,) = road.emulator.faults.overview()
    assert fault["fired"] == case.fields.get("times", 1)
    ledger, arrivals = road.ledger(), road.arrivals()
    ends_the_run = case.stops or budget == NEXT_RUN
    assert [type(error) is PermanentDeliveryError for error in errors] == [case.stops] * ends_the_run
    full = len(ledger.rejected | ledger.doubtful)
    assert full or None not in (case.rejected, case.doubtful), "the whole request counts, and it is not empty"
    rejected = full if case.rejected is None else case.rejected
    assert_nothing_lost(ledger, arrivals, road.batch, rejected)
    assert len(ledger.doubtful) == (full if case.doubtful is None else case.doubtful)
    assert len(ledger.doubtful) + rejected <= MESSAGES
    assert arrivals.twice == (ledger.doubtful if case.arrives else set())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", [*THROTTLED, *ANSWERED, *STOPPING, *STREAMING_ONLY], ids=str)
def test_streaming_overcomes(road: Road, case: Case, place: int) -> None:
    stream(road, case, place, SAME_RUN)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", UNANSWERED, ids=str)
def test_streaming_without_an_answer_goes_on_in_the_next_run(road: Road, case: Case, place: int) -> None:
    stream(road, case, place, NEXT_RUN)


@pytest.mark.parametrize("case", UNANSWERED, ids=str)
def test_streaming_without_an_answer_goes_on_in_the_same_run(road: Road, case: Case) -> None:
    stream(road, case, 1, SAME_RUN)


@dataclass(frozen=True)
class Call:
    """A call of the batch lane: the n-th request of a method below an address."""

    name: str
    method: str
    path: str
    skip: int = 0

    def __str__(self) -> str:
        return self.name


CALLS = (
    Call("find", "GET", f"{CATALOG}?"),
    Call("create", "POST", IMPORT),
    Call("first-look", "GET", f"{CATALOG}/"),
    *(Call(f"upload-{number}", "PUT", f"{IMPORT}/", number) for number in range(FILES)),
    Call("complete", "POST", f"{IMPORT}/"),
    Call("verdict", "GET", f"{CATALOG}/", 1),
)
BY_NAME = {call.name: call for call in CALLS}
OVERCOME = (*UNANSWERED, *THROTTLED)
# With files in parts: a file takes INITIALIZE, four parts and COMPLETE.
PARTS = {"batch_put_bytes": 4_000, "batch_part_bytes": 3_000}
CALLS_IN_PARTS = (
    Call("initialize", "POST", f"{IMPORT}/"),
    Call("part", "PATCH", f"{IMPORT}/", 5),
    Call("close", "POST", f"{IMPORT}/", 1),
)


def send_batch(road: Road, case: Case, call: Call, budget: float, **more: Any) -> list[DeliveryError]:
    path = call.path.removesuffix("?")
    road.emulator.faults.add(kind=case.kind, path=path, method=call.method, skip=call.skip, **case.fields)
    more |= {"retry_budget_seconds": budget, "timeout_seconds": case.timeout}
    errors = road.run_until_done("batch", batch_file_bytes=10_000, batch_wait_seconds=0, **more)
    (fault,) = road.emulator.faults.overview()
    assert fault["fired"] == case.fields.get("times", 1)
    ledger, arrivals = road.ledger(), road.arrivals()
    assert_nothing_lost(ledger, arrivals, road.batch)
    assert ledger.doubtful == set()
    assert ledger.maybe_twice == 0
    sent = SentBatches(road.state)
    assert sent.created_since(0) == 1
    assert_one_batch(road.platform, sent.aep_ids(0), arrivals)
    return errors


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("case", [*THROTTLED, *UNANSWERED, *ANSWERED, *STOPPING, *BATCH_ONLY], ids=str)
def test_a_batch_goes_on_in_the_next_run(road: Road, case: Case, call: Call) -> None:
    send_batch(road, case, call, NEXT_RUN)


@pytest.mark.parametrize("call", CALLS_IN_PARTS, ids=str)
@pytest.mark.parametrize("case", [*THROTTLED, *UNANSWERED, *ANSWERED, *STOPPING, *BATCH_ONLY], ids=str)
def test_a_batch_of_files_in_parts_goes_on_in_the_next_run(road: Road, case: Case, call: Call) -> None:
    send_batch(road, case, call, NEXT_RUN, **PARTS)


@pytest.mark.parametrize(
    ("call", "case"),
    [*itertools.product([BY_NAME["create"]], UNANSWERED), *itertools.product([BY_NAME["upload-1"]], OVERCOME)],
    ids=str,
)
def test_a_batch_goes_on_in_the_same_run(road: Road, case: Case, call: Call) -> None:
    # Half of the budget goes into looking for a batch that may have been created.
    assert send_batch(road, case, call, 2.0 if call.name == "create" else SAME_RUN) == []


def test_a_batch_that_aep_forgot_goes_again_and_the_ledger_says_that_it_may_be_there_twice(road: Road) -> None:
    settings = settings_for(road.emulator.environment, batch_wait_seconds=0, retry_budget_seconds=NEXT_RUN)
    # Its verdict is not read by this run.
    road.emulator.faults.add(kind="reset_before", method="GET", path=f"{CATALOG}/", skip=1)
    with pytest.raises(TransientDeliveryError):
        road.run(settings, "batch")
    (sent,) = SentBatches(road.state).open(DAY)
    road.platform.final(sent.aep_id or "")
    SentBatches(road.state).update(sent.external_id, completed_ms=1)
    road.emulator.faults.add(kind="status", status=404, path=f"{CATALOG}/", times=None)
    with pytest.raises(PermanentDeliveryError, match="does not know"):
        road.run(settings, "batch")
    road.emulator.faults.clear()
    road.run_until_done("batch")
    ledger, arrivals = road.ledger(), road.arrivals()
    assert_nothing_lost(ledger, arrivals, road.batch)
    assert arrivals.twice == ledger.doubtful == ledger.accepted
