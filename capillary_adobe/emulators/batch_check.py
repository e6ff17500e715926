"""The check of a completed batch: every row, its diagnostics, and whether the batch may be ingested.

Belongs here: which rows are good, what is written about the others, and the errors that the batch shows. Does not belong
here: reading rows (`rows`), the demands on an entity (`demands`), the ingestion (`promotion`).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from capillary_adobe.emulators.batch_states import GOOD, Batch, Verdict
from capillary_adobe.emulators.batch_store import BatchFolder, BatchStore
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.demands import Demands
from capillary_adobe.emulators.numbered_files import NumberedFiles
from capillary_adobe.emulators.rows import Row, UnreadableFile, rows
from capillary_adobe.emulators.violations import Violation

MOST_BYTES = 1_099_511_627_776
_CORRUPT = "1401"
_KINDS = {
    "1401": "Rows that could not be parsed; correct their text.",
    "1555": "A required field is missing or null.",
    "1554": "A value does not follow the schema of the dataset.",
}
_DIAGNOSTICS_OFF = "Errors were met in the data. Send it again with enableErrorDiagnostics to see them."
_FORCED = {"code": "CONNECTOR-2001-500", "description": "The promotion of the batch did not succeed."}
_EMPTY = {"code": "106", "description": "A file of the dataset is empty."}


class BatchCheck:
    """Reads a batch once, from its first row to its last."""

    def __init__(self, behaviour: Behaviour, batches: BatchStore, demands: Demands, step: Callable[[], None]) -> None:
        self._behaviour = behaviour
        self._batches = batches
        self._demands = demands
        self._step = step

    def verdict(self, batch: Batch) -> Verdict:
        """Whether the batch may be ingested. What may be is staged beside its files."""
        folder = self._batches.folder(batch.id)
        shutil.rmtree(folder.row_errors, ignore_errors=True)
        folder.staged.unlink(missing_ok=True)
        files = folder.uploaded()
        size = sum(file.stat().st_size for file in files)
        if batch.forced and batch.forced not in GOOD:
            return Verdict(0, 0, size, 0, len(files), ingest=False, errors=batch.errors or [_FORCED])
        if fault := self._file_fault(files, size):
            return Verdict(0, 0, size, 0, len(files), ingest=False, errors=[fault])
        try:
            return self._rows(batch, folder, files, size)
        except UnreadableFile as error:
            errors = [{"code": "INGEST-1401-400", "description": str(error)}]
            return Verdict(0, 0, size, 0, len(files), ingest=False, errors=errors)

    def _file_fault(self, files: list[Path], size: int) -> dict[str, Any] | None:
        over = []
        if len(files) > self._behaviour.max_files:
            over.append(f"{len(files)} files (over the {self._behaviour.max_files} threshold)")
        if size > MOST_BYTES:
            over.append(f"{size} bytes (over the {MOST_BYTES} threshold)")
        if over:
            return {"code": "INGEST-1002-400", "description": f"Batch ingestion guardrails hit: {'; '.join(over)}"}
        return _EMPTY if not files or any(file.stat().st_size == 0 for file in files) else None

    def _rows(self, batch: Batch, folder: BatchFolder, files: list[Path], size: int) -> Verdict:
        with _Findings(folder, self._behaviour.records_per_file, diagnostics=batch.diagnostics) as findings:
            for file in files:
                name = file.relative_to(folder.files).as_posix()
                for row in rows(file, batch.format, multi_line=batch.multi_line):
                    findings.take(row, name, self._row_faults(batch, row))
                    self._step()
        if not findings.rows:
            return Verdict(0, 0, size, 0, len(files), ingest=False, errors=[_EMPTY])
        ingest = findings.failed * 100 <= findings.rows * batch.error_percent
        errors = findings.errors(findings.rows - findings.failed if ingest else 0)
        categories = dict(findings.categories)
        return Verdict(
            findings.rows, findings.failed, size, findings.staged_bytes, len(files), ingest, errors, categories
        )

    def _row_faults(self, batch: Batch, row: Row) -> list[Violation]:
        if row.entity is None:
            return []
        return self._demands.violations(batch.dataset_id, "batch", row.entity, batch.completed_ms or batch.updated_ms)


class _Findings:
    """Good rows go to the staged file, bad ones to the diagnostics, and all are counted."""

    def __init__(self, folder: BatchFolder, records_per_file: int, *, diagnostics: bool) -> None:
        self._diagnostics = diagnostics
        self._parsing = NumberedFiles(folder.row_errors, "parsing_errors_{}.json", records_per_file)
        self._conversion = NumberedFiles(folder.row_errors, "conversion_errors_{}.json", records_per_file)
        self._staged = folder.staged.open("wb")
        self._kinds: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        self.staged_bytes = 0
        self.rows = 0
        self.failed = 0

    def __enter__(self) -> _Findings:
        return self

    def __exit__(self, *error: object) -> None:
        self._staged.close()
        self._parsing.__exit__(None, None, None)
        self._conversion.__exit__(None, None, None)

    def take(self, row: Row, file: str, faults: list[Violation]) -> None:
        """Count a row and write it where it belongs."""
        self.rows += 1
        if row.entity is None:
            self._kinds[_CORRUPT] += 1
            self._failed_row(
                self._parsing,
                {"_corrupt_record": row.text.decode(errors="replace")},
                file,
                [{"code": _CORRUPT, "message": row.fault}],
            )
        elif faults:
            self._kinds.update({fault.row_code for fault in faults})
            self.categories.update(fault.category for fault in faults)
            self._failed_row(
                self._conversion,
                row.entity,
                file,
                [{"code": fault.row_code, "message": fault.message} for fault in faults],
            )
        else:
            self.staged_bytes += self._staged.write(row.text + b"\n")

    def _failed_row(
        self, errors_file: NumberedFiles, content: dict[str, Any], file: str, errors: list[dict[str, str]]
    ) -> None:
        self.failed += 1
        if self._diagnostics:
            errors_file.write(content | {"_errors": errors, "_filename": file})

    def errors(self, ingested: int) -> list[dict[str, Any]]:
        """What the batch shows of its failed rows."""
        if not self.failed:
            return []
        if not self._diagnostics:
            return [{"code": "INGEST-1211-400", "description": _DIAGNOSTICS_OFF}]
        text = f"Encountered {self.failed} errors in the data. Successfully ingested {ingested} rows. See row_errors."
        kinds = [
            {"code": f"INGEST-{code}-400", "description": _KINDS[code], "recordCount": count}
            for code, count in sorted(self._kinds.items())
        ]
        return [{"code": "INGEST-1212-400", "description": text}, *kinds]
