"""Second looks at what was made: does it conform when read back, and does making it again give the same bytes?

Belongs here: checks over a sample of one slice. Does not belong here: showing the result (`defs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from capillary_adobe.capillary.enrichment import enrich, with_known_as_stored
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.spool import Spool
from capillary_adobe.tables import ENRICHED_EVENTS, QUARANTINE, RAW_EVENTS, XDM_EVENTS, Table
from capillary_adobe.xdm.entities import EntityCounts, EntityStage

_PER_BATCH = 200
_REPEATED = 200


@dataclass
class ReadBack:
    """Entities read back from the table; `faults` counts by kind, `first` tells of one."""

    rows: int = 0
    looked_at: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    first: str = "none"

    def fault(self, kind: str, words: str) -> None:
        """Note a fault."""
        self.faults[kind] = self.faults.get(kind, 0) + 1
        if self.first == "none":
            self.first = words


def read_back(lake: Lake, part: Slice, stage: EntityStage) -> ReadBack:
    """Read a sample of each stored batch and judge it as AEP would; count ids that occur twice over all rows."""
    found = ReadBack()
    for batch in lake.read(XDM_EVENTS, part, ["id", "event_type", "size", "object", "landed_ms", "entity"]):
        found.rows += batch.num_rows
        for row in _spread(batch, _PER_BATCH):
            found.looked_at += 1
            _judge(found, row, stage)
    repeated = _repeated_ids(lake, part)
    if repeated:
        found.faults["id_occurs_twice"] = repeated
    return found


def _judge(found: ReadBack, row: dict[str, Any], stage: EntityStage) -> None:
    try:
        entity = orjson.loads(row["entity"])
    except orjson.JSONDecodeError:
        found.fault("not_json", "an entity is no JSON")
        return
    if entity.get("_id") != row["id"] or entity.get("eventType") != row["event_type"]:
        found.fault("columns_differ", "an entity differs from its columns")
    for violation in stage.judge(entity, row["size"], row["object"], row["landed_ms"]):
        found.fault(violation.code, violation.words)


def _repeated_ids(lake: Lake, part: Slice) -> int:
    schema = pa.schema([pa.field("id", pa.string())])
    with duckdb.connect() as connection:
        ids = (batch.cast(schema) for batch in lake.read(XDM_EVENTS, part, ["id"]))
        connection.register("ids", pa.RecordBatchReader.from_batches(schema, ids))
        # As numbers, and grouped, which DuckDB does on disk where memory ends: ten million texts of 64 letters would take
        # more than a gigabyte.
        connection.sql("set memory_limit = '256MB'")
        repeated = "select count(*) - 1 as n from ids group by ('0x' || id[:16])::ubigint having count(*) > 1"
        found = connection.sql(f"select coalesce(sum(n), 0) from ({repeated})").fetchall()
    return int(found[0][0])


def _spread(batch: pa.RecordBatch, most: int) -> list[dict[str, Any]]:
    step = max(1, batch.num_rows // most)
    return batch.take(pa.array(range(0, batch.num_rows, step), pa.int64())).to_pylist()


@dataclass(frozen=True)
class Repeated:
    """How many entities were made again, and how many came out otherwise."""

    made_again: int
    differing: int


def make_again(lake: Lake, part: Slice, stage: EntityStage, settings: CapillarySettings) -> Repeated:
    """Make a sample of the slice's entities anew and compare the bytes.

    What payloads tell is read from the raw events again. What is known from elsewhere is taken as the enriched rows have it:
    it was true when they were made, and more may be known by now.
    """
    first = next((b for b in lake.read(XDM_EVENTS, part, ["event_key", "entity"]) if b.num_rows), None)
    if first is None:
        return Repeated(0, 0)
    stored = {row["event_key"]: row["entity"] for row in _spread(first, _REPEATED)}
    made: dict[str, str] = {}
    with Spool(QUARANTINE) as refused:
        again = stage.transform(_enriched_again(lake, part, set(stored), settings), refused, EntityCounts())
        for batch in again:
            made |= dict(zip(batch.column("event_key").to_pylist(), batch.column("entity").to_pylist(), strict=True))
    return Repeated(len(stored), sum(made.get(key) != entity for key, entity in stored.items()))


def _enriched_again(lake: Lake, part: Slice, keys: set[str], settings: CapillarySettings) -> Iterator[pa.RecordBatch]:
    """The enriched rows of these events, made anew."""
    there = pa.Table.from_batches(_rows(lake, ENRICHED_EVENTS, part, keys), ENRICHED_EVENTS.schema)
    kept = {key: place for place, key in enumerate(there.column("event_key").to_pylist())}
    for batch in enrich(_rows(lake, RAW_EVENTS, part, set(kept)), settings):
        places = [kept[key] for key in batch.column("event_key").to_pylist()]
        stored = there.take(pa.array(places, pa.int64())).combine_chunks().to_batches()
        yield from (with_known_as_stored(batch, one) for one in stored)


def _rows(lake: Lake, table: Table, part: Slice, keys: set[str]) -> Iterator[pa.RecordBatch]:
    """The rows of these events; reading stops as soon as all are found, mostly in the first batch."""
    left = len(keys)
    for batch in lake.read(table, part):
        hits = pa.Table.from_batches([batch]).filter(pc.field("event_key").isin(sorted(keys)))
        if hits.num_rows:
            left -= hits.num_rows
            yield from hits.select(table.names).cast(table.schema).combine_chunks().to_batches()
        if left <= 0:
            return
