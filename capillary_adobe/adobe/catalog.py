"""The Catalog: what AEP knows of a batch, and which batches failed.

Belongs here: asking for batches, and their states in this project's words. Does not belong here: the records of a batch
(`data_access.py`) and making one (`batch_api.py`).
Sources: catalog.yaml of github.com/AdobeDocs/experience-platform-apis and the states at
experienceleague.adobe.com/docs/experience-platform/ingestion/batch/troubleshooting.html.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from capillary_adobe.adobe.platform import NotThere, Platform, json_of, segment
from capillary_adobe.adobe.wording import safe_code, safe_words

_ROOT: Final = "/data/foundation/catalog"
_LONGEST_CHAIN: Final = 10
_PAGE: Final = 100
# Pages overlap: an entry that leaves the list between two pages moves those after it forward, and none is missed.
_OVERLAP: Final = 10
_MOST_ERRORS: Final = 50


class Stage(Enum):
    """How far a batch is."""

    OPEN = "files are still being uploaded"
    PENDING = "AEP is ingesting it"
    STUCK = "AEP has given up ingesting it without a verdict"
    GOOD = "AEP has ingested it"
    BAD = "AEP has refused it"
    GONE = "it was given up, or its data was taken out again"


_STAGES: Final[dict[str, Stage]] = {
    "loading": Stage.OPEN,
    **dict.fromkeys(("loaded", "queued", "processing", "staging", "staged", "retrying"), Stage.PENDING),
    "stalled": Stage.STUCK,
    **dict.fromkeys(("success", "active", "archived", "retained"), Stage.GOOD),
    **dict.fromkeys(("failed", "failure"), Stage.BAD),
    **dict.fromkeys(("aborted", "abandoned", "inactive", "deleted"), Stage.GONE),
}


def stage_of(status: str) -> Stage:
    """The stage behind AEP's word; a word not known counts as pending, for it decides nothing."""
    return _STAGES.get(status.strip().lower(), Stage.PENDING)


@dataclass(frozen=True)
class Batch:
    """A batch as the Catalog lists it. `errors` holds code, words that are safe to show, and count where AEP gives one."""

    batch_id: str
    status: str
    stage: Stage
    dataset_id: str | None = None
    external_id: str | None = None
    created_ms: int = 0
    failed_records: int | None = None
    errors: tuple[tuple[str, str, int | None], ...] = ()
    successor: str | None = None


class Catalog:
    """The Catalog of one sandbox; safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def batch(self, batch_id: str) -> Batch | None:
        """The batch, or the one that its data was consolidated into; None where AEP knows none."""
        found = self._one(batch_id)
        for _ in range(_LONGEST_CHAIN):
            if found is None or found.successor is None or found.status.strip().lower() != "inactive":
                return found
            following = self._one(found.successor)
            if following is None:
                # Its data lives on in a batch that cannot be looked up at the moment; it is not gone.
                return replace(found, stage=Stage.PENDING)
            found = following
        return found

    def find(self, dataset_id: str, external_id: str) -> Batch | None:
        """The batch with this id of ours: the newest, one that was given up only where there is no other."""
        params = {"dataSet": dataset_id, "externalId": external_id, "orderBy": "desc:created", "limit": _PAGE}
        listed = [one for one in self._list(params) if one.external_id == external_id]
        kept = [one for one in listed if one.dataset_id in (dataset_id, None)]
        return max(kept, key=lambda one: (one.stage is not Stage.GONE, one.created_ms, one.batch_id), default=None)

    def failed(self, dataset_id: str, created_after_ms: int) -> Iterator[Batch]:
        """The failed batches of a dataset, oldest first, each once.

        A batch that fails while this runs and is older than those already given is found by the next call.
        """
        lists = [self._failed_as(word, dataset_id, created_after_ms) for word in ("failed", "failure")]
        seen: set[str] = set()
        for batch in heapq.merge(*lists, key=lambda one: one.created_ms):
            if batch.batch_id not in seen:
                seen.add(batch.batch_id)
                yield batch

    def _one(self, batch_id: str) -> Batch | None:
        try:
            body = json_of(self._platform.call("GET", f"{_ROOT}/batches/{segment(batch_id)}"))
        except NotThere:
            return None
        entry = body.get(batch_id) if type(body) is dict else None
        return _batch(batch_id, entry) if type(entry) is dict else None

    def _failed_as(self, word: str, dataset_id: str, created_after_ms: int) -> Iterator[Batch]:
        params = {"dataSet": dataset_id, "status": word, "createdAfter": created_after_ms, "orderBy": "asc:created"}
        seen: set[str] = set()
        start = 0
        while True:
            page = self._list({**params, "start": start, "limit": _PAGE})
            new = [one for one in page if one.batch_id not in seen]
            seen.update(one.batch_id for one in new)
            yield from (one for one in new if one.stage is Stage.BAD and one.created_ms > created_after_ms)
            if len(page) < _PAGE or not new:
                return
            start += _PAGE - _OVERLAP

    def _list(self, params: dict[str, Any]) -> list[Batch]:
        """One page, by the order that AEP was asked for: a JSON object keeps none."""
        body = json_of(self._platform.call("GET", f"{_ROOT}/batches", params=params))
        entries = body.items() if type(body) is dict else ()
        listed = [_batch(key, entry) for key, entry in entries if type(entry) is dict]
        return sorted(listed, key=lambda one: (one.created_ms, one.batch_id))


def _batch(batch_id: str, entry: dict[str, Any]) -> Batch:
    metrics = _object(entry.get("metrics"))
    tags = _object(entry.get("tags"))
    status = str(entry.get("status") or "")
    return Batch(
        batch_id=batch_id,
        status=status,
        stage=stage_of(status),
        dataset_id=_dataset_of(entry.get("relatedObjects")),
        external_id=_text(entry.get("externalId")),
        created_ms=_number(entry.get("created")) or 0,
        failed_records=_first(
            metrics, "failedRecordCount", "invalidRecordCount", or_else=entry.get("failedRecordCount")
        ),
        errors=tuple(_errors(entry.get("errors"))),
        successor=_tag(tags, "acp_successor"),
    )


def _errors(listed: Any) -> Iterator[tuple[str, str, int | None]]:
    for one in (listed if type(listed) is list else [])[:_MOST_ERRORS]:
        if type(one) is dict:
            words = str(one.get("description") or one.get("message") or "")
            yield safe_code(one.get("code")), safe_words(words), _number(one.get("recordCount"))


def _dataset_of(related: Any) -> str | None:
    for one in related if type(related) is list else []:
        if type(one) is dict and str(one.get("type", "")).lower() == "dataset":
            return _text(one.get("id"))
    return None


def _tag(tags: dict[str, Any], name: str) -> str | None:
    """A tag's value; the Catalog keeps each tag as a list."""
    value = tags.get(name)
    return _text(value[0] if type(value) is list and value else value)


def _first(metrics: dict[str, Any], *names: str, or_else: Any) -> int | None:
    numbers = (_number(value) for value in (*(metrics.get(name) for name in names), or_else))
    return next((number for number in numbers if number is not None), None)


def _number(value: Any) -> int | None:
    """A whole number; AEP writes some of them as texts."""
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.isdigit():
        return int(value)
    return int(value) if type(value) is float and value.is_integer() else None


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}
