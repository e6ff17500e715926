"""A webhook that answers as a test has written down, over real HTTP.

Belongs here: the server and the record of what was posted to it. Does not belong here: any expectation; the webhook that
behaves is the receiver.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.running import BackgroundServer


@dataclass
class Posted:
    """One request."""

    body: bytes
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


class ScriptedWebhook:
    """Answers with the statuses of the script, one a request, then 200: after `seconds`, and not while it is `holding`."""

    def __init__(self, script: Iterable[int] = ()) -> None:
        self.script = deque(script)
        self.posted: list[Posted] = []
        self.seconds = 0.0
        self.at_once = 0
        self.most_at_once = 0
        self.holding = False
        self._server = BackgroundServer(Starlette(routes=[Route("/events", self._take, methods=["POST"])]))

    @property
    def bodies(self) -> list[bytes]:
        return [one.body for one in self.posted]

    def __enter__(self) -> Self:
        self.url = f"{self._server.__enter__().base_url}/events"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.holding = False
        self._server.__exit__(kind, error, trace)

    async def _take(self, request: Request) -> Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.posted.append(Posted(await request.body(), dict(request.headers)))
        status = self.script.popleft() if self.script else 200
        await asyncio.sleep(self.seconds)
        while self.holding:
            await asyncio.sleep(0.005)
        self.at_once -= 1
        return Response(status_code=status)


def wait_until(so: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            pytest.fail("it took too long")
        time.sleep(0.005)
