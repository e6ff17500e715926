"""Judging batches: waiting for AEP's word on those that are complete, and noting what it means for each entity.

Belongs here: the polling, and the fates of a batch's files of whatever day. Does not belong here: which rows count as refused
(`batch_verdict.py`), filling batches (`batch_filling.py`).

A batch is judged under its own lock, and once: whoever finds another at it, or the batch judged meanwhile, lets it be. Else a
slow reader could write an old refusal over entities that have been sent again since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from capillary_adobe.adobe.batch_api import BatchApi
from capillary_adobe.adobe.batch_verdict import judge
from capillary_adobe.adobe.catalog import Batch, Catalog, Stage
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.data_access import DataAccess
from capillary_adobe.adobe.errors import DeliveryError, PermanentDeliveryError
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import DaysToSettle, Fate, Receipt, Receipts, SentBatch, SentBatches, State

_FIRST_LOOK_SECONDS = 0.5
_LONGEST_LOOK_SECONDS = 30.0
_SOUGHT_MS = 86_400_000

Progress = Callable[[str], None]
CountsOf = Callable[[str], DeliveryCounts]
"""Where what happens to entities of a day is counted."""
Failures = dict[str, DeliveryError]
"""What went wrong, by day; the first that did."""


def lock_of(batch: SentBatch) -> str:
    """The name of the lock under which a batch is filled, given up or judged."""
    return f"batch {batch.external_id}"


class BatchJudge:
    """AEP's verdicts on our batches; waits `ADOBE_BATCH_WAIT_SECONDS` in all."""

    def __init__(self, settings: AdobeSettings, state: State, platform: Platform) -> None:
        self._state = state
        self._receipts = Receipts(state)
        self._register = SentBatches(state)
        self._days = DaysToSettle(state)
        self._catalog = Catalog(platform)
        self._access = DataAccess(platform)
        self._api = BatchApi(platform, settings)
        # For all batches of a run together: it keeps a place in the queue meanwhile.
        self._patience = settings.batch_wait_seconds

    def judge_open(self, days: Sequence[str], counts_of: CountsOf, progress: Progress, *, wait: bool) -> Failures:
        """Read AEP's verdict on the complete batches of these days, and wait for it while there is patience left."""
        failures: Failures = {}
        for day in days:
            counts_of(day).waiting = 0
        for batch in self._register.open(*days) if days else ():
            if batch.completed_ms is None:
                continue
            try:
                self._await(batch, days, counts_of, progress, wait=wait)
            except DeliveryError as error:
                for day in self._register.days_of(batch):
                    failures.setdefault(day, error)
        return failures

    def settle(self, batch: SentBatch, found: Batch, counts_of: CountsOf) -> bool:
        """Note what AEP made of each entity of a batch, then that it is judged; False while AEP's word is incomplete.

        The caller holds the batch's lock.

        Raises:
            PermanentDeliveryError: AEP refused rows without naming them.
        """
        files = self._receipts.of_requests(f"{batch.external_id}/")
        verdict = judge(batch.aep_id or "", found, files, self._access, batch.completed_ms or batch.created_ms)
        if verdict.files is None:
            return False
        for day in self._register.days_of(batch):
            self._days.mark(day)
        # A judge that was killed may have noted some of the files: their failed entities may have gone out again since, and
        # noting the old verdict anew would make these failed as well.
        open_files = {file.request_id for file in files if not _is_judged(file)}
        for file in verdict.files:
            if file.request_id in open_files:
                self._receipts.record(file)
            counts_of(file.day).outcomes.update(fate.outcome for fate in file.fates)
        self._register.update(batch.external_id, judged_ms=time.time_ns() // 1_000_000, status=verdict.status)
        if verdict.problem is not None:
            raise verdict.problem
        return True

    def _await(
        self, batch: SentBatch, days: Sequence[str], counts_of: CountsOf, progress: Progress, *, wait: bool
    ) -> None:
        pause = _FIRST_LOOK_SECONDS
        told = ""
        while True:
            found = self._catalog.batch(batch.aep_id or "")
            if found is None:
                found = self._lost_sight_of(batch)
            if found.status != told:
                told = found.status
                self._register.update(batch.external_id, status=told)
                progress(f"batch {batch.aep_id}: {told}")
            if found.stage in (Stage.GOOD, Stage.BAD, Stage.GONE) and self._settle_alone(batch, found, counts_of):
                return
            if found.stage is Stage.STUCK:
                raise PermanentDeliveryError(
                    f"AEP gave up on batch {batch.aep_id} of {self._named(batch)} ({found.status}). Its entities stay pending. "
                    "Ask Adobe's support to go on with it or to abort it; the next run reads what became of it."
                )
            if found.stage is Stage.OPEN:
                # Its completion was acknowledged and not carried out; repeating it is harmless.
                self._api.complete(batch.aep_id or "")
            if not wait or pause > self._patience:
                self._count_waiting(batch, days, counts_of)
                return
            self._patience -= pause
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_LOOK_SECONDS)

    def _settle_alone(self, batch: SentBatch, found: Batch, counts_of: CountsOf) -> bool:
        """Settle a batch unless another does or has; False if it is to be looked at again."""
        with self._state.lock_if_free(lock_of(batch)) as free:
            if not free:
                return False
            now = self._register.find(batch.external_id)
            if now is None or now.judged_ms is not None:
                return True
            return self.settle(batch, found, counts_of)

    def _count_waiting(self, batch: SentBatch, days: Sequence[str], counts_of: CountsOf) -> None:
        for file in self._receipts.of_requests(f"{batch.external_id}/"):
            if file.day in days:
                counts_of(file.day).waiting += len(file.ids)

    def _lost_sight_of(self, batch: SentBatch) -> Batch:
        """AEP does not know a batch of ours: for a day somebody may mend the settings, then its entities go again."""
        if (batch.completed_ms or 0) > time.time_ns() // 1_000_000 - _SOUGHT_MS:
            raise PermanentDeliveryError(
                f"AEP does not know batch {batch.aep_id} of {self._named(batch)}. Its entities stay pending; compare "
                "ADOBE_SANDBOX_NAME with the one it was sent to. A day after it was complete its entities are sent again."
            )
        return Batch(batch.aep_id or "", "unknown", Stage.GONE)

    def _named(self, batch: SentBatch) -> str:
        """The days of a batch in words."""
        days = self._register.days_of(batch)
        return days[0] if len(days) == 1 else f"{len(days)} days from {days[0]} to {days[-1]}"


def _is_judged(file: Receipt) -> bool:
    """Whether AEP's word on a file has been noted, which is for all of its entities at once."""
    return not {Fate.PENDING, Fate.UNKNOWN}.intersection(file.fates)
