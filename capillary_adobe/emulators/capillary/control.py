"""The handles for people, tests and the demo: events to send, what became of them, and faults.

Belongs here: the addresses below /control. Does not belong here: what they set, and anything that Capillary itself
offers.

    GET    /control                  what there is, with every kind of fault
    POST   /control/events           send events: a JSON array, an object, or a body a line as application/x-ndjson;
                                     a text in the array is posted as it stands, and so is every line
    GET    /control/summary          deliveries by status, and the most connections that each webhook had at once
    GET    /control/deliveries       the latest deliveries with all their attempts; ?status= and ?limit= narrow it
    POST   /control/<kind>           take in customers, transactions, stores, tills or programs: a JSON array, or one object
    GET    /control/<kind>           those that were taken in
    GET    /control/calls            how many calls came in, and the most of them in 60 seconds
    POST   /control/faults           add a fault of the API, given as a JSON object
    GET    /control/faults           those in force
    DELETE /control/faults           remove them
    POST   /control/delivery-faults  add a fault of the notification service
    GET    /control/delivery-faults  those in force
    DELETE /control/delivery-faults  remove them
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.capillary.delivery_faults import KINDS as DELIVERY_KINDS
from capillary_adobe.emulators.capillary.delivery_faults import DeliveryFaults
from capillary_adobe.emulators.capillary.log import Log, Search
from capillary_adobe.emulators.capillary.notifications import Notifications
from capillary_adobe.emulators.faults import KINDS, Faults
from capillary_adobe.emulators.wire import json_response, media_type, read_body

_MAX_BODY_BYTES = 64_000_000
_DEFAULT_PAGE = 100
_OF_THE_API = ("status", "delay", "reset_before", "reset_after", "slow_body", "html", "revoke_token")

AnyFaults = Faults | DeliveryFaults


class Control:
    """The addresses."""

    def __init__(self, notifications: Notifications, log: Log, faults: Faults, delivery_faults: DeliveryFaults) -> None:
        self._notifications = notifications
        self._log = log
        self._faults = faults
        self._delivery_faults = delivery_faults

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/control", self.help, methods=["GET"]),
            Route("/control/events", self.events, methods=["POST"]),
            Route("/control/summary", self.summary, methods=["GET"]),
            Route("/control/deliveries", self.deliveries, methods=["GET"]),
            *_fault_routes("/control/faults", self._faults),
            *_fault_routes("/control/delivery-faults", self._delivery_faults),
        ]

    async def help(self, _request: Request) -> Response:
        """`GET /control`."""
        addresses = re.findall(r"^ {4}((?:GET|POST|DELETE) .+)$", __doc__ or "", re.MULTILINE)
        return json_response(
            200,
            {
                "addresses": addresses,
                "faults of the API": {kind: KINDS[kind] for kind in _OF_THE_API},
                "faults of the notification service": DELIVERY_KINDS,
            },
        )

    async def events(self, request: Request) -> Response:
        """`POST /control/events`."""
        content = await read_body(request, _MAX_BODY_BYTES)
        if content is None:
            return _wrong(f"more than {_MAX_BODY_BYTES} bytes; send fewer events at once", 413)
        if media_type(request) == "application/x-ndjson":
            bodies = [line for line in content.split(b"\n") if line.strip()]
        else:
            try:
                listed: Any = orjson.loads(content)
            except orjson.JSONDecodeError:
                return _wrong("the body is no JSON; send bodies of any kind as texts in a JSON array")
            bodies = [_body(one) for one in (listed if isinstance(listed, list) else [listed])]
        counts = await asyncio.to_thread(self._notifications.take, bodies)
        return json_response(202, dict(counts))

    async def summary(self, _request: Request) -> Response:
        """`GET /control/summary`."""
        return json_response(
            200,
            {"deliveries": self._log.counts(Search()), "most_at_once": self._notifications.most_at_once()},
        )

    async def deliveries(self, request: Request) -> Response:
        """`GET /control/deliveries`."""
        limit = request.query_params.get("limit", str(_DEFAULT_PAGE))
        if not (limit.isdecimal() and limit.isascii() and len(limit) < 10):
            return _wrong("limit must be a whole number")
        rows = self._log.rows(Search(status=request.query_params.get("status")), "id desc", int(limit), 0)
        shown = [{name: row[name] for name in row.keys() if name != "body"} for row in rows]  # noqa: SIM118 - a sqlite row
        return json_response(200, [one | {"attempts": self._log.attempts_of(one["id"])} for one in shown])


def _body(one: Any) -> bytes:
    return one.encode() if isinstance(one, str) else orjson.dumps(one)


def _fault_routes(path: str, faults: AnyFaults) -> list[Route]:
    async def add(request: Request) -> Response:
        try:
            content = orjson.loads(await read_body(request, _MAX_BODY_BYTES) or b"")
            if not isinstance(content, dict):
                return _wrong("the body must be a JSON object with the `kind` of the fault")
            return json_response(201, faults.add(**content))
        except ValueError as error:
            return _wrong(str(error))

    async def listed(_request: Request) -> Response:
        return json_response(200, faults.overview())

    async def clear(_request: Request) -> Response:
        return json_response(200, {"removed": faults.clear()})

    handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {"POST": add, "GET": listed, "DELETE": clear}
    return [Route(path, handler, methods=[method]) for method, handler in handlers.items()]


def _wrong(text: str, status: int = 400) -> Response:
    return json_response(status, {"error": text})
