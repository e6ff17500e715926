"""AEP's verdict on one of our batches, turned into the fate of each of its entities.

Belongs here: which rows of a batch are to be taken for ingested, refused or to be sent again. Does not belong here:
waiting for the verdict and storing it (`batch_lane.py`), reading diagnostics (`data_access.py`).
Source: experienceleague.adobe.com/docs/experience-platform/ingestion/quality/error-diagnostics.html
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from capillary_adobe.adobe.catalog import Batch, Stage
from capillary_adobe.adobe.causes import cause_of
from capillary_adobe.adobe.data_access import DataAccess
from capillary_adobe.adobe.errors import PermanentDeliveryError
from capillary_adobe.state import Detail, Fate, Receipt

UNNAMED = "aep_refused:unnamed"
"""The cause of entities of a batch in which AEP left out rows that it does not name: any of them may be missing."""

FAILED_UNNAMED = "failed, no row named"
"""The status under which a batch is noted that AEP failed as a whole without a reason for any row."""

# AEP writes its diagnostics after the status; for so long the others of a batch are not given up to a person.
_DIAGNOSTICS_MS = 6 * 3_600_000


@dataclass(frozen=True)
class BatchVerdict:
    """The files of a batch with the fates of their entities; none while AEP's word is not complete.

    `problem` is for a person to look at, `status` what the batch is noted as.
    """

    files: list[Receipt] | None
    status: str
    problem: PermanentDeliveryError | None = None


def judge(aep_id: str, batch: Batch, files: list[Receipt], access: DataAccess, completed_ms: int) -> BatchVerdict:
    """What became of each entity of our batch `aep_id`, complete since `completed_ms`, with which AEP has done.

    A batch that AEP calls a success may still lack rows: `failedRecordCount` or, without it, `errors` tells. Rows named in
    the diagnostics are refused. Where AEP counts more than it names, any of the others may be missing: after some hours they
    are left to a person, for sending all again by itself would put most of them into AEP twice.
    """
    if batch.stage is Stage.GONE:
        return _gone(batch, files)
    refused = _refused(aep_id, files, access) if _look_for_rows(aep_id, batch) else {}
    if batch.stage is Stage.BAD:
        return _bad(batch, files, refused)
    unnamed = _counted(aep_id, batch) - len(refused)
    if unnamed <= 0:
        return BatchVerdict([_fates(file, refused, Fate.ACCEPTED, Detail()) for file in files], batch.status)
    if time.time_ns() // 1_000_000 < completed_ms + _DIAGNOSTICS_MS:
        return BatchVerdict(None, batch.status)
    return _unnamed(batch, files, refused, unnamed)


def _gone(batch: Batch, files: list[Receipt]) -> BatchVerdict:
    words = f"AEP dropped the batch ({batch.status}); to be sent again."
    # Of a batch that was aborted nothing was ingested; one that is inactive or unknown may have been before.
    never = batch.status.strip().lower() in ("aborted", "abandoned")
    kept = files if never else [replace(file, lost=file.lost + 1) for file in files]
    return BatchVerdict([_fates(file, {}, Fate.FAILED, Detail(None, words)) for file in kept], batch.status)


def _bad(batch: Batch, files: list[Receipt], refused: dict[str, Detail]) -> BatchVerdict:
    words = "AEP failed the whole batch; to be sent again."
    judged = [_fates(file, refused, Fate.FAILED, Detail(None, words)) for file in files]
    if refused:
        return BatchVerdict(judged, batch.status)
    problem = PermanentDeliveryError(
        f"AEP failed batch {batch.batch_id} as a whole and names no row{_said(batch)}. Its entities are kept as failed; the "
        "next run sends them again, after the second time by streaming. Look at the batch in AEP's monitoring view."
    )
    return BatchVerdict(judged, FAILED_UNNAMED, problem)


def _unnamed(batch: Batch, files: list[Receipt], refused: dict[str, Detail], unnamed: int) -> BatchVerdict:
    words = f"AEP left out {unnamed} rows of this batch without naming them; this may be one of them."
    doubtful = [replace(file, lost=file.lost + 1) for file in files]
    problem = PermanentDeliveryError(
        f"AEP ingested batch {batch.batch_id} without {unnamed} of its rows and does not name them{_said(batch)}. Its other "
        "entities are noted as rejected. Look at the batch in AEP's monitoring view; "
        f"`capillary-adobe replay --cause {UNNAMED}` sends all of them again, and AEP will hold most of them twice."
    )
    judged = [_fates(file, refused, Fate.REJECTED, Detail(None, words, UNNAMED)) for file in doubtful]
    return BatchVerdict(judged, batch.status, problem)


def _look_for_rows(aep_id: str, batch: Batch) -> bool:
    return batch.stage is Stage.BAD or batch.batch_id != aep_id or _counted(aep_id, batch) > 0


def _counted(aep_id: str, batch: Batch) -> int:
    """Rows that AEP says it left out. Joined into a larger batch, its counts are no longer ours alone."""
    if batch.batch_id != aep_id:
        return 0
    if batch.failed_records is not None:
        return batch.failed_records
    return max((count or 1 for _, _, count in batch.errors), default=0)


def _refused(aep_id: str, files: list[Receipt], access: DataAccess) -> dict[str, Detail]:
    """Our entities that the diagnostics name, with AEP's words."""
    ours = {id_ for file in files for id_ in file.ids}
    refused: dict[str, Detail] = {}
    for record in access.row_errors(aep_id):
        if record.entity_id in ours and record.causes:
            first = record.causes[0]
            words = "; ".join(f"{cause.pointer} {cause.words}".strip() for cause in record.causes)
            refused[record.entity_id or ""] = Detail(
                None, words[:500], cause_of(first.code, first.pointer, first.words)
            )
    return refused


def _said(batch: Batch) -> str:
    said = "; ".join(f"{code}: {words}" for code, words, _ in batch.errors)
    return f" ({said[:500]})" if said else ""


def _fates(file: Receipt, refused: dict[str, Detail], otherwise: Fate, detail: Detail) -> Receipt:
    fates = [Fate.REJECTED if id_ in refused else otherwise for id_ in file.ids]
    details = {
        place: refused.get(id_, detail) for place, id_ in enumerate(file.ids) if id_ in refused or detail != Detail()
    }
    return replace(file, fates=fates, details=details, answered_ms=time.time_ns() // 1_000_000)
