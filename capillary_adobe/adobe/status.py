"""The outcome of every entity, for the table `ingestion_status`, and those that AEP refused, for `quarantine`.

Belongs here: joining entities with their receipts. Does not belong here: sending (`delivery.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from capillary_adobe.adobe.causes import category_of, keyword_of, place_of, reason_of
from capillary_adobe.adobe.hold import COLUMNS as HOLD_COLUMNS
from capillary_adobe.adobe.hold import NOTHING_HELD, OUTDATED, Hold
from capillary_adobe.reasons import CATEGORIES
from capillary_adobe.state import Fate, Known, Outcome, Receipts, Route, State
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE
from capillary_adobe.xdm.violations import ABSENT, type_at

_CARRIED = ["day", "batch_id", "lane", "event_name", "event_key", "id", "landed_ms"]
COLUMNS = [*_CARRIED, *(name for name in HOLD_COLUMNS if name not in _CARRIED)]
REFUSED_COLUMNS = [*_CARRIED, "object", "line", "entity"]
NOT_SENT = "Not sent yet; the next run sends it."
UNKNOWN = "Sent, and no answer came; the next run sends it again under the same id."
IN_DOUBT = "AEP may have it already: it was sent, and no answer came."
"""Stands behind the reason why an entity is held, where holding it may have come too late."""
STAGE = "aep"
"""The stage under which AEP's refusals stand in quarantine."""

RuleOf = Callable[[str, str, str, str], str | None]
"""Event name, XDM `eventType`, pointer and category → the line of the mapping that wrote there."""

_LONGEST_TEXT = 2**20


@dataclass(frozen=True)
class ToSend:
    """Entities that a run has to send, of one micro-batch; some failed with a whole batch at AEP, some are to be made anew."""

    batch_id: str
    failed_with_batch: bool
    outdated: bool = False


def outcomes(
    state: State,
    day: str,
    entities: Iterable[pa.RecordBatch],
    to_send: Counter[ToSend] | None = None,
    hold: Hold = NOTHING_HELD,
) -> Iterator[pa.RecordBatch]:
    """Rows of `ingestion_status` for entities (the columns `COLUMNS`), in the same order.

    `to_send` counts those that a run has to send; what lies in a batch at AEP, or waits for an operator, is not among them.
    """
    receipts = Receipts(state).of_day(day, "events")
    for batch in entities:
        states = receipts.known(batch.column("id").to_pylist())
        reasons = hold.reasons(batch)
        # What AEP has, or has decided, is past holding.
        waits = [None if known and known.settled else why for known, why in zip(states, reasons, strict=True)]
        if to_send is not None:
            to_send.update(_for_a_run(batch, states, waits))
        columns = {name: batch.column(name) for name in _CARRIED}
        columns |= {"kind": ["events"] * batch.num_rows, **outcome_columns(states, waits)}
        yield pa.RecordBatch.from_pydict(columns, schema=INGESTION_STATUS.schema)


def outcome_columns(states: Sequence[Known | None], waits: Sequence[str | None]) -> dict[str, Any]:
    """The columns of outcomes by what is known of each entity, and why it waits although it could go."""
    return {
        "status": [
            known.outcome.value if known and why is None else Outcome.PENDING.value
            for known, why in zip(states, waits, strict=True)
        ],
        "code": [known.detail.code if known else None for known in states],
        "detail": [_words(known, why) for known, why in zip(states, waits, strict=True)],
        "cause": [known.detail.cause if known else None for known in states],
        "request_id": [known.request_id if known else None for known in states],
        "aep_id": [known.aep_id if known else None for known in states],
        "attempts": [known.attempts if known else 0 for known in states],
        "doubtful": [known.doubtful if known else 0 for known in states],
        "answered_ms": [known.answered_ms if known else None for known in states],
    }


def refused(
    state: State,
    day: str,
    entities: Iterable[pa.RecordBatch],
    parts: Mapping[str, int],
    rule_of: RuleOf,
) -> Iterator[pa.RecordBatch]:
    """Rows of `quarantine` for the entities that AEP refused (columns `REFUSED_COLUMNS`); `parts` by event key.

    `rule_of` tells the line of the mapping in force.
    """
    receipts = Receipts(state).of_day(day)
    for batch in entities:
        states = receipts.known(batch.column("id").to_pylist())
        places = [place for place, known in enumerate(states) if known and known.outcome is Outcome.REJECTED]
        if places:
            rows = batch.take(pa.array(places, pa.int64())).to_pylist()
            listed = [
                quarantined(row, known, parts.get(str(row["event_key"]), 0), rule_of)
                for row, known in zip(rows, (states[place] for place in places), strict=True)
                if known is not None
            ]
            yield pa.RecordBatch.from_pylist(listed, schema=QUARANTINE.schema)


def no_rule(_event: str, _event_type: str, _pointer: str, _category: str) -> str | None:
    """Where nobody knows the mapping."""
    return None


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


def _for_a_run(batch: pa.RecordBatch, states: list[Known | None], waits: list[str | None]) -> Iterator[ToSend]:
    for batch_id, known, why in zip(batch.column("batch_id").to_pylist(), states, waits, strict=True):
        if (known is None or not known.settled) and why in (None, OUTDATED):
            failed_with_batch = known is not None and known.route is Route.BATCH and known.fate is Fate.FAILED
            yield ToSend(batch_id, failed_with_batch, why is not None)


def _words(known: Known | None, why: str | None) -> str | None:
    if why is not None:
        return f"{why} {IN_DOUBT}" if known and known.fate is Fate.UNKNOWN else why
    if known is None:
        return NOT_SENT
    if known.waits_at_aep:
        return f"In AEP's batch {known.aep_id}, which AEP has not judged yet."
    return UNKNOWN if known.fate is Fate.UNKNOWN and not known.detail.words else known.detail.words


def quarantined(row: Mapping[str, object], known: Known, part: int, rule_of: RuleOf) -> dict[str, object]:
    """A row of `quarantine` for an entity that AEP refused; `part` is its record within the line."""
    cause = known.detail.cause or "aep_refused"
    carried = {name: row[name] for name in ("day", "batch_id", "lane", "object", "line", "event_name", "event_key")}
    text, place, category = str(row["entity"]), place_of(cause), category_of(cause)
    entity = orjson.loads(text)
    of = str(row["event_name"]), str(entity.get("eventType"))
    return {
        **carried,
        "stage": STAGE,
        "code": reason_of(cause),
        "detail": known.detail.words or "AEP gave no reason.",
        "pointer": place,
        "part": part,
        "text": text[:_LONGEST_TEXT],
        "category": category,
        "keyword": keyword_of(cause),
        "value_type": _value_type(category, entity, place),
        "rule": rule_of(*of, place, category) if place is not None else None,
        "cure": CATEGORIES[category].cure,
    }


def _value_type(category: str, entity: object, place: str | None) -> str | None:
    if category == "presence":
        return ABSENT
    # Of an unknown field AEP tells the place of the object that it stands in.
    return None if place is None or category == "unknown" else type_at(entity, place)
