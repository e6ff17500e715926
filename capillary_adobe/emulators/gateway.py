"""The gateway before the Platform API: every call below /data passes it.

Belongs here: the headers that a call must have, the sandbox it means, the errors of the gateway, the errors that the
services behind it share, and the count of all answers. Does not belong here: the services (`batches`, `catalog`, ...).

Adobe documents the gateway's codes; it shows one body of the services behind it, and the others follow its layout here.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.ims import Tokens
from capillary_adobe.emulators.sandboxes import Resources, Sandboxes
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import JSON_TYPES, bearer_token, drain, json_response, media_type_of

BEHIND = "/data"
PREFIX = f"{BEHIND}/foundation"

_LONGEST_URL = 2000
_WITH_BODY = ("POST", "PUT", "PATCH")
_TAKE_JSON = tuple(
    f"{BEHIND}/{service}/"
    for service in (
        "foundation/catalog",
        "foundation/flowservice",
        "foundation/schemaregistry",
        "core/idnamespace",
        "core/hygiene",
    )
)
_TITLES = {
    400: "BadRequestError",
    403: "ForbiddenError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLargeError",
    414: "UriTooLongError",
    415: "UnsupportedMediaTypeError",
}


class Gateway:
    """Lets a call through to the services, or answers it."""

    def __init__(
        self, tenant: Tenant, sandboxes: Sandboxes, behaviour: Behaviour, tokens: Tokens, services: Router
    ) -> None:
        self._tenant = tenant
        self._sandboxes = sandboxes
        self._latency_seconds = behaviour.latency_seconds
        self._tokens = tokens
        self._services = services
        self.answers: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers[message["status"]] += 1
            await send(message)

        refusal = self._refusal(scope)
        scope.setdefault("state", {})["resources"] = self._resources(Headers(scope=scope))
        if refusal is not None:
            # A client that is still busy sending might see a broken connection in place of an early answer.
            await drain(Request(scope, receive))
        await asyncio.sleep(self._latency_seconds)
        await (refusal or self._services)(scope, receive, counted)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        return self._unknown_caller(headers) or self._wrong_place(headers, scope)

    def _unknown_caller(self, headers: Headers) -> Response | None:
        if not headers.get("authorization", "").strip():
            return gateway_error(403010, "Oauth token is missing.")
        if not headers.get("x-api-key"):
            return gateway_error(403000, "Api Key is required")
        if not self._tokens.valid(bearer_token(headers)):
            return gateway_error(401013, "Oauth token is not valid")
        if headers["x-api-key"] != self._tenant.client_id:
            return gateway_error(403003, "Api Key is invalid")
        return None

    def _resources(self, headers: Headers) -> Resources | None:
        return self._sandboxes.of(headers.get("x-sandbox-name", self._sandboxes.usual))

    def _wrong_place(self, headers: Headers, scope: Scope) -> Response | None:
        if not headers.get("x-gw-ims-org-id"):
            return gateway_error(400003, "Missing header")
        if headers["x-gw-ims-org-id"] != self._tenant.org_id:
            return gateway_error(403025, "Profile is not valid")
        if self._resources(headers) is None:
            return service_error(403, "The sandbox does not exist or may not be used with this credential")
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_URL:
            return service_error(414, f"The URL is longer than {_LONGEST_URL} characters")
        takes_json = scope["method"] in _WITH_BODY and scope["path"].startswith(_TAKE_JSON)
        if takes_json and media_type_of(headers) not in JSON_TYPES:
            return service_error(400, "A valid content-type must be specified")
        return None


def gateway_error(code: int, message: str) -> Response:
    """An error of the gateway; the first three digits of its code are the status."""
    return json_response(code // 1000, {"error_code": str(code), "message": message})


def service_error(status: int, detail: str) -> Response:
    """An error of a service behind the gateway."""
    content = {"type": "/placeholder/type/uri", "status": status, "title": _TITLES[status], "detail": detail}
    return json_response(status, content)


async def unknown_path(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer a path that no service has."""
    await service_error(404, "No such resource")(_scope, _receive, _send)
