"""The Data Hygiene API: work orders that delete the records of identities.

Belongs here: taking, listing and showing work orders, and the errors of this service. Does not belong here: what a deletion
does to the data that is kept; AEP takes days for it, and nothing here depends on it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.batch_states import now_ms
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.namespaces import namespace_by_code
from capillary_adobe.emulators.sandboxes import resources_of
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response, parsed, read_body

KIND: Final = "workorders"
MOST_IDENTITIES: Final = 100_000

_LONGEST_BODY = 20_000_000
_USUAL_LIMIT = 25
# The specification and the guide spell it differently; the answer has a third form.
_ACTIONS = ("delete_identity", "delete-identity")
_SERVICES = ("Data Management", "Identity Service", "Profile Service")
_DATASET = re.compile(r"ALL|[0-9a-f]{24}")


class Hygiene:
    """The endpoints."""

    def __init__(self, tenant: Tenant, behaviour: Behaviour) -> None:
        self._tenant = tenant
        self._seconds = behaviour.work_order_seconds

    async def create(self, request: Request) -> Response:
        """`POST /hygiene/workorder`, answered 200."""
        try:
            asked = parsed(await read_body(request, _LONGEST_BODY) or b"")
        except ValueError:
            return _bad("The request body is not valid JSON")
        resources = resources_of(request)
        problem = _problem(asked)
        if problem is None:
            codes = [one["namespace"]["code"] for one in asked["namespacesIdentities"]]
            unknown = [code for code in codes if namespace_by_code(resources, code) is None]
            problem = f"Namespace {unknown[0]} does not exist" if unknown else None
        if problem is not None:
            return _bad(problem)
        moment = now_ms()
        kept = {
            "workorderId": f"DI-{uuid4()}",
            "orgId": self._tenant.org_id,
            "bundleId": f"BN-{uuid4()}",
            "createdMs": moment,
            "operationCount": sum(len(one["IDs"]) for one in asked["namespacesIdentities"]),
            "createdBy": self._tenant.client_id,
            "datasetId": asked["datasetId"],
            "displayName": asked.get("displayName", ""),
            "description": asked.get("description", ""),
            "namespacesIdentities": asked["namespacesIdentities"],
        }
        resources.put(KIND, kept["workorderId"], kept)
        return json_response(200, self._shown(kept))

    async def list(self, request: Request) -> Response:
        """`GET /hygiene/workorder`."""
        wanted = request.query_params.get("displayName", "").lower()
        found = [one for one in resources_of(request).all(KIND) if wanted in one["displayName"].lower()]
        limit = int(request.query_params.get("limit", _USUAL_LIMIT))
        start = int(request.query_params.get("page", 0)) * limit
        page = [self._shown(one) for one in found[start : start + limit]]
        return json_response(200, {"results": page, "total": len(found), "count": len(page), "_links": {}})

    async def one(self, request: Request) -> Response:
        """`GET /hygiene/workorder/{id}`."""
        found = resources_of(request).get(KIND, request.path_params["id"])
        if found is None:
            return json_response(404, {"error_code": "404001", "message": "Work order not found"})
        status = "success" if self._is_over(found) else "waiting"
        products = [
            {"productName": name, "productStatus": status, "createdAt": _moment(found["createdMs"])}
            for name in _SERVICES
        ]
        return json_response(200, {**self._shown(found), "productStatusDetails": products})

    def _shown(self, kept: dict[str, Any]) -> dict[str, Any]:
        hidden = ("createdMs", "namespacesIdentities")
        return {
            **{name: value for name, value in kept.items() if name not in hidden},
            "action": "identity-delete",
            "createdAt": _moment(kept["createdMs"]),
            "updatedAt": _moment(now_ms() if self._is_over(kept) else kept["createdMs"]),
            "targetServices": ["profile", "datalake", "identity"],
            "status": "completed" if self._is_over(kept) else "received",
        }

    def _is_over(self, kept: dict[str, Any]) -> bool:
        return now_ms() - kept["createdMs"] >= self._seconds * 1000


def _problem(asked: Any) -> str | None:
    """What is wrong with a new work order."""
    if not isinstance(asked, dict) or asked.get("action") not in _ACTIONS:
        return f"action must be one of {', '.join(_ACTIONS)}"
    if not isinstance(asked.get("datasetId"), str) or not _DATASET.fullmatch(asked["datasetId"]):
        return "datasetId must be the id of a dataset, or ALL"
    groups = asked.get("namespacesIdentities")
    if not isinstance(groups, list) or not groups:
        return "namespacesIdentities must not be empty"
    for group in groups:
        code = group.get("namespace", {}).get("code") if isinstance(group, dict) else None
        ids = group.get("IDs") if isinstance(group, dict) else None
        if not isinstance(code, str) or not isinstance(ids, list) or not ids:
            return "each of namespacesIdentities must have a namespace with its code, and IDs"
        if not all(isinstance(one, str) and one for one in ids):
            return "IDs must be texts that are not empty"
    total = sum(len(group["IDs"]) for group in groups)
    return f"{total} identities are more than {MOST_IDENTITIES}" if total > MOST_IDENTITIES else None


def _bad(words: str) -> Response:
    return json_response(400, {"error_code": "400001", "message": words})


def _moment(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
