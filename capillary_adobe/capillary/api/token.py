"""Access tokens of Capillary's API client.

Belongs here: getting, keeping and renewing one token for all threads of a process. Does not belong here: deciding that a
token is stale (`client.py` tells).
Source: docs.capillarytech.com/reference/oauth
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from requests.auth import AuthBase

from capillary_adobe.capillary.api.errors import (
    REFUSED_FOR_NOW,
    PermanentCapillaryApiError,
    TransientCapillaryApiError,
)
from capillary_adobe.settings import CapillaryApiSettings, SettingsError

_EARLIEST_RENEWAL_SECONDS = 60.0
# The documented sample shows 300; a life that is not told is taken for a short one.
_UNTOLD_LIFE_SECONDS = 300.0

_shared: dict[tuple[str, str, str], AccessToken] = {}
_sharing = threading.Lock()


def shared_token(settings: CapillaryApiSettings) -> AccessToken:
    """The one token of this process for a client: Capillary counts token calls too.

    Raises:
        SettingsError: naming what of CAPILLARY_API_* is missing.
    """
    url, key, secret = credential(settings)
    with _sharing:
        if (url, key, secret) not in _shared:
            _shared[url, key, secret] = AccessToken(settings)
        return _shared[url, key, secret]


def credential(settings: CapillaryApiSettings) -> tuple[str, str, str]:
    """Host, key and secret.

    Raises:
        SettingsError: naming every one that is missing.
    """
    given = {"URL": settings.url, "KEY": settings.key, "SECRET": settings.secret}
    missing = [f"CAPILLARY_API_{name} is missing" for name, value in given.items() if value is None]
    if settings.url is None or settings.key is None or settings.secret is None:
        told = "; ".join(missing)
        raise SettingsError(f"{told}. Set it in the environment or in .env: Capillary's API needs all three.")
    return settings.url, settings.key, settings.secret.get_secret_value()


class Presented(AuthBase):
    """Puts a token on a request; set in this way, so that a stray netrc entry of the machine adds nothing."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the token."""
        request.headers["X-CAP-API-OAUTH-TOKEN"] = self._token
        return request


class AccessToken:
    """One token, renewed ahead of its end; safe to share between threads."""

    def __init__(self, settings: CapillaryApiSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._key, self._secret = credential(settings)
        self._seconds = settings.timeout_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._value: str | None = None
        self._ends_at = 0.0
        self._renew_at = 0.0
        self._session = requests.Session()

    @property
    def seconds_left(self) -> float:
        """How long the present token still holds; 0 without one."""
        return max(0.0, self._ends_at - self._clock()) if self._value is not None else 0.0

    def must_renew(self, *, stale: str | None = None) -> bool:
        """Whether the next `value` asks Capillary; another thread may be quicker."""
        return self._value is None or self._value == stale or self._clock() >= self._renew_at

    def value(self, *, stale: str | None = None) -> str:
        """A token; never again the one that the caller names as stale.

        Raises:
            PermanentCapillaryApiError: Capillary refuses the client.
            TransientCapillaryApiError: Capillary cannot be reached or fails.
        """
        # Whoever waits here while another thread renews finds the new one.
        with self._lock:
            if self.must_renew(stale=stale):
                self._renew()
            return self._value or ""

    def _renew(self) -> None:
        try:
            answer = self._session.post(
                f"{self._url}/v3/oauth/token/generate",
                json={"key": self._key, "secret": self._secret},
                timeout=self._seconds,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise TransientCapillaryApiError(
                f"CAPILLARY_API_URL={self._url} does not answer ({type(error).__name__}). Check the address of your cluster "
                "with Capillary, and the network."
            ) from error
        body = _object(answer)
        data = body.get("data") if body is not None else None
        token = data.get("accessToken") if type(data) is dict else None
        if answer.status_code != 200 or type(token) is not str or not token or type(data) is not dict:
            raise self._refusal(answer.status_code, body)
        life = data.get("ttlSeconds")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _UNTOLD_LIFE_SECONDS
        self._value = token
        self._ends_at = self._clock() + seconds
        self._renew_at = self._ends_at - min(_EARLIEST_RENEWAL_SECONDS, seconds / 4)

    def _refusal(self, status: int, body: dict[str, Any] | None) -> Exception:
        if status in REFUSED_FOR_NOW or status >= 500:
            return TransientCapillaryApiError(
                f"Capillary's token service answers {status}. Try again later; if this lasts, ask Capillary."
            )
        if status in (400, 401, 403) or (status == 200 and body is not None):
            return PermanentCapillaryApiError(
                f"Capillary refuses the API client (status {status}). Check CAPILLARY_API_KEY and CAPILLARY_API_SECRET, and "
                "that the client is active.",
                status,
            )
        return PermanentCapillaryApiError(
            f"CAPILLARY_API_URL={self._url} answers {status} without a token. Check the address of your cluster with "
            "Capillary, and that no proxy answers in its place.",
            status,
        )


def _object(answer: requests.Response) -> dict[str, Any] | None:
    try:
        body: Any = answer.json()
    except requests.JSONDecodeError:
        return None
    return body if type(body) is dict else None
