"""The outcome of every entity, for the table `ingestion_status`, and those that AEP refused, for `quarantine`.

Belongs here: joining entities with their receipts. Does not belong here: sending (`delivery.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from capillary_adobe.adobe.causes import place_of, reason_of
from capillary_adobe.state import Fate, Known, Outcome, Receipts, Route, State
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE

COLUMNS = ["day", "batch_id", "lane", "event_name", "event_key", "id", "landed_ms"]
REFUSED_COLUMNS = [*COLUMNS, "object", "line", "entity"]
NOT_SENT = "Not sent yet; the next run sends it."
UNKNOWN = "Sent, and no answer came; the next run sends it again under the same id."
STAGE = "aep"
"""The stage under which AEP's refusals stand in quarantine."""

_LONGEST_TEXT = 2**20


@dataclass(frozen=True)
class ToSend:
    """Entities that a run has to send, of one micro-batch; some of them failed with a whole batch at AEP."""

    batch_id: str
    failed_with_batch: bool


def outcomes(
    state: State, day: str, entities: Iterable[pa.RecordBatch], to_send: Counter[ToSend] | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows of `ingestion_status` for entities (the columns `COLUMNS`), in the same order.

    `to_send` counts those that a run has to send; what lies in a batch at AEP is not among them.
    """
    receipts = Receipts(state).of_day(day)
    for batch in entities:
        states = receipts.known(batch.column("id").to_pylist())
        if to_send is not None:
            to_send.update(
                ToSend(batch_id, known is not None and known.route is Route.BATCH and known.fate is Fate.FAILED)
                for batch_id, known in zip(batch.column("batch_id").to_pylist(), states, strict=True)
                if known is None or not known.settled
            )
        columns = {name: batch.column(name) for name in COLUMNS}
        columns |= {
            "kind": ["events"] * batch.num_rows,
            "status": [known.outcome.value if known else Outcome.PENDING.value for known in states],
            "code": [known.detail.code if known else None for known in states],
            "detail": [_words(known) for known in states],
            "cause": [known.detail.cause if known else None for known in states],
            "request_id": [known.request_id if known else None for known in states],
            "aep_id": [known.aep_id if known else None for known in states],
            "attempts": [known.attempts if known else 0 for known in states],
            "doubtful": [known.doubtful if known else 0 for known in states],
            "answered_ms": [known.answered_ms if known else None for known in states],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=INGESTION_STATUS.schema)


def refused(
    state: State, day: str, entities: Iterable[pa.RecordBatch], parts: Mapping[str, int]
) -> Iterator[pa.RecordBatch]:
    """Rows of `quarantine` for the entities that AEP refused (columns `REFUSED_COLUMNS`); `parts` by event key."""
    receipts = Receipts(state).of_day(day)
    for batch in entities:
        states = receipts.known(batch.column("id").to_pylist())
        places = [place for place, known in enumerate(states) if known and known.outcome is Outcome.REJECTED]
        if places:
            rows = batch.take(pa.array(places, pa.int64())).to_pylist()
            listed = [
                _quarantined(row, known, parts)
                for row, known in zip(rows, (states[place] for place in places), strict=True)
                if known is not None
            ]
            yield pa.RecordBatch.from_pylist(listed, schema=QUARANTINE.schema)


def refused_ids(state: State, day: str, ids: Iterable[pa.RecordBatch]) -> set[str]:
    """Ids of the entities (column `id`) that AEP refused."""
    receipts = Receipts(state).of_day(day)
    found: set[str] = set()
    for batch in ids:
        listed = batch.column("id").to_pylist()
        states = receipts.known(listed)
        found.update(
            id_ for id_, known in zip(listed, states, strict=True) if known and known.outcome is Outcome.REJECTED
        )
    return found


def _words(known: Known | None) -> str | None:
    if known is None:
        return NOT_SENT
    if known.waits_at_aep:
        return f"In AEP's batch {known.aep_id}, which AEP has not judged yet."
    return UNKNOWN if known.fate is Fate.UNKNOWN and not known.detail.words else known.detail.words


def _quarantined(row: dict[str, object], known: Known, parts: Mapping[str, int]) -> dict[str, object]:
    cause = known.detail.cause or "aep_refused"
    carried = {name: row[name] for name in ("day", "batch_id", "lane", "object", "line", "event_name", "event_key")}
    return {
        **carried,
        "stage": STAGE,
        "code": reason_of(cause),
        "detail": known.detail.words or "AEP gave no reason.",
        "pointer": place_of(cause),
        "part": parts.get(str(row["event_key"]), 0),
        "text": str(row["entity"])[:_LONGEST_TEXT],
    }
