"""The Catalog: what is known of batches.

Belongs here: `GET` of one batch and of a list of batches, and how they are described. Does not belong here: datasets
(`datasets`), files (`export`) and every change of a batch (`batches`, `promotion`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.batch_states import PROMOTING, Batch, now_ms
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.batches import no_batch
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.gateway import service_error
from capillary_adobe.emulators.sandboxes import resources_of
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response

MOST_BATCHES = 100
USUAL_BATCHES = 20


class BadQuery(Exception):
    """A parameter of the query is not what it has to be."""


@dataclass(frozen=True)
class _Query:
    data_set: str | None
    status: str | None
    external_id: str | None
    created_after: int | None
    created_before: int | None
    descending: bool
    start: int
    limit: int

    @classmethod
    def of(cls, params: QueryParams) -> _Query:
        limit = _number(params, "limit", USUAL_BATCHES)
        if not 1 <= limit <= MOST_BATCHES:
            raise BadQuery(f"limit must be from 1 to {MOST_BATCHES}")
        order = params.get("orderBy", "desc:created")
        if order not in ("desc:created", "asc:created"):
            raise BadQuery("orderBy must be desc:created or asc:created")
        return cls(
            data_set=params.get("dataSet"),
            status=params.get("status"),
            external_id=params.get("externalId"),
            created_after=_number(params, "createdAfter", 0) if "createdAfter" in params else None,
            created_before=_number(params, "createdBefore", 0) if "createdBefore" in params else None,
            descending=order.startswith("desc"),
            start=_number(params, "start", 0),
            limit=limit,
        )

    def matches(self, batch: Batch, status: str) -> bool:
        return (
            self.data_set in (None, batch.dataset_id)
            and self.status in (None, status)
            and self.external_id in (None, batch.external_id)
            and (self.created_after is None or batch.created_ms > self.created_after)
            and (self.created_before is None or batch.created_ms < self.created_before)
        )


class Catalog:
    """Describes batches; each answer is an object whose keys are their ids."""

    def __init__(self, tenant: Tenant, behaviour: Behaviour, targets: Targets, batches: BatchStore) -> None:
        self._tenant = tenant
        self._targets = targets
        self._batch_seconds = behaviour.batch_seconds
        self._batches = batches

    async def batch(self, request: Request) -> Response:
        """`GET /catalog/batches/{batch}`."""
        batch = self._batches.get(request.path_params["batch"])
        if batch is None:
            return no_batch(request.path_params["batch"])
        return json_response(200, {batch.id: self.described(batch)})

    async def batches(self, request: Request) -> Response:
        """`GET /catalog/batches`."""
        try:
            query = _Query.of(request.query_params)
        except BadQuery as fault:
            return service_error(400, str(fault))
        now, sandbox = now_ms(), resources_of(request).sandbox
        found = [
            batch
            for batch in self._batches.all()
            if query.matches(batch, batch.status(now, self._batch_seconds)) and self._is_in(batch, sandbox)
        ]
        found.sort(key=lambda batch: (batch.created_ms, batch.id), reverse=query.descending)
        page = found[query.start : query.start + query.limit]
        wanted = [name for name in request.query_params.get("properties", "").split(",") if name]
        return json_response(200, {batch.id: _only(self.described(batch), wanted) for batch in page})

    def described(self, batch: Batch) -> dict[str, Any]:
        """A batch as the Catalog shows it."""
        started = {} if batch.completed_ms is None else {"started": batch.completed_ms}
        ended = batch.completed_ms is not None and batch.state != PROMOTING
        completed = {"completed": batch.updated_ms} if ended else {}
        reads = {} if batch.origin == "streaming" else {"inputFormat": _input_format(batch)}
        return {
            "imsOrg": self._tenant.org_id,
            "created": batch.created_ms,
            "createdClient": self._tenant.client_id,
            "createdUser": self._tenant.client_id,
            "updatedUser": self._tenant.client_id,
            "updated": batch.updated_ms,
            "externalId": batch.external_id or batch.id,
            "status": batch.status(now_ms(), self._batch_seconds),
            "errors": batch.errors,
            "version": "1.0.0",
            "relatedObjects": [{"type": "dataSet", "id": batch.dataset_id}],
            "metrics": batch.metrics,
            "tags": batch.tags,
            **started,
            **completed,
            **reads,
        }

    def _is_in(self, batch: Batch, sandbox: str) -> bool:
        return self._targets.find(batch.dataset_id, sandbox) is not None


def _input_format(batch: Batch) -> dict[str, Any]:
    return {"format": batch.format} | ({"isMultiLineJson": True} if batch.multi_line else {})


def _only(content: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    return {name: content[name] for name in wanted if name in content} if wanted else content


def _number(params: QueryParams, name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not (text.isdecimal() and text.isascii() and len(text) < 16):
        raise BadQuery(f"{name} must be a whole number")
    return int(text)
