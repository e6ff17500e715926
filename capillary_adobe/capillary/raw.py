"""From landed objects to raw events: every record ends as a raw event, a duplicate, ignored, or in quarantine.

Belongs here: the writing of the three tables that hold the outcome. Does not belong here: reading bytes (`landing`), what
one record is (`sorting.py`), remembering keys (`state.claims`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from capillary_adobe.capillary.catalogue import Catalogue, shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.event_ids import told_event_id
from capillary_adobe.capillary.history_line import SHAPE as OF_AN_EXPORT
from capillary_adobe.capillary.history_line import original_rows
from capillary_adobe.capillary.insights.watermark import Watermark
from capillary_adobe.capillary.person import NotDelivered
from capillary_adobe.capillary.sorting import Candidate, Origin, Sorting
from capillary_adobe.lake import ROWS_PER_GROUP, Lake, Slice
from capillary_adobe.lake_files import BYTES_AT_ONCE
from capillary_adobe.landing import LandingStore, Record, read_landed
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.erasure import (
    ERASED_TEXT,
    as_kept,
    customers_in,
    is_of,
    named_in_text,
    redacted,
    tells_deletion,
)
from capillary_adobe.settings import CapillarySettings, ErasureSettings, Thresholds, load
from capillary_adobe.spool import Spool
from capillary_adobe.state import (
    WHOLE_DAY,
    Claims,
    Erasures,
    LandedObjects,
    Place,
    ReadObject,
    State,
    StateError,
    Verdict,
)
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE

TEXT_LIMIT = 2**20


@dataclass
class RawCounts:
    """What became of the lines of a run."""

    objects: int = 0
    lines: int = 0
    raw: int = 0
    duplicates: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    by_event_type: Counter[str] = field(default_factory=Counter)
    unknown_events: Counter[str] = field(default_factory=Counter)
    respelled_events: Counter[str] = field(default_factory=Counter)
    without_event_id: int = 0
    skewed: int = 0
    replaced_keys: set[str] = field(default_factory=set)


class RawStage:
    """Writes the raw events of one slice of the landing store."""

    def __init__(
        self,
        store: LandingStore,
        lake: Lake,
        state: State,
        settings: CapillarySettings,
        thresholds: Thresholds,
        mapped: Collection[str],
        catalogue: Catalogue | None = None,
        watermark: Watermark | None = None,
    ) -> None:
        self._store = store
        self._lake = lake
        self._claims = Claims(state)
        self._erasures = Erasures(state)
        self._label = load(ErasureSettings).label
        self._ledger = LandedObjects(state)
        self._max_age_ms = thresholds.max_event_age_hours * 3_600_000
        known = (catalogue or shipped_catalogue()).find
        self._sorting = Sorting(settings, mapped, known, watermark or Watermark.of_environment())

    def insist_on_memory(self) -> None:
        """Refuse to work where the tables hold events and the state database knows of none.

        With a database that is new, restored empty or another installation's, every event of the landing store would be
        new again: doubled in the tables and sent once more.

        Raises:
            StateError: the tables and the state database do not belong together.
        """
        if not self._ledger.days() and self._lake.days(RAW_EVENTS):
            raise StateError(
                "The tables under LAKE_URL hold events, but the state database behind STATE_URL knows of none. Check that "
                "both belong to this installation, and restore the database from its backup. To begin anew instead, move "
                "the tables away: everything is then read and sent again, under the same ids."
            )

    def write(self, part: Slice, taken: list[ReadObject], progress: Callable[[str], None]) -> RawCounts:
        """Read the objects and replace the slice's rows; the caller holds the day's lock.

        Nothing is noted as read before every row is in the lake, so a run that dies is repeated as a whole.
        """
        # Asked for within the lock: the job that erases waits for it, and finds what this run did not know yet.
        run = _Run(part, RawCounts(objects=len(taken)), self._erasures if self._erasures.any() else None)
        lines: dict[int, int] = {}
        with Spool(QUARANTINE) as run.quarantine, Spool(SET_ASIDE) as run.aside:
            self._lake.replace(RAW_EVENTS, part, self._raw_rows(run, taken, lines, progress))
            self._lake.replace(QUARANTINE, replace(part, stage="raw"), run.quarantine.batches())
            self._lake.replace(SET_ASIDE, part, run.aside.batches())
        self._lake.remove_events(RAW_EVENTS, part, run.counts.replaced_keys)
        self._ledger.record_lines(part.batch_id or WHOLE_DAY, lines)
        return run.counts

    def _raw_rows(
        self, run: _Run, taken: list[ReadObject], lines: dict[int, int], progress: Callable[[str], None]
    ) -> Iterator[pa.RecordBatch]:
        object_ids = {o.key: o.object_id for o in taken}
        waiting: list[Candidate] = []
        size = 0
        staged = self._store.staged(one.key for one in taken)
        for number, (one, (key, stream)) in enumerate(zip(taken, staged, strict=True), start=1):
            before = run.counts.lines
            for record in read_landed(key, stream):
                run.counts.lines += 1
                candidate = self._sort(run, one, record)
                if candidate is not None:
                    waiting.append(candidate)
                    size += len(candidate.data)
                if len(waiting) >= ROWS_PER_GROUP or size >= BYTES_AT_ONCE:
                    yield self._first_landings(run, object_ids, waiting)
                    waiting, size = [], 0
                    progress(f"{run.counts.lines} lines read, object {number} of {len(taken)}")
            lines[one.object_id] = run.counts.lines - before
        if waiting:
            yield self._first_landings(run, object_ids, waiting)

    def _sort(self, run: _Run, taken: ReadObject, record: Record) -> Candidate | None:
        """The candidate of a record, or None where it has been set aside."""
        name: str | None = None
        try:
            event_type, envelope = self._sorting.event(record, taken.lane)
            name = event_type.name
            candidate = self._sorting.candidate(
                Origin(taken.lane, taken.key, taken.stored_ms), record, event_type, envelope
            )
        except NotAnEvent as refused:
            if refused.code == "event_unknown":
                run.counts.unknown_events[refused.event_name or ""] += 1
            run.refuse(taken, record, refused, name)
        except NotDelivered as ignored:
            run.ignore(taken, record, ignored.reason, name or "")
        else:
            if name != envelope.event_name:
                run.counts.respelled_events[envelope.event_name] += 1
            return candidate
        return None

    def _first_landings(self, run: _Run, object_ids: dict[str, int], waiting: list[Candidate]) -> pa.RecordBatch:
        """Rows of the candidates that are the first of their key; the others are noted as duplicates."""
        rulings = self._claims.rule(run.part.day, object_ids, [(c.event_key, c.place) for c in waiting])
        first: list[Candidate] = []
        for candidate, ruling in zip(waiting, rulings, strict=True):
            # A line of this very run that gave way is read, or has been, and counts itself as the duplicate.
            gave_way = ruling.replaced if ruling.replaced and ruling.replaced.key not in object_ids else None
            if gave_way is not None:
                run.duplicate(candidate, gave_way, ruling.day, replaced=True)
            if ruling.verdict is Verdict.DUPLICATE:
                # The micro-batch whose line took this one's place has noted it, or will when it is repeated.
                noted = ruling.taken_by is not None and ruling.taken_by.key not in object_ids
                run.duplicate(candidate, candidate.place, ruling.day, noted=noted)
                continue
            first.append(candidate)
            if gave_way is not None:
                run.counts.replaced_keys.add(candidate.event_key)
            self._count(run.counts, candidate)
        return raw_batch(run.part, run.without_erased([self._bare(one) for one in first]))

    def _bare(self, event: Candidate) -> Candidate:
        """The event, or, where it says that its customer was deleted, no more than that of it."""
        if not tells_deletion(event.event_name, event.data, self._label):
            return event
        return event._replace(data=redacted(event.event_name, event.data))

    def _count(self, counts: RawCounts, candidate: Candidate) -> None:
        counts.raw += 1
        counts.by_event_type[candidate.event_name] += 1
        counts.without_event_id += candidate.event_id is None and candidate.envelope != OF_AN_EXPORT
        # History is old on purpose.
        too_old = candidate.landed_ms - candidate.created_ms > self._max_age_ms
        counts.skewed += too_old and candidate.lane == "live"


def replaced_events(lake: Lake, part: Slice) -> list[str]:
    """Events whose rows by other micro-batches of the day give way to this one's.

    Only those that it holds itself: its line may have taken a place and given it away again, and the rows of the
    micro-batch that holds the event now must stay.
    """
    if part.batch_id is None:
        return []
    aside = lake.table(SET_ASIDE, part, ["event_key", "replaced"])
    taken = set(aside.filter(aside["replaced"])["event_key"].to_pylist())
    if not taken:
        return []
    held = (
        key for batch in lake.read(RAW_EVENTS, part, ["event_key"]) for key in batch.column("event_key").to_pylist()
    )
    return sorted(taken.intersection(held))


@dataclass
class _Run:
    """The side tables and counts of one run."""

    part: Slice
    counts: RawCounts
    erasures: Erasures | None
    """Who is deleted, if anybody is: what has landed still tells of them."""
    quarantine: Spool = field(init=False)
    aside: Spool = field(init=False)

    @property
    def _batch_id(self) -> str:
        return self.part.batch_id or WHOLE_DAY

    def without_erased(self, events: list[Candidate]) -> list[Candidate]:
        """The events, without what is personal of customers who are deleted."""
        if self.erasures is None:
            return events
        named = {
            CustomerKey(one.org_id, known)
            for one in events
            for known in (int(one.customer_id), *customers_in(one.data))
        }
        erased = self.erasures.among(named)
        if not erased:
            return events
        return [
            one._replace(data=as_kept(one.event_name, one.org_id, int(one.customer_id), one.data, erased))
            for one in events
        ]

    def _may_be_kept(self, text: str) -> str:
        """The text of a refused line, unless it names a customer who is deleted."""
        if self.erasures is None:
            return text
        named = {known for _, known in named_in_text(text)}
        return ERASED_TEXT if named and is_of(text, self.erasures.with_ids(named)) else text

    def refuse(self, taken: ReadObject, record: Record, refused: NotAnEvent, name: str | None) -> None:
        self.counts.quarantined[refused.code] += 1
        self.quarantine.add(
            {
                "day": self.part.day,
                "batch_id": self._batch_id,
                "lane": taken.lane,
                "stage": "raw",
                "code": refused.code,
                "detail": refused.detail,
                "pointer": None,
                "object": taken.key,
                "line": record.line,
                "part": record.part,
                "event_name": refused.event_name or name,
                "event_key": None,
                "event_id": told_event_id(record),
                "text": self._may_be_kept(_original(taken, record)[:TEXT_LIMIT].decode("utf-8", "replace")),
            }
        )

    def ignore(self, taken: ReadObject, record: Record, reason: str, name: str) -> None:
        self.counts.ignored[reason] += 1
        place = Place(taken.key, record.line, record.part)
        told = told_event_id(record)
        self._set_aside(taken.lane, place, name, None, event_id=told, kind="ignored", reason=reason, replaced=False)

    def duplicate(
        self, event: Candidate, place: Place, first_day: str, *, replaced: bool = False, noted: bool = False
    ) -> None:
        # A line that gave way was counted when its own micro-batch read it.
        self.counts.duplicates += not replaced
        if noted:
            return
        # A line that gave way told the same id, but for the rare repeat of a natural key under another one.
        self._set_aside(
            event.lane,
            place,
            event.event_name,
            event.event_key,
            event_id=event.event_id,
            kind="duplicate",
            reason=first_day,
            replaced=replaced,
        )

    def _set_aside(self, lane: str, place: Place, name: str, key: str | None, **fields: Any) -> None:
        self.aside.add(
            {
                "day": self.part.day,
                "batch_id": self._batch_id,
                "lane": lane,
                "object": place.key,
                "line": place.line,
                "part": place.part,
                "event_name": name,
                "event_key": key,
                **fields,
            }
        )


def _original(taken: ReadObject, record: Record) -> bytes:
    """What a record was before anybody of ours touched it: its text, or the rows of the export that it was made of."""
    rows = original_rows(record.value) if taken.lane == "history" and record.problem is None else None
    return record.text if rows is None else rows


def raw_batch(part: Slice, candidates: list[Candidate]) -> pa.RecordBatch:
    """Rows of `raw_events` for events that are the first of their key."""
    columns: dict[str, Any] = {
        "day": [part.day] * len(candidates),
        "batch_id": [part.batch_id or WHOLE_DAY] * len(candidates),
    }
    values = zip(*candidates, strict=True) if candidates else ((),) * len(Candidate._fields)
    columns |= dict(zip(Candidate._fields, values, strict=True))
    columns["data"] = pa.array(columns["data"], pa.binary()).cast(pa.string())
    return pa.RecordBatch.from_pydict(columns, schema=RAW_EVENTS.schema)
