"""Job `purge_runs` and its schedule: old runs of Dagster go, with all that is kept of them.

Belongs here: the job, its run config, its schedule and what a run tells. Does not belong here: which runs may go
(`run_purging.py`). Ticks are purged by Dagster itself, as `dagster.yaml` says.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.run_purging import Purged, PurgingError, RunPurging
from capillary_adobe.defs.shown import counts
from capillary_adobe.settings import RetentionSettings, ScheduleSettings, load

PURGE_JOB: Final = "purge_runs"
# A job and an op of one name do not load together.
PURGE_OP: Final = "purge_old_runs"
# A first purge after years takes no slot of the run queue for a night; the next one goes on.
_BUDGET_SECONDS: Final = 600.0
_LOCK: Final = "purge-runs"


class PurgeConfig(dg.Config):
    """Whether it is done or only counted."""

    dry_run: bool = Field(default=False, description="Count the runs that would go, and remove none.")


@dg.op(name=PURGE_OP)
def _purge_old_runs(context: dg.OpExecutionContext, config: PurgeConfig, state: StateResource) -> None:
    with told_plainly():
        days = load(RetentionSettings).run_days
        with state.open().lock_if_free(_LOCK) as free:
            if not free:
                context.log.info("Another run is purging; this one has nothing to do")
                return
            try:
                purging = RunPurging(context.instance)
            except PurgingError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            before = datetime.now(UTC) - timedelta(days=days)
            done = purging.purge(before, _BUDGET_SECONDS, dry_run=config.dry_run)
    words = _words(done, days, dry_run=config.dry_run)
    context.log.info(words)
    context.add_output_metadata(
        {
            "told": words,
            "removed_runs": 0 if config.dry_run else done.runs,
            "removed_bytes": 0 if config.dry_run else done.bytes,
            "removed_events_of_no_run": 0 if config.dry_run else done.events,
            "kept_runs": done.kept.total(),
            "kept_because": counts("reason", done.kept),
            "left_for_the_next_run": done.left,
        }
    )


def _words(done: Purged, days: float, *, dry_run: bool) -> str:
    verb = "would be removed" if dry_run else "removed"
    told = (
        f"{done.runs} runs older than {days:g} days {verb}, {done.bytes:,} bytes, and {done.events} events of no run; "
        f"{done.kept.total()} runs as old stay"
    )
    return f"{told}; {done.left} are left for the next run" if done.left else told


def build_purge_job() -> dg.JobDefinition:
    """The job."""

    @dg.job(
        name=PURGE_JOB,
        description=(
            "Remove runs of Dagster that ended more than RETENTION_RUN_DAYS ago, with their events, check results and captured "
            "output, and observations as old; started by its schedule each night. What the UI shows as the newest of an asset, "
            "partition or check stays, and so do runs of a backfill at work and parents of runs that stay. Ten minutes a run; "
            "the next one goes on. `dry_run` only counts."
        ),
    )
    def purge_runs() -> None:
        _purge_old_runs()

    return purge_runs


def build_purge_schedule() -> dg.ScheduleDefinition:
    """The schedule that purges each night."""
    times = load(ScheduleSettings)
    return dg.ScheduleDefinition(
        name=PURGE_JOB,
        job_name=PURGE_JOB,
        cron_schedule=times.purge_runs,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each night (SCHEDULE_PURGE_RUNS), removes runs of Dagster that ended more than RETENTION_RUN_DAYS ago."
        ),
    )
