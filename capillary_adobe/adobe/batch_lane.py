"""The batch lane: a day's entities as files of one batch at AEP, taken up again wherever it was left.

Belongs here: filling files, the order create, upload, complete, judge, and what each stage of a batch means for its
entities. Does not belong here: AEP's calls (`batch_api.py`, `catalog.py`, `data_access.py`) and the choice between
streaming and batches (`delivery.py`).
Source: experienceleague.adobe.com/docs/experience-platform/ingestion/batch/api-overview.html

Files are JSON lines: each line is the entity's text as it was validated, byte for byte. Parquet would be a sixth of the
bytes at many times the work (measured: `python -m bench.batch_forms`).

Every step is noted before it is taken: our own id of the batch before AEP creates it, a file with its entities before it
is uploaded. After a kill the batch is found by our id, a file in doubt is written anew under the same name, which
replaces it at AEP, and what no file holds goes into further files of the same batch.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from capillary_adobe.adobe.batch_api import BatchApi
from capillary_adobe.adobe.batch_verdict import judge
from capillary_adobe.adobe.catalog import Batch, Catalog, Stage
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.data_access import DataAccess
from capillary_adobe.adobe.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.adobe.hold import Entities
from capillary_adobe.adobe.messages import Message
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import DaysToSettle, Fate, Receipt, Receipts, Route, SentBatch, SentBatches, State

_FIRST_LOOK_SECONDS = 0.5
_LONGEST_LOOK_SECONDS = 30.0
_UPLOADED = 200
_SOUGHT_MS = 86_400_000
# A new batch may not be listed at once.
_LISTED_MS = 600_000
# A batch in which AEP named the bad rows is made anew without them at once; one that keeps failing is left to a person.
_ROUNDS = 3

Progress = Callable[[str], None]
Messages = Callable[[], Iterator[Message]]


class BatchLane:
    """Batches of the events dataset; the caller holds the day's lock."""

    def __init__(self, settings: AdobeSettings, state: State, platform: Platform) -> None:
        self._settings = settings
        self._receipts = Receipts(state)
        self._register = SentBatches(state)
        self._days = DaysToSettle(state)
        # For all batches together: the run holds the day's lock and a place in the queue meanwhile.
        self._patience = settings.batch_wait_seconds
        self._catalog = Catalog(platform)
        self._access = DataAccess(platform)
        self._api = BatchApi(platform, settings)
        where = f"{settings.platform_url} {settings.sandbox_name} {settings.events_dataset_id}"
        self._target = sha256(where.encode()).hexdigest()[:16]

    def judge_open(self, day: str, counts: DeliveryCounts, progress: Progress) -> None:
        """Wait for AEP's verdict on the day's complete batches, no longer than `ADOBE_BATCH_WAIT_SECONDS`.

        Raises:
            DeliveryError: AEP failed a batch without naming rows, or gave up on it.
        """
        problem: DeliveryError | None = None
        counts.waiting = 0
        for batch in self._register.open(day):
            if batch.completed_ms is not None:
                try:
                    self._await_verdict(batch, counts, progress)
                except DeliveryError as error:
                    problem = problem or error
        if problem is not None:
            raise problem

    def send(
        self, day: str, everything: Messages, unsettled: Messages, counts: DeliveryCounts, progress: Progress
    ) -> None:
        """Send what is unsettled: first in the batch that is still open, then in new ones, and read the verdict.

        `everything` gives all entities of the day, from which files in doubt are written anew.

        Raises:
            DeliveryError: AEP cannot be reached, refuses, or failed a batch without naming rows.
        """
        for _ in range(_ROUNDS):
            rejected = counts.outcomes["rejected"]
            self._send_once(day, everything, unsettled, counts, progress)
            self.judge_open(day, counts, progress)
            # Only where AEP failed a whole batch for rows that it named is something left that can be sent at once.
            if counts.outcomes["rejected"] == rejected or next(unsettled(), None) is None:
                return

    def _send_once(
        self, day: str, everything: Messages, unsettled: Messages, counts: DeliveryCounts, progress: Progress
    ) -> None:
        pending = _Peekable(unsettled())
        for batch in self._register.open(day):
            if batch.completed_ms is None:
                self._go_on(batch, everything, pending, counts, progress)
        while pending.more():
            sent = counts.sent
            self._go_on(self._begin(day), everything, pending, counts, progress)
            if counts.sent == sent:
                raise TransientDeliveryError(
                    "AEP dropped a batch before anything was in it. What is not sent stays pending; the next run sends it."
                )

    def abandon_open(self, day: str, counts: DeliveryCounts) -> None:
        """Have AEP drop the day's batches that are not complete, so that their entities can go another way."""
        for batch in self._register.open(day):
            if batch.completed_ms is None:
                found = self._catalog.find(self._settings.events_dataset_id, batch.external_id)
                aep_id = batch.aep_id or (found.batch_id if found is not None else None)
                self._give_up(replace(batch, aep_id=aep_id), counts)

    def has_uploaded(self, day: str, entities: Entities) -> bool:
        """Whether a batch of the day that is not complete holds one of these entities."""
        unfinished = [batch for batch in self._register.open(day) if batch.completed_ms is None]
        uploaded = {
            id_
            for batch in unfinished
            for file in self._receipts.of_requests(f"{batch.external_id}/")
            for id_ in file.ids
        }
        return bool(uploaded) and any(
            not uploaded.isdisjoint(batch.column("id").to_pylist()) for batch in entities(["id"])
        )

    def _begin(self, day: str) -> SentBatch:
        limit = self._settings.batches_per_day
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if limit and self._register.created_since(int(midnight.timestamp() * 1000)) >= limit:
            raise TransientDeliveryError(
                f"The {limit} batches of today are used (ADOBE_BATCHES_PER_DAY). What is not sent stays pending; materialize "
                "the partition after midnight UTC, or with route `streaming` in the run's config to send it now."
            )
        batch = SentBatch(f"capillary-adobe-{day}-{uuid.uuid4()}", day, self._target, time.time_ns() // 1_000_000)
        self._register.begin(batch)
        return batch

    def _go_on(
        self, batch: SentBatch, everything: Messages, pending: _Peekable, counts: DeliveryCounts, progress: Progress
    ) -> None:
        """Bring a batch that is not complete yet to its end, from wherever it stands."""
        aep_id = self._created(batch)
        batch = replace(batch, aep_id=aep_id)
        if aep_id not in counts.batches:
            counts.batches.append(aep_id)
        found = self._catalog.batch(aep_id)
        if found is None and batch.created_ms < time.time_ns() // 1_000_000 - _LISTED_MS:
            # Not complete, hence not ingested: nothing of it is left anywhere.
            found = Batch(aep_id, "abandoned", Stage.GONE)
        if found is not None and found.stage is Stage.GONE:
            self._settle(batch, found, counts)
            return
        files = self._receipts.of_requests(f"{batch.external_id}/")
        in_doubt = [file for file in files if file.http_status is None]
        if in_doubt and not self._write_again(batch, in_doubt, everything, counts):
            self._give_up(batch, counts)
            return
        if found is None or found.stage is Stage.OPEN:
            self._fill(batch, len(files), pending, counts, progress)
        if not self._receipts.entities_of(f"{batch.external_id}/"):
            # AEP fails a batch without a file.
            self._give_up(batch, counts)
            return
        self._api.complete(aep_id)
        self._register.update(batch.external_id, completed_ms=time.time_ns() // 1_000_000)

    def _created(self, batch: SentBatch) -> str:
        if batch.aep_id is not None:
            return batch.aep_id
        dataset = self._settings.events_dataset_id
        found = self._catalog.find(dataset, batch.external_id)
        aep_id = found.batch_id if found is not None else self._api.create(batch.external_id, dataset)
        self._register.update(batch.external_id, aep_id=aep_id)
        return aep_id

    def _fill(
        self, batch: SentBatch, files: int, pending: _Peekable, counts: DeliveryCounts, progress: Progress
    ) -> None:
        """Files from what is pending, until there is no more or the batch has as much as AEP advises."""
        total = 0
        settings = self._settings
        while pending.more() and files < settings.batch_max_files and total < settings.batch_max_bytes:
            with tempfile.TemporaryDirectory(prefix="capillary-adobe-") as folder:
                path = Path(folder) / f"{files:05d}.json"
                ids = _write(path, pending, settings.batch_file_bytes)
                total += path.stat().st_size
                self._upload(batch, path, ids, counts)
            files += 1
            progress(f"{counts.sent} entities uploaded in {files} files of batch {batch.aep_id}")

    def _write_again(
        self, batch: SentBatch, in_doubt: list[Receipt], everything: Messages, counts: DeliveryCounts
    ) -> bool:
        """Upload files again whose upload was not acknowledged, under the same names and with the same entities.

        False where an entity is gone from the tables: AEP may have the file with it, so it cannot be replaced by its like.
        """
        owner = {id_: file.request_id for file in in_doubt for id_ in file.ids}
        with tempfile.TemporaryDirectory(prefix="capillary-adobe-") as folder:
            ids: dict[str, list[str]] = {file.request_id: [] for file in in_doubt}
            for message in everything():
                request_id = owner.get(message.id)
                if request_id is not None:
                    ids[request_id].append(message.id)
                    with (Path(folder) / _name(request_id)).open("ab") as file:
                        file.write(message.entity + b"\n")
            if any(set(ids[file.request_id]) != set(file.ids) for file in in_doubt):
                return False
            for request_id, found in ids.items():
                self._upload(batch, Path(folder) / _name(request_id), found, counts)
        return True

    def _give_up(self, batch: SentBatch, counts: DeliveryCounts) -> None:
        """Have AEP drop a batch that is not complete, of which it has ingested nothing; its entities go into another."""
        if batch.aep_id is not None:
            self._api.abort(batch.aep_id)
        self._settle(batch, Batch(batch.aep_id or "", "aborted", Stage.GONE), counts)

    def _upload(self, batch: SentBatch, path: Path, ids: list[str], counts: DeliveryCounts) -> None:
        self._note(batch, path.name, ids)
        self._api.upload(batch.aep_id or "", self._settings.events_dataset_id, path.name, path)
        self._note(batch, path.name, ids, http_status=_UPLOADED)
        counts.requests += 1
        counts.sent += len(ids)
        counts.bytes += path.stat().st_size

    def _note(self, batch: SentBatch, name: str, ids: list[str], http_status: int | None = None) -> None:
        self._receipts.record(
            Receipt(
                request_id=f"{batch.external_id}/{name}",
                day=batch.day,
                kind="events",
                target=batch.target,
                route=Route.BATCH,
                ids=ids,
                fates=[Fate.PENDING] * len(ids),
                http_status=http_status,
                aep_id=batch.aep_id,
            )
        )

    def _await_verdict(self, batch: SentBatch, counts: DeliveryCounts, progress: Progress) -> None:
        pause = _FIRST_LOOK_SECONDS
        told = ""
        while True:
            found = self._catalog.batch(batch.aep_id or "")
            if found is None:
                self._lost_sight_of(batch, counts)
                return
            if found.status != told:
                told = found.status
                self._register.update(batch.external_id, status=told)
                progress(f"batch {batch.aep_id}: {told}")
            if found.stage in (Stage.GOOD, Stage.BAD, Stage.GONE) and self._settle(batch, found, counts):
                return
            if found.stage is Stage.STUCK:
                raise PermanentDeliveryError(
                    f"AEP gave up on batch {batch.aep_id} of {batch.day} ({found.status}). Its entities stay pending. Ask "
                    "Adobe's support to go on with it or to abort it; the next run reads what became of it."
                )
            if found.stage is Stage.OPEN:
                # Its completion was acknowledged and not carried out; repeating it is harmless.
                self._api.complete(batch.aep_id or "")
            if pause > self._patience:
                counts.waiting += self._receipts.entities_of(f"{batch.external_id}/")
                return
            self._patience -= pause
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_LOOK_SECONDS)

    def _lost_sight_of(self, batch: SentBatch, counts: DeliveryCounts) -> None:
        """AEP does not know a batch of ours: for a day somebody may mend the settings, then its entities go again."""
        if (batch.completed_ms or 0) > time.time_ns() // 1_000_000 - _SOUGHT_MS:
            raise PermanentDeliveryError(
                f"AEP does not know batch {batch.aep_id} of {batch.day}. Its entities stay pending; compare "
                "ADOBE_SANDBOX_NAME with the one it was sent to. A day after it was complete its entities are sent again."
            )
        gone = Batch(batch.aep_id or "", "unknown", Stage.GONE)
        self._settle(batch, gone, counts)

    def _settle(self, batch: SentBatch, found: Batch, counts: DeliveryCounts) -> bool:
        """Note what AEP made of each entity of a batch, then that the batch is judged; False while its word is incomplete.

        Raises:
            PermanentDeliveryError: AEP refused rows without naming them.
        """
        files = self._receipts.of_requests(f"{batch.external_id}/")
        verdict = judge(batch.aep_id or "", found, files, self._access, batch.completed_ms or batch.created_ms)
        if verdict.files is None:
            return False
        self._days.mark(batch.day)
        for file in verdict.files:
            self._receipts.record(file)
            counts.outcomes.update(fate.outcome for fate in file.fates)
        self._register.update(batch.external_id, judged_ms=time.time_ns() // 1_000_000, status=verdict.status)
        if verdict.problem is not None:
            raise verdict.problem
        return True


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
