"""The batches that streamed entities form when they fail their validation.

Belongs here: the files of failed records and what the Catalog tells about such a batch. Does not belong here: the
validation itself (`validation`).
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

import orjson

from capillary_adobe.emulators.batch_states import Batch, new_batch_id, now_ms
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.numbered_files import NumberedFiles
from capillary_adobe.emulators.targets import Target, Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.violations import Violation

_CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"
_NO_FAULT_OF = ("Mapper", "Profile", "Identity", "Unknown")


class FailedBatches:
    """The failed entities of one window; each dataset that has any gets a batch."""

    def __init__(self, tenant: Tenant, behaviour: Behaviour, targets: Targets, batches: BatchStore) -> None:
        self._tenant = tenant
        self._targets = targets
        self._behaviour = behaviour
        self._batches = batches
        self._open: dict[str, _OpenBatch] = {}
        self._stack = ExitStack()

    def __enter__(self) -> FailedBatches:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def take(self, line: dict[str, Any], violations: list[Violation]) -> None:
        """Add an accepted line that failed."""
        dataset_id = line["dataset"]
        if dataset_id not in self._open:
            self._open[dataset_id] = self._begin(dataset_id)
        self._open[dataset_id].take(self._record(line, violations), violations)

    def save(self) -> list[Batch]:
        """Put the batches on the disk, where they wait to be shown."""
        batches = [opened.batch(self._behaviour.bad_status) for opened in self._open.values()]
        for batch in batches:
            self._batches.save(batch)
        return batches

    def _begin(self, dataset_id: str) -> _OpenBatch:
        batch_id = new_batch_id(now_ms())
        folder = self._batches.folder(batch_id).failed
        records = self._stack.enter_context(NumberedFiles(folder, "part-{:05}.json", self._behaviour.records_per_file))
        return _OpenBatch(batch_id, self._targets.get(dataset_id), records)

    def _record(self, line: dict[str, Any], violations: list[Violation]) -> dict[str, Any]:
        target = self._targets.get(line["dataset"])
        reference = {"id": target.schema_id, "contentType": _CONTENT_TYPE}
        usual = {"schemaRef": reference, "imsOrgId": self._tenant.org_id, "datasetId": target.dataset_id}
        header = usual | {"flowId": _flow_id(target)} | line.get("header", {})
        # Put together as text: an entity may be nested as deep as can be written, and the body is one deeper.
        body = f'{{"xdmMeta":{_text({"schemaRef": reference})},"xdmEntity":{_text(line["entity"])}}}'
        record: dict[str, Any] = {"body": body, "header": _text(header)}
        items = [violation.streaming_item() for violation in violations]
        if self._behaviour.validation_errors_key:
            return record | {"_validationErrors": items}
        return record | {"_errors": _text({"_streamingValidation": items})}


class _OpenBatch:
    def __init__(self, batch_id: str, target: Target, records: NumberedFiles) -> None:
        self._id = batch_id
        self._target = target
        self._records = records
        self._codes: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def take(self, record: dict[str, Any], violations: list[Violation]) -> None:
        self._records.write(record)
        for violation in violations:
            self._codes[violation.streaming_code] += 1
            text = f"The message cannot be validated: [{violation.message}]"
            self._first.setdefault(violation.streaming_code, text)

    def batch(self, status: str) -> Batch:
        now, count = now_ms(), self._records.lines
        metrics = {"recordsSize": self._records.size, "invalidRecordCount": count}
        metrics["invalidRecordsStreamingValidation"] = count
        return Batch(
            id=self._id,
            dataset_id=self._target.dataset_id,
            created_ms=now,
            updated_ms=now,
            state=status,
            origin="streaming",
            completed_ms=now,
            errors=[
                {"code": code, "description": self._first[code], "recordCount": count}
                for code, count in sorted(self._codes.items())
            ],
            metrics=metrics | {f"invalidRecords{part}": 0 for part in _NO_FAULT_OF},
            tags={"flowId": [_flow_id(self._target)]},
        )


def _flow_id(target: Target) -> str:
    return target.flow_ids[0] if target.flow_ids else ""


def _text(content: object) -> str:
    return orjson.dumps(content).decode()
