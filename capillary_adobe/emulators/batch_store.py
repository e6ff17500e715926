"""The batches of the emulator: their records and the folder of each.

Belongs here: keeping records over a restart and finding them, and where the files of a batch are. Does not belong here:
what the files hold (`uploads`, `promotion`, `failed_files`).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from capillary_adobe.emulators.batch_states import Batch, now_ms

_RECORD = "batch.json"


class BatchFolder:
    """The places of one batch on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = path / "files"
        self.parts = path / "parts"
        self.incoming = path / "incoming"
        self.failed = path / "failed"
        self.row_errors = path / "row_errors"
        self.staged = path / "staged.jsonl"

    def uploaded(self) -> list[Path]:
        """The files that were uploaded in full, in the order of their names."""
        return files_in(self.files)


class BatchStore:
    """All batches. Records are replaced as a whole, so a reader never sees half a change; threads may share it."""

    def __init__(self, store: Path) -> None:
        self._root = store / "batches"
        self._lock = threading.Lock()
        self._batches: dict[str, Batch] = {}

    def open(self, streamed: set[str]) -> None:
        """Read the records; `streamed` names the batches of streamed entities that count."""
        self._root.mkdir(parents=True, exist_ok=True)
        for folder in sorted(self._root.iterdir()):
            batch = _read(folder)
            if batch is None or (batch.origin == "streaming" and batch.id not in streamed):
                shutil.rmtree(folder)  # a kill came before the batch was complete, so nobody has seen it
            else:
                self._batches[batch.id] = batch

    def folder(self, batch_id: str) -> BatchFolder:
        """Where the files of a batch are."""
        return BatchFolder(self._root / batch_id)

    def get(self, batch_id: str) -> Batch | None:
        """One batch."""
        return self._batches.get(batch_id)

    def all(self) -> list[Batch]:
        """Every batch, in no order that matters."""
        with self._lock:
            return list(self._batches.values())

    def save(self, batch: Batch) -> None:
        """Put a record on the disk, not yet among the batches that can be seen."""
        path = self._root / batch.id / _RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_bytes(orjson.dumps(batch.to_json()))
        beside.replace(path)

    def show(self, batch: Batch) -> None:
        """Let a saved batch be seen."""
        with self._lock:
            self._batches[batch.id] = batch

    def add(self, batch: Batch) -> None:
        """Save a batch and let it be seen."""
        self.save(batch)
        self.show(batch)

    def change(self, batch_id: str, *, when: Callable[[Batch], bool] = lambda _: True, **changes: Any) -> bool:
        """Change a record that is as it has to be for the change; say whether it was."""
        with self._lock:
            batch = self._batches[batch_id]
            if not when(batch):
                return False
            changed = replace(batch, **({"updated_ms": now_ms()} | changes))
            self.save(changed)
            self._batches[batch_id] = changed
            return True


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and those below it, in the order of their names; a folder that is not there has none."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read(folder: Path) -> Batch | None:
    try:
        return Batch.from_json(orjson.loads((folder / _RECORD).read_bytes()))
    except FileNotFoundError:
        return None
