"""The endpoints of the Schema Registry.

Belongs here: which path and method mean what, bodies in and answers out. Does not belong here: what is answered
(`schema_registry_views`) and what is changed (`schema_registry_objects`, `schema_registry_descriptors`).

Paths are read as they were sent: an `$id` in a path is a URL of its own, and counts as one step only when it is encoded.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators import schema_registry_descriptors as descriptors
from capillary_adobe.emulators.sandboxes import resources_of
from capillary_adobe.emulators.schema_registry_accept import (
    demand_descriptor_form,
    descriptor_list_form,
    list_form,
    look_up_form,
)
from capillary_adobe.emulators.schema_registry_errors import RegistryError, invalid, not_found, refused
from capillary_adobe.emulators.schema_registry_lists import listed
from capillary_adobe.emulators.schema_registry_objects import Library
from capillary_adobe.emulators.schema_registry_views import Views, with_tag
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response, parsed, read_body

METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_ROOT: Final = "/schemaregistry/"
_LONGEST_BODY: Final = 5_000_000
_KINDS: Final = {
    "schemas": "schemas",
    "fieldgroups": "fieldgroups",
    "mixins": "fieldgroups",
    "datatypes": "datatypes",
    "classes": "classes",
    "unions": "unions",
}
_MADE_HERE: Final = ("schemas", "fieldgroups", "datatypes")


class SchemaRegistry:
    """Every path below /schemaregistry."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def answer(self, request: Request) -> Response:
        """Answer any call."""
        steps = _steps(request)
        body = await read_body(request, _LONGEST_BODY)
        try:
            if steps == ["stats"] and request.method == "GET":
                return json_response(200, Views(resources_of(request), self._tenant).stats())
            match steps:
                case ["global" | "tenant", "descriptors", *rest] if len(rest) < 2:
                    return self._descriptors(request, steps[0], rest, body)
                case ["global" | "tenant", word, *rest] if word in _KINDS and len(rest) < 2:
                    return self._objects(request, steps[0], _KINDS[word], rest, body)
            raise not_found("/".join(steps))
        except RegistryError as error:
            return error.response

    def _objects(self, request: Request, container: str, kind: str, rest: list[str], body: bytes | None) -> Response:
        views = Views(resources_of(request), self._tenant)
        if request.method == "GET":
            return (
                _look_up(request, views, container, kind, rest[0]) if rest else _list(request, views, container, kind)
            )
        if container == "global" or kind not in _MADE_HERE:
            raise refused(405, f"{request.method} is not possible here")
        library = Library(resources_of(request), self._tenant)
        match request.method, rest:
            case "POST", []:
                return _made(201, library.create(kind, _object(body)))
            case "PUT", [id_]:
                return _made(200, library.replace(kind, id_, _object(body)))
            case "PATCH", [id_]:
                return _made(200, library.patch(kind, id_, _content(body)))
            case "DELETE", [id_]:
                library.remove(kind, id_)
                return Response(status_code=204)
        raise refused(405, f"{request.method} is not possible here")

    def _descriptors(self, request: Request, container: str, rest: list[str], body: bytes | None) -> Response:
        resources = resources_of(request)
        if container == "global":
            raise not_found("descriptors")
        more = {"imsOrg": self._tenant.org_id}
        match request.method, rest:
            case "GET", []:
                form = descriptor_list_form(request.headers.get("accept", ""))
                return json_response(
                    200, descriptors.listing(resources, form, request.query_params, "/tenant/descriptors")
                )
            case "GET", [id_]:
                demand_descriptor_form(request.headers.get("accept", ""))
                return _made(200, descriptors.existing(resources, id_))
            case "POST", []:
                return _made(201, descriptors.kept(resources, _object(body), None, more))
            case "PUT", [id_]:
                return _made(200, descriptors.kept(resources, _object(body), id_, more))
            case "DELETE", [id_]:
                descriptors.forget(resources, id_)
                return Response(status_code=204)
        raise refused(405, f"{request.method} is not possible here")


def _list(request: Request, views: Views, container: str, kind: str) -> Response:
    form = list_form(request.headers.get("accept", ""))
    page = listed(views.all(container, kind), request.query_params, f"/{container}/{kind}")
    return json_response(200, page | {"results": [views.listed(item, form) for item in page["results"]]})


def _look_up(request: Request, views: Views, container: str, kind: str, id_: str) -> Response:
    content = views.one(container, kind, id_)
    form = look_up_form(request.headers.get("accept", ""), content["version"] if content else None)
    if content is None:
        raise not_found(id_, form.version or "1")
    return _answered(200, views.shown(content, form))


def _steps(request: Request) -> list[str]:
    sent = request.scope["raw_path"].decode("ascii", "replace").partition(_ROOT)[2]
    return [unquote(step) for step in sent.split("/") if step]


def _content(body: bytes | None) -> Any:
    try:
        return parsed(body or b"")
    except ValueError:
        raise invalid("The request body is not JSON") from None


def _object(body: bytes | None) -> dict[str, Any]:
    content = _content(body)
    if not isinstance(content, dict):
        raise invalid("The request body is not a JSON object")
    return content


def _made(status: int, content: dict[str, Any]) -> Response:
    return _answered(status, with_tag(content))


def _answered(status: int, content: dict[str, Any]) -> Response:
    answer = json_response(status, content)
    answer.headers["ETag"] = f'"{content["meta:registryMetadata"]["eTag"]}"'
    return answer
