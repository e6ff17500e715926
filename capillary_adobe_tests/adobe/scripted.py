"""An inlet that answers as a test has written down, over real HTTP, with an identity service beside it.

Belongs here: every fault that a test can ask for, and the record of what was asked. Does not belong here: any
expectation; the inlet that behaves is the emulator.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.emulators.tenant import Tenant

TENANT = Tenant.demo()


@dataclass
class Asked:
    """One request to the inlet."""

    ids: list[str]
    body: bytes
    token: str
    at: float = field(default_factory=time.monotonic)


Answer = Callable[["ScriptedInlet", Asked, Request], Awaitable[Response]]


class ScriptedInlet:
    """Answers from the script, one entry a request, then by `otherwise`. `taken` counts what was accepted, by `_id`."""

    def __init__(self) -> None:
        self.follow()
        self._server = BackgroundServer(
            Starlette(
                routes=[
                    Route("/ims/token/v3", self._token, methods=["POST"]),
                    Route("/collection/batch/{inlet}", self._batch, methods=["POST"]),
                ]
            )
        )

    def follow(self, *script: Answer, otherwise: Answer | None = None) -> None:
        """Begin anew with this script."""
        self.script = deque(script)
        self.otherwise = otherwise or take_all
        self.tokens: deque[Response] = deque()
        self.token_requests = 0
        self.expires_in: int | float = 86399
        self.asked: list[Asked] = []
        self.taken: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    def __enter__(self) -> Self:
        self.base_url = self._server.__enter__().base_url
        self.environment = TENANT.environment(self.base_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    async def _token(self, _request: Request) -> Response:
        self.token_requests += 1
        if self.tokens:
            return self.tokens.popleft()
        return _json(200, {"access_token": f"token-{self.token_requests}", "expires_in": self.expires_in})

    async def _batch(self, request: Request) -> Response:
        body = await request.body()
        ids = [message["body"]["xdmEntity"]["_id"] for message in orjson.loads(body)["messages"]]
        asked = Asked(ids, body, request.headers["authorization"].removeprefix("Bearer "))
        self.asked.append(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.script.popleft() if self.script else self.otherwise
            return await answer(self, asked, request)
        finally:
            self.at_once -= 1


async def take_all(inlet: ScriptedInlet, asked: Asked, _request: Request) -> Response:
    """Accept every message."""
    inlet.taken.update(asked.ids)
    return _answered([{"xactionId": f"1:1:1:{place}"} for place in range(len(asked.ids))])


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """A status for the whole request, nothing taken; `_` in a header's name stands for `-`."""

    async def answer(_inlet: ScriptedInlet, _asked: Asked, _request: Request) -> Response:
        return Response(body, code, {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def items(
    *answers: dict[str, Any] | None, taken: tuple[int, ...] = (), body: bytes | None = None, **headers: str
) -> Answer:
    """A 207 with these items, None for an accepted message under its index; `taken` adds places accepted unsaid."""

    async def answer(inlet: ScriptedInlet, asked: Asked, _request: Request) -> Response:
        accepted = {place for place, item in enumerate(answers) if item is None} | set(taken)
        inlet.taken.update(asked.ids[place] for place in accepted)
        listed = [{"xactionId": f"1:1:1:{place}"} if item is None else item for place, item in enumerate(answers)]
        response = _answered(listed) if body is None else Response(body, 207)
        response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return response

    return answer


def refuse_all(code: int = 400) -> Answer:
    """A 207 that refuses each message."""

    async def answer(_inlet: ScriptedInlet, asked: Asked, _request: Request) -> Response:
        return _answered([{"statusCode": code, "message": "Message has unknown xdm format"} for _ in asked.ids])

    return answer


def hang_up(*, after_taking: bool) -> Answer:
    """Cut the connection in place of an answer."""

    async def answer(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
        if after_taking:
            inlet.taken.update(asked.ids)
        request.receive.__self__.transport.abort()  # pyright: ignore[reportFunctionMemberAccess, reportAttributeAccessIssue]
        return Response()

    return answer


async def keep_waiting(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
    """Take everything, and answer nothing for as long as the client stays."""
    inlet.taken.update(asked.ids)
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()


def too_many_messages(most: int) -> Answer:
    """413 for a request with more messages than this."""

    async def answer(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
        return Response(status_code=413) if len(asked.ids) > most else await take_all(inlet, asked, request)

    return answer


def too_large(*ids: str) -> Answer:
    """413 for a request that carries one of these."""

    async def answer(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
        return Response(status_code=413) if set(ids) & set(asked.ids) else await take_all(inlet, asked, request)

    return answer


def refuses(code: int, *ids: str) -> Answer:
    """This status for every request that carries one of these."""

    async def answer(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
        if not set(ids) & set(asked.ids):
            return await take_all(inlet, asked, request)
        return _json(code, {"status": code, "title": "t", "report": {"message": "Message has unknown xdm format"}})

    return answer


def once_together(number: int) -> Callable[[Answer], Answer]:
    """Hold answers until so many requests are there at once; from then on they are given straight away."""
    reached = asyncio.Event()

    def held(then: Answer) -> Answer:
        async def answer(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
            if inlet.at_once >= number:
                reached.set()
            await reached.wait()
            return await then(inlet, asked, request)

        return answer

    return held


def calling(call: Callable[[], object], then: Answer = take_all) -> Answer:
    """Call back before the answer is made."""

    async def answer(inlet: ScriptedInlet, asked: Asked, request: Request) -> Response:
        await asyncio.to_thread(call)
        return await then(inlet, asked, request)

    return answer


def _answered(listed: list[dict[str, Any]]) -> Response:
    return _json(207, {"inletId": "i", "batchId": f"1:{next(_SERIAL)}:1", "receivedTimeMs": 1, "responses": listed})


def _json(code: int, content: object) -> Response:
    return Response(orjson.dumps(content), code, media_type="application/json")


_SERIAL = itertools.count(1)
