"""Batch ingestion: a batch from its creation to its hand-over.

Belongs here: the calls of batch ingestion, each safe to make again after a lost answer. Does not belong here: what goes
into a batch and when, and AEP's verdict on it (`catalog.py`).
Sources: batch-ingestion.yaml of github.com/AdobeDocs/experience-platform-apis and
experienceleague.adobe.com/docs/experience-platform/ingestion/batch/api-overview.html.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import requests

from capillary_adobe.adobe.catalog import Catalog, Stage
from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.platform import Conflict, Platform, Refused, Unanswered, json_of, segment
from capillary_adobe.settings import AdobeSettings

_BATCHES: Final = "/data/foundation/import/batches"
_JSON: Final = {"Content-Type": "application/json"}
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes[ =])?\s*0-(\d{1,15})")
_TOO_LARGE: Final = 413
_MALFORMED: Final = 400


class BatchApi:
    """Batch ingestion of one sandbox; safe to share between threads."""

    def __init__(self, platform: Platform, settings: AdobeSettings) -> None:
        self._platform = platform
        self._settings = settings
        self._catalog = Catalog(platform)
        self._interrupted: dict[str, bytes] = {}

    def create(self, external_id: str, dataset_id: str) -> str:
        """AEP's id of a new batch of JSON lines.

        An answer that is lost is looked for in the Catalog under `external_id`, for half of the retry budget, before the
        batch is created a second time. The batch that is found may be further than open where an earlier call made it.

        Raises:
            Refused: AEP takes no such batch; `Conflict` where the external id belongs to one that is no longer of use.
            TransientDeliveryError: AEP gives no batch within the retry budget.
        """
        budget = self._platform.backoff()
        try:
            return self._create_or_find(external_id, dataset_id)
        except Unanswered:
            if not budget.wait(0):
                raise
        return self._create_or_find(external_id, dataset_id)

    def upload(self, batch_id: str, dataset_id: str, name: str, file: Path) -> None:
        """Put a file into a batch, in one piece or in parts; the same name again replaces it.

        A file in parts that was interrupted goes on where AEP stands if it still holds the same bytes.

        Raises:
            Refused: AEP does not take the file.
            TransientDeliveryError: repeating did not help within the retry budget.
        """
        path = f"{_BATCHES}/{segment(batch_id)}/datasets/{segment(dataset_id)}/files/"
        path += "/".join(map(segment, name.split("/")))
        if file.stat().st_size <= self._settings.batch_put_bytes:
            try:
                self._platform.call("PUT", path, headers=_OCTETS, body=lambda: file.open("rb"))
            except Refused as refused:
                if refused.status != _TOO_LARGE:
                    raise
            else:
                return
        self._upload_in_parts(path, file)

    def complete(self, batch_id: str) -> None:
        """Hand the batch over to AEP; safe to repeat.

        Raises:
            Refused: AEP does not take the batch over, and has not done so before.
            TransientDeliveryError: repeating did not help within the retry budget.
        """
        try:
            self._act(batch_id, "COMPLETE")
        except Refused as refused:
            if refused.status != _MALFORMED and not isinstance(refused, Conflict):
                raise
            batch = self._catalog.batch(batch_id)
            if batch is None or batch.stage in {Stage.OPEN, Stage.GONE}:
                raise

    def abort(self, batch_id: str) -> None:
        """Give a batch up; one that is final already, or unknown, is no error.

        Raises:
            Refused: AEP is ingesting the batch and does not let it go.
            TransientDeliveryError: repeating did not help within the retry budget.
        """
        try:
            self._act(batch_id, "ABORT")
        except Refused:
            batch = self._catalog.batch(batch_id)
            if batch is not None and batch.stage not in {Stage.GOOD, Stage.BAD, Stage.GONE}:
                raise

    def _act(self, batch_id: str, action: str) -> None:
        self._platform.call("POST", f"{_BATCHES}/{segment(batch_id)}", params={"action": action}, headers=_JSON)

    def _create_or_find(self, external_id: str, dataset_id: str) -> str:
        try:
            return self._create_once(external_id, dataset_id)
        except (Conflict, Unanswered) as stopped:
            asked_wait = stopped.asked_wait if isinstance(stopped, Unanswered) else None
            found = self._look_for(external_id, dataset_id, asked_wait)
            if found is None:
                raise
            return found

    def _create_once(self, external_id: str, dataset_id: str) -> str:
        batch = {
            "datasetId": dataset_id,
            "externalId": external_id,
            "inputFormat": {"format": "json"},
            "enableErrorDiagnostics": True,
            "partialIngestionPercent": self._settings.batch_error_percent,
        }
        answer = self._platform.call("POST", _BATCHES, json=batch, headers=_JSON, repeat_unanswered=False)
        try:
            body = json_of(answer)
        except TransientDeliveryError as error:
            raise Unanswered(str(error)) from None
        batch_id = body.get("id") if type(body) is dict else None
        if type(batch_id) is not str or not batch_id:
            raise Unanswered(f"AEP answers {answer.status_code} to the creation of a batch without the batch's id.")
        return batch_id

    def _look_for(self, external_id: str, dataset_id: str, asked_wait: float | None) -> str | None:
        """The batch under our id, once the Catalog lists it: that can take a while."""
        backoff = self._platform.backoff(share=0.5)
        while True:
            found = self._catalog.find(dataset_id, external_id)
            if found is not None and found.stage not in {Stage.BAD, Stage.GONE}:
                return found.batch_id
            if not backoff.wait(asked_wait):
                return None
            asked_wait = None

    def _upload_in_parts(self, path: str, file: Path) -> None:
        size = file.stat().st_size
        digest = _digest(file)
        # AEP tells how much it has, never of what: only bytes known to be the same may follow those.
        goes_on = self._interrupted.get(path) == digest
        self._interrupted[path] = digest
        self._send_parts(path, file, size, self._position(path, size) if goes_on else 0)
        try:
            self._close(path)
        except Refused as refused:
            # Parts are missing or overlap; AEP tells so only when the file is closed. What it tells of its position is
            # then not to be trusted either.
            if refused.status != _MALFORMED:
                raise
            self._send_parts(path, file, size, 0)
            self._close(path)
        self._interrupted.pop(path, None)

    def _send_parts(self, path: str, file: Path, size: int, position: int) -> None:
        if position == 0:
            self._platform.call("POST", path, params={"action": "INITIALIZE"}, headers=_JSON)
        tries = self._platform.backoff()
        while position < size:
            length = min(self._settings.batch_part_bytes, size - position)
            try:
                self._send_part(path, file, position, length)
            except Unanswered as lost:
                # A part that arrived and comes again may count as an overlap.
                stands = self._position(path, size)
                if stands <= position and not tries.wait(lost.asked_wait):
                    raise
                position = max(position, stands)
            else:
                position += length
                tries = self._platform.backoff()

    def _send_part(self, path: str, file: Path, first: int, length: int) -> None:
        headers = {**_OCTETS, "Content-Range": f"bytes {first}-{first + length - 1}"}
        self._platform.call(
            "PATCH", path, headers=headers, body=lambda: _Part(file, first, length), repeat_unanswered=False
        )

    def _close(self, path: str) -> None:
        self._platform.call("POST", path, params={"action": "COMPLETE"}, headers=_JSON)

    def _position(self, path: str, size: int) -> int:
        """How many bytes of a file AEP says it has; 0 where it does not say."""
        try:
            answer = self._platform.call("HEAD", path)
        except Refused:
            return 0
        return _received(answer, size)


def _received(answer: requests.Response, size: int) -> int:
    match = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
    received = int(match[1]) + 1 if match else 0
    # More than the file has cannot be what was received: of this file, or at all.
    return received if received <= size else 0


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


class _Part:
    """A range of a file as a request's body, read from disk as it is sent."""

    def __init__(self, file: Path, first: int, length: int) -> None:
        self._file = file.open("rb")
        self._file.seek(first)
        self._length = self._left = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(65536):
            yield chunk

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the range, none at its end."""
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
