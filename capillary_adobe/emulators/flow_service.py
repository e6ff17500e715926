"""The Flow Service: connections, flows, and the specifications they follow.

Belongs here: the calls, from the paths to the answers. Does not belong here: what a body must say (`flow_rules`), how
objects are kept and shown (`flow_objects`), the errors (`flow_errors`) and the messages that come by a flow (`collection`).

Not played: runs, actions, searches by `POST` and the making of specifications.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.batch_states import now_ms
from capillary_adobe.emulators.flow_errors import FlowError, not_found, not_processed, other_version
from capillary_adobe.emulators.flow_objects import FLOW_KINDS, FlowKind, made, new_etag, shown, with_inlet, with_origin
from capillary_adobe.emulators.flow_rules import check, check_new, check_paths, check_unused
from capillary_adobe.emulators.flow_specs import CONNECTION_SPECS, FLOW_SPECS
from capillary_adobe.emulators.json_patch import BadPatch, patched, paths_of
from capillary_adobe.emulators.property_filters import BadCondition, conditions
from capillary_adobe.emulators.sandboxes import Resources, resources_of
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response, parsed, read_body

USUAL_ITEMS = 100

_MAX_BODY_BYTES = 1_000_000
_SPECS = {"connectionSpecs": CONNECTION_SPECS, "flowSpecs": FLOW_SPECS}

_TOKEN = re.compile("[0-9a-f]{8}")

Items = list[dict[str, Any]]


class FlowService:
    """The calls below /flowservice, in whichever sandbox a call means."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def routes(self, prefix: str) -> list[Route]:
        """All addresses of the service below a prefix."""
        found: list[Route] = []
        for kind in FLOW_KINDS:
            calls = _Calls(self._tenant, kind)
            found += [
                Route(f"{prefix}/{kind}", calls.list, methods=["GET"]),
                Route(f"{prefix}/{kind}", calls.create, methods=["POST"]),
                Route(f"{prefix}/{kind}/{{id}}", calls.one, methods=["GET"]),
                Route(f"{prefix}/{kind}/{{id}}", calls.change, methods=["PATCH"]),
                Route(f"{prefix}/{kind}/{{id}}", calls.delete, methods=["DELETE"]),
            ]
        for kind, specs in _SPECS.items():
            calls = _SpecCalls(kind, specs)
            found += [Route(f"{prefix}/{kind}", calls.list), Route(f"{prefix}/{kind}/{{id}}", calls.one)]
        return found


class _Calls:
    """The calls about one kind of object."""

    def __init__(self, tenant: Tenant, kind: FlowKind) -> None:
        self._tenant = tenant
        self._kind: FlowKind = kind

    async def create(self, request: Request) -> Response:
        """`POST /{kind}`."""
        body, resources = await read_body(request, _MAX_BODY_BYTES), resources_of(request)

        def make() -> Response:
            asked = _object(_parsed(body))
            check_new(self._kind, asked, resources)
            content = made(asked, resources, self._tenant.org_id, self._tenant.client_id)
            content = self._completed(content, resources)
            resources.put(self._kind, content["id"], content)
            return _named(content, 201)

        return _answered(resources, make)

    async def list(self, request: Request) -> Response:
        """`GET /{kind}`."""
        items = [shown(self._kind, item, _base_url(request)) for item in resources_of(request).all(self._kind)]
        return _listed(self._kind, items, request.query_params)

    async def one(self, request: Request) -> Response:
        """`GET /{kind}/{id}`."""
        content = resources_of(request).get(self._kind, request.path_params["id"])
        if content is None:
            return not_found(self._kind, request.path_params["id"]).response
        return json_response(200, {"items": [shown(self._kind, content, _base_url(request))]})

    async def change(self, request: Request) -> Response:
        """`PATCH /{kind}/{id}`."""
        body, resources = await read_body(request, _MAX_BODY_BYTES), resources_of(request)

        def make() -> Response:
            before = self._there(request, resources)
            _check_version(request, before)
            after = self._patched(before, _parsed(body))
            check(self._kind, after, resources)
            etag = new_etag()
            after |= {"updatedAt": now_ms(), "updatedClient": self._tenant.client_id, "version": etag, "etag": etag}
            resources.put(self._kind, after["id"], self._completed(after, resources, before))
            return _named(after, 200)

        return _answered(resources, make)

    async def delete(self, request: Request) -> Response:
        """`DELETE /{kind}/{id}`."""
        await read_body(request, _MAX_BODY_BYTES)
        resources = resources_of(request)

        def make() -> Response:
            id_ = self._there(request, resources)["id"]
            check_unused(self._kind, id_, resources)
            resources.remove(self._kind, id_)
            return Response(status_code=204)

        return _answered(resources, make)

    def _there(self, request: Request, resources: Resources) -> dict[str, Any]:
        content = resources.get(self._kind, request.path_params["id"])
        if content is None:
            raise not_found(self._kind, request.path_params["id"])
        return content

    def _patched(self, before: dict[str, Any], operations: Any) -> dict[str, Any]:
        try:
            check_paths(self._kind, paths_of(operations))
            return patched(before, operations)
        except BadPatch as fault:
            raise FlowError("1434-400", f"{fault}. Please update the operations and try again.") from None

    def _completed(
        self, content: dict[str, Any], resources: Resources, before: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        match self._kind:
            case "connections":
                return with_inlet(content, before["auth"]["params"]["inletId"] if before else None)
            case "flows":
                return with_origin(content, resources)
        return content


class _SpecCalls:
    """The calls about one kind of specification."""

    def __init__(self, kind: str, specs: dict[str, dict[str, Any]]) -> None:
        self._kind = kind
        self._specs = specs

    async def list(self, request: Request) -> Response:
        """`GET /{kind}`."""
        return _listed(self._kind, list(self._specs.values()), request.query_params)

    async def one(self, request: Request) -> Response:
        """`GET /{kind}/{id}`."""
        spec = self._specs.get(request.path_params["id"])
        if spec is None:
            return not_found(self._kind, request.path_params["id"]).response
        return json_response(200, {"items": [spec]})


def _answered(resources: Resources, make: Callable[[], Response]) -> Response:
    try:
        with resources.alone():
            return make()
    except FlowError as error:
        return error.response


def _named(content: dict[str, Any], status: int) -> Response:
    return json_response(status, {"id": content["id"], "etag": content["etag"]})


def _parsed(body: bytes | None) -> Any:
    if not body:
        message = "The request body cannot be null or empty. Please provide a request body and try again."
        raise FlowError("1405-400", message)
    try:
        return parsed(body)
    except ValueError:
        raise not_processed("the body is not valid JSON") from None


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise not_processed("the body is not a JSON object")
    return content


def _check_version(request: Request, content: dict[str, Any]) -> None:
    supplied = request.headers.get("if-match")
    if supplied is None:
        message = "The header If-Match is missing in the request. Please provide the header and try again."
        raise FlowError("1403-400", message)
    if supplied != content["etag"]:
        raise other_version(supplied, content["etag"])


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _listed(kind: str, items: Items, params: QueryParams) -> Response:
    try:
        wanted = conditions(text for text in params.getlist("property") if text)
        items = [item for item in items if all(condition(item) for condition in wanted)]
        if params.get("count", "false").lower() == "true":
            if "limit" in params:
                message = (
                    "The limit and count parameters cannot be given together in the same request. Please provide either "
                    "only the limit or the count parameter and try again."
                )
                raise FlowError("1401-400", message)
            return json_response(200, {"items": [], "count": len(items)})
        return json_response(200, _page(kind, _ordered(items, params.get("orderby", "")), params))
    except BadCondition as fault:
        return not_processed(str(fault)).response
    except FlowError as error:
        return error.response


def _page(kind: str, items: Items, params: QueryParams) -> dict[str, Any]:
    limit, token = params.get("limit", str(USUAL_ITEMS)), params.get("continuationToken", f"{0:08x}")
    if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
        raise not_processed("limit must be a whole number from 1 to 1000")
    if not _TOKEN.fullmatch(token):
        raise not_processed("the continuationToken is none of this service")
    start = int(token, 16)
    end = start + int(limit)
    following = {"next": {"href": f"/{kind}?continuationToken={end:08x}"}} if end < len(items) else {}
    return {"items": items[start:end], "_links": following}


def _ordered(items: Items, order: str) -> Items:
    if not order:
        return items
    name = order.lstrip("+- ")
    if not all(name in item for item in items):
        message = (
            f"An incorrect field {name} was passed in orderBy. Supported field examples include: [+name, -name, name]."
        )
        raise FlowError("1433-400", message)
    return sorted(items, key=lambda item: _rank(item[name]), reverse=order.startswith("-"))


def _rank(value: Any) -> tuple[float, str]:
    return (value, "") if isinstance(value, int | float) else (0, str(value))
