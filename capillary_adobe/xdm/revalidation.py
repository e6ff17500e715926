"""Stored entities tried on another schema: what of the recent traffic would be refused, before AEP refuses it.

Belongs here: choosing a sample with every event type in it, and counting what fails. Does not belong here: fetching the
schema (`schema_in_force.py`) and showing the result (`defs`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import orjson
import pyarrow as pa

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.faults import FaultCounts
from capillary_adobe.xdm.language.rule_lines import RuleLines

DAYS: Final = 7
PER_EVENT: Final = 200
# Row groups of 5,000: a quarter of a million entities of a day are enough to find the rare types among.
_BATCHES_A_DAY: Final = 50
_COLUMNS: Final = ["event_name", "size", "object", "landed_ms", "entity"]


@dataclass
class Revalidated:
    """What was looked at and what would be refused, each by event; the faults with their causes."""

    looked_at: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: FaultCounts = field(default_factory=FaultCounts)


def revalidate(lake: Lake, stage: EntityStage, lines: RuleLines) -> Revalidated:
    """Judge up to `PER_EVENT` stored entities of each event type, of the last `DAYS` days that have any."""
    found = Revalidated()
    for day in lake.days(XDM_EVENTS)[-DAYS:][::-1]:
        for batch in islice(lake.read(XDM_EVENTS, Slice(day), _COLUMNS), _BATCHES_A_DAY):
            _judge(batch, stage, lines, found)
    return found


def _judge(batch: pa.RecordBatch, stage: EntityStage, lines: RuleLines, found: Revalidated) -> None:
    names = batch.column("event_name").to_pylist()
    wanted = []
    for place, name in enumerate(names):
        if found.looked_at[name] < PER_EVENT:
            found.looked_at[name] += 1
            wanted.append(place)
    for row in batch.take(pa.array(wanted, pa.int64())).to_pylist():
        entity = orjson.loads(row["entity"])
        violations = stage.judge(entity, row["size"], row["object"], row["landed_ms"])
        found.refused[row["event_name"]] += bool(violations)
        for violation in violations:
            line = lines(row["event_name"], str(entity.get("eventType")), violation.pointer, violation.category)
            found.faults.add(row["event_name"], violation, line)
