"""Days that failed in a run over several: kept from the later stages, noted, and named by the last stage.

Belongs here: the memory of them, which is a tag of the run, whether the run is worth another try, and the words. Does not
belong here: the work (`by_day.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import NoneType
from typing import Final

import dagster as dg
import orjson

from capillary_adobe.defs.failures import Unforeseen, unexpected
from capillary_adobe.defs.history_note import HistoryNote
from capillary_adobe.defs.road import before, read_by

FAILED_TAG: Final = "capillary_adobe/failed_days"
FAILED_BECAUSE: Final = "failed_because"
"""Metadata of the observation that notes a day which failed in a run over several."""

# Dagster reads these of the run when it fails.
RETRY_TAG: Final = "dagster/retry_on_asset_or_op_failure"
RETRY_STRATEGY_TAG: Final = "dagster/retry_strategy"
_RESUMED_TAG: Final = "dagster/is_resume_retry"
_CAUSES_TOLD = 5
_DAYS_TOLD = 14


class FailedDays:
    """The days of a run that a stage, or one before it, could not come through with.

    They stand in a tag of the run: a retry that goes on in a later stage inherits it, and must leave them out as well.
    """

    def __init__(self, context: dg.AssetExecutionContext, note: HistoryNote) -> None:
        self._context = context
        self._note = note
        self._stage = context.asset_key.to_user_string()
        self._by_stage = self._kept()
        self._mine: dict[str, bool] = {}
        self._causes: dict[str, str] = {}
        self._last: object = None
        self.hopeless = False
        """Whether the days that are left would only fail alike."""

    def earlier(self, day: str) -> bool:
        """Whether a stage that this one reads from has failed on a day."""
        return any(day in self._by_stage.get(stage, {}) for stage in before(self._stage))

    @contextmanager
    def noting(self, days: Sequence[str]) -> Iterator[None]:
        """Note what fails within for these days, and go on."""
        try:
            yield
        except dg.Failure as failure:
            passes = failure.allow_retries and not isinstance(failure, Unforeseen)
            self._fail(days, failure.description or "", type(failure.__cause__), transient=passes)
        except Exception as error:  # noqa: BLE001 - what has failed is noted, and the other days go on
            self._fail(days, unexpected(error), type(error), transient=False)
        else:
            self._last = None

    def refuse(self, day: str, cause: str) -> None:
        """Note a day that a run over several does not take."""
        self._note_one(day, cause, transient=False)

    def leave(self, days: Sequence[str]) -> None:
        """Note days that are not tried any more."""
        transient = any(self._mine.values())
        why = list(self._causes.values())[-1]
        for day in days:
            self._note_one(day, f"Not tried, the days before it had failed: {why}", transient=transient)

    def keep(self) -> None:
        """Keep this stage's failures for the later stages; Dagster's log has those of a stage that fails itself."""
        if self._mine or self._stage in self._by_stage:
            self._by_stage[self._stage] = dict(self._mine)
            kept = {"run": self._context.run.run_id, "stages": self._by_stage}
            self._context.instance.add_run_tags(self._context.run.run_id, {FAILED_TAG: orjson.dumps(kept).decode()})

    def raise_if_last(self, days: Sequence[str]) -> None:
        """Fail the run if days have failed and no later stage can do so; one whose days have all failed need not go on.

        Raises:
            dg.Failure: names the days and why. Only what may pass by itself is tried again.
        """
        stages = (*before(self._stage), self._stage)
        failed = {day: stage for stage in stages for day in self._by_stage.get(stage, {}) if day in days}
        if not failed:
            return
        selected = set(self._context.job_def.graph.node_dict)
        if len(failed) < len(days) and any(stage in selected for stage in read_by(self._stage)):
            return
        transient = any(transient for stage in stages for transient in self._by_stage.get(stage, {}).values())
        tags = {RETRY_TAG: str(transient).lower(), RETRY_STRATEGY_TAG: "ALL_STEPS"}
        self._context.instance.add_run_tags(self._context.run.run_id, tags)
        raise dg.Failure(self._words(failed, len(days)), allow_retries=transient)

    def _kept(self) -> dict[str, dict[str, bool]]:
        """Failed days by stage, of this run and of the one whose later stages it repeats; each with whether it may pass."""
        # Not the run that the step was started with: earlier steps have added tags since.
        run = self._context.instance.get_run_by_id(self._context.run.run_id)
        kept = orjson.loads((run or self._context.run).tags.get(FAILED_TAG, "{}"))
        if kept.get("run") != self._context.run.run_id and _RESUMED_TAG not in self._context.run.tags:
            return {}
        return kept.get("stages", {})

    def _fail(self, days: Sequence[str], cause: str, kind: object, *, transient: bool) -> None:
        for day in days:
            self._note_one(day, cause, transient=transient)
        # An outage in the same words or of the same kind: each further day would cost the whole patience once more. What
        # has no error as its cause is a check, which speaks of the rows of its day.
        alike = None if kind is NoneType else kind if transient else cause
        self.hopeless = alike is not None and alike == self._last
        self._last = alike

    def _note_one(self, day: str, cause: str, *, transient: bool) -> None:
        self._mine[day], self._causes[day] = transient, cause
        self._note.fail(day, cause)
        self._context.log.error("%s: %s", day, cause)
        self._context.log_event(
            dg.AssetObservation(self._context.asset_key, partition=day, metadata={FAILED_BECAUSE: cause})
        )

    def _words(self, failed: dict[str, str], of: int) -> str:
        by_cause: dict[str, list[str]] = {}
        for day, stage in sorted(failed.items()):
            by_cause.setdefault(f"{stage}: {self._cause(day, stage)}", []).append(day)
        told = [f"{_listed(days)}: {cause}" for cause, days in list(by_cause.items())[:_CAUSES_TOLD]]
        more = f"\nand {len(by_cause) - _CAUSES_TOLD} more causes" if len(by_cause) > _CAUSES_TOLD else ""
        others = ", the others are through" if len(failed) < of else ""
        return f"{len(failed)} of {of} days failed{others}.\n" + "\n".join(told) + more

    def _cause(self, day: str, stage: str) -> str:
        if day in self._causes:
            return self._causes[day]
        known = self._note.find(day)
        return (known.cause if known else None) or f"the log of the step {stage} tells why"


def _listed(days: list[str]) -> str:
    more = f" and {len(days) - _DAYS_TOLD} more days" if len(days) > _DAYS_TOLD else ""
    return ", ".join(days[:_DAYS_TOLD]) + more
