"""The sandboxes of the organisation as its sandbox management shows them.

Belongs here: listing them and showing one. Does not belong here: what is in them (`sandboxes`).
"""

from __future__ import annotations

from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.gateway import service_error
from capillary_adobe.emulators.sandboxes import PRODUCTION, Sandboxes
from capillary_adobe.emulators.wire import json_response

_CREATED: Final = "2026-01-01 00:00:00"
_REGION: Final = "VA7"


class SandboxManagement:
    """Shows the sandboxes; the emulator makes none on demand."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes

    async def sandboxes(self, _request: Request) -> Response:
        """`GET /sandbox-management/sandboxes`: every sandbox of the organisation."""
        return json_response(200, self._listed(f"limit={len(self._sandboxes.names())}&offset=0"))

    async def usable(self, _request: Request) -> Response:
        """`GET /sandbox-management/`: the active sandboxes that the credential may use, which are all."""
        return json_response(200, self._listed("offset=0"))

    async def sandbox(self, request: Request) -> Response:
        """`GET /sandbox-management/sandboxes/{name}`."""
        name = request.path_params["name"]
        if self._sandboxes.of(name) is None:
            return service_error(404, f"Sandbox {name} does not exist")
        return json_response(200, self._shown(name))

    def _listed(self, page: str) -> dict[str, Any]:
        shown = [self._shown(name) for name in self._sandboxes.names()]
        count = len(shown)
        return {
            "sandboxes": shown,
            "_page": {"limit": count, "count": count},
            "_links": {"page": {"href": f"?{page}", "templated": True}},
        }

    def _shown(self, name: str) -> dict[str, Any]:
        return {
            "id": str(uuid5(NAMESPACE_DNS, f"{name}.sandbox")),
            "name": name,
            "title": name.capitalize(),
            "state": "active",
            "type": "production" if name == PRODUCTION else "development",
            "region": _REGION,
            "isDefault": name == self._sandboxes.usual,
            "eTag": 1,
            "createdDate": _CREATED,
            "lastModifiedDate": _CREATED,
            "createdBy": "emulator",
            "modifiedBy": "emulator",
        }
