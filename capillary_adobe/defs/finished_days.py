"""Days that a stage need not do once more, because the run that this one retries by itself has done them.

Belongs here: when the former work still holds. Does not belong here: doing it (`by_day.py`) and showing it (`day_shown.py`).

Only Dagster's automatic retry leaves out what is done. Whoever materializes a partition, launches a backfill or re-executes a
run wants the work done, and gets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dagster as dg

from capillary_adobe.defs.day_shown import DayShown, shown_by
from capillary_adobe.defs.history_note import HistoryNote
from capillary_adobe.defs.road import ROAD

FINISHED_BY: Final = "finished_by_run"
_PARENT_TAG: Final = "dagster/parent_run_id"
_RETRY_NUMBER_TAG: Final = "dagster/retry_number"


class FinishedDays:
    """The days that the retried run has finished in a stage, and that nobody has touched since."""

    def __init__(self, context: dg.AssetExecutionContext, note: HistoryNote, days: Iterable[str]) -> None:
        self._former_run = context.run.tags.get(_PARENT_TAG) if _RETRY_NUMBER_TAG in context.run.tags else None
        self._former: dict[str, DayShown] = {}
        if self._former_run is None:
            return
        formerly = shown_by(context, self._former_run)
        moved = self._moved(context, {day: formerly[day][0] for day in days if day in formerly})
        for day in days:
            moment, shown = formerly.get(day, (0.0, None))
            if shown is None or day in moved or shown.blocked_by(context.assets_def):
                continue
            history = note.find(day)
            if history is None or history.imported_ms < moment * 1000:
                self._former[day] = shown

    def shown(self, day: str) -> DayShown | None:
        """What was shown of a day that is finished, with the run that did it."""
        former = self._former.get(day)
        if former is None:
            return None
        by = {FINISHED_BY: dg.MetadataValue.dagster_run(self._former_run or "")}
        return DayShown(by | dict(former.metadata), former.check_results)

    def _moved(self, context: dg.AssetExecutionContext, moments: dict[str, float]) -> set[str]:
        """Days that a stage of the road has done since: another run, or this one, whose later stages then follow."""
        if not moments:
            return set()
        found: set[str] = set()
        days, since = list(moments), min(moments.values())
        for stage in ROAD:
            wanted = dg.AssetRecordsFilter(dg.AssetKey(stage), asset_partitions=days, after_timestamp=since)
            for record in context.instance.fetch_materializations(wanted, limit=10 * len(days)).records:
                day, materialization = record.partition_key or "", record.asset_materialization
                told_again = materialization is not None and FINISHED_BY in materialization.metadata
                by_us = record.run_id == self._former_run or (record.run_id == context.run.run_id and told_again)
                if record.timestamp > moments[day] and not by_us:
                    found.add(day)
        return found
