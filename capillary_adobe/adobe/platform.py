"""Calls to the Platform API (platform.adobe.io): who asks, for which sandbox, and how often.

Belongs here: token, headers and tries of one call by the error table, and what an answer that stops it is called. Does
not belong here: any one service's addresses and bodies (`batch_api.py`, `catalog.py`, `data_access.py`).
Sources: the OpenAPI descriptions of github.com/AdobeDocs/experience-platform-apis and the gateway's errors at
experienceleague.adobe.com/docs/experience-platform/landing/troubleshooting.html.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

import orjson
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from capillary_adobe.adobe.backoff import Backoff, asked_wait
from capillary_adobe.adobe.bearer import Bearer
from capillary_adobe.adobe.errors import (
    NO_ANSWER,
    DeliveryError,
    PermanentDeliveryError,
    Reaction,
    TransientDeliveryError,
    cure_for,
    failure_of,
    failure_without_token,
    reaction_to,
)
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.adobe.wording import CUT, LONGEST, safe_words
from capillary_adobe.settings import CredentialSettings
from capillary_adobe.state.failed_calls import FailedCalls

_SERVICES: Final = {
    "import": "batch ingestion",
    "catalog": "Catalog",
    "export": "Data Access",
    "schemaregistry": "Schema Registry",
    "idnamespace": "Identity Service",
    "flowservice": "Flow Service",
    "hygiene": "Data Hygiene",
}
_BEARER = re.compile(r"Bearer\s+\S+", re.IGNORECASE)
_NOT_FOUND: Final = 404
_PENDING = "What is not accepted stays pending; the next run goes on."


class Body(Protocol):
    """What can be sent: read as it goes out, and closed after each try."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, none at the end."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Refused(PermanentDeliveryError):
    """AEP answers with a status that waiting does not heal; `words` is what AEP says about it."""

    def __init__(self, text: str, status: int, words: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.words = words


class NotThere(Refused):
    """What the address names does not exist (404)."""


class Conflict(Refused):
    """AEP has something else there already (409, 412)."""


class Unanswered(TransientDeliveryError):
    """Whether AEP did what it was asked is unknown; `asked_wait` is the pause that it asks for, if it does."""

    def __init__(self, text: str, asked_wait: float | None = None) -> None:
        super().__init__(text)
        self.asked_wait = asked_wait


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    params: Mapping[str, Any] | None
    json: Any
    headers: Mapping[str, str | None]
    body: Callable[[], Body] | None
    stream: bool

    @property
    def service(self) -> str:
        """The name of the service that is asked, for people."""
        return f"AEP's {_SERVICES.get((self.path.split('/') + [''] * 4)[3], 'Platform API')}"


class Platform:
    """The Platform API of one sandbox; safe to share between threads, each with a connection of its own.

    With `failed_calls` it counts what fails there.
    """

    def __init__(
        self,
        settings: CredentialSettings,
        token: AccessToken,
        stopping: threading.Event | None = None,
        failed_calls: FailedCalls | None = None,
    ) -> None:
        self._settings = settings
        self._token = token
        self._stopping = stopping or threading.Event()
        self._failed_calls = failed_calls
        self._local = threading.local()

    def backoff(self, share: float = 1.0) -> Backoff:
        """Pauses under a share of the retry budget, for a caller that repeats more than one call."""
        return Backoff(self._settings.retry_budget_seconds * share, self._stopping)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str | None] | None = None,
        body: Callable[[], Body] | None = None,
        stream: bool = False,
        repeat_unanswered: bool = True,
    ) -> requests.Response:
        """Ask until AEP answers with a success; `body` opens what is sent anew for each try.

        A header that is None is left out, as `x-sandbox-name` for what belongs to no sandbox.
        With `repeat_unanswered` False a call whose effect is unknown is not repeated.

        Raises:
            Refused: AEP refuses; `NotThere` and `Conflict` say how.
            Unanswered: the effect is unknown and the call must not be repeated blindly.
            TransientDeliveryError: repeating did not help within the retry budget.
        """
        call = _Call(method, path, params, json, headers or {}, body, stream)
        backoff = self.backoff()
        stale: str | None = None
        while True:
            token = self._value(stale)
            answer, lost = self._try_once(call, token)
            status = answer.status_code if answer is not None else NO_ANSWER
            succeeded = answer is not None and _succeeded(answer)
            if answer is not None and succeeded and not _is_page(answer):
                return answer
            reaction = Reaction.BACK_OFF if succeeded else reaction_to(status)
            if reaction is Reaction.REFRESH_ONCE and stale is None:
                stale = token
                continue
            self._count(NO_ANSWER if succeeded else status)
            if reaction is not Reaction.BACK_OFF:
                raise _refusal(call, status, "" if answer is None else _words_of(answer, token, call))
            asked = asked_wait(answer) if answer is not None else None
            if not repeat_unanswered and _effect_unknown(status, lost):
                raise Unanswered(
                    f"{_what_came(call, status, lost)}; its effect is unknown. {_PENDING}", asked
                ) from lost
            if not backoff.wait(asked):
                raise TransientDeliveryError(
                    f"{_what_came(call, status, lost)}, and repeating did not help within ADOBE_RETRY_BUDGET_SECONDS. "
                    f"{_PENDING} If this lasts, check ADOBE_PLATFORM_URL, the network and Adobe's status page."
                ) from lost

    def _value(self, stale: str | None) -> str:
        try:
            return self._token.value(stale=stale)
        except DeliveryError as error:
            if self._failed_calls is not None:
                self._failed_calls.note(failure_without_token(error))
            raise

    def _count(self, status: int) -> None:
        # What is not there is an answer like any other to those who look whether it is.
        if self._failed_calls is not None and status != _NOT_FOUND:
            self._failed_calls.note(failure_of(status))

    def _try_once(self, call: _Call, token: str) -> tuple[requests.Response | None, requests.RequestException | None]:
        settings = self._settings
        headers = {
            "x-api-key": settings.client_id,
            "x-gw-ims-org-id": settings.org_id,
            "x-sandbox-name": settings.sandbox_name,
            **call.headers,
        }
        with ExitStack() as opened:
            data = None
            if call.body is not None:
                data = call.body()
                opened.callback(data.close)
            try:
                answer = self._session().request(
                    call.method,
                    settings.platform_url + call.path,
                    params=call.params,
                    json=call.json,
                    data=data,
                    headers=headers,
                    auth=Bearer(token),
                    timeout=settings.timeout_seconds,
                    allow_redirects=False,
                    stream=call.stream,
                )
                if call.stream and not _succeeded(answer):
                    _ = answer.content  # read here, where a connection that breaks off counts as no answer
            except requests.RequestException as error:
                return None, error
        return answer, None

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session


def segment(text: str) -> str:
    """A part of a path that comes from data, encoded.

    Raises:
        ValueError: the text would name another address than the one meant.
    """
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be a part of an address of the Platform API")
    return quote(text, safe="")


def json_of(answer: requests.Response) -> Any:
    """The JSON of an answer.

    Raises:
        TransientDeliveryError: there is none, as where a proxy answers in AEP's place.
    """
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        raise TransientDeliveryError(
            f"AEP answers {answer.status_code} without JSON. Check that ADOBE_PLATFORM_URL is Adobe's and that no proxy "
            f"answers in its place. {_PENDING}"
        ) from None


def _succeeded(answer: requests.Response) -> bool:
    return 200 <= answer.status_code < 300


def _is_page(answer: requests.Response) -> bool:
    """Whether a proxy answers in AEP's place: a page that says 200 would pass for a file that was taken."""
    return "html" in answer.headers.get("Content-Type", "").lower()


def _effect_unknown(status: int, lost: requests.RequestException | None) -> bool:
    if status == NO_ANSWER:
        return not _never_left(lost)
    return status >= 500 or status == 408 or status < 300


def _never_left(lost: requests.RequestException | None) -> bool:
    """Whether there was no connection, so that AEP cannot have seen the request."""
    if isinstance(lost, requests.ConnectTimeout):
        return True
    cause = lost.args[0] if lost is not None and lost.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _what_came(call: _Call, status: int, lost: requests.RequestException | None) -> str:
    if status == NO_ANSWER:
        return f"No answer from {call.service} ({type(lost).__name__})"
    return f"{call.service} answers {status}{' with a page in place of data' if status < 300 else ''}"


def _refusal(call: _Call, status: int, words: str) -> Refused:
    kind = NotThere if status == 404 else Conflict if reaction_to(status) is Reaction.LOOK_UP else Refused
    said = f": {words.rstrip('.')}" if words else ""
    return kind(f"{call.service} refuses {call.method} with status {status}{said}. {cure_for(status)}", status, words)


def _words_of(answer: requests.Response, token: str, call: _Call) -> str:
    """What AEP says about a refusal, by the gateway's fields, a problem's or the Flow Service's."""
    try:
        body: Any = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return ""
    if type(body) is not dict:
        return ""
    said = [body.get(name) for name in ("error_code", "title", "detail", "message", "errorMessage")]
    words = " ".join(str(one).strip() for one in said if isinstance(one, str | int) and one)
    words = _BEARER.sub(f"Bearer {CUT}", words.replace(token, CUT))
    # An answer about data that was sent may repeat it.
    return safe_words(words) if call.body is not None else words[:LONGEST]
