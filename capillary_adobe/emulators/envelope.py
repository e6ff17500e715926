"""The checks that the inlet makes on one message before it takes it.

Belongs here: which parts a message must have, which values they may have, and the words of each refusal. Does not
belong here: whether the entity follows its schema, which the inlet leaves to a later stage, and how refusals are laid
out in an answer (`answers`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from capillary_adobe.emulators.targets import InletTargets, Target

_CONTENT_TYPES = frozenset(f"application/vnd.adobe.xed-full+json;version={version}" for version in ("1", "1.0"))

_USUAL_HEADER = frozenset({"schemaRef", "imsOrgId", "datasetId"})

_NO_HEADER = "The 'header' field is mandatory. Provide a valid 'header' value and try again."
_WRONG_ORG = "Message has an absent or wrong ims org in the header"
_UNKNOWN_FORMAT = "Message has unknown xdm format"
_UNKNOWN_DATASET = "Message has an absent or unknown dataset in the header"
_NO_FLOW = "Message has a dataset in the header that no dataflow of the inlet leads to"
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

    def __init__(self, org_id: str, targets: InletTargets) -> None:
        self._org_id = org_id
        self._prefix = f"inletId: [{targets.inlet_id}] imsOrgId: [{org_id}] "
        self._targets = targets

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
        target = self._target(header)
        if target is None:
            return self._refusal(_UNKNOWN_DATASET)
        if fault := self._road_fault(target, schema_id, header) or _entity_fault(target, body.get("xdmEntity")):
            return self._refusal(fault)
        return self._message(target, header, body["xdmEntity"])

    def _message(self, target: Target, header: dict[str, Any], entity: dict[str, Any]) -> Message | Refusal:
        more = {name: value for name, value in header.items() if name not in _USUAL_HEADER}
        if more.get("flowId") in (None, target.flow_ids[0]):  # the one that is meant where nothing else is said
            more.pop("flowId", None)
        try:
            text = orjson.dumps(entity)
            return Message(target.dataset_id, entity, text, orjson.dumps(more) if more else b"")
        except orjson.JSONEncodeError:  # nested deeper than can be written, although it could be read
            return self._refusal(_UNKNOWN_FORMAT)

    def _schema_id(self, header: dict[str, Any], body: dict[str, Any]) -> str | None:
        stated = _schema_ref(body.get("xdmMeta"))
        if stated is None or stated != _schema_ref(header):
            return None
        schema_id, content_type = stated
        return schema_id if schema_id in self._targets.schema_ids and content_type in _CONTENT_TYPES else None

    def _target(self, header: dict[str, Any]) -> Target | None:
        dataset_id = header.get("datasetId")
        return self._targets.datasets.get(dataset_id) if isinstance(dataset_id, str) else None

    def _road_fault(self, target: Target, schema_id: str, header: dict[str, Any]) -> str | None:
        if schema_id != target.schema_id:
            return _OTHER_SCHEMA
        flow_ids = self._targets.flows.get(target.dataset_id)
        if not flow_ids:
            return _NO_FLOW
        return None if header.get("flowId") in (None, *flow_ids) else _UNKNOWN_FLOW

    def _refusal(self, text: str) -> Refusal:
        return Refusal(self._prefix + text)


def _schema_ref(holder: Any) -> tuple[str, str] | None:
    reference = holder.get("schemaRef") if isinstance(holder, dict) else None
    if not isinstance(reference, dict):
        return None
    schema_id, content_type = reference.get("id"), reference.get("contentType")
    return (schema_id, content_type) if isinstance(schema_id, str) and isinstance(content_type, str) else None


def _entity_fault(target: Target, entity: Any) -> str | None:
    if not isinstance(entity, dict):
        return _NO_ENTITY
    if target.time_series and not _has_text(entity, "_id"):
        return _NO_ID
    if target.time_series and not _has_text(entity, "timestamp"):
        return _NO_TIMESTAMP
    return None


def _has_text(entity: dict[str, Any], field: str) -> bool:
    return isinstance(entity.get(field), str) and bool(entity[field])
