"""The webhook API over HTTP.

Belongs here: its addresses. Does not belong here: the rules (`webhooks`).
Source: docs.capillarytech.com/reference/add-v3-webhooks and its neighbours.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.emulators.capillary.access import Access
from capillary_adobe.emulators.capillary.answers import Answers, Refused
from capillary_adobe.emulators.capillary.webhooks import Webhooks
from capillary_adobe.emulators.wire import read_body

_MAX_BODY_BYTES = 1_000_000


class WebhookApi:
    """`/v3/webHooks`, and the event types that can be subscribed to."""

    def __init__(self, webhooks: Webhooks, access: Access, answers: Answers) -> None:
        self._webhooks = webhooks
        self._access = access
        self._answers = answers

    def routes(self) -> list[Route]:
        """All of them."""
        guarded = self._access.guarded
        return [
            Route("/v3/webHooks", guarded(self.list), methods=["GET"]),
            Route("/v3/webHooks", guarded(self.add), methods=["POST"]),
            Route("/v3/webHooks/eventMetaData", guarded(self.event_types), methods=["GET"]),
            Route("/v3/webHooks/{webhook_id}", guarded(self.change), methods=["PUT"]),
            Route("/v3/webHooks/{webhook_id}", guarded(self.end), methods=["DELETE"]),
        ]

    async def list(self, _request: Request) -> Response:
        """`GET /v3/webHooks`: all, dead ones included, on one page."""
        return self._answers.data(self._webhooks.all())

    async def add(self, request: Request) -> Response:
        """`POST /v3/webHooks`."""
        return self._answers.data(self._webhooks.add(await _object(request)))

    async def change(self, request: Request) -> Response:
        """`PUT /v3/webHooks/{webHookId}`."""
        return self._answers.data(self._webhooks.change(request.path_params["webhook_id"], await _object(request)))

    async def end(self, request: Request) -> Response:
        """`DELETE /v3/webHooks/{webHookId}`."""
        return self._answers.data(self._webhooks.end(request.path_params["webhook_id"]))

    async def event_types(self, _request: Request) -> Response:
        """`GET /v3/webHooks/eventMetaData`."""
        return self._answers.data([{"active": True, "eventName": name} for name in shipped_catalogue().names()])


async def _object(request: Request) -> dict[str, Any]:
    try:
        content = orjson.loads(await read_body(request, _MAX_BODY_BYTES) or b"")
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise Refused(400, 400, "The body must be a JSON object")
    return content
