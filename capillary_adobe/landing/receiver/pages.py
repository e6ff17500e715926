"""The pages beside the events: whether the receiver lives, whether it takes events, its figures.

Belongs here: their answers. Does not belong here: anything that a client must not know; they ask for no credential, and a
proxy should pass on RECEIVE_PATH alone.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from capillary_adobe.landing.receiver.gate import Gate
from capillary_adobe.landing.receiver.metrics import Metrics

_WHY: Final = {
    "starting": "the receiver is starting",
    "stopping": "the receiver is stopping",
    "store": "events cannot be made durable; the log says why",
}
_NOT_TO_BE_KEPT: Final = {"cache-control": "no-store"}


def pages(gate: Gate, metrics: Metrics, path: str) -> Starlette:
    """Every page but the one that takes events; that one says 405 to whatever is no POST."""

    async def lives(_: Request) -> Response:
        return JSONResponse({"alive": True}, headers=_NOT_TO_BE_KEPT)

    async def ready(_: Request) -> Response:
        why = gate.why_not_ready()
        answer = {"ready": not why} | ({"why": _WHY[why]} if why else {})
        return JSONResponse(answer, HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK, _NOT_TO_BE_KEPT)

    async def figures(_: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST, headers=_NOT_TO_BE_KEPT)

    async def not_so(_: Request) -> Response:
        # It has answered every POST before this one is asked.
        raise AssertionError("unreachable")

    app = Starlette(
        routes=[
            Route("/healthz", lives),
            Route("/readyz", ready),
            Route("/metrics", figures),
            Route(path, not_so, methods=["POST"]),
        ]
    )
    # A redirect would be neither durable nor refused.
    app.router.redirect_slashes = False
    return app
