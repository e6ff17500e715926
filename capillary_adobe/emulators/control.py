"""The handles for people and tests: faults, a schema that demands more, and a look into the profile store.

Belongs here: the addresses below /control. Does not belong here: what they set (`faults`, `demands`) or show
(`profile_store`) and anything that AEP itself offers.

    GET    /control                what there is, with every kind of fault and its fields
    POST   /control/faults         add a fault, given as a JSON object
    GET    /control/faults         the faults in force, each with how many requests it met and hit
    DELETE /control/faults         remove all faults
    PUT    /control/extra-schema   demand more of every entity: {"schema": {...JSON schema...}}
    GET    /control/extra-schema   what is demanded
    DELETE /control/extra-schema   demand it no longer
    GET    /control/profile        what is known of a person: ?namespace=<symbol>&id=<primary identity>
    GET    /control/profiles       every profile, one JSON line for each dataset and person
    GET    /control/identity-graph which primary identities are one person to AEP, and by which shared identities
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.demands import Demands
from capillary_adobe.emulators.faults import KINDS, Fault, Faults
from capillary_adobe.emulators.profile_store import Node, ProfileStore
from capillary_adobe.emulators.wire import json_response, read_body

_MAX_BODY_BYTES = 1_000_000


class Control:
    """The addresses."""

    def __init__(self, faults: Faults, demands: Demands, profiles: ProfileStore) -> None:
        self._faults = faults
        self._demands = demands
        self._profiles = profiles

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/control", self.help, methods=["GET"]),
            Route("/control/faults", self.add_fault, methods=["POST"]),
            Route("/control/faults", self.list_faults, methods=["GET"]),
            Route("/control/faults", self.clear_faults, methods=["DELETE"]),
            Route("/control/extra-schema", self.demand, methods=["PUT"]),
            Route("/control/extra-schema", self.demanded, methods=["GET"]),
            Route("/control/extra-schema", self.demand_no_more, methods=["DELETE"]),
            Route("/control/profile", self.profile, methods=["GET"]),
            Route("/control/profiles", self.profiles, methods=["GET"]),
            Route("/control/identity-graph", self.identity_graph, methods=["GET"]),
        ]

    async def help(self, _request: Request) -> Response:
        """`GET /control`."""
        addresses = [
            line.strip() for line in (__doc__ or "").splitlines() if "/control " in line or "/control/" in line
        ]
        return json_response(
            200,
            {
                "addresses": addresses,
                "kinds of fault": KINDS,
                "fields of a fault": Fault.model_json_schema()["properties"],
                "which requests a fault hits": " ".join((Fault.__doc__ or "").split()),
            },
        )

    async def add_fault(self, request: Request) -> Response:
        """`POST /control/faults`."""
        content = await _object(request)
        if content is None:
            return _wrong('the body must be a JSON object, such as {"kind": "status", "status": 503}')
        try:
            return json_response(201, self._faults.add(**content))
        except ValueError as error:
            return _wrong(str(error))

    async def list_faults(self, _request: Request) -> Response:
        """`GET /control/faults`."""
        return json_response(200, self._faults.overview())

    async def clear_faults(self, _request: Request) -> Response:
        """`DELETE /control/faults`."""
        return json_response(200, {"removed": self._faults.clear()})

    async def demand(self, request: Request) -> Response:
        """`PUT /control/extra-schema`."""
        content = await _object(request)
        schema = content.get("schema") if content else None
        if not isinstance(schema, dict):
            return _wrong('the body must be {"schema": {...}}')
        try:
            self._demands.demand(schema)
        except ValueError as error:
            return _wrong(f"not a JSON schema: {error}")
        return json_response(200, {"schema": schema})

    async def demanded(self, _request: Request) -> Response:
        """`GET /control/extra-schema`."""
        return json_response(200, {"schema": self._demands.extra_schema})

    async def demand_no_more(self, _request: Request) -> Response:
        """`DELETE /control/extra-schema`."""
        self._demands.demand(None)
        return json_response(200, {"schema": None})

    async def profile(self, request: Request) -> Response:
        """`GET /control/profile`."""
        node = Node(request.query_params.get("namespace", ""), request.query_params.get("id", ""))
        if not all(node):
            return _wrong("give ?namespace=<symbol>&id=<primary identity>")
        found = self._profiles.profile(node)
        return json_response(200, found) if found else json_response(404, {"error": "nobody has this identity"})

    async def profiles(self, _request: Request) -> Response:
        """`GET /control/profiles`."""
        lines = b"".join(orjson.dumps(one) + b"\n" for one in self._profiles.profiles())
        return Response(lines, media_type="application/x-ndjson")

    async def identity_graph(self, _request: Request) -> Response:
        """`GET /control/identity-graph`."""
        return json_response(200, self._profiles.graph())


async def _object(request: Request) -> dict[str, Any] | None:
    body = await read_body(request, _MAX_BODY_BYTES)
    try:
        content = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _wrong(text: str) -> Response:
    return json_response(400, {"error": text})
