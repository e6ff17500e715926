"""The layer that carries faults out, around the whole application.

Belongs here: faults of the connection and of the answer as a whole, and handing the others on with the request. Does not
belong here: which request is hit (`faults`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capillary_adobe.emulators.faults import Fault, Faults, Hit
from capillary_adobe.emulators.wire import bearer_token, drain

_HIT = "capillary_adobe.hit"
_PIECES = 20
_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please sign in</h1></body></html>"


def hit_of(request: Request, *kinds: str) -> Hit | None:
    """The fault of one of these kinds that hits a request."""
    hit: Hit | None = request.scope.get(_HIT)
    return hit if hit is not None and hit.fault.kind in kinds else None


class Revocable(Protocol):
    """Tokens that can be made invalid."""

    def revoke(self, token: str) -> None:
        """Take this one no longer."""


class FaultLayer:
    """Only what the emulated service itself offers can fail; the emulator's own addresses never do.

    `answers` holds for each prefix of the service's paths the count of its answers; `token_of` finds the token of a
    request.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        tokens: Revocable,
        answers: dict[str, Counter[int]],
        token_of: Callable[[Headers], str] = bearer_token,
    ) -> None:
        self._app = app
        self._faults = faults
        self._tokens = tokens
        self._answers = answers
        self._prefixes = tuple(answers)
        self._token_of = token_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, through whatever hits it."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefixes):
            await self._app(scope, receive, send)
            return
        token = self._token_of(Headers(scope=scope))
        last: Hit | None = None
        pause = 0.0
        for hit in self._faults.on(scope["method"], scope["path"], has_token=bool(token)):
            match hit.fault.kind:
                case "delay":
                    pause += hit.fault.seconds
                case "revoke_token":
                    self._tokens.revoke(token)
                case _:
                    last = hit
        late = _late(send, pause) if pause else send
        if last is None:
            await self._app(scope, receive, late)
        elif last.fault.kind in ("reset_before", "reset_after"):
            await self._cut(last.fault, pause, scope, receive)
        elif last.fault.kind in ("status", "html"):
            await self._instead(last.fault, scope, receive, late)
        elif last.fault.kind == "slow_body":
            await self._app(scope, receive, _trickle(late, last.fault.seconds))
        else:
            await self._app({**scope, _HIT: last}, receive, late)

    async def _cut(self, fault: Fault, pause: float, scope: Scope, receive: Receive) -> None:
        if fault.kind == "reset_after":
            await self._app(scope, receive, _nowhere)
        await asyncio.sleep(pause)
        # The server's own object behind `receive` holds the connection; nothing in ASGI can cut one.
        cycle: Any = receive.__self__  # pyright: ignore[reportFunctionMemberAccess]
        cycle.transport.abort()
        while (await receive())["type"] != "http.disconnect":  # returning any sooner would be logged as an error
            pass

    async def _instead(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await drain(Request(scope, receive))
        except ClientDisconnect:
            return
        response = HTMLResponse(_PAGE) if fault.kind == "html" else _answer(fault)
        prefix = next(prefix for prefix in self._prefixes if scope["path"].startswith(prefix))
        self._answers[prefix][response.status_code] += 1
        await response(scope, receive, send)


def _answer(fault: Fault) -> Response:
    match fault.body:
        case None:
            return Response(status_code=fault.status, headers=fault.headers)
        case str():
            return Response(fault.body, fault.status, fault.headers, media_type="text/plain")
        case _:
            return JSONResponse(fault.body, fault.status, fault.headers)


async def _nowhere(_message: Message) -> None:
    """Where the answer goes that is never given."""


def _late(send: Send, seconds: float) -> Send:
    async def late(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(seconds)
        await send(message)

    return late


def _trickle(send: Send, seconds: float) -> Send:
    begun = False

    async def slowly(message: Message) -> None:
        nonlocal begun
        body = message.get("body", b"")
        if begun or not body:
            await send(message)
            return
        begun = True
        size = max(len(body) // _PIECES, 1)
        for start in range(0, len(body), size):
            await asyncio.sleep(seconds * size / len(body))
            await send({"type": message["type"], "body": body[start : start + size], "more_body": True})
        await send({"type": message["type"], "body": b"", "more_body": message.get("more_body", False)})

    return slowly
