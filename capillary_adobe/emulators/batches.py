"""The endpoints of Batch Ingestion for a batch as a whole: creating it and telling what is to become of it.

Belongs here: `POST /import/batches` and the actions on a batch. Does not belong here: its files (`uploads`), what
follows its completion (`promotion`), looking at it (`catalog`, `export`).

Not played: `replay`, which replaces one batch by another, and the preview.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.batch_states import GOOD, PROMOTING, Batch, Format, new_batch_id, now_ms
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.behaviour import Allowance, Behaviour
from capillary_adobe.emulators.faults import Faults
from capillary_adobe.emulators.gateway import gateway_error, service_error
from capillary_adobe.emulators.promotion import Promotion
from capillary_adobe.emulators.sandboxes import resources_of
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response, media_type, parsed, read_body

_MAX_BODY_BYTES = 1_000_000
_FORMATS: dict[str, Format] = {"json": "json", "parquet": "parquet", "csv": "csv"}
_PERCENT_NAMES = ("partialIngestionPercent", "partialIngestionPercentage")


class BadBody(Exception):
    """The body of a call is not what it has to be."""


class Batches:
    """Creates batches and acts on them."""

    def __init__(
        self,
        tenant: Tenant,
        behaviour: Behaviour,
        targets: Targets,
        batches: BatchStore,
        promotion: Promotion,
        faults: Faults,
    ) -> None:
        self._tenant = tenant
        self._targets = targets
        self._batches = batches
        self._promotion = promotion
        self._faults = faults
        self._allowance = Allowance(behaviour.batches_per_minute)

    async def create(self, request: Request) -> Response:
        """`POST /import/batches`."""
        body = await read_body(request, _MAX_BODY_BYTES)
        if not self._allowance.take():
            return gateway_error(429050, "Too many requests")
        if media_type(request) != "application/json":
            return service_error(400, "A valid content-type must be specified")
        if body is None:
            return service_error(413, f"The body is larger than {_MAX_BODY_BYTES} bytes")
        try:
            batch = self._new_batch(body, resources_of(request).sandbox)
        except BadBody as fault:
            return service_error(400, str(fault))
        self._batches.add(batch)
        return json_response(201, self._created(batch))

    async def act(self, request: Request) -> Response:
        """`POST /import/batches/{batch}?action=`."""
        await read_body(request, _MAX_BODY_BYTES)
        batch = self._batches.get(request.path_params["batch"])
        if batch is None:
            return no_batch(request.path_params["batch"])
        match request.query_params.get("action", "").upper():
            case "COMPLETE":
                return self._complete(batch, request)
            case "ABORT":
                return self._end(batch, "aborted")
            case "FAIL":
                return self._end(batch, "failed")
            case "REVERT":
                return self._revert(batch)
        return service_error(400, "The action must be one of COMPLETE, ABORT, FAIL and REVERT")

    def _complete(self, batch: Batch, request: Request) -> Response:
        if batch.completed_ms is not None:  # said again, because the answer may have been lost
            return Response(status_code=200)
        if batch.state != "loading":
            return _not_from(batch)
        now = now_ms()
        changes: dict[str, Any] = {"state": PROMOTING, "completed_ms": now, "updated_ms": now}
        if fault := self._faults.at_completion(request.method, request.scope["path"]):
            changes |= {"forced": fault.final, "errors": fault.errors}
        self._batches.change(batch.id, **changes)
        self._promotion.schedule(batch.id)
        return Response(status_code=200)

    def _end(self, batch: Batch, word: str) -> Response:
        if batch.state != word and not self._batches.change(batch.id, when=_is_loading, state=word):
            return _not_from(batch)
        return Response(status_code=200)

    def _revert(self, batch: Batch) -> Response:
        if batch.state != "inactive":
            if not self._batches.change(batch.id, when=_is_ingested, state="inactive"):
                return _not_from(batch)
            self._promotion.schedule(batch.id)
        return Response(status_code=200)

    def _new_batch(self, body: bytes, sandbox: str) -> Batch:
        content = _object(body)
        target = self._targets.find(content.get("datasetId"), sandbox)
        if target is None:
            raise BadBody("The dataset does not exist")
        source = content.get("inputFormat")
        if not isinstance(source, dict) or str(source.get("format")).lower() not in _FORMATS:
            raise BadBody("inputFormat.format must be one of json, parquet and csv")
        percent = next((content[name] for name in _PERCENT_NAMES if name in content), None)
        diagnostics = content.get("enableErrorDiagnostics") is True
        now = now_ms()
        batch_id = new_batch_id(now)
        return Batch(
            id=batch_id,
            dataset_id=target.dataset_id,
            created_ms=now,
            updated_ms=now,
            format=_FORMATS[source["format"].lower()],
            multi_line=source.get("isMultiLineJson") is True,
            external_id=_external_id(content.get("externalId")) or batch_id,
            diagnostics=diagnostics,
            error_percent=_percent(percent),
            tags=_tags(content.get("tags"), percent, diagnostics=diagnostics),
        )

    def _created(self, batch: Batch) -> dict[str, Any]:
        return {
            "id": batch.id,
            "imsOrg": self._tenant.org_id,
            "status": "loading",
            "created": 0,  # as in Adobe's own examples; the Catalog has the moment
            "updated": 0,
            "relatedObjects": [{"type": "dataSet", "id": batch.dataset_id}],
            "version": "1.0.0",
            "tags": batch.tags,
            "createdUser": self._tenant.client_id,
            "updatedUser": self._tenant.client_id,
        }


def no_batch(batch_id: str) -> Response:
    """The answer about a batch that does not exist."""
    return service_error(404, f"The batch {batch_id} does not exist")


def _not_from(batch: Batch) -> Response:
    return service_error(400, f"The batch {batch.id} is in a status that does not allow this")


def _is_loading(batch: Batch) -> bool:
    return batch.state == "loading"


def _is_ingested(batch: Batch) -> bool:
    return batch.state in GOOD


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = parsed(body)
    except ValueError:
        raise BadBody("The body is not valid JSON") from None
    if not isinstance(content, dict):
        raise BadBody("The body is not a JSON object")
    return content


def _external_id(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadBody("externalId must be text")
    return value


def _percent(value: Any) -> float:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise BadBody("partialIngestionPercent must be a number from 0 to 100")
    return value


def _tags(given: Any, percent: Any, *, diagnostics: bool) -> dict[str, Any]:
    tags: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    if diagnostics:
        tags["acp_enableErrorDiagnostics"] = ["true"]
    if percent is not None:
        tags["acp_partialIngestionPercent"] = [str(percent)]
    return tags
