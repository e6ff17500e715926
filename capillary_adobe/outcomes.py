"""Outcomes: what became of each event and profile, from the receipts into the tables `ingestion_status` and `quarantine`.

Belongs here: writing both tables for a slice, after a delivery or when AEP's verdict has moved something. Does not belong
here: the rows themselves (`adobe.status`, `adobe.profile_status`) and sending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa

from capillary_adobe.adobe.hold import HELD, Hold
from capillary_adobe.adobe.profile_status import COLUMNS as PROFILE_COLUMNS
from capillary_adobe.adobe.profile_status import REFUSED_COLUMNS as REFUSED_PROFILE_COLUMNS
from capillary_adobe.adobe.profile_status import profile_outcomes, refused_profiles
from capillary_adobe.adobe.status import (
    COLUMNS,
    REFUSED_COLUMNS,
    STAGE,
    RuleOf,
    ToSend,
    no_rule,
    outcomes,
    refused,
    refused_ids,
)
from capillary_adobe.capillary.raw import replaced_events
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.state import DaysToSettle, State
from capillary_adobe.state.open_profiles import OpenProfiles, ProfileRow
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_EVENTS, XDM_PROFILES


@dataclass(frozen=True)
class Written:
    """Rows of outcomes written, how many entities of the slice a run still has to send, and how many no run is known to
    come back to: those that failed with a whole batch, or are to be made anew by another rule; and how many of all rows
    wait for an operator. Profiles do not count: whose is without an outcome is due, and the customers' own runs send it."""

    rows: int
    to_send: int
    forsaken: int
    held: int


def write_outcomes(tables: Lake, state: State, part: Slice, hold: Hold, rule_of: RuleOf = no_rule) -> Written:
    """Write the outcomes of a slice's entities, and put those that AEP refused into quarantine.

    The whole day is written where AEP has decided about entities outside the slice. `rule_of` tells the line of the mapping
    that wrote what AEP refused. The caller holds the day's lock.
    """
    asked = part
    days = DaysToSettle(state)
    marked_ns = days.all().get(part.day)
    if marked_ns is not None:
        part = Slice(part.day)
    given_way = replaced_events(tables, part)
    to_send: Counter[ToSend] = Counter()
    told = outcomes(state, part.day, tables.read(XDM_EVENTS, part, COLUMNS), to_send, hold)
    open_profiles: list[ProfileRow] = []
    of_profiles = profile_outcomes(state, part.day, tables.read(XDM_PROFILES, part, PROFILE_COLUMNS), open_profiles)
    held: Counter[bool] = Counter()
    rows = tables.replace(INGESTION_STATUS, part, chain(_counted(told, held), of_profiles))
    tables.remove_events(INGESTION_STATUS, part, given_way)
    of_profiles = refused_profiles(state, part.day, tables.read(XDM_PROFILES, part, REFUSED_PROFILE_COLUMNS))
    refusals = chain(_refused(tables, state, part, rule_of), of_profiles)
    tables.replace(QUARANTINE, replace(part, stage=STAGE), refusals)
    tables.remove_events(QUARANTINE, part, given_way)
    if part.batch_id is None:
        OpenProfiles(state).keep_only(part.day, open_profiles)
    if marked_ns is not None:
        days.settled(part.day, marked_ns)
    mine = {one: n for one, n in to_send.items() if asked.batch_id in (None, one.batch_id)}
    # A micro-batch asks for its own entities again; those of others, and of a whole day, would be asked for by nobody.
    others = to_send if asked.batch_id is None else {one: n for one, n in to_send.items() if one not in mine}
    forsaken = sum(n for one, n in others.items() if one.failed_with_batch or one.outdated)
    return Written(rows, sum(mine.values()), forsaken, held[True])


def _counted(told: Iterator[pa.RecordBatch], held: Counter[bool]) -> Iterator[pa.RecordBatch]:
    for batch in told:
        held.update((detail or "").startswith(HELD) for detail in batch.column("detail").to_pylist())
        yield batch


def _refused(tables: Lake, state: State, part: Slice, rule_of: RuleOf) -> Iterator[pa.RecordBatch]:
    ids = refused_ids(state, part.day, tables.read(XDM_EVENTS, part, ["id"]))
    if not ids:
        return
    # An event's `_id` is its key, and only the raw row tells which record of its line it was.
    parts: dict[str, int] = {}
    for batch in tables.read(RAW_EVENTS, part, ["event_key", "part"]):
        keys = zip(batch.column("event_key").to_pylist(), batch.column("part").to_pylist(), strict=True)
        parts |= {key: place for key, place in keys if key in ids}
    yield from refused(state, part.day, tables.read(XDM_EVENTS, part, REFUSED_COLUMNS), parts, rule_of)
