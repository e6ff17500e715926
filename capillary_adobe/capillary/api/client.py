"""Calls to Capillary's API: token, tries, and what an answer leads to.

Belongs here: one call, of whichever version of the API. Does not belong here: reading an answer (`answers.py`), and any
one resource's addresses and records (`webhooks.py`, `delivery_log.py`).
Sources: docs.capillarytech.com/reference/oauth and /reference/response-codes.

| answer | reaction |
| --- | --- |
| 2xx with JSON and no errors, or with data beside them | given to the caller |
| 2xx whose `errors` come without data | as the codes in it say |
| 401, 403 | a fresh token and one repeat, then refused |
| 408, 425, 429, 461, 503, 521, code 4001 | Capillary did nothing: repeated |
| no answer, other 5xx, no JSON | its effect is unknown: repeated, but for a POST |
| anything else | refused |

Repeats wait as long as Retry-After says, else for pauses that double, jittered, within CAPILLARY_API_RETRY_SECONDS.

A client with a pacer takes a turn for every request that leaves, those for tokens and the repeats included (`turns.py`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from capillary_adobe.capillary.api.answers import Try, content
from capillary_adobe.capillary.api.errors import (
    CapillaryApiError,
    PermanentCapillaryApiError,
    TransientCapillaryApiError,
    UnansweredCapillaryApiError,
    UnaskedCapillaryApiError,
    cure_for,
)
from capillary_adobe.capillary.api.token import AccessToken, Presented, credential, shared_token
from capillary_adobe.capillary.api.turns import Turns
from capillary_adobe.pacing import Pacer
from capillary_adobe.settings import CapillaryApiSettings

__all__ = [
    "Answer",
    "CapillaryApi",
    "CapillaryApiError",
    "PermanentCapillaryApiError",
    "TransientCapillaryApiError",
    "UnansweredCapillaryApiError",
    "content",
]

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_SHORTEST_SECONDS = 0.05
_CONNECTIONS = 16
_REFUSES_CLIENT = frozenset({401, 403})

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What Capillary answered, also where it refuses; `asked_us` is when the question left, epoch microseconds.

    That moment is Capillary's where its answer is dated before our clock says that it was asked.
    """

    body: Any
    asked_us: int
    status: int
    codes: tuple[int, ...] = ()
    refusal: PermanentCapillaryApiError | None = None


class CapillaryApi:
    """The API of one organisation; safe to share between threads."""

    def __init__(
        self,
        settings: CapillaryApiSettings,
        token: AccessToken | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        """A client with a token of its own, or with the one that this process has; with a pacer it waits for its turns.

        Raises:
            SettingsError: naming what of CAPILLARY_API_* is missing.
        """
        self._url = credential(settings)[0]
        self._settings = settings
        self._token = token or shared_token(settings)
        self._turns = Turns(pacer)
        self._renewing = threading.Lock()
        self._session = requests.Session()
        self._session.mount(self._url, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def get(self, path: str, params: Parameters | None = None, hide: Collection[str] | None = None) -> Any:
        """The JSON body of an answer; see `call`."""
        return self.call("GET", path, params=params, hide=hide)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        json: Any = None,
        repeat_unanswered: bool = True,
        hide: Collection[str] | None = None,
    ) -> Any:
        """Ask until Capillary answers; `path` begins with a slash, and `content` takes the body's envelope off.

        Capillary's own words on a refusal may repeat what was sent, so they are told only where `hide` is given: the
        values to be cut out of them.

        Raises:
            PermanentCapillaryApiError: Capillary refuses the call or the client.
            UnansweredCapillaryApiError: the effect is unknown, and the call must not be repeated blindly.
            TransientCapillaryApiError: repeating did not help within CAPILLARY_API_RETRY_SECONDS.
        """
        request = _Request(method, path, params, json, repeat_unanswered, hide)
        answer = self._ask(request, self._settings.retry_seconds)
        if answer.refusal is not None:
            raise answer.refusal
        return answer.body

    def ask(self, path: str, params: Parameters | None = None, deadline: float | None = None) -> Answer:
        """Get, like `get`, but a refusal comes back as an answer too; with a deadline (of `time.monotonic`) by then.

        Raises:
            TransientCapillaryApiError: no answer in time, or no turn.
        """
        budget = self._settings.retry_seconds
        if deadline is not None:
            budget = min(budget, deadline - time.monotonic())
        return self._ask(_Request("GET", path, params), budget, deadline)

    def _ask(self, request: _Request, budget_seconds: float, deadline: float | None = None) -> Answer:
        waiting = _Waiting(budget_seconds)
        stale: str | None = None
        while True:
            if deadline is not None and time.monotonic() > deadline - _SHORTEST_SECONDS:
                raise UnaskedCapillaryApiError(f"There is no time left for {request}; it is asked again later.")
            token, asked_us, tried = self._try(request, stale, deadline or waiting.deadline, deadline)
            if tried.succeeded:
                return Answer(tried.body, asked_us, tried.status, tried.codes)
            if tried.status in _REFUSES_CLIENT and stale is None:
                stale = token
                continue
            if tried.final:
                if tried.status in _REFUSES_CLIENT:
                    self._turns.refused()
                refusal = PermanentCapillaryApiError(_refusal(request, tried), tried.status, tried.codes)
                return Answer(tried.body, asked_us, tried.status, tried.codes, refusal)
            if tried.effect_unknown and not request.repeat_unanswered:
                raise UnansweredCapillaryApiError(
                    f"Whether Capillary did {request} is unknown ({tried.trouble}). Look before you repeat it."
                ) from tried.cause
            if not waiting.wait(tried.asked):
                if isinstance(tried.lost, TransientCapillaryApiError):
                    raise tried.lost
                raise TransientCapillaryApiError(
                    f"Capillary does not do {request} ({tried.trouble}), and repeating did not help within "
                    f"{self._told_budget(budget_seconds)}. Try again later; if this lasts, check CAPILLARY_API_URL and the "
                    "network, or ask Capillary."
                ) from tried.cause

    def _try(
        self, request: _Request, stale: str | None, turn_by: float, deadline: float | None
    ) -> tuple[str, int, Try]:
        try:
            token = self._token_for(stale, turn_by)
        except _NoToken as error:
            return "", 0, Try(lost=error)
        self._turns.take(turn_by)
        seconds = self._settings.timeout_seconds
        if deadline is not None:
            seconds = max(_SHORTEST_SECONDS, min(seconds, deadline - time.monotonic()))
        asked_us = time.time_ns() // 1_000
        began = time.monotonic()
        try:
            answer = self._session.request(
                request.method,
                self._url + request.path,
                params=request.params,
                json=request.json,
                auth=Presented(token),
                timeout=seconds,
                allow_redirects=False,
            )
            tried = Try.of(answer)
        except requests.RequestException as error:
            tried = Try(lost=error)
        self._turns.over(tried, patient=seconds == self._settings.timeout_seconds)
        return token, _by_capillarys_clock(asked_us, time.monotonic() - began, tried.dated), tried

    def _token_for(self, stale: str | None, turn_by: float) -> str:
        if not self._token.must_renew(stale=stale):
            return self._token.value(stale=stale)
        # One at a time: others find the new token, and need no turn for one of their own.
        if not self._renewing.acquire(timeout=max(0.0, turn_by - time.monotonic())):
            raise UnaskedCapillaryApiError("Capillary is not asked: there is no access token in time.")
        try:
            return self._renewed(stale, turn_by)
        finally:
            self._renewing.release()

    def _renewed(self, stale: str | None, turn_by: float) -> str:
        if not self._token.must_renew(stale=stale):
            return self._token.value(stale=stale)
        # Capillary counts the call for a token too.
        self._turns.take(turn_by)
        try:
            token = self._token.value(stale=stale)
        except PermanentCapillaryApiError as error:
            self._turns.over(Try(error.status, {}))
            self._turns.refused()
            raise
        except TransientCapillaryApiError as error:
            self._turns.over(Try(lost=error))
            raise _NoToken(str(error)) from error
        self._turns.over(Try(200, {}))
        return token

    def _told_budget(self, budget_seconds: float) -> str:
        if budget_seconds == self._settings.retry_seconds:
            return f"CAPILLARY_API_RETRY_SECONDS={budget_seconds:g}"
        return f"the {max(0.0, budget_seconds):.1f} seconds there were"


@dataclass(frozen=True)
class _Request:
    """One call."""

    method: str
    path: str
    params: Parameters | None
    json: Any = None
    repeat_unanswered: bool = True
    hide: Collection[str] | None = None

    def __str__(self) -> str:
        # The first parts of the path: those behind may name a customer.
        return f"{self.method} {'/'.join(self.path.split('?')[0].split('/')[:3])}"


class _NoToken(TransientCapillaryApiError):
    """There is no token for the moment; unlike a missing turn that is worth a repeat."""


class _Waiting:
    """The pauses of one call."""

    def __init__(self, budget_seconds: float) -> None:
        self.deadline = time.monotonic() + budget_seconds
        self._pause = _FIRST_PAUSE_SECONDS

    def wait(self, asked: float | None) -> bool:
        """Wait before the next try; False where none may follow."""
        left = self.deadline - time.monotonic()
        # Jitter, so that threads that were refused together do not come back together. The last try comes at the very end:
        # who has used up the requests of a minute is let in when it is over, and not before.
        seconds = asked if asked is not None else min(self._pause * random.uniform(0.5, 1.0), left)  # noqa: S311
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if not 0 < seconds <= left:
            return False
        time.sleep(seconds)
        return True


def _refusal(request: _Request, tried: Try) -> str:
    told = f" with status {tried.status}{tried.told_codes}{tried.words(request.hide)}"
    return f"Capillary refuses {request}{told}. {cure_for(tried.status, tried.codes)}"


def _by_capillarys_clock(asked_us: int, seconds: float, dated: float | None) -> int:
    """When a question left: by our clock, or by Capillary's where its answer shows that ours is ahead.

    The date of an answer leaves the fraction of its second out. It may be as old as the question, and not older.
    """
    if dated is None or asked_us < (dated + 1) * 1_000_000:
        return asked_us
    return int((dated - seconds) * 1_000_000)
