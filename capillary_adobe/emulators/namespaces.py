"""The Identity Service's namespaces: Adobe's own, and those that were made in a sandbox.

Belongs here: listing, showing, making and changing namespaces, and the errors of this service. Does not belong here:
identities in records (`validation`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.batch_states import now_ms
from capillary_adobe.emulators.wire import json_response, parsed, read_body

if TYPE_CHECKING:
    from capillary_adobe.emulators.sandboxes import Resources
    from capillary_adobe.emulators.tenant import Tenant

KIND: Final = "namespaces"
ID_TYPES: Final = ("COOKIE", "CROSS_DEVICE", "DEVICE", "EMAIL", "MOBILE", "NON_PEOPLE", "PHONE")

_LONGEST_BODY = 1_000_000
_LONG_AGO = 1_551_688_425_455
_FIRST_ID = 10_000_001
_CODE = re.compile(r"[A-Za-z0-9]+")
_SEEDED: Final = (
    ("capillaryCustomerId", "Capillary customer id"),
    ("capillaryExternalId", "Capillary external id"),
)


def _namespace(id_: int, code: str, name: str, id_type: str, description: str, moment: int | None) -> dict[str, Any]:
    return {
        "updateTime": moment or _LONG_AGO,
        "code": code,
        "status": "ACTIVE",
        "description": description,
        "id": id_,
        "createTime": moment or _LONG_AGO,
        "idType": id_type,
        "name": name,
        "custom": moment is not None,
    }


STANDARD: Final = tuple(
    _namespace(id_, code, name, id_type, name, None)
    for id_, code, name, id_type in (
        (0, "CORE", "CORE", "COOKIE"),
        (4, "ECID", "ECID", "COOKIE"),
        (6, "Email", "Email", "EMAIL"),
        (7, "Phone", "Phone", "PHONE"),
        (8, "WAID", "Windows AID", "DEVICE"),
        (11, "Email_LC_SHA256", "Emails (SHA256, lowercased)", "EMAIL"),
        (15, "Phone_SHA256", "Phone (SHA256)", "PHONE"),
        (16, "Phone_E.164", "Phone (E.164)", "PHONE"),
        (17, "Phone_SHA256_E.164", "Phone (SHA256_E.164)", "PHONE"),
        (20914, "GAID", "Google Ad ID (GAID)", "DEVICE"),
        (20915, "IDFA", "Apple IDFA (ID for Advertisers)", "DEVICE"),
    )
)


class Refusal(Exception):
    """A namespace cannot be made or changed as asked: why, and the service's code for it."""

    def __init__(self, status: int, title: str, code: str, description: str) -> None:
        super().__init__(description)
        self.status, self.title, self.code = status, title, code


def seed_namespaces(resources: Resources, tenant: Tenant) -> None:  # noqa: ARG001 - every tenant has the same ones
    """Make the namespaces that the demo's identities are of."""
    for code, name in _SEEDED:
        if namespace_by_code(resources, code) is None:
            _keep(resources, {"code": code, "name": name, "idType": "CROSS_DEVICE"})


def namespace_by_code(resources: Resources, code: str) -> dict[str, Any] | None:
    """A namespace of Adobe's or of the sandbox; letter case makes no difference."""
    return next((found for found in _every(resources) if found["code"].lower() == code.lower()), None)


def namespace_by_id(resources: Resources, id_: str) -> dict[str, Any] | None:
    """A namespace by its number."""
    return next((found for found in _every(resources) if str(found["id"]) == id_), None)


class Namespaces:
    """The endpoints."""

    def __init__(self, tenant: Tenant) -> None:
        self._org_id = tenant.org_id

    async def list(self, request: Request) -> Response:
        """`GET /idnamespace/identities`."""
        return json_response(200, _every(request.state.resources))

    async def one(self, request: Request) -> Response:
        """`GET /idnamespace/identities/{id}`."""
        found = namespace_by_id(request.state.resources, request.path_params["id"])
        return self._missing() if found is None else json_response(200, found)

    async def create(self, request: Request) -> Response:
        """`POST /idnamespace/identities`, answered 200."""
        try:
            asked = _asked(await read_body(request, _LONGEST_BODY))
            return json_response(200, _keep(request.state.resources, asked))
        except Refusal as refusal:
            return _refused(refusal)

    async def replace(self, request: Request) -> Response:
        """`PUT /idnamespace/identities/{id}`: other words for the same namespace."""
        found = namespace_by_id(request.state.resources, request.path_params["id"])
        if found is None or not found["custom"]:
            return self._missing()
        try:
            asked = _asked(await read_body(request, _LONGEST_BODY))
            if (asked["code"], asked["idType"]) != (found["code"], found["idType"]):
                raise _bad("code and idType are non editable fields")
        except Refusal as refusal:
            return _refused(refusal)
        changed = found | asked | {"updateTime": now_ms()}
        request.state.resources.put(KIND, str(found["id"]), changed)
        return json_response(200, [changed])

    def _missing(self) -> Response:
        words = f"Namespace id not found for given IMS Org {self._org_id}"
        return _refused(Refusal(404, "Namespace validation", "NAMESPACE_NOT_FOUND", words))


def _every(resources: Resources) -> list[dict[str, Any]]:
    return [*STANDARD, *resources.all(KIND)]


def _keep(resources: Resources, asked: dict[str, Any]) -> dict[str, Any]:
    with resources.alone():
        if namespace_by_code(resources, asked["code"]) is not None:
            words = "Namespace code already exists. Please use a different code"
            raise Refusal(409, "NAMESPACE_CODE_CONFLICT", "INTEGRATION_CODE_EXISTS", words)
        id_ = max((found["id"] for found in resources.all(KIND)), default=_FIRST_ID - 1) + 1
        description = asked.get("description", "")
        made = _namespace(id_, asked["code"], asked["name"], asked["idType"], description, now_ms())
        resources.put(KIND, str(id_), made)
        return made


def _asked(body: bytes | None) -> dict[str, Any]:
    try:
        content = parsed(body or b"")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _bad("The request body is not a JSON object")
    for name in ("name", "code", "idType"):
        if not isinstance(content.get(name), str) or not content[name].strip():
            raise _bad(f"Please provide a valid value of {name}")
    if not _CODE.fullmatch(content["code"]):
        raise _bad("Please provide a valid value of code. It may contain letters and digits only")
    id_type = content["idType"].upper()
    if id_type not in ID_TYPES:
        raise _bad(f"Please provide a valid value of idType. Valid values are: [{', '.join(ID_TYPES)}]")
    kept = {name: content[name] for name in ("name", "code", "description") if isinstance(content.get(name), str)}
    return kept | {"idType": id_type}


def _bad(description: str) -> Refusal:
    return Refusal(400, "Namespace validation", "INVALID_REQUEST_PARAMS", description)


def _refused(refusal: Refusal) -> Response:
    content = {
        "type": "http://ns.adobe.com/adobecloud/problem/namespacevalidation",
        "title": refusal.title,
        "status": refusal.status,
        "error": refusal.code,
        "description": str(refusal),
        "report": {"code": refusal.code},
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return json_response(refusal.status, content)
