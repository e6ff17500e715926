"""The outcome of every entity, for the table `ingestion_status`.

Belongs here: joining entities with their receipts. Does not belong here: sending (`delivery.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from capillary_adobe.state import Outcome, Receipts, State
from capillary_adobe.tables import INGESTION_STATUS

COLUMNS = ["day", "batch_id", "lane", "event_name", "event_key", "id", "landed_ms"]
NOT_SENT = "Not sent yet, or the answer was lost; the next run sends it."


def outcomes(state: State, day: str, entities: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of `ingestion_status` for entities (the columns `COLUMNS`), in the same order."""
    known = Receipts(state).of_day(day)
    for batch in entities:
        receipts = known.known(batch.column("id").to_pylist())
        columns = {name: batch.column(name) for name in COLUMNS}
        columns |= {
            "kind": ["events"] * batch.num_rows,
            "status": [receipt.outcome.value if receipt else Outcome.PENDING.value for receipt in receipts],
            "code": [receipt.code if receipt else None for receipt in receipts],
            "detail": [receipt.detail if receipt else NOT_SENT for receipt in receipts],
            "request_id": [receipt.request_id if receipt else None for receipt in receipts],
            "aep_id": [receipt.aep_id if receipt else None for receipt in receipts],
            "attempts": [receipt.attempts if receipt else 0 for receipt in receipts],
            "answered_ms": [receipt.answered_ms if receipt else None for receipt in receipts],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=INGESTION_STATUS.schema)
