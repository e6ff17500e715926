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


@dataclass(frozen=True)
class BatchVerdict:
    """The files of a batch with the fates of their entities; `problem` is for a person to look at."""

    files: list[Receipt]
    problem: PermanentDeliveryError | None = None


def judge(aep_id: str, batch: Batch, files: list[Receipt], access: DataAccess) -> BatchVerdict:
    """What became of each entity of our batch `aep_id`, with which AEP has done.

    A batch that AEP calls a success may still lack rows: `failedRecordCount` tells. Rows named in the diagnostics are
    refused. Where AEP counts more than it names, any of the others may be missing, so all of them are sent again.
    """
    if batch.stage is Stage.GONE:
        words = f"AEP dropped the batch ({batch.status}); to be sent again."
        return BatchVerdict([_alike(file, Fate.FAILED, Detail(None, words)) for file in files])
    ours = {id_ for file in files for id_ in file.ids}
    # AEP joins batches it has ingested into larger ones, whose counts are no longer ours alone.
    joined = batch.batch_id != aep_id
    counted = 0 if joined else batch.failed_records or 0
    named = _refused(aep_id, access) if counted or joined or batch.stage is Stage.BAD else {}
    refused = {id_: detail for id_, detail in named.items() if id_ in ours}
    unnamed = counted - len(refused)
    if batch.stage is Stage.GOOD:
        if unnamed <= 0:
            return BatchVerdict([_fates(file, refused, Fate.ACCEPTED, Detail()) for file in files])
        words = f"AEP left out {unnamed} rows of this batch without naming them; to be sent again."
        # Most of them are at AEP already, so each of them may be there twice after the repeat.
        doubtful = [replace(file, lost=file.lost + 1) for file in files]
        problem = PermanentDeliveryError(
            f"AEP ingested batch {batch.batch_id} without {unnamed} of its rows and does not name them{_said(batch)}. The next "
            "run sends its entities again under the same ids. Look at the batch in AEP's monitoring view first."
        )
        return BatchVerdict([_fates(file, refused, Fate.FAILED, Detail(None, words)) for file in doubtful], problem)
    words = "AEP failed the whole batch; to be sent again."
    judged = [_fates(file, refused, Fate.FAILED, Detail(None, words)) for file in files]
    if refused:
        return BatchVerdict(judged)
    problem = PermanentDeliveryError(
        f"AEP failed batch {batch.batch_id} as a whole and names no row{_said(batch)}. Its entities are kept as failed; the "
        "next run sends them again. Look at the batch in AEP's monitoring view first."
    )
    return BatchVerdict(judged, problem)


def _refused(aep_id: str, access: DataAccess) -> dict[str, Detail]:
    refused: dict[str, Detail] = {}
    for record in access.row_errors(aep_id):
        if record.entity_id is not None and record.causes:
            first = record.causes[0]
            words = "; ".join(f"{cause.pointer} {cause.words}".strip() for cause in record.causes)
            refused[record.entity_id] = Detail(None, words[:500], cause_of(first.code, first.pointer, first.words))
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


def _alike(file: Receipt, fate: Fate, detail: Detail) -> Receipt:
    return _fates(file, {}, fate, detail)
