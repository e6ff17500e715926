"""The handles for what the organisation holds: putting records in, and counting the calls that ask for them.

Belongs here: the addresses below /control for them; `control` lists them. Does not belong here: the records (`holdings`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.capillary.calls import Calls
from capillary_adobe.emulators.capillary.holdings import KINDS, Holdings, Kind
from capillary_adobe.emulators.wire import json_response, read_body

_MAX_BODY_BYTES = 64_000_000


class HoldingsControl:
    """The addresses."""

    def __init__(self, holdings: Holdings, calls: Calls) -> None:
        self._holdings = holdings
        self._calls = calls

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/control/calls", self.calls, methods=["GET"]),
            *(Route(f"/control/{kind}", self._put(kind), methods=["POST"]) for kind in KINDS),
            *(Route(f"/control/{kind}", self._held(kind), methods=["GET"]) for kind in KINDS),
        ]

    async def calls(self, _request: Request) -> Response:
        """`GET /control/calls`."""
        return json_response(200, self._calls.rates()._asdict())

    def _put(self, kind: Kind) -> Callable[[Request], Awaitable[Response]]:
        async def put(request: Request) -> Response:
            try:
                content = orjson.loads(await read_body(request, _MAX_BODY_BYTES) or b"")
                taken = self._holdings.put(kind, content if isinstance(content, list) else [content])
            except ValueError as error:
                return json_response(400, {"error": str(error)})
            return json_response(201, {"taken": taken})

        return put

    def _held(self, kind: Kind) -> Callable[[Request], Awaitable[Response]]:
        async def held(_request: Request) -> Response:
            return json_response(200, self._holdings.all(kind))

        return held
