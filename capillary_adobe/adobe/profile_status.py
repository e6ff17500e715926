"""The outcome of every profile, for the tables `ingestion_status` and `quarantine`.

Belongs here: joining records with their receipts and with what newer records of the customer have done. Does not belong
here: the same of events (`status.py`), sending (`profile_delivery.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from capillary_adobe.adobe.profile_delivery import PROFILES
from capillary_adobe.adobe.status import STAGE, RuleOf, no_rule, outcome_columns, quarantined
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Known, Outcome, Receipts, State
from capillary_adobe.state.open_profiles import NOBODY, OpenProfiles, ProfileRow
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE

EVENT_NAME = "(profile)"
"""What stands in place of an event's name."""
SUPERSEDED = "A newer profile of the customer takes its place, so this one is never sent."

_CARRIED = ["day", "batch_id", "lane", "id"]
COLUMNS = [*_CARRIED, "org_id", "customer_id", "revision", "newest_ms"]
REFUSED_COLUMNS = [*COLUMNS, "entity"]


def profile_outcomes(
    state: State, day: str, records: Iterable[pa.RecordBatch], left: list[ProfileRow]
) -> Iterator[pa.RecordBatch]:
    """Rows of `ingestion_status` for records (the columns `COLUMNS`), in the same order; `left` gets those without an outcome.

    Each without an outcome is noted first and looked at then: whoever settles a newer one of the customer in between finds
    the note, and marks the day as one to write again.
    """
    receipts = Receipts(state).of_day(day, PROFILES)
    register = OpenProfiles(state)
    for batch in records:
        states = receipts.known(batch.column("id").to_pylist())
        rows = _rows(batch)
        unsettled = [row for row, known in zip(rows, states, strict=True) if known is None or not known.settled]
        superseded = _superseded(register, unsettled)
        register.wait(day, [row for row in unsettled if row not in superseded])
        superseded |= _superseded(register, [row for row in unsettled if row not in superseded])
        found = [Outcome.SUPERSEDED if row in superseded else None for row in rows]
        left += [row for row in unsettled if row not in superseded]
        yield _told(batch, states, found)


def refused_profiles(
    state: State, day: str, records: Iterable[pa.RecordBatch], rule_of: RuleOf = no_rule
) -> Iterator[pa.RecordBatch]:
    """Rows of `quarantine` for the records that AEP refused (columns `REFUSED_COLUMNS`)."""
    receipts = Receipts(state).of_day(day, PROFILES)
    for batch in records:
        states = receipts.known(batch.column("id").to_pylist())
        places = [place for place, known in enumerate(states) if known and known.outcome is Outcome.REJECTED]
        if places:
            rows = batch.take(pa.array(places, pa.int64())).to_pylist()
            listed = [
                quarantined(_as_event(row), known, 0, rule_of)
                for row, known in zip(rows, (states[place] for place in places), strict=True)
                if known is not None
            ]
            yield pa.RecordBatch.from_pylist(listed, schema=QUARANTINE.schema)


def _rows(batch: pa.RecordBatch) -> list[ProfileRow]:
    columns = (batch.column(name).to_pylist() for name in ("org_id", "customer_id", "revision"))
    return [ProfileRow(CustomerKey(org, customer), revision) for org, customer, revision in zip(*columns, strict=True)]


def _superseded(register: OpenProfiles, rows: list[ProfileRow]) -> set[ProfileRow]:
    if not rows:
        return set()
    standings = register.standings({row.key for row in rows})
    return {row for row in rows if standings.get(row.key, NOBODY).supersedes(row.revision)}


def _told(batch: pa.RecordBatch, states: list[Known | None], instead: list[Outcome | None]) -> pa.RecordBatch:
    ids = batch.column("id")
    columns = {name: batch.column(name) for name in _CARRIED}
    columns |= {
        "event_name": [EVENT_NAME] * batch.num_rows,
        "event_key": ids,
        "kind": [PROFILES] * batch.num_rows,
        # There is no object that it landed in; how old its newest value was tells as much.
        "landed_ms": batch.column("newest_ms"),
    }
    columns |= outcome_columns(states, [SUPERSEDED if outcome else None for outcome in instead])
    statuses = zip(columns["status"], instead, strict=True)
    columns["status"] = [outcome.value if outcome else status for status, outcome in statuses]
    return pa.RecordBatch.from_pydict(columns, schema=INGESTION_STATUS.schema)


def _as_event(row: dict[str, object]) -> dict[str, object]:
    """A record by the columns that the refusal of an event is told with; it comes from no line of its own."""
    return {**row, "object": "", "line": 0, "event_name": EVENT_NAME, "event_key": row["id"], "stage": STAGE}
