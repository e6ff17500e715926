"""Outcomes: what became of each entity, from the receipts into the tables `ingestion_status` and `quarantine`.

Belongs here: writing both tables for a slice, after a delivery or when AEP's verdict has moved something. Does not belong
here: the rows themselves (`adobe.status`) and sending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from capillary_adobe.adobe.status import COLUMNS, REFUSED_COLUMNS, STAGE, outcomes, refused, refused_ids
from capillary_adobe.capillary.raw import replaced_events
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.state import State
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_EVENTS


def write_outcomes(tables: Lake, state: State, part: Slice) -> int:
    """Write the outcomes of a slice's entities, and put those that AEP refused into quarantine; rows of outcomes.

    The caller holds the day's lock.
    """
    given_way = replaced_events(tables, part)
    rows = tables.replace(INGESTION_STATUS, part, outcomes(state, part.day, tables.read(XDM_EVENTS, part, COLUMNS)))
    tables.remove_events(INGESTION_STATUS, part, given_way)
    tables.replace(QUARANTINE, replace(part, stage=STAGE), _refused(tables, state, part))
    tables.remove_events(QUARANTINE, part, given_way)
    return rows


def _refused(tables: Lake, state: State, part: Slice) -> Iterator[pa.RecordBatch]:
    ids = refused_ids(state, part.day, tables.read(XDM_EVENTS, part, ["id"]))
    if not ids:
        return
    # An event's `_id` is its key, and only the raw row tells which record of its line it was.
    parts: dict[str, int] = {}
    for batch in tables.read(RAW_EVENTS, part, ["event_key", "part"]):
        keys = zip(batch.column("event_key").to_pylist(), batch.column("part").to_pylist(), strict=True)
        parts |= {key: place for key, place in keys if key in ids}
    yield from refused(state, part.day, tables.read(XDM_EVENTS, part, REFUSED_COLUMNS), parts)
