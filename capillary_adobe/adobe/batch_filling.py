"""Filling batches: the days of a run into as few batches at AEP as its limits allow, each taken up wherever it was left.

Belongs here: files, the order create, upload, complete, and whose hands a batch is in. Does not belong here: AEP's calls
(`batch_api.py`, `catalog.py`) and the verdict (`batch_judging.py`).
Source: experienceleague.adobe.com/docs/experience-platform/ingestion/batch/api-overview.html

Files are JSON lines: each line is the entity's text as it was validated, byte for byte. Parquet would be a sixth of the
bytes at many times the work (measured: `python -m bench.batch_forms`). A file holds entities of one day; a batch may hold
files of many.

Every step is noted before it is taken: our own id of the batch before AEP creates it, a day before its first file, a file with
its entities before it is uploaded. After a kill the batch is found by our id, a file in doubt is written anew under the same
name, which replaces it at AEP, and what no file holds goes into further files of the same batch.

**Whose hands a batch is in.** Two locks, both of which end with their process:

* A day's lock is held by the run that looks for what of the day is to be sent, until all of it stands in files that are noted.
* A batch's lock is held by the run that fills it, from before AEP is asked to create it until it is complete or left, over all
  its days; later by whoever judges it. It is only ever tried for, never waited for, so a run may wait for days while it fills.

A run that finds an unfinished batch of its day in other hands leaves it alone: what it holds of the day counts as being at AEP,
the rest goes into a batch of the run's own, and the day is not done before that batch is complete. One that nobody holds is
taken up as a whole, whichever of its days the run is about: files of the other days are written anew from their tables, and
only what this run's days still lack is added. It is given up if it holds what must not leave any more, or a file in doubt that
cannot be written again; nothing of it was ingested, and each of its days is noted to be settled.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from capillary_adobe.adobe.batch_api import BatchApi
from capillary_adobe.adobe.batch_judging import BatchJudge, CountsOf, Progress, lock_of
from capillary_adobe.adobe.catalog import Batch, Catalog, Stage
from capillary_adobe.adobe.errors import QuotaUsedUp, TransientDeliveryError
from capillary_adobe.adobe.hold import Entities, nothing
from capillary_adobe.adobe.messages import Message
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Fate, Receipt, Receipts, Route, SentBatch, SentBatches, State

_UPLOADED = 200
# A new batch may not be listed at once.
_LISTED_MS = 600_000
# The lock under which today's batches are counted; never held for longer than a query.
_COUNTING = "batches of today"

Messages = Callable[[], Iterator[Message]]


@dataclass(frozen=True)
class DayToSend:
    """A day's entities: all of them, from which files in doubt are written anew, those still to be sent, those held back.

    `locked` is entered while the day is read: the day's lock, unless the caller holds it.
    """

    day: str
    everything: Messages
    unsettled: Messages
    held: Entities = nothing
    locked: Callable[[], AbstractContextManager[None]] = nullcontext


DayOf = Callable[[str], DayToSend | None]
"""Any day, also one that the run is not about; None where it cannot be read."""


@dataclass
class _Current:
    """The batch in hand; `files` and `bytes` are those that it has by now."""

    batch: SentBatch
    files: int
    held: ExitStack
    bytes: int = 0

    def has_room(self, settings: AdobeSettings) -> bool:
        """Whether AEP advises to put more into it."""
        return self.files < settings.batch_max_files and self.bytes < settings.batch_max_bytes


class BatchFilling:
    """Fills batches with the days of a run, one batch at a time; use it as a context, which lets go of the one in hand."""

    def __init__(
        self,
        settings: AdobeSettings,
        state: State,
        platform: Platform,
        judge: BatchJudge,
        day_of: DayOf,
        counts_of: CountsOf,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._state = state
        self._receipts = Receipts(state)
        self._register = SentBatches(state)
        self._catalog = Catalog(platform)
        self._api = BatchApi(platform, settings)
        self._judge = judge
        self._day_of = day_of
        self._counts_of = counts_of
        self._progress = progress
        self._current: _Current | None = None
        where = f"{settings.platform_url} {settings.sandbox_name} {settings.events_dataset_id}"
        self._target = sha256(where.encode()).hexdigest()[:16]

    def __enter__(self) -> BatchFilling:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    @property
    def days_in_hand(self) -> set[str]:
        """Days of the batch that is not complete yet."""
        return set() if self._current is None else set(self._register.days_of(self._current.batch))

    def add(self, sending: DayToSend) -> None:
        """Put what is unsettled of a day into batches: first into what was left open of the day, then into the one in hand.

        Raises:
            DeliveryError: AEP cannot be reached, refuses, or the batches of today are used up. The batch in hand stays open.
        """
        with sending.locked():
            for batch in self._register.unfinished(sending.day):
                self._take_up(batch)
            pending = _Peekable(sending.unsettled())
            while pending.more():
                current = self._in_hand(sending.day)
                self._fill(current, sending.day, pending)

    def complete(self) -> None:
        """Hand the batch in hand over to AEP.

        Raises:
            DeliveryError: AEP cannot be reached or refuses. The batch stays open.
        """
        if self._current is not None:
            self._finish(self._current.batch)
            self._let_go()

    def abandon(self, day: str) -> None:
        """Have AEP drop the day's batches that are not complete and in nobody's hands: their entities can go another way.

        What AEP has taken over, and could not tell us, is no longer to be dropped: it waits for its verdict.
        """
        for batch in self._register.unfinished(day):
            with self._state.lock_if_free(lock_of(batch)) as free:
                if free and (batch := self._still_open(batch)):
                    found = self._catalog.find(self._settings.events_dataset_id, batch.external_id)
                    batch = replace(batch, aep_id=batch.aep_id or (found.batch_id if found is not None else None))
                    if batch.aep_id is not None and _is_closed(self._catalog.batch(batch.aep_id)):
                        self._finish(batch)
                    else:
                        self._give_up(batch)

    def _in_hand(self, day: str) -> _Current:
        """The batch in hand, with room for more; a new one where there is none."""
        if self._current is not None and not self._current.has_room(self._settings):
            self.complete()
        if self._current is None:
            opened = self._begin(day)
            if opened is None:
                raise TransientDeliveryError(
                    "AEP dropped a batch before anything was in it. What is not sent stays pending; the next run sends it."
                )
            self._current = opened
        return self._current

    def _begin(self, day: str) -> _Current | None:
        batch = SentBatch(f"capillary-adobe-{day}-{uuid.uuid4()}", day, self._target, time.time_ns() // 1_000_000)
        with ExitStack() as stack:
            stack.enter_context(self._state.lock_if_free(lock_of(batch)))
            # Else two runs that count at the same time would both find room for the last one.
            with self._state.day_lock(_COUNTING):
                self._demand_quota()
                self._register.begin(batch)
            return self._opened(batch, stack)

    def _demand_quota(self) -> None:
        limit = self._settings.batches_per_day
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if limit and self._register.created_since(int(midnight.timestamp() * 1000)) >= limit:
            tomorrow = midnight + timedelta(days=1)
            raise QuotaUsedUp(
                f"The {limit} batches of today are used (ADOBE_BATCHES_PER_DAY). What is not sent stays pending; launch the "
                f"backfill again, or materialize the partition, after midnight UTC ({tomorrow:%Y-%m-%d %H:%M} UTC), or with "
                "route `streaming` in the run's config to send it now."
            )

    def _take_up(self, batch: SentBatch) -> None:
        """Go on with a batch that was left open, unless it is in another's hands."""
        if self._current is not None and self._current.batch.external_id == batch.external_id:
            return
        with ExitStack() as stack:
            free = stack.enter_context(self._state.lock_if_free(lock_of(batch)))
            still = self._still_open(batch) if free else None
            opened = self._opened(still, stack) if still is not None else None
        if opened is None:
            return
        if self._current is None:
            self._current = opened
            return
        with opened.held:
            self._finish(opened.batch)

    def _still_open(self, batch: SentBatch) -> SentBatch | None:
        now = self._register.find(batch.external_id)
        return now if now is not None and now.completed_ms is None and now.judged_ms is None else None

    def _opened(self, batch: SentBatch, held: ExitStack) -> _Current | None:
        """Bring a batch to where it can be filled or completed; None where there is none left. Keeps what is `held`."""
        batch = replace(batch, aep_id=self._created(batch))
        for day in self._register.days_of(batch):
            self._tell(day, batch)
        found = self._catalog.batch(batch.aep_id or "")
        if found is None and batch.created_ms < time.time_ns() // 1_000_000 - _LISTED_MS:
            # Not complete, hence not ingested: nothing of it is left anywhere.
            found = Batch(batch.aep_id or "", "abandoned", Stage.GONE)
        if found is not None and found.stage is Stage.GONE:
            self._judge.settle(batch, found, self._counts_of)
            return None
        if _is_closed(found):
            # Its answer was lost. No file can follow, and whatever it holds has left.
            return _Current(batch, self._settings.batch_max_files, held.pop_all())
        files = self._receipts.of_requests(f"{batch.external_id}/")
        if self._holds_what_is_held(files) or not self._write_again(batch, files):
            self._give_up(batch)
            return None
        return _Current(batch, len(files), held.pop_all())

    def _created(self, batch: SentBatch) -> str:
        if batch.aep_id is not None:
            return batch.aep_id
        dataset = self._settings.events_dataset_id
        found = self._catalog.find(dataset, batch.external_id)
        aep_id = found.batch_id if found is not None else self._api.create(batch.external_id, dataset)
        self._register.update(batch.external_id, aep_id=aep_id)
        return aep_id

    def _holds_what_is_held(self, files: list[Receipt]) -> bool:
        """Whether a file holds an entity that must not leave any more."""
        uploaded: dict[str, set[str]] = {}
        for file in files:
            uploaded.setdefault(file.day, set()).update(file.ids)
        for day, ids in uploaded.items():
            sending = self._day_of(day)
            rows = sending.held(["id"]) if sending is not None else ()
            if any(not ids.isdisjoint(batch.column("id").to_pylist()) for batch in rows):
                return True
        return False

    def _write_again(self, batch: SentBatch, files: list[Receipt]) -> bool:
        """Upload files again whose upload was not acknowledged, under the same names and with the same entities.

        False where an entity is gone from the tables: AEP may have the file with it, so it cannot be replaced by its like.
        """
        by_day: dict[str, list[Receipt]] = {}
        for file in files:
            if file.http_status is None:
                by_day.setdefault(file.day, []).append(file)
        return all(self._write_day_again(batch, day, in_doubt) for day, in_doubt in by_day.items())

    def _write_day_again(self, batch: SentBatch, day: str, in_doubt: list[Receipt]) -> bool:
        sending = self._day_of(day)
        owner = {id_: file.request_id for file in in_doubt for id_ in file.ids}
        with tempfile.TemporaryDirectory(prefix="capillary-adobe-") as folder:
            ids: dict[str, list[str]] = {file.request_id: [] for file in in_doubt}
            for message in sending.everything() if sending is not None else ():
                request_id = owner.get(message.id)
                if request_id is not None:
                    ids[request_id].append(message.id)
                    with (Path(folder) / _name(request_id)).open("ab") as file:
                        file.write(message.entity + b"\n")
            if any(set(ids[file.request_id]) != set(file.ids) for file in in_doubt):
                return False
            for request_id, found in ids.items():
                self._upload(batch, day, Path(folder) / _name(request_id), found)
        return True

    def _fill(self, current: _Current, day: str, pending: _Peekable) -> None:
        """Files from what is pending of a day, until there is no more or the batch has as much as AEP advises."""
        batch = current.batch
        self._register.join(batch, day)
        self._tell(day, batch)
        while pending.more() and current.has_room(self._settings):
            with tempfile.TemporaryDirectory(prefix="capillary-adobe-") as folder:
                path = Path(folder) / f"{current.files:05d}.json"
                ids = _write(path, pending, self._settings.batch_file_bytes)
                current.files += 1
                current.bytes += path.stat().st_size
                self._upload(batch, day, path, ids)
            sent = self._counts_of(day).sent
            self._progress(f"{sent} entities of {day} uploaded; batch {batch.aep_id} has {current.files} files")

    def _upload(self, batch: SentBatch, day: str, path: Path, ids: list[str]) -> None:
        self._note(batch, day, path.name, ids)
        self._api.upload(batch.aep_id or "", self._settings.events_dataset_id, path.name, path)
        self._note(batch, day, path.name, ids, http_status=_UPLOADED)
        counts = self._counts_of(day)
        counts.requests += 1
        counts.sent += len(ids)
        counts.bytes += path.stat().st_size

    def _note(self, batch: SentBatch, day: str, name: str, ids: list[str], http_status: int | None = None) -> None:
        self._receipts.record(
            Receipt(
                request_id=f"{batch.external_id}/{name}",
                day=day,
                kind="events",
                target=batch.target,
                route=Route.BATCH,
                ids=ids,
                fates=[Fate.PENDING] * len(ids),
                http_status=http_status,
                aep_id=batch.aep_id,
            )
        )

    def _tell(self, day: str, batch: SentBatch) -> None:
        counts = self._counts_of(day)
        if batch.aep_id is not None and batch.aep_id not in counts.batches:
            counts.batches.append(batch.aep_id)

    def _finish(self, batch: SentBatch) -> None:
        if not self._receipts.entities_of(f"{batch.external_id}/"):
            # AEP fails a batch without a file.
            self._give_up(batch)
            return
        self._api.complete(batch.aep_id or "")
        self._register.update(batch.external_id, completed_ms=time.time_ns() // 1_000_000)

    def _give_up(self, batch: SentBatch) -> None:
        """Have AEP drop a batch that is not complete, of which it has ingested nothing; its entities go into another."""
        if batch.aep_id is not None:
            self._api.abort(batch.aep_id)
        self._judge.settle(batch, Batch(batch.aep_id or "", "aborted", Stage.GONE), self._counts_of)

    def _let_go(self) -> None:
        if self._current is not None:
            self._current.held.close()
            self._current = None


class _Peekable:
    """Messages, and whether there is another one."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._messages = iter(messages)
        self._next: Message | None = None

    def more(self) -> bool:
        """Whether another message follows."""
        if self._next is None:
            self._next = next(self._messages, None)
        return self._next is not None

    def take(self) -> Message:
        """The next message."""
        if not self.more() or self._next is None:
            raise StopIteration
        message, self._next = self._next, None
        return message


def _is_closed(found: Batch | None) -> bool:
    """Whether AEP has taken a batch over, to ingest it."""
    return found is not None and found.stage not in (Stage.OPEN, Stage.GONE)


def _name(request_id: str) -> str:
    """The name of a file of a batch, from the id of its receipt."""
    return request_id.rpartition("/")[2]


def _write(path: Path, pending: _Peekable, most_bytes: int) -> list[str]:
    """Write messages as lines until the file has its size; their ids."""
    ids: list[str] = []
    size = 0
    with path.open("wb") as file:
        while size < most_bytes and pending.more():
            message = pending.take()
            size += file.write(message.entity + b"\n")
            ids.append(message.id)
    return ids
