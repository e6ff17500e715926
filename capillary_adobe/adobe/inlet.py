"""The streaming inlet: one request sent until each of its messages has an outcome.

Belongs here: posting, reading the three published shapes of a 207, retrying by class. Does not belong here: choosing
what to send and remembering what became of it (`delivery.py`).
Sources: experienceleague.adobe.com/docs/experience-platform/ingestion/tutorials/streaming-multiple-messages.html and
the response fixtures of github.com/adobe/experience-platform-streaming-connect.
"""

from __future__ import annotations

import random
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
import requests
from requests.auth import AuthBase
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from capillary_adobe.adobe.errors import (
    DeliveryError,
    PermanentDeliveryError,
    Reaction,
    TransientDeliveryError,
    cure_for,
    reaction_to,
    retryable_message,
)
from capillary_adobe.adobe.messages import Envelope, Message
from capillary_adobe.adobe.pacing import Pacer
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Outcome

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_TOO_LARGE = 413
_INDEX = re.compile(r"[-:](\d+)$")


@dataclass
class Settled:
    """Messages that have their outcome.

    `details` gives code and words by place, `stop` why no other request should follow.
    """

    messages: list[Message]
    outcomes: list[Outcome]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    http_status: int | None = None
    aep_id: str | None = None
    details: dict[int, tuple[int | None, str]] = field(default_factory=dict)
    stop: DeliveryError | None = None

    @property
    def all_refused(self) -> bool:
        """Whether AEP read the messages and took none of them."""
        return self.http_status != _TOO_LARGE and all(outcome is Outcome.REJECTED for outcome in self.outcomes)


Settle = Callable[[Settled], None]


class _Bearer(AuthBase):
    """Sets the token itself, so that a stray netrc entry of the machine cannot replace it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Inlet:
    """The inlet of one dataset; safe to share between threads, each with a connection of its own."""

    def __init__(self, settings: AdobeSettings, token: AccessToken, pacer: Pacer, stopping: threading.Event) -> None:
        self._settings = settings
        self._token = token
        self._pacer = pacer
        self._stopping = stopping
        self._envelope = Envelope.of_events(settings)
        self._local = threading.local()

    @property
    def envelope(self) -> Envelope:
        """The envelope to pack messages with."""
        return self._envelope

    @property
    def target(self) -> str:
        """Fingerprint of where and under which ids messages go."""
        return sha256(self._settings.batch_url.encode() + self._envelope.before).hexdigest()[:16]

    def send(self, messages: list[Message], settle: Settle) -> None:
        """Send messages until each has an outcome or the retry budget is spent.

        `settle` is told of outcomes as soon as they are known, each message in one of its calls: a process that is killed
        during a pause has its receipts.
        """
        sending = _Sending(messages, settle)
        deadline = time.monotonic() + self._settings.retry_budget_seconds
        pause = _FIRST_PAUSE_SECONDS
        while sending.open:
            asked_wait = self._try_once(sending)
            if sending.open and not self._may_repeat(deadline, pause, asked_wait):
                sending.give_up(transient=not self._stopping.is_set())
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _try_once(self, sending: _Sending) -> float | None:
        """One request with the messages still open; returns the seconds that AEP asks to wait."""
        if not self._pacer.take(len(sending.open), self._stopping):
            return None
        try:
            token = self._token.value(stale=sending.stale_token)
        except DeliveryError as error:
            sending.leave(Outcome.PENDING, "There is no access token; to be sent again.", error)
            return None
        try:
            answer = self._post(sending.open, token)
        except requests.RequestException as error:
            # The answer is lost, the messages may have arrived: they go again under the same ids.
            sending.words = f"No answer from AEP ({type(error).__name__})"
            return None
        sending.http_status = answer.status_code
        sending.words = f"AEP answers {answer.status_code}"
        reaction = reaction_to(answer.status_code)
        if reaction is Reaction.READ_ITEMS:
            sending.read_items(answer)
        elif reaction is Reaction.SPLIT:
            self._split(sending)
        elif reaction is Reaction.REFRESH_ONCE and sending.stale_token is None:
            sending.stale_token = token
            return self._try_once(sending)
        elif reaction is not Reaction.BACK_OFF:
            sending.stop()
        return _asked_wait(answer)

    def _post(self, messages: list[Message], token: str) -> requests.Response:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        settings = self._settings
        return session.post(
            settings.batch_url,
            data=self._envelope.body(messages),
            headers={
                "Content-Type": "application/json",
                "x-sandbox-name": settings.sandbox_name,
                "x-gw-ims-org-id": settings.org_id,
                "x-api-key": settings.client_id,
            },
            auth=_Bearer(token),
            timeout=settings.timeout_seconds,
            allow_redirects=False,
        )

    def _split(self, sending: _Sending) -> None:
        messages = sending.open
        if len(messages) == 1:
            sending.leave(Outcome.REJECTED, "The entity alone is larger than AEP takes.")
            return
        sending.open = []
        middle = len(messages) // 2
        self.send(messages[:middle], sending.settle)
        self.send(messages[middle:], sending.settle)

    def _may_repeat(self, deadline: float, pause: float, asked_wait: float | None) -> bool:
        """Wait before the next try; False where the budget would be overdrawn or delivery is stopping."""
        # Jitter, so that connections that failed together do not come back together.
        wait = asked_wait if asked_wait is not None else pause * random.uniform(0.5, 1.0)  # noqa: S311
        if time.monotonic() + wait > deadline:
            return False
        return not self._stopping.wait(wait)


class _Sending:
    """Messages on their way: those still open, and what the last answer was."""

    def __init__(self, messages: list[Message], settle: Settle) -> None:
        self.open = messages
        self.settle = settle
        self.http_status: int | None = None
        self.stale_token: str | None = None
        self.words = "Not sent"

    def leave(self, outcome: Outcome, words: str, stop: DeliveryError | None = None) -> None:
        """Settle everything still open alike."""
        messages, self.open = self.open, []
        details = dict.fromkeys(range(len(messages)), (self.http_status, words))
        outcomes = [outcome] * len(messages)
        self.settle(Settled(messages, outcomes, http_status=self.http_status, details=details, stop=stop))

    def stop(self) -> None:
        """AEP refuses the request for a reason that a person must remove."""
        status = self.http_status or 0
        error = PermanentDeliveryError(f"AEP refuses requests with status {status}. {cure_for(status)}")
        self.leave(Outcome.FAILED, "AEP refused the whole request.", error)

    def give_up(self, *, transient: bool) -> None:
        """The retry budget is spent, or, where it is not `transient`, delivery stops for another reason."""
        error = TransientDeliveryError(
            f"{self.words}, and repeating did not help within ADOBE_RETRY_BUDGET_SECONDS. What is not accepted stays "
            "pending; the next run sends it. If this lasts, check ADOBE_INLET_URL and Adobe's status page."
        )
        self.leave(Outcome.PENDING, f"{self.words}; to be sent again.", error if transient else None)

    def read_items(self, answer: requests.Response) -> None:
        """Settle the messages that an answer decides; the others stay open."""
        body = _object(answer.content)
        items = body.get("responses")
        if type(items) is not list:
            self.words = f"AEP answers {answer.status_code} without an answer for each message"
            return
        by_place = _match(items, len(self.open))
        aep_id = str(body.get("batchId") or body.get("xactionId") or "") or None
        settled = Settled([], [], http_status=answer.status_code, aep_id=aep_id)
        again: list[Message] = []
        for place, message in enumerate(self.open):
            item = by_place.get(place)
            status = _status_of(item) if item is not None else None
            # Fewer answers than messages, and none matches this one: unknown, so it goes again.
            if item is None or (status is not None and retryable_message(status)):
                again.append(message)
                continue
            if status is not None:
                settled.details[len(settled.messages)] = (status, _words_of(item))
            settled.messages.append(message)
            settled.outcomes.append(Outcome.ACCEPTED if status is None else Outcome.REJECTED)
        self.open = again
        self.words = "AEP took only a part of the request"
        if settled.messages:
            self.settle(settled)


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if type(body) is dict else {}


def _match(items: list[Any], expected: int) -> dict[int, dict[str, Any]]:
    """Answer items by message: by the index that ends their xactionId, else by position if there is one for each."""
    objects = [item for item in items if type(item) is dict]
    indexed = {index: item for item in objects if (index := _index_of(item)) is not None and index < expected}
    if len(indexed) == len(objects):
        return indexed
    if len(objects) == expected:
        return dict(enumerate(objects))
    clear = len(indexed) == sum(_index_of(item) is not None for item in objects)
    return indexed if clear else {}


def _index_of(item: dict[str, Any]) -> int | None:
    match = _INDEX.search(str(item.get("xactionId", "")))
    return int(match[1]) if match else None


def _status_of(item: dict[str, Any]) -> int | None:
    """The status of a message that was not taken; published answers call it `status` or `statusCode`."""
    for name in ("status", "statusCode"):
        try:
            status = int(item.get(name, 0))
        except (TypeError, ValueError):
            continue
        if status >= 400:
            return status
    return None if item.get("xactionId") else 500


def _words_of(item: dict[str, Any]) -> str:
    report = item.get("report")
    words = item.get("message") or (report.get("message") if type(report) is dict else None) or item.get("title")
    return str(words or "AEP gave no reason.")[:500]


def _asked_wait(answer: requests.Response) -> float | None:
    """Seconds that AEP asks to wait, from `Retry-After` in either of its forms; 0 and what is neither ask for nothing."""
    value = answer.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return max(0.0, Retry().parse_retry_after(value)) or None
    except InvalidHeader:
        return None
