"""Access tokens of Adobe's identity service (IMS), OAuth server-to-server.

Belongs here: getting, keeping and renewing one token for all threads of a process. Does not belong here: deciding that
a token is stale (`inlet.py` and `platform.py` tell).
requests-oauthlib and Authlib have the grant too; neither renews ahead of the expiry for client credentials with one
renewal for all threads, and neither reads a life in milliseconds.
Source: developer.adobe.com/developer-console/docs/guides/authentication/ServerToServerAuthentication/implementation
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from capillary_adobe.adobe.errors import PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.settings import CredentialSettings

# The current endpoint answers in seconds, older ones in milliseconds (86399992 for a day); no token lives for 11 days.
_MILLISECONDS_ABOVE = 1_000_000
_EARLIEST_RENEWAL_SECONDS = 60.0


_shared: dict[tuple[str, str, str, str], AccessToken] = {}
_sharing = threading.Lock()


def shared_token(settings: CredentialSettings) -> AccessToken:
    """The one token of this process for a credential.

    Runs, sensors and both lanes use it: a sensor that took a new one each tick would take 17,000 a day, and Adobe throttles
    clients that take too many.
    """
    key = (settings.ims_url, settings.client_id, settings.client_secret.get_secret_value(), settings.scopes)
    with _sharing:
        if key not in _shared:
            _shared[key] = AccessToken(settings)
        return _shared[key]


class AccessToken:
    """One token, renewed ahead of its expiry; safe to share between threads."""

    def __init__(
        self, settings: CredentialSettings, clock: Callable[[], float] = time.monotonic, repeats: int = 3
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._value: str | None = None
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._session = requests.Session()
        retry = Retry(
            total=repeats,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
            raise_on_status=False,
            # A long wait that IMS asks for is the next run's; every connection waits for this one call.
            respect_retry_after_header=False,
        )
        self._session.mount(settings.ims_url, HTTPAdapter(max_retries=retry))

    @property
    def seconds_left(self) -> float:
        """How long the present token still holds; 0 without one."""
        return max(0.0, self._ends_at - self._clock()) if self._value is not None else 0.0

    def value(self, *, stale: str | None = None) -> str:
        """A token; never again the one that the caller names as stale.

        Raises:
            PermanentDeliveryError: IMS refuses the credential.
            TransientDeliveryError: IMS cannot be reached or fails.
        """
        with self._lock:
            if self._value is None or self._value == stale or self._clock() >= self._renew_at:
                self._renew()
            return self._value or ""

    def _renew(self) -> None:
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret.get_secret_value(),
            "scope": settings.scopes,
        }
        try:
            answer = self._session.post(f"{settings.ims_url}/ims/token/v3", data=form, timeout=settings.timeout_seconds)
        except requests.RequestException:
            # Without the cause: its text may repeat the request.
            raise TransientDeliveryError(
                f"Adobe's identity service at ADOBE_IMS_URL={settings.ims_url} cannot be reached. Check the address, the "
                "network and any proxy; entities stay pending until the next run."
            ) from None
        if answer.status_code != 200:
            self._refused(answer)
        try:
            body = answer.json()
            value, life = str(body["access_token"]), float(body["expires_in"])
        except (ValueError, TypeError, KeyError):
            raise TransientDeliveryError(
                f"ADOBE_IMS_URL={settings.ims_url} answers 200 without an access token. Check that the address is Adobe's "
                "identity service and that no proxy answers in its place; entities stay pending until the next run."
            ) from None
        life = life / 1000 if life > _MILLISECONDS_ABOVE else life
        self._value = value
        self._ends_at = self._clock() + life
        self._renew_at = self._ends_at - min(_EARLIEST_RENEWAL_SECONDS, life / 4)

    def _refused(self, answer: requests.Response) -> None:
        try:
            error = str(answer.json().get("error", ""))
        except (ValueError, AttributeError):
            error = ""
        if answer.status_code >= 500 or answer.status_code == 429:
            raise TransientDeliveryError(
                f"Adobe's identity service answers {answer.status_code}. Entities stay pending until the next run."
            )
        cures = {
            "invalid_client": "Check ADOBE_CLIENT_ID and ADOBE_CLIENT_SECRET; a secret that was rotated away no longer works.",
            "invalid_scope": "Check ADOBE_SCOPES against the list on the credential's page in the developer console.",
        }
        cure = cures.get(error, "Check the ADOBE_CLIENT_* settings and ADOBE_IMS_URL.")
        raise PermanentDeliveryError(
            f"Adobe's identity service refuses the credential ({answer.status_code} {error or 'without a reason'}). {cure}"
        )
