"""The Catalog's calls about datasets.

Belongs here: making, listing, changing and deleting them, and what a body may say. Does not belong here: how a dataset is
kept and shown (`dataset_objects`), batches (`catalog`) and the dataflows that lead to a dataset (`flow_service`).

Not played: data sources, views and files of a dataset, and the second version of `PATCH`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.dataset_objects import (
    PROFILE,
    SET_BY_CATALOG,
    changed,
    is_on,
    new_dataset,
    shown,
    takes_upserts,
)
from capillary_adobe.emulators.gateway import service_error
from capillary_adobe.emulators.json_patch import BadPatch, merged, patched, paths_of
from capillary_adobe.emulators.property_filters import BadCondition, Condition, conditions
from capillary_adobe.emulators.sandboxes import Resources, resources_of
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response, media_type, parsed, read_body

MOST_DATASETS = 100
USUAL_DATASETS = 20

_KIND = "dataSets"
_MAX_BODY_BYTES = 1_000_000
_PATCH_TYPE = "application/json-patch+json"
_CONTENT_TYPE = re.compile(r"application/vnd\.adobe\.xed(-full)?(-notext)?\+json; ?version=1(\.\d+)?")
_FIXED = SET_BY_CATALOG | {"schemaRef"}
_EXACT = (
    "name",
    "description",
    "version",
    "created",
    "updated",
    "createdClient",
    "createdUser",
    "updatedUser",
    "state",
)


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.response = service_error(status, detail)


class Datasets:
    """The datasets of whichever sandbox a call means."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def create(self, request: Request) -> Response:
        """`POST /catalog/dataSets`."""
        body, resources = await read_body(request, _MAX_BODY_BYTES), resources_of(request)

        def make() -> Response:
            content = new_dataset(_asked(body, resources), resources, self._tenant)
            resources.put(_KIND, content["id"], content)
            return _done(content["id"], 201)

        return _answered(resources, make)

    async def list(self, request: Request) -> Response:
        """`GET /catalog/dataSets`."""
        resources, params = resources_of(request), request.query_params
        try:
            found = _page(
                [shown(content, resources) | {"id": content["id"]} for content in resources.all(_KIND)], params
            )
        except (Refused, BadCondition) as fault:
            return fault.response if isinstance(fault, Refused) else service_error(400, str(fault))
        return json_response(200, {content.pop("id"): _only(content, params) for content in found})

    async def one(self, request: Request) -> Response:
        """`GET /catalog/dataSets/{dataset}`."""
        resources, id_ = resources_of(request), request.path_params["dataset"]
        content = resources.get(_KIND, id_)
        if content is None:
            return _no_dataset().response
        return json_response(200, {id_: _only(shown(content, resources), request.query_params)})

    async def change(self, request: Request) -> Response:
        """`PATCH /catalog/dataSets/{dataset}`: a JSON Patch or an object to merge in, by the type of its content."""
        body, resources = await read_body(request, _MAX_BODY_BYTES), resources_of(request)

        def make() -> Response:
            before = _there(resources, request)
            after = _patched(before, body) if media_type(request) == _PATCH_TYPE else _merged(before, body)
            _may_become(before, after)
            resources.put(_KIND, before["id"], changed(after, self._tenant))
            return _done(before["id"], 200)

        return _answered(resources, make)

    async def delete(self, request: Request) -> Response:
        """`DELETE /catalog/dataSets/{dataset}`."""
        await read_body(request, _MAX_BODY_BYTES)
        resources = resources_of(request)

        def make() -> Response:
            id_ = _there(resources, request)["id"]
            resources.remove(_KIND, id_)
            return _done(id_, 200)

        return _answered(resources, make)


def _answered(resources: Resources, make: Callable[[], Response]) -> Response:
    try:
        with resources.alone():
            return make()
    except Refused as refused:
        return refused.response


def _done(id_: str, status: int) -> Response:
    return json_response(status, [f"@/dataSets/{id_}"])


def _no_dataset() -> Refused:
    return Refused("The dataset does not exist", 404)


def _there(resources: Resources, request: Request) -> dict[str, Any]:
    content = resources.get(_KIND, request.path_params["dataset"])
    if content is None:
        raise _no_dataset()
    return content


def _parsed(body: bytes | None) -> Any:
    if body is None:
        raise Refused(f"The body is larger than {_MAX_BODY_BYTES} bytes", 413)
    try:
        return parsed(body)
    except ValueError:
        raise Refused("The body is not valid JSON") from None


def _object(body: bytes | None) -> dict[str, Any]:
    content = _parsed(body)
    if not isinstance(content, dict):
        raise Refused("The body is not a JSON object")
    return content


def _asked(body: bytes | None, resources: Resources) -> dict[str, Any]:
    content = _object(body)
    if fixed := sorted(SET_BY_CATALOG & content.keys()):
        raise Refused(f"{fixed[0]} is set by the Catalog")
    reference = content.get("schemaRef")
    if (
        not isinstance(reference, dict)
        or not _is_text(reference.get("id"))
        or not _is_text(reference.get("contentType"))
    ):
        raise Refused("schemaRef must have an id and a contentType")
    if not _CONTENT_TYPE.fullmatch(reference["contentType"]):
        raise Refused(f"schemaRef.contentType {reference['contentType']} is not one of a schema in version 1")
    if resources.get("schemas", reference["id"]) is None:
        raise Refused(f"The schema {reference['id']} does not exist")
    _check_words(content)
    return content


def _check_words(content: dict[str, Any]) -> None:
    if not _is_text(content.get("name")):
        raise Refused("name must be text")
    if not isinstance(content.get("description", ""), str):
        raise Refused("description must be text")
    tags = content.get("tags", {})
    if not isinstance(tags, dict) or not all(_is_list_of_text(words) for words in tags.values()):
        raise Refused("tags must be an object of lists of text")


def _patched(before: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    operations = _parsed(body)
    try:
        roots = {path.split("/")[1] for path in paths_of(operations)}
        if fixed := sorted(roots & _FIXED):
            raise Refused(f"{fixed[0]} cannot be changed")
        return patched(before, operations)
    except BadPatch as fault:
        raise Refused(str(fault)) from None


def _merged(before: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    change = _object(body)
    if fixed := sorted(name for name in _FIXED & change.keys() if change[name] != before.get(name)):
        raise Refused(f"{fixed[0]} cannot be changed")
    return merged(before, change)


def _may_become(before: dict[str, Any], after: dict[str, Any]) -> None:
    _check_words(after)
    after.setdefault("tags", {})
    if is_on(before, PROFILE) and takes_upserts(after) and not takes_upserts(before):
        raise Refused("The dataset is enabled for Profile; disable it first, then enable it for upserts")


def _page(found: list[dict[str, Any]], params: QueryParams) -> list[dict[str, Any]]:
    limit, start = _number(params, "limit", USUAL_DATASETS), _number(params, "start", 0)
    if not 1 <= limit <= MOST_DATASETS:
        raise Refused(f"limit must be from 1 to {MOST_DATASETS}")
    wanted: list[Condition] = conditions(params.getlist("property"))
    exact = {name: params[name] for name in _EXACT if name in params}
    kept = [
        content
        for content in found
        if all(str(content.get(name)) == value for name, value in exact.items())
        and all(condition(content) for condition in wanted)
    ]
    return _ordered(kept, params.get("orderBy", "desc:created"))[start : start + limit]


def _ordered(found: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    direction, _, names = order.partition(":")
    if direction not in ("asc", "desc") or not names:
        raise Refused("orderBy must be asc: or desc: and the names of properties")
    # Later ones first among those of one millisecond, as for any other order of time.
    found = found if direction == "asc" else found[::-1]
    return sorted(
        found, key=lambda content: [_rank(content.get(name)) for name in names.split(",")], reverse=direction == "desc"
    )


def _rank(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return number, value if number else 0, "" if number else str(value)


def _only(content: dict[str, Any], params: QueryParams) -> dict[str, Any]:
    wanted = [name for name in params.get("properties", "").split(",") if name]
    return {name: content[name] for name in wanted if name in content} if wanted else content


def _number(params: QueryParams, name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not (text.isdecimal() and text.isascii() and len(text) < 16):
        raise Refused(f"{name} must be a whole number")
    return int(text)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
