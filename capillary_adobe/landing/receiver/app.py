"""The application: a POST of an event, judged, read, made durable, and answered.

Belongs here: the order of these steps, and which answer and which outcome each end has. Does not belong here: how a body
becomes durable, the connection, the other pages.

A body whose sender has shown the credential is never refused: whatever it is, it lands, or its sender is told to send
it again. So every failure here, a foreseen one or another, is answered 429.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from capillary_adobe.landing.receiver.answers import (
    ABORTED,
    ASIDE,
    CONNECTION,
    ELSEWHERE,
    LANDED,
    NOT_LANDED,
    REFUSED,
    STOPPING,
    UNEXPECTED,
    Answer,
    Answers,
)
from capillary_adobe.landing.receiver.bodies import ClientGone, Held, Incoming, Memory
from capillary_adobe.landing.receiver.committer import Committer
from capillary_adobe.landing.receiver.credentials import SIGNATURE_WRONG, Credentials, Headers, Signature
from capillary_adobe.landing.receiver.gate import Closed, Gate
from capillary_adobe.landing.receiver.lines import stands_as_line
from capillary_adobe.landing.receiver.logs import Seldom
from capillary_adobe.landing.receiver.metrics import Metrics
from capillary_adobe.landing.receiver.outcome import NotLanded
from capillary_adobe.settings import ReceiverSettings

OVERSIZE: Final = "oversize"
LONG_HEADERS: Final = "headers"
UNREADABLE: Final = "unreadable"
# Name and value are parted and ended by four more bytes.
_AROUND_A_HEADER: Final = 4


class _Refused(Exception):
    """A credential is missing or wrong; the text is the reason."""


class Receiver:
    """The ASGI application. POST on the settings' path is its own; the rest goes to `others`."""

    def __init__(
        self, settings: ReceiverSettings, gate: Gate, metrics: Metrics, memory: Memory, others: ASGIApp
    ) -> None:
        self._credentials = Credentials(settings)
        self._answers = Answers.of(settings)
        # A slash at the end is the slip of a person who typed the address into Capillary, and 404 might lose the event.
        self._paths = frozenset({settings.path, f"{settings.path}/"})
        self._longest_body = settings.max_body_bytes
        self._longest_headers = settings.max_header_bytes
        self._gate = gate
        self._metrics = metrics
        self._memory = memory
        self._others = others
        self._refusals = Seldom("Requests are refused: a credential is missing or wrong", logging.ERROR)
        self._later = Seldom("Events are not taken now and are to be sent again")
        self._failures = Seldom("An event was not landed for a reason that is not foreseen", logging.ERROR)
        self._elsewhere = Seldom("Requests are posted to a path that is not RECEIVE_PATH")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            await self._others(scope, receive, send)
        elif scope["path"] in self._paths:
            await self._answer(scope, receive, send)
        else:
            await self._answer_elsewhere(scope["headers"], send)

    async def _answer_elsewhere(self, headers: Headers, send: Send) -> None:
        # A slip in the webhook's address or in a proxy's holds up the queue and is seen; 404 might lose every event.
        self._metrics.request(ELSEWHERE)
        self._elsewhere.note("post")
        answer = self._answers.later_closing if _expects_leave(headers) else self._answers.later
        await send(answer.start)
        await send(answer.body)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = scope["headers"]
        try:
            await self._land(headers, receive)
        except ClientGone:
            # Where the receiver has closed the connection, an answer is on its way already.
            if not scope["extensions"][CONNECTION].counted:
                self._metrics.request(ABORTED)
            return
        except _Refused as refused:
            answer = self._refuse(str(refused), headers)
        except (NotLanded, Closed) as error:
            answer = self._send_again(error.reason, headers)
        except asyncio.CancelledError:
            # Only the end of the process cancels: a store hung for longer than a stop may take.
            answer = self._send_again(STOPPING, headers)
        except Exception as error:  # noqa: BLE001
            self._failures.note(type(error).__name__, error)
            answer = self._send_again(UNEXPECTED, headers)
        else:
            answer = self._answers.landed
        await send(answer.start)
        await send(answer.body)

    def _refuse(self, reason: str, headers: Headers) -> Answer:
        self._metrics.request(REFUSED, reason)
        self._refusals.note(reason)
        return self._answers.refused_closing if _expects_leave(headers) else self._answers.refused

    def _send_again(self, reason: str, headers: Headers) -> Answer:
        self._metrics.request(NOT_LANDED, reason)
        self._later.note(reason)
        return self._answers.later_closing if _expects_leave(headers) else self._answers.later

    async def _land(self, headers: Headers, receive: Receive) -> None:
        fault = self._credentials.fault(headers)
        if fault:
            raise _Refused(fault)
        committer = self._gate.committer()
        signature = self._credentials.signature(headers)
        incoming = Incoming(receive)
        piece = await incoming.piece()
        if not incoming.more and len(piece) <= self._longest_body:
            # Nearly every body comes whole with its headers.
            await self._land_whole(committer, headers, piece, signature)
        else:
            await self._land_pieces(committer, headers, piece, incoming, signature)

    async def _land_whole(
        self, committer: Committer, headers: Headers, body: bytes, signature: Signature | None
    ) -> None:
        if signature is not None:
            signature.add(body)
            _demand(signature)
        why = _why_aside(body, headers, self._longest_headers)
        if why:
            await committer.land_aside(body, why)
            self._metrics.request(ASIDE, why)
        else:
            await committer.land_line(body)
            self._metrics.request(LANDED)

    async def _land_pieces(
        self, committer: Committer, headers: Headers, piece: bytes, incoming: Incoming, signature: Signature | None
    ) -> None:
        with self._memory.hold() as held:
            held.add(len(piece))
            gathered = bytearray(piece)
            # Where the length is told and too large, nothing need be gathered to see it.
            told = _told_length(headers)
            while incoming.more and max(told, len(gathered)) <= self._longest_body:
                piece = await incoming.piece()
                held.add(len(piece))
                gathered += piece
            if incoming.more or len(gathered) > self._longest_body:
                await self._land_large(committer, bytes(gathered), held, incoming, signature)
            else:
                # The durable core counts it from here on.
                held.release()
                await self._land_whole(committer, headers, bytes(gathered), signature)

    async def _land_large(
        self, committer: Committer, piece: bytes, held: Held, incoming: Incoming, signature: Signature | None
    ) -> None:
        """Spool a body to disk while it comes in, so that many large ones at once take no memory."""
        async with committer.large() as large:
            while True:
                if signature is not None:
                    signature.add(piece)
                await large.write(piece)
                held.release()
                if not incoming.more:
                    break
                piece = await incoming.piece()
                held.add(len(piece))
            if signature is not None:
                _demand(signature)
            await large.land(OVERSIZE)
        self._metrics.request(ASIDE, OVERSIZE)


def _why_aside(body: bytes, headers: Headers, longest_headers: int) -> str:
    """Why a body is to be an object of its own; empty where it can stand among others."""
    if sum(len(name) + len(value) + _AROUND_A_HEADER for name, value in headers) > longest_headers:
        return LONG_HEADERS
    return "" if stands_as_line(body) else UNREADABLE


def _told_length(headers: Headers) -> int:
    """The length of the body where the headers tell it; 0 where it comes in pieces of unknown number."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _demand(signature: Signature) -> None:
    if not signature.fits():
        raise _Refused(SIGNATURE_WRONG)


def _expects_leave(headers: Headers) -> bool:
    """Whether the client waits for leave to send its body: refused, it may send it or not, and nobody can tell which."""
    return any(name == b"expect" for name, _ in headers)
