"""An API that answers as a test has written down, over real HTTP, with a token service that counts.

Belongs here: the server and the record of what was asked. Does not belong here: any expectation; the API that behaves is
the emulator.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from capillary_adobe.capillary.api.client import CapillaryApi
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.settings import CapillaryApiSettings

GOOD = {"data": {"id": 1}, "errors": [], "warnings": []}


class ScriptedApi:
    """Answers from the scripts, one entry a request, then well, each after `seconds`.

    Tokens are `t1`, `t2`, …, good for `life` seconds. Where `good` is a set, only those in it are taken.
    """

    def __init__(self) -> None:
        self.script: deque[Response] = deque()
        self.token_script: deque[Response] = deque()
        self.life: Any = 300
        self.tokens = 0
        self.asked: list[Request] = []
        self.presented: list[str] = []
        self.good: set[str] | None = None
        self.seconds = 0.0
        self._counting = threading.Lock()
        routes = [
            Route("/v3/oauth/token/generate", self._token, methods=["POST"]),
            Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
        self._server = BackgroundServer(Starlette(routes=routes))

    def settings(self, **more: Any) -> CapillaryApiSettings:
        values: dict[str, Any] = {"key": "client", "secret": "right-secret", "retry_seconds": 5, "timeout_seconds": 5}
        return CapillaryApiSettings(url=self.base_url, **(values | more))

    def client(self, **more: Any) -> CapillaryApi:
        settings = self.settings(**more)
        return CapillaryApi(settings, AccessToken(settings))

    def __enter__(self) -> Self:
        self.base_url = self._server.__enter__().base_url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    async def _token(self, request: Request) -> Response:
        if self.token_script:
            return self.token_script.popleft()
        if await request.json() != {"key": "client", "secret": "right-secret"}:
            return JSONResponse({"data": None, "errors": [{"code": 401}]}, 401)
        self.tokens += 1
        return JSONResponse({"data": {"accessToken": f"t{self.tokens}", "ttlSeconds": self.life}, "errors": []})

    async def _answer(self, request: Request) -> Response:
        self.asked.append(request)
        await asyncio.sleep(self.seconds)
        token = request.headers.get("X-CAP-API-OAUTH-TOKEN", "")
        self.presented.append(token)
        if self.good is not None and token not in self.good:
            return JSONResponse({"errors": [{"code": 401, "message": "expired"}]}, 401)
        return self.script.popleft() if self.script else JSONResponse(GOOD)
