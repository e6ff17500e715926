"""The streaming inlet: one request sent until each of its messages has a fate.

Belongs here: posting, and carrying out the reaction to each answer. Does not belong here: which reaction it is
(`errors.py`), reading a 207 (`answers.py`), choosing what to send and remembering what became of it (`streaming.py`).
Source: experienceleague.adobe.com/docs/experience-platform/ingestion/tutorials/streaming-multiple-messages.html
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

import requests

from capillary_adobe.adobe.answers import read_items, words_of
from capillary_adobe.adobe.backoff import Backoff, asked_wait
from capillary_adobe.adobe.bearer import Bearer
from capillary_adobe.adobe.bodies import Answer, whole
from capillary_adobe.adobe.errors import (
    NO_ANSWER,
    DeliveryError,
    PermanentDeliveryError,
    Reaction,
    TransientDeliveryError,
    cure_for,
    effect_unknown,
    failure_of,
    failure_without_token,
    reaction_to,
)
from capillary_adobe.adobe.messages import Envelope, Message
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.pacing import Pacer
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Detail, Fate

_TOO_LARGE = 413
_THROTTLING = frozenset({429, 503})


@dataclass
class Request:
    """Messages on their way together: one row in the ledger, however often it has to be repeated."""

    messages: Sequence[Message]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    opened: bool = False
    in_doubt: bool = False
    """Whether the last sending was not answered, so that AEP may have the messages."""
    lost: int = 0
    """Sendings before the last one that were not answered."""
    http_status: int | None = None
    words: str = "Not sent"


@dataclass(frozen=True)
class Settled:
    """What is known of a request in the end; `stop` tells why no other request should follow."""

    request: Request
    fates: Sequence[Fate]
    details: dict[int, Detail] = field(default_factory=dict)
    aep_id: str | None = None
    stop: DeliveryError | None = None

    @property
    def took_nothing(self) -> bool:
        """Whether AEP read messages, took none and refused some: for what they hold, or for where they were sent."""
        refused = self.request.http_status != _TOO_LARGE and Fate.REJECTED in self.fates
        return refused and Fate.ACCEPTED not in self.fates


class Ledger(Protocol):
    """Where requests are noted, durably before the call returns."""

    def sending(self, request: Request) -> None:
        """The request is about to leave, for the first time or after a sending that was lost."""
        ...

    def leaving(self, request: Request) -> None:
        """The request leaves now, once more or for the first time; after `sending` where that is told too."""
        ...

    def settle(self, settled: Settled) -> None:
        """The request will not be repeated."""
        ...


class Inlet:
    """The inlet of one dataset; safe to share between threads, each with a connection of its own."""

    def __init__(
        self,
        settings: AdobeSettings,
        token: AccessToken,
        pacer: Pacer,
        stopping: threading.Event,
        envelope: Envelope | None = None,
    ) -> None:
        self._settings = settings
        self._token = token
        self._pacer = pacer
        self._stopping = stopping
        self._envelope = envelope or Envelope.of_events(settings)
        self._local = threading.local()

    @property
    def envelope(self) -> Envelope:
        """The envelope to pack messages with."""
        return self._envelope

    @property
    def target(self) -> str:
        """Fingerprint of where and under which ids messages go."""
        return sha256(self._settings.batch_url.encode() + self._envelope.before).hexdigest()[:16]

    def send(self, messages: Sequence[Message], ledger: Ledger) -> None:
        """Send messages until each has a fate or the retry budget is spent.

        The ledger is told before each sending whose effect could get lost, and as soon as a fate is known: a process that
        is killed at any moment leaves at most one request of this connection whose fate is unknown.
        """
        backoff = Backoff(self._settings.retry_budget_seconds, self._stopping)
        request: Request | None = Request(messages)
        while request is not None:
            request = self._advance(request, ledger, backoff)

    def _advance(self, request: Request, ledger: Ledger, backoff: Backoff) -> Request | None:
        """One sending and what follows from it: the request that is to be tried next, if any."""
        turn = self._pacer.take(len(request.messages), self._stopping, backoff.deadline)
        if not turn:
            self._give_up(request, ledger, turn.words or None)
            return None
        try:
            answer = self._post(request, ledger)
        except DeliveryError as error:
            self._pacer.failed_calls.note(failure_without_token(error))
            self._leave(request, ledger, "There is no access token; to be sent again.", error)
            return None
        status = NO_ANSWER if answer is None else answer.status_code
        self._tell_pacer(request, answer)
        self._pacer.failed_calls.note(failure_of(status))
        reaction = reaction_to(status)
        if answer is not None and reaction is Reaction.READ:
            return self._read(request, answer, ledger, backoff)
        if answer is not None and reaction in (Reaction.SPLIT, Reaction.ISOLATE):
            self._split(request, answer, ledger)
            return None
        if reaction is Reaction.BACK_OFF:
            return self._repeat(request, ledger, backoff, answer)
        self._stop(request, ledger)
        return None

    def _post(self, request: Request, ledger: Ledger) -> Answer | None:
        """Send a request, once more with a fresh token if the first is refused; None where no answer came."""
        token = self._token.value()
        answer = self._send_once(request, token, ledger)
        if answer is not None and reaction_to(answer.status_code) is Reaction.REFRESH_ONCE:
            answer = self._send_once(request, self._token.value(stale=token), ledger)
        return answer

    def _send_once(self, request: Request, token: str, ledger: Ledger) -> Answer | None:
        if request.in_doubt:
            request.lost += 1
        if request.in_doubt or not request.opened:
            ledger.sending(request)
            request.opened = True
        ledger.leaving(request)
        # Until there is an answer, and for good where there is none.
        request.in_doubt = True
        try:
            deadline = time.monotonic() + self._settings.timeout_seconds
            response = self._session().post(
                self._settings.batch_url,
                data=self._envelope.body(request.messages),
                headers={
                    "Content-Type": "application/json",
                    "x-sandbox-name": self._settings.sandbox_name,
                    "x-gw-ims-org-id": self._settings.org_id,
                    "x-api-key": self._settings.client_id,
                },
                auth=Bearer(token),
                timeout=self._settings.timeout_seconds,
                allow_redirects=False,
                stream=True,
            )
            answer = whole(response, deadline)
        except requests.RequestException as error:
            # The answer is lost, the messages may have arrived: they go again under the same ids.
            request.words = f"No answer from AEP ({type(error).__name__})"
            return None
        request.http_status = answer.status_code
        request.words = f"AEP answers {answer.status_code}"
        request.in_doubt = effect_unknown(answer.status_code)
        return answer

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session

    def _tell_pacer(self, request: Request, answer: Answer | None) -> None:
        if answer is None:
            self._pacer.failed(request.words)
            return
        if answer.status_code in _THROTTLING:
            self._pacer.throttled(asked_wait(answer))
        if reaction_to(answer.status_code) is Reaction.BACK_OFF and answer.status_code >= 500:
            self._pacer.failed(request.words)
        else:
            self._pacer.answered()

    def _read(self, request: Request, answer: Answer, ledger: Ledger, backoff: Backoff) -> Request | None:
        items = read_items(answer.content, len(request.messages))
        if items is None:
            request.in_doubt = True
            request.words = f"AEP answers {answer.status_code} without an answer for each message"
            return self._repeat(request, ledger, backoff, answer)
        ledger.settle(Settled(request, items.fates, items.details, items.aep_id))
        places = [place for place, fate in enumerate(items.fates) if fate in (Fate.PENDING, Fate.UNKNOWN)]
        if not places:
            return None
        if any(detail.code == 429 for detail in items.details.values()):
            self._pacer.throttled(None)
            self._pacer.failed_calls.note(failure_of(429))
        rest = Request([request.messages[place] for place in places], http_status=answer.status_code)
        rest.words = "AEP took only a part of the request"
        return self._repeat(rest, ledger, backoff, answer)

    def _repeat(self, request: Request, ledger: Ledger, backoff: Backoff, answer: Answer | None) -> Request | None:
        if backoff.wait(asked_wait(answer) if answer is not None else None):
            return request
        self._give_up(request, ledger)
        return None

    def _give_up(self, request: Request, ledger: Ledger, why: str | None = None) -> None:
        """The retry budget is spent, AEP is known to be down, or delivery stops for another reason."""
        words = why or request.words
        stop = None
        if not self._stopping.is_set():
            stop = TransientDeliveryError(
                f"{words}, and repeating did not help within ADOBE_RETRY_BUDGET_SECONDS. What is not accepted stays "
                "pending; the next run sends it. If this lasts, check ADOBE_INLET_URL and Adobe's status page."
            )
        self._leave(request, ledger, f"{words}; to be sent again.", stop)

    def _leave(self, request: Request, ledger: Ledger, words: str, stop: DeliveryError | None) -> None:
        fate = Fate.UNKNOWN if request.in_doubt else Fate.PENDING
        _settle_alike(request, ledger, fate, words, stop)

    def _stop(self, request: Request, ledger: Ledger) -> None:
        """AEP refuses the request for a reason that a person must remove."""
        status = request.http_status or 0
        error = PermanentDeliveryError(f"AEP refuses requests with status {status}. {cure_for(status)}")
        fate = Fate.UNKNOWN if request.in_doubt else Fate.FAILED
        _settle_alike(request, ledger, fate, "AEP refused the whole request.", error)

    def _split(self, request: Request, answer: Answer, ledger: Ledger) -> None:
        """Send the halves on their own, down to the one message that AEP refuses."""
        too_large = answer.status_code == _TOO_LARGE
        if len(request.messages) == 1:
            words = "The entity alone is larger than AEP takes." if too_large else words_of(answer.content)
            _settle_alike(request, ledger, Fate.REJECTED, words, None)
            return
        _settle_alike(request, ledger, Fate.PENDING, "AEP refused the whole request; sent again in two halves.", None)
        middle = len(request.messages) // 2
        for half in (request.messages[:middle], request.messages[middle:]):
            if not self._stopping.is_set():
                self.send(half, ledger)


def _settle_alike(request: Request, ledger: Ledger, fate: Fate, words: str, stop: DeliveryError | None) -> None:
    count = len(request.messages)
    details = dict.fromkeys(range(count), Detail(request.http_status, words))
    ledger.settle(Settled(request, [fate] * count, details, stop=stop))
