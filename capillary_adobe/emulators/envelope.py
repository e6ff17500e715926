"""The checks that the inlet makes on one message before it takes it.

Belongs here: which parts a message must have, which values they may have, and the words of each refusal. Does not
belong here: whether the entity follows its schema, which the inlet leaves to a later stage, and how refusals are laid
out in an answer (`answers`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from capillary_adobe.emulators.tenant import Dataset, Tenant

_CONTENT_TYPES = frozenset(f"application/vnd.adobe.xed-full+json;version={version}" for version in ("1", "1.0"))

_USUAL_HEADER = frozenset({"schemaRef", "imsOrgId", "datasetId", "flowId"})

_NO_HEADER = "The 'header' field is mandatory. Provide a valid 'header' value and try again."
_WRONG_ORG = "Message has an absent or wrong ims org in the header"
_UNKNOWN_FORMAT = "Message has unknown xdm format"
_UNKNOWN_DATASET = "Message has an absent or unknown dataset in the header"
_OTHER_SCHEMA = "Message schema does not match the schema of the dataset"
_UNKNOWN_FLOW = "Message has an unknown flow in the header"
_NO_ENTITY = "Payload body is missing xdmEntity"
_NO_ID = "Payload xdmEntity is missing _id"
_NO_TIMESTAMP = "Payload xdmEntity is missing timestamp"


class Message(NamedTuple):
    """A message that passed: the dataset it goes to, the entity, also as JSON text, and as such what else its header
    held beyond what any header holds.
    """

    dataset_id: str
    entity: dict[str, Any]
    text: bytes
    header: bytes = b""


class Refusal(NamedTuple):
    """A message that did not pass, and why."""

    text: str
    status: int = 400


class Inlet:
    """The checks of one inlet."""

    def __init__(self, tenant: Tenant) -> None:
        self._org_id = tenant.org_id
        self._prefix = f"inletId: [{tenant.inlet_id}] imsOrgId: [{tenant.org_id}] "
        self._datasets = tenant.datasets()
        self._schema_ids = frozenset(dataset.schema_id for dataset in self._datasets.values())

    def check(self, message: Any) -> Message | Refusal:
        """Take one element of a request."""
        header = message.get("header") if isinstance(message, dict) else None
        if not isinstance(header, dict):
            return Refusal(_NO_HEADER)
        if header.get("imsOrgId") not in (None, self._org_id):  # an absent one is filled in by the service
            return self._refusal(_WRONG_ORG)
        body = message.get("body")
        if not isinstance(body, dict) or (schema_id := self._schema_id(header, body)) is None:
            return self._refusal(_UNKNOWN_FORMAT)
        dataset = self._dataset(header)
        if dataset is None:
            return self._refusal(_UNKNOWN_DATASET)
        if fault := _target_fault(dataset, schema_id, header) or _entity_fault(dataset, body.get("xdmEntity")):
            return self._refusal(fault)
        return self._message(dataset, header, body["xdmEntity"])

    def _message(self, dataset: Dataset, header: dict[str, Any], entity: dict[str, Any]) -> Message | Refusal:
        more = {name: value for name, value in header.items() if name not in _USUAL_HEADER}
        try:
            text = orjson.dumps(entity)
            return Message(dataset.dataset_id, entity, text, orjson.dumps(more) if more else b"")
        except orjson.JSONEncodeError:  # nested deeper than can be written, although it could be read
            return self._refusal(_UNKNOWN_FORMAT)

    def _schema_id(self, header: dict[str, Any], body: dict[str, Any]) -> str | None:
        stated = _schema_ref(body.get("xdmMeta"))
        if stated is None or stated != _schema_ref(header):
            return None
        schema_id, content_type = stated
        return schema_id if schema_id in self._schema_ids and content_type in _CONTENT_TYPES else None

    def _dataset(self, header: dict[str, Any]) -> Dataset | None:
        dataset_id = header.get("datasetId")
        return self._datasets.get(dataset_id) if isinstance(dataset_id, str) else None

    def _refusal(self, text: str) -> Refusal:
        return Refusal(self._prefix + text)


def _schema_ref(holder: Any) -> tuple[str, str] | None:
    reference = holder.get("schemaRef") if isinstance(holder, dict) else None
    if not isinstance(reference, dict):
        return None
    schema_id, content_type = reference.get("id"), reference.get("contentType")
    return (schema_id, content_type) if isinstance(schema_id, str) and isinstance(content_type, str) else None


def _target_fault(dataset: Dataset, schema_id: str, header: dict[str, Any]) -> str | None:
    if schema_id != dataset.schema_id:
        return _OTHER_SCHEMA
    if header.get("flowId") not in (None, dataset.flow_id):
        return _UNKNOWN_FLOW
    return None


def _entity_fault(dataset: Dataset, entity: Any) -> str | None:
    if not isinstance(entity, dict):
        return _NO_ENTITY
    if dataset.time_series and not _has_text(entity, "_id"):
        return _NO_ID
    if dataset.time_series and not _has_text(entity, "timestamp"):
        return _NO_TIMESTAMP
    return None


def _has_text(entity: dict[str, Any], field: str) -> bool:
    return isinstance(entity.get(field), str) and bool(entity[field])
