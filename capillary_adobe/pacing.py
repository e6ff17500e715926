"""Pacing: turns for requests to one service, shared by every run of the installation.

Belongs here: who may take how much of the rate and when, what the service's answers do to it, the circuit breaker, the
waiting. Does not belong here: the rows that the runs share (`state.pace`, `state.calls`), what is sent, and which answer
means what (`adobe.inlet`, `capillary.api.client`).

Two kinds of limit. A rate a second is a bucket: live requests may use it up; history leaves as much as the largest live
request needs, so live never waits for history, and history gets all that live leaves. Calls a minute are counted one by
one, so that no 60 seconds hold more of them wherever they begin; there history keeps its calls apart and leaves a tenth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Final

import sqlalchemy as sa

from capillary_adobe.settings import Lane
from capillary_adobe.state.calls import CallsInFlight
from capillary_adobe.state.database import State
from capillary_adobe.state.failed_calls import FailedCalls
from capillary_adobe.state.pace import Pace, Paces

AEP_INLET: Final = "inlet"
AEP_PLATFORM: Final = "platform"
CAPILLARY_API: Final = "capillary_api"
_NAMES: Final = {AEP_INLET: "AEP", CAPILLARY_API: "Capillary"}

# Seconds of the rate in force that one request should carry at most, and that history leaves in the bucket.
REQUEST_SECONDS = 0.25
RESERVE_SECONDS = 0.4
# A double holds today's time to a quarter of a microsecond; credit computed from it is no more exact.
_ROUNDING = 1e-6

SLOWER = 0.7
SLOWEST = 0.05
SLOWER_AT_MOST_EVERY = 1.0

# Calls that are counted come this far apart in history, as a share of an even spread: a little less, to lose none of them.
CALLS_APART = 0.95

LONGEST_ASKED_SECONDS = 3600.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# Throttled again so soon after a pause, or within the length of the pause if that is longer, the next one is longer.
_TOO_SOON_SECONDS = 5.0

FAILURES_TO_OPEN = 5
FIRST_COOL_DOWN_SECONDS = 5.0
LONGEST_COOL_DOWN_SECONDS = 60.0
_LONGEST_WORDS = 200

_SHORTEST_WAIT = 0.05
# Long waits are cut up: another run may have had an answer meanwhile, which ends them.
_LONGEST_WAIT = 1.0
# A wait by the machine's own clock may end a moment early by the wall clock.
_WAKE_LATER = 0.001
_GLANCE_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """The set rates; 0 means no limit."""

    requests_per_second: float = 0
    records_per_second: float = 0
    calls_per_minute: int = 0


class Verdict(Enum):
    """What came of asking for a turn."""

    GRANTED = "the request may leave now"
    STOPPED = "`stopping` came first"
    TOO_LATE = "not before the deadline"


@dataclass(frozen=True)
class Turn:
    """The answer to a taker; true if the request may leave. `words` tell why a turn does not come before the deadline."""

    verdict: Verdict
    words: str = ""

    def __bool__(self) -> bool:
        return self.verdict is Verdict.GRANTED


@dataclass(frozen=True)
class _Hold:
    """What keeps a request back, and for how long."""

    seconds: float
    words: str


class Pacer:
    """Turns for requests to one service, shared by every run of the installation; safe to share between threads."""

    def __init__(
        self, state: State, service: str, limits: Limits, lane: Lane, clock: Callable[[], float] = time.time
    ) -> None:
        self._paces = Paces(state)
        self._calls = CallsInFlight(service)
        self.failed_calls = FailedCalls(state, service, clock)
        self._service = service
        self._name = _NAMES.get(service, service)
        self._limits = limits
        self._limited = limits.requests_per_second > 0 or limits.records_per_second > 0
        self._lane: Lane = lane
        self._clock = clock
        # Threads of one process queue here, not at the database, where waiting is by polling or costs a connection each.
        self._lock = threading.Lock()
        self._seen: Pace | None = None
        self._seen_at = float("-inf")
        # Whether the turn that this thread took last is a trial, and which call it is where calls are counted.
        self._thread = threading.local()

    @property
    def records_per_request(self) -> int | None:
        """Most records that one request should carry at the rate last seen; None without a limit on records."""
        rate = self._limits.records_per_second
        if not rate:
            return None
        factor = 1.0 if self._seen is None else self._seen.factor
        return max(1, int(rate * factor * REQUEST_SECONDS))

    def take(self, records: int, stopping: threading.Event, deadline: float) -> Turn:
        """Wait until a request with this many records may leave, at most until `deadline` (of `time.monotonic`).

        Where the turn is known to come later than that, the answer comes at once. The thread that took a turn reports
        what came of it.

        Raises:
            StateError: the state database cannot be used.
        """
        while not stopping.is_set():
            hold = self._try(records)
            if hold is None:
                return Turn(Verdict.GRANTED)
            if time.monotonic() + hold.seconds > deadline:
                return Turn(Verdict.TOO_LATE, hold.words)
            stopping.wait(min(max(hold.seconds + _WAKE_LATER, _SHORTEST_WAIT), _LONGEST_WAIT))
        return Turn(Verdict.STOPPED)

    def throttled(self, asked_wait: float | None) -> None:
        """The service wants fewer requests (429 or 503), and may have asked to wait some seconds."""
        with self._turn_over() as pace:
            if self._limited:
                _slow_down(pace)
            elif not asked_wait:
                _pause(pace)
            if asked_wait:
                until = pace.noted_at + min(asked_wait, LONGEST_ASKED_SECONDS)
                pace.paused_until = max(pace.paused_until, until)

    def failed(self, words: str) -> None:
        """A request had no answer, or a 5xx; `words` say which, without anything secret or personal."""
        was_trial = self._end_trial()
        with self._turn_over() as pace:
            pace.failures += 1
            pace.words = words[:_LONGEST_WORDS]
            if pace.down_since is None:
                pace.down_since = pace.noted_at
            if pace.next_try is None:
                if pace.failures >= FAILURES_TO_OPEN:
                    pace.next_try = pace.noted_at + _cool_down(pace)
            elif was_trial:
                pace.failed_trials += 1
                pace.next_try = pace.noted_at + _cool_down(pace)

    def answered(self) -> None:
        """Any answer that shows the service alive, also one that refuses or throttles."""
        self._end_trial()
        # With a limit each request writes to the database anyway, and one look more is little.
        seen = self._glance(0.0 if self._limited else _GLANCE_SECONDS)
        if not self._call and (seen is None or not seen.failures):
            return
        with self._turn_over() as pace:
            pace.failures = pace.failed_trials = 0
            pace.down_since = pace.next_try = None
            pace.words = ""

    def unanswered(self) -> None:
        """The request was not waited for to the end: that says nothing about the service."""
        self._end_trial()
        with self._turn_over():
            pass

    def _try(self, records: int) -> _Hold | None:
        """Take a turn if there is one now, else tell what is in the way."""
        if not self._limited and not self._limits.calls_per_minute and self._is_free(self._glance(_GLANCE_SECONDS)):
            self._thread.has_trial = False
            return None
        with self._held() as (connection, pace):
            holds = [*self._holds(pace, records), *self._call_holds(connection)]
            hold = max(holds, key=lambda found: found.seconds, default=None)
            if hold is None:
                if self._limits.calls_per_minute:
                    self._thread.call = self._calls.begin(connection, self._clock())
                pace.records -= self._record_cost(records)
                pace.requests -= self._request_cost
                self._thread.has_trial = pace.next_try is not None
                if pace.next_try is not None:
                    # The others wait for this one's answer, but no longer than for a failure: it may never come.
                    pace.next_try = pace.noted_at + _cool_down(pace)
        return hold

    def _holds(self, pace: Pace, records: int) -> Iterator[_Hold]:
        now = self._clock()
        if pace.paused_until > now:
            yield _Hold(
                pace.paused_until - now, f"{self._name} asks to wait until {_moment(pace.paused_until):%H:%M:%S} UTC"
            )
        if pace.next_try is not None and pace.next_try > now:
            yield _Hold(pace.next_try - now, self._down(pace, now))
        for cost, left, setting in (
            (self._record_cost(records), pace.records, "ADOBE_MAX_RECORDS_PER_SECOND"),
            (self._request_cost, pace.requests, "ADOBE_MAX_REQUESTS_PER_SECOND"),
        ):
            missing = self._needed(cost, pace) - left
            if cost and missing > _ROUNDING:
                seconds = pace.seconds_to_earn(missing) + max(0.0, pace.noted_at - now)
                lowered = f", lowered to {pace.factor:.0%} since {self._name} throttles" if pace.factor < 1 else ""
                yield _Hold(seconds, f"the rate of {setting}{lowered} leaves no room")

    def _call_holds(self, connection: sa.Connection) -> Iterator[_Hold]:
        limit = self._limits.calls_per_minute
        if not limit:
            return
        is_live = self._lane == "live"
        reserve = 0 if is_live or limit == 1 else max(1, limit // 10)
        apart = 0.0 if is_live else CALLS_APART * 60 / limit
        seconds = self._calls.seconds_until_room(connection, self._clock(), limit - reserve, apart)
        if seconds > 0:
            yield _Hold(seconds, f"the {limit} calls a minute of CAPILLARY_LOOKUP_CALLS_PER_MINUTE are used up")

    def _down(self, pace: Pace, now: float) -> str:
        return not_answering(self._service, pace.down_since or now, pace.words, pace.next_try or now)

    def _needed(self, cost: float, pace: Pace) -> float:
        """Credit that must be there. More than the bucket holds never is: such a request leaves a debt."""
        if self._lane == "history":
            # Small requests need as much as large ones, or a large one would wait for ever beside a stream of them; the
            # size is that of the set rate, because requests packed before AEP throttled are still on their way.
            cost = max(cost, REQUEST_SECONDS) + RESERVE_SECONDS * pace.factor
        return min(cost, pace.capacity)

    def _record_cost(self, records: int) -> float:
        rate = self._limits.records_per_second
        return records / rate if rate else 0.0

    @property
    def _request_cost(self) -> float:
        rate = self._limits.requests_per_second
        return 1 / rate if rate else 0.0

    @contextmanager
    def _held(self) -> Iterator[tuple[sa.Connection, Pace]]:
        with self._lock:
            with self._paces.hold_with(self._service, self._clock) as (connection, pace):
                yield connection, pace
            self._see(pace)

    @contextmanager
    def _turn_over(self) -> Iterator[Pace]:
        """The row, while the call of this thread, if it is one that counts, comes to its end."""
        call, self._thread.call = self._call, None
        with self._held() as (connection, pace):
            yield pace
            if call is not None:
                self._calls.end(connection, call, self._clock())

    @property
    def _call(self) -> str | None:
        return getattr(self._thread, "call", None)

    def _glance(self, age: float) -> Pace | None:
        """The row as it was at most `age` seconds ago."""
        with self._lock:
            if not 0 <= self._clock() - self._seen_at < age:
                self._see(self._paces.read(self._service))
            return self._seen

    def _see(self, pace: Pace | None) -> None:
        self._seen = None if pace is None else replace(pace)
        self._seen_at = self._clock()

    def _is_free(self, seen: Pace | None) -> bool:
        return seen is None or (seen.next_try is None and seen.paused_until <= self._clock())

    def _end_trial(self) -> bool:
        had_trial: bool = getattr(self._thread, "has_trial", False)
        self._thread.has_trial = False
        return had_trial


def not_answering(service: str, since: float, words: str, next_try: float) -> str:
    """An open breaker in plain words."""
    began = f"{_NAMES.get(service, service)} has not answered since {_moment(since):%Y-%m-%d %H:%M:%S} UTC ({words})"
    return f"{began}; next try at {_moment(next_try):%H:%M:%S}"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _cool_down(pace: Pace) -> float:
    # The exponent is bounded: an outage of weeks would overflow a float.
    return min(FIRST_COOL_DOWN_SECONDS * 2 ** min(pace.failed_trials, 10), LONGEST_COOL_DOWN_SECONDS)


def _slow_down(pace: Pace) -> None:
    """Lower the rate, once for all requests that were on their way together."""
    if pace.throttled_at is not None and pace.noted_at - pace.throttled_at < SLOWER_AT_MOST_EVERY:
        return
    pace.throttled_at = pace.noted_at
    pace.factor = max(SLOWEST, pace.factor * SLOWER)
    pace.records = min(pace.records, 0.0)
    pace.requests = min(pace.requests, 0.0)


def _pause(pace: Pace) -> None:
    """Pause where there is no rate to lower: longer each time while that does not help."""
    if pace.noted_at < pace.paused_until:
        return
    again = pace.pause and pace.noted_at < pace.paused_until + max(_TOO_SOON_SECONDS, pace.pause)
    pace.pause = min(pace.pause * 2, LONGEST_PAUSE_SECONDS) if again else FIRST_PAUSE_SECONDS
    pace.paused_until = pace.noted_at + pace.pause
