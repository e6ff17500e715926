"""The way of a completed batch: check of all rows, wait, ingestion.

Belongs here: what is done to a batch after its completion, and in which order, so that a kill at any point loses and
doubles nothing. Does not belong here: reading (`rows`), judging (`batch_check`) and the endpoints (`batches`).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.background import Background, Stopping
from capillary_adobe.emulators.batch_check import BatchCheck
from capillary_adobe.emulators.batch_states import GOOD, PROMOTING, Batch, now_ms
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.demands import Demands

_ROWS_AT_ONCE = 100
_LONGEST_SLEEP_SECONDS = 3600.0

_log = logging.getLogger(__name__)


class Promotion(Background):
    """Works on one batch at a time, each when it is due."""

    def __init__(self, behaviour: Behaviour, batches: BatchStore, accepted: AcceptedEntities, demands: Demands) -> None:
        super().__init__("promotion")
        self._behaviour = behaviour
        self._batches = batches
        self._accepted = accepted
        self._check = BatchCheck(behaviour, batches, demands, self.step)
        self._lock = threading.Lock()
        self._due: list[tuple[int, str]] = []

    def start(self) -> None:
        """Go on with whatever was under way when the emulator stopped."""
        for batch in self._batches.all():
            if batch.state == PROMOTING:
                self.schedule(batch.id)
        super().start()

    def schedule(self, batch_id: str, at_ms: int = 0) -> None:
        """Take the next step with a batch, not before a moment."""
        with self._lock:
            heapq.heappush(self._due, (at_ms, batch_id))
        self.wake()

    def work(self) -> float:
        """Take the steps that are due."""
        while (batch := self._next()) is not None:
            try:
                self._advance(batch)
            except Stopping:
                raise
            except Exception:  # noqa: BLE001 - the other batches go on
                _log.exception("batch %s stalled", batch.id)
                self._batches.change(batch.id, state="stalled")
        with self._lock:
            seconds = (self._due[0][0] - now_ms()) / 1000 if self._due else _LONGEST_SLEEP_SECONDS
        return max(seconds, 0.0)

    def _next(self) -> Batch | None:
        with self._lock:
            if not self._due or self._due[0][0] > now_ms():
                return None
            _, batch_id = heapq.heappop(self._due)
        return self._batches.get(batch_id)

    def _advance(self, batch: Batch) -> None:
        if batch.state == "inactive":
            self._withdraw(batch)
        elif batch.verdict is None:
            self._batches.change(batch.id, verdict=self._check.verdict(batch), updated_ms=batch.updated_ms)
            self.schedule(batch.id, (batch.completed_ms or 0) + round(self._behaviour.batch_seconds * 1000))
        elif (due := (batch.completed_ms or 0) + round(self._behaviour.batch_seconds * 1000)) > now_ms():
            self.schedule(batch.id, due)
        else:
            self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        verdict = batch.verdict
        if verdict is None:
            return
        if not verdict.ingest:
            word = self._behaviour.bad_status if batch.forced in GOOD else batch.forced
            self._batches.change(batch.id, state=word or self._behaviour.bad_status, errors=verdict.errors)
            return
        self._ingest(batch)
        metrics = {
            "inputByteSize": verdict.input_bytes,
            "inputFileCount": verdict.files,
            "inputRecordCount": verdict.rows,
            "outputByteSize": verdict.output_bytes,
            "outputFileCount": verdict.files,
            "outputRecordCount": verdict.rows - verdict.failed_rows,
            "partitionCount": 1,
            "failedRecordCount": verdict.failed_rows,
        }
        final = batch.forced or self._behaviour.good_status
        self._batches.change(batch.id, state=final, errors=verdict.errors, metrics=metrics)

    def _ingest(self, batch: Batch) -> None:
        # Rows that were kept before a kill are not kept again: they are the first ones, in the same order.
        staged = itertools.islice(self._staged(batch), self._accepted.rows_of(batch.id), None)
        while rows := list(itertools.islice(staged, _ROWS_AT_ONCE)):
            self._accepted.add_rows(batch.id, batch.dataset_id, rows, now_ms())
            for _ in rows:
                self.step()

    def _withdraw(self, batch: Batch) -> None:
        staged = self._staged(batch)
        while rows := list(itertools.islice(staged, _ROWS_AT_ONCE)):
            self._accepted.withdraw(batch.dataset_id, [orjson.loads(row).get("_id") for row in rows])

    def _staged(self, batch: Batch) -> Iterator[bytes]:
        return _lines(self._batches.folder(batch.id).staged)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\n")
