"""Which runs of Dagster's count as at work.

Belongs here: what the sensors look for before they ask for another run. Does not belong here: asking.
"""

from typing import Final

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

DAY_TAG: Final = "dagster/partition"
FIRST_DAY_TAG: Final = "dagster/asset_partition_range_start"
LAST_DAY_TAG: Final = "dagster/asset_partition_range_end"
"""Dagster's words for the day of a run, or the days of a backfill's chunk."""

LONGEST_RUN_SECONDS = 7200
"""A run that died together with its code server stays `started` for good; without this its sensor would wait as long."""

ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def at_work_on(instance: DagsterInstance, day: str) -> list[DagsterRun]:
    """Runs at work that are about a day, alone or among others."""
    return [run for run in instance.get_runs(RunsFilter(statuses=ACTIVE)) if _covers(run, day)]


def _covers(run: DagsterRun, day: str) -> bool:
    if DAY_TAG in run.tags:
        return run.tags[DAY_TAG] == day
    return FIRST_DAY_TAG in run.tags and run.tags[FIRST_DAY_TAG] <= day <= run.tags.get(LAST_DAY_TAG, "")
