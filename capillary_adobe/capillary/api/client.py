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
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from capillary_adobe.capillary.api.answers import Try, content
from capillary_adobe.capillary.api.errors import (
    CapillaryApiError,
    PermanentCapillaryApiError,
    TransientCapillaryApiError,
    UnansweredCapillaryApiError,
    cure_for,
)
from capillary_adobe.capillary.api.token import AccessToken, Presented, credential, shared_token
from capillary_adobe.settings import CapillaryApiSettings

__all__ = [
    "CapillaryApi",
    "CapillaryApiError",
    "PermanentCapillaryApiError",
    "TransientCapillaryApiError",
    "UnansweredCapillaryApiError",
    "content",
]

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_CONNECTIONS = 16

Parameters = Mapping[str, Any]


class CapillaryApi:
    """The API of one organisation; safe to share between threads."""

    def __init__(
        self,
        settings: CapillaryApiSettings,
        token: AccessToken | None = None,
    ) -> None:
        """A client with a token of its own, or with the one that this process has.

        Raises:
            SettingsError: naming what of CAPILLARY_API_* is missing.
        """
        self._url = credential(settings)[0]
        self._settings = settings
        self._token = token or shared_token(settings)
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
        waiting = _Waiting(self._settings.retry_seconds)
        what = f"{method} {_resource(path)}"
        stale: str | None = None
        while True:
            token, tried = self._try(method, path, params, json, stale)
            if tried.succeeded:
                return tried.body
            if tried.status in (401, 403) and stale is None:
                stale = token
                continue
            if tried.final:
                raise PermanentCapillaryApiError(_refusal(what, tried, hide), tried.status, tried.codes)
            if tried.effect_unknown and not repeat_unanswered:
                raise UnansweredCapillaryApiError(
                    f"Whether Capillary did {what} is unknown ({tried.trouble}). Look before you repeat it."
                ) from tried.cause
            if not waiting.wait(tried.asked):
                if isinstance(tried.lost, TransientCapillaryApiError):
                    raise tried.lost
                raise TransientCapillaryApiError(
                    f"Capillary does not do {what} ({tried.trouble}), and repeating did not help within "
                    f"CAPILLARY_API_RETRY_SECONDS={self._settings.retry_seconds:g}. Try again later; if this lasts, check "
                    "CAPILLARY_API_URL and the network, or ask Capillary."
                ) from tried.cause

    def _try(self, method: str, path: str, params: Parameters | None, json: Any, stale: str | None) -> tuple[str, Try]:
        token = ""
        try:
            token = self._token.value(stale=stale)
            answer = self._session.request(
                method,
                self._url + path,
                params=params,
                json=json,
                auth=Presented(token),
                timeout=self._settings.timeout_seconds,
                allow_redirects=False,
            )
        except (TransientCapillaryApiError, requests.RequestException) as error:
            return token, Try(lost=error)
        return token, Try.of(answer)


class _Waiting:
    """The pauses of one call."""

    def __init__(self, budget_seconds: float) -> None:
        self._deadline = time.monotonic() + budget_seconds
        self._pause = _FIRST_PAUSE_SECONDS

    def wait(self, asked: float | None) -> bool:
        """Wait before the next try; False where none may follow."""
        left = self._deadline - time.monotonic()
        # Jitter, so that threads that were refused together do not come back together. The last try comes at the very end:
        # who has used up the requests of a minute is let in when it is over, and not before.
        seconds = asked if asked is not None else min(self._pause * random.uniform(0.5, 1.0), left)  # noqa: S311
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if not 0 < seconds <= left:
            return False
        time.sleep(seconds)
        return True


def _resource(path: str) -> str:
    """The first parts of a path: those behind may name a customer."""
    return "/".join(path.split("?")[0].split("/")[:3])


def _refusal(what: str, tried: Try, hide: Collection[str] | None) -> str:
    told = f" with status {tried.status}{tried.told_codes}{tried.words(hide)}"
    return f"Capillary refuses {what}{told}. {cure_for(tried.status, tried.codes)}"
