"""AEP's later verdict: entities that the inlet acknowledged and AEP then refused, read back and noted.

Belongs here: failed batches of a dataset of ours, and the fates of their records. Does not belong here: the calls
(`catalog.py`, `data_access.py`), which entity a record is (`verdict_owners.py`), the verdict on our own batches
(`batch_verdict.py`), the tables (`outcomes.py`).
Source: experienceleague.adobe.com/docs/experience-platform/ingestion/quality/retrieve-failed-batches.html
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice

from capillary_adobe.adobe.catalog import Batch, Catalog
from capillary_adobe.adobe.causes import cause_of
from capillary_adobe.adobe.data_access import DataAccess, FailedRecord
from capillary_adobe.adobe.errors import DeliveryError
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.verdict_owners import EventOwner, Owner
from capillary_adobe.state import (
    DaysToSettle,
    Detail,
    Fate,
    ReadBatches,
    Receipt,
    Receipts,
    Route,
    SentBatches,
    State,
)

# Records noted in one row and one transaction; a failed batch may hold a million.
_RECORDS_AT_ONCE = 1000
_DAY_MS = 86_400_000
# AEP's clock and ours; an old verdict taken for a new one costs a replay, a new one taken for an old one would be lost.
_CLOCKS_APART_MS = 120_000


@dataclass
class Reading:
    """What was read: failed batches, their records, those that are none of ours, and where the others belong.

    `missing` counts records that AEP says to have refused and does not give, or not yet.
    """

    batches: list[str] = field(default_factory=list)
    records: int = 0
    unmatched: int = 0
    missing: int = 0
    by_cause: Counter[str] = field(default_factory=Counter)
    by_day: Counter[str] = field(default_factory=Counter)


class VerdictReader:
    """Reads the failed batches of one dataset, that of the events unless `owner` says otherwise, each of them once."""

    def __init__(
        self,
        dataset_id: str,
        days: int,
        state: State,
        platform: Platform,
        clocks_apart_ms: int = _CLOCKS_APART_MS,
        owner: Owner | None = None,
    ) -> None:
        self._owner = owner or EventOwner(state)
        self._clocks_apart_ms = clocks_apart_ms
        self._dataset_id = dataset_id
        self._max_age_days = days
        self._days = DaysToSettle(state)
        self._receipts = Receipts(state)
        self._read = ReadBatches(state)
        self._own = SentBatches(state)
        self._catalog = Catalog(platform)
        self._access = DataAccess(platform)

    def unread(self) -> Iterator[Batch]:
        """Failed batches, oldest first, that hold a verdict not read yet; our own are judged by their own lane."""
        since_ms = time.time_ns() // 1_000_000 - self._max_age_days * _DAY_MS
        known = self._read.known(since_ms) | self._own.aep_ids(since_ms)
        for batch in self._catalog.failed(self._dataset_id, since_ms):
            if batch.batch_id not in known:
                yield batch

    def read(self, found: Reading) -> None:
        """Note every unread verdict, and count it.

        Raises:
            DeliveryError: AEP cannot be reached or refuses; what was read until then is noted and counted.
        """
        problem: DeliveryError | None = None
        for batch in self.unread():
            try:
                self._read_one(batch, found)
            except DeliveryError as error:
                # One whose records cannot be fetched holds up none of the others.
                problem = problem or error
        if problem is not None:
            raise problem

    def _read_one(self, batch: Batch, found: Reading) -> None:
        records = unmatched = 0
        # A reading that died half-way, or to which AEP gave only a part: what it noted stays as it was, for an entity may
        # have been sent again since.
        noted = {id_ for row in self._receipts.of_requests(f"verdict/{batch.batch_id}/") for id_ in row.ids}
        listed = self._access.failed_records(batch.batch_id)
        while chunk := list(islice(listed, _RECORDS_AT_ONCE)):
            records += len(chunk)
            unmatched += self._note(batch, chunk, noted, found)
        missing = max(0, (batch.failed_records or 0) - records)
        found.batches.append(batch.batch_id)
        found.records += records
        found.unmatched += unmatched
        found.missing += missing
        # AEP may list a batch before its records can be fetched; one that never gives them is not asked for ever.
        if not missing or batch.created_ms < time.time_ns() // 1_000_000 - _DAY_MS:
            self._read.note(batch.batch_id, batch.created_ms, records, unmatched)

    def _note(self, batch: Batch, chunk: list[FailedRecord], noted: set[str], found: Reading) -> int:
        """Note the verdict on our entities of a chunk; how many records are none of ours."""
        owned = self._owner.owned(chunk, batch.created_ms)
        refused = {one.id: _detail(record) for record, one in zip(chunk, owned, strict=True) if one is not None}
        ours = sorted({(one.day, one.id) for one in owned if one and one.standing and one.id not in noted})
        for day, of_day in groupby(ours, key=lambda pair: pair[0]):
            replayed = self._receipts.replayed(day)
            # A batch from before a replay judges what was sent before it: an entity that was sent twice has two verdicts.
            ids = [id_ for _, id_ in of_day if replayed.get(id_, 0) <= batch.created_ms + self._clocks_apart_ms]
            if not ids:
                continue
            details = {place: refused[id_] for place, id_ in enumerate(ids)}
            self._days.mark(day)
            self._receipts.record(
                Receipt(
                    request_id=f"verdict/{batch.batch_id}/{uuid.uuid4()}",
                    day=day,
                    kind=self._owner.kind,
                    route=Route.VERDICT,
                    ids=ids,
                    fates=[Fate.REJECTED] * len(ids),
                    aep_id=batch.batch_id,
                    details=details,
                )
            )
            found.by_day[day] += len(ids)
            found.by_cause.update(detail.cause or "" for detail in details.values())
        return sum(one is None for one in owned)


def _detail(record: FailedRecord) -> Detail:
    if not record.causes:
        return Detail(None, "AEP names no reason.", cause_of("unknown"))
    first = record.causes[0]
    words = "; ".join(f"{cause.pointer} {cause.words}".strip() for cause in record.causes)
    return Detail(None, words[:500], cause_of(first.code, first.pointer, first.words))
