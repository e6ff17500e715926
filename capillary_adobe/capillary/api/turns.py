"""Turns: when a request to Capillary may leave, and what its answer tells about Capillary.

Belongs here: the bridge between calls and the pacer that every run shares. Does not belong here: the pacer (`pacing`) and
the repeating of a call (`client.py`).

| answer | to the pacer |
| --- | --- |
| no answer, a page in place of JSON, 5xx but for 521 and code 4001 | a failure |
| 429 | throttled |
| no answer within a time that is shorter than CAPILLARY_API_TIMEOUT_SECONDS | nothing |
| anything else | alive |

What fails is counted as well; a client that is refused although its token is fresh is told by `refused`.
"""

from __future__ import annotations

import threading

import requests

from capillary_adobe.capillary.api.answers import Try
from capillary_adobe.capillary.api.errors import REFUSED_FOR_NOW, UnaskedCapillaryApiError
from capillary_adobe.pacing import CAPILLARY_API, Limits, Pacer
from capillary_adobe.settings import Lane
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe.state.database import State
from capillary_adobe.state.failed_calls import CallFailure

_TOO_MANY = 429
# Refused for now, and yet no sign that Capillary is down.
_ALIVE = REFUSED_FOR_NOW - {503}


def lookup_pacer(state: State, settings: LookupSettings, lane: Lane) -> Pacer:
    """The pacer of look-ups: `live` for those that somebody waits for, `history` for those that run beside."""
    return Pacer(state, CAPILLARY_API, Limits(calls_per_minute=settings.calls_per_minute), lane)


class Turns:
    """The turns of one client; without a pacer there is always one. Safe to share between threads."""

    def __init__(self, pacer: Pacer | None) -> None:
        self._pacer = pacer
        # Nobody sets it: a call ends by its deadline.
        self._stopping = threading.Event()

    def take(self, deadline: float) -> None:
        """Wait until a request may leave; `deadline` is one of `time.monotonic`.

        Raises:
            UnaskedCapillaryApiError: at once, where there is no turn before the deadline.
        """
        if self._pacer is None:
            return
        turn = self._pacer.take(1, self._stopping, deadline)
        if not turn:
            raise UnaskedCapillaryApiError(
                f"Capillary is not asked in time: {turn.words}. It is asked again later by itself; if this lasts, compare "
                "CAPILLARY_LOOKUP_CALLS_PER_MINUTE with what Capillary allows the API client."
            )

    def over(self, tried: Try, *, patient: bool = True) -> None:
        """Tell what came of a turn; not `patient` is who did not wait as long as the settings say."""
        if self._pacer is None:
            return
        if isinstance(tried.lost, requests.Timeout) and not patient:
            self._pacer.unanswered()
        elif tried.status == _TOO_MANY:
            self._pacer.throttled(tried.asked)
            self._pacer.failed_calls.note(CallFailure.LIMITS)
        elif _is_failure(tried):
            self._pacer.failed(tried.trouble)
            self._pacer.failed_calls.note(CallFailure.NETWORK)
        else:
            self._pacer.answered()

    def refused(self) -> None:
        """Count a call that ended since Capillary does not let the client in."""
        if self._pacer is not None:
            self._pacer.failed_calls.note(CallFailure.AUTHENTICATION)


def _is_failure(tried: Try) -> bool:
    if tried.lost is not None:
        return True
    if tried.status in _ALIVE or _ALIVE.intersection(tried.codes):
        return False
    return tried.status >= 500 or (tried.body is None and tried.status < 300)
