"""A Platform API that answers as a test has written down, over real HTTP, with an identity service beside it.

Belongs here: faults and odd shapes that a test can ask for, a small store of files in parts, and the record of what was
asked. Does not belong here: any expectation; the Platform API that behaves is the emulator.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.settings import AdobeSettings
from capillary_adobe_tests.adobe.sending import settings_for

TENANT = Tenant.demo()
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@dataclass
class Asked:
    """One request to the Platform API."""

    method: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")


Answer = Callable[["ScriptedPlatform", Asked, Request], Awaitable[Response]]


class ScriptedPlatform:
    """Answers from the script, one entry a request, then by `otherwise`."""

    def __init__(self) -> None:
        self.follow()
        self._server = BackgroundServer(
            Starlette(
                routes=[
                    Route("/ims/token/v3", self._token, methods=["POST"]),
                    Route("/data/foundation/{rest:path}", self._call, methods=_METHODS),
                    Route("/data/core/hygiene/{rest:path}", self._call, methods=_METHODS),
                ]
            )
        )

    def follow(self, *script: Answer, otherwise: Answer | None = None) -> Self:
        """Begin anew with this script."""
        self.script = deque(script)
        self.otherwise = otherwise or says({})
        self.token_requests = 0
        self.asked: list[Asked] = []
        return self

    def __enter__(self) -> Self:
        self.base_url = self._server.__enter__().base_url
        self.environment = TENANT.environment(self.base_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def settings(self, **more: Any) -> AdobeSettings:
        """Settings of a client of this server, with a short retry budget."""
        return settings_for(self.environment, **{"retry_budget_seconds": 5, "timeout_seconds": 5, **more})

    def client(self, **more: Any) -> Platform:
        """A client of this server."""
        settings = self.settings(**more)
        return Platform(settings, AccessToken(settings))

    def methods(self) -> list[str]:
        """The methods asked, in order."""
        return [asked.method for asked in self.asked]

    async def _token(self, _request: Request) -> Response:
        self.token_requests += 1
        return _json({"access_token": f"token-{self.token_requests}", "expires_in": 86399})

    async def _call(self, request: Request) -> Response:
        body = await request.body()
        asked = Asked(
            request.method,
            request.scope["raw_path"].decode(),
            dict(request.query_params),
            dict(request.headers),
            body,
        )
        self.asked.append(asked)
        answer = self.script.popleft() if self.script else self.otherwise
        return await answer(self, asked, request)


def says(content: object, code: int = 200, **headers: str) -> Answer:
    """A JSON answer; bytes go as they are, `_` in a header's name stands for `-`."""

    async def answer(_server: ScriptedPlatform, _asked: Asked, _request: Request) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(content, bytes):
            return Response(content, code, named)
        return Response(orjson.dumps(content), code, named, "application/json")

    return answer


def status(code: int, content: object = b"", **headers: str) -> Answer:
    """A status, with an empty body unless one is given."""
    return says(content, code, **headers)


async def hang_up(_server: ScriptedPlatform, _asked: Asked, request: Request) -> Response:
    """Cut the connection in place of an answer."""
    _transport(request).abort()
    return Response()


def breaks_off(content: bytes) -> Answer:
    """Begin an answer with these bytes and cut the connection before its end."""

    async def answer(_server: ScriptedPlatform, _asked: Asked, request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield content
            # What was written must be on its way before the connection is cut, or none of it arrives.
            while _transport(request).get_write_buffer_size():
                await asyncio.sleep(0)
            _transport(request).close()
            await asyncio.Event().wait()

        return StreamingResponse(chunks())

    return answer


def by_path(routes: dict[str, object]) -> Answer:
    """Answer by the `path` parameter: the content for it, a 404 for any other; "" stands for none."""

    async def answer(server: ScriptedPlatform, asked: Asked, request: Request) -> Response:
        content = routes.get(asked.query.get("path", ""))
        return await (says(content) if content is not None else status(404))(server, asked, request)

    return answer


def _transport(request: Request) -> Any:
    return request.receive.__self__.transport  # pyright: ignore[reportFunctionMemberAccess, reportAttributeAccessIssue]


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


@dataclass
class FilesInParts:
    """AEP's side of a file in parts: as an answer, it keeps parts and closes the file where they fit together.

    `tells` False leaves the position out of HEAD's answer. `faults` are answers given in place of a method's next ones;
    `lost` are those given after the method did its work.
    """

    tells: bool = True
    parts: dict[int, bytes] = field(default_factory=dict)
    closed: bytes | None = None
    faults: dict[str, list[Answer]] = field(default_factory=dict)
    lost: dict[str, list[Answer]] = field(default_factory=dict)

    async def __call__(self, server: ScriptedPlatform, asked: Asked, request: Request) -> Response:
        key = f"{asked.method} {asked.query['action']}" if "action" in asked.query else asked.method
        if self.faults.get(key):
            return await self.faults[key].pop(0)(server, asked, request)
        answer = self._answer(key, asked)
        if self.lost.get(key):
            return await self.lost[key].pop(0)(server, asked, request)
        return answer

    def _answer(self, key: str, asked: Asked) -> Response:
        if key == "PUT":
            self.closed = asked.body
        elif key == "POST INITIALIZE":
            self.parts = {}
        elif key == "PATCH":
            first, last = re.fullmatch(r"bytes (\d+)-(\d+)", asked.headers["content-range"]).groups()  # pyright: ignore[reportOptionalMemberAccess]
            assert int(last) - int(first) + 1 == len(asked.body)
            self.parts.setdefault(int(first), b"")
            # The same range twice is an overlap, as AEP documents it.
            self.parts[int(first)] += asked.body
        elif key == "HEAD" and self.tells and self._whole():
            return Response(headers={"Range": f"bytes=0-{len(self._whole()) - 1}"})
        elif key == "POST COMPLETE":
            if not self._fits():
                return Response(status_code=400)
            self.closed = self._whole()
        return Response()

    def _whole(self) -> bytes:
        return b"".join(self.parts[first] for first in sorted(self.parts))

    def _fits(self) -> bool:
        position = 0
        for first in sorted(self.parts):
            if first != position:
                return False
            position += len(self.parts[first])
        return True
