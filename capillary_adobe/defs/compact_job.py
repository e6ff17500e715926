"""Job `compact_tables` and its schedule: small files of past days are joined, old ones removed.

Belongs here: the job, its schedule and what a run tells. Does not belong here: the work (`lake_upkeep.py`).
"""

from datetime import UTC, datetime
from typing import Final

import dagster as dg

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import counts
from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.lake_upkeep import Upkeep
from capillary_adobe.settings import RetentionSettings, ScheduleSettings, load

COMPACT_JOB: Final = "compact_tables"
# A job and an op of one name do not load together.
COMPACT_OP: Final = "compact_past_days"
# A first run over years of days may take longer; the next one goes on.
_BUDGET_SECONDS: Final = 3600.0


@dg.op(name=COMPACT_OP)
def _compact_past_days(context: dg.OpExecutionContext, lake: LakeResource, state: StateResource) -> None:
    with told_plainly():
        upkeep = Upkeep(RewritableLake(lake.open().url), state.open())
        today = datetime.now(UTC).date().isoformat()
        done = upkeep.run(today, load(RetentionSettings).table_days, _BUDGET_SECONDS, context.log.info)
    words = (
        f"{done.joined.total()} small files of {len(done.days)} days joined, {done.removed.total()} old files removed"
    )
    if done.left:
        words += f"; {done.left} looks at a day are left for the next run"
    context.log.info(words)
    context.add_output_metadata(
        {
            "told": words,
            "joined_files": done.joined.total(),
            "joined_by_table": counts("table", +done.joined),
            "removed_files": done.removed.total(),
            "removed_by_table": counts("table", +done.removed),
            "left_for_the_next_run": done.left,
        }
    )


def build_compact_job() -> dg.JobDefinition:
    """The job."""

    @dg.job(
        name=COMPACT_JOB,
        description=(
            "Join the small files that micro-batches leave in the tables, for days that are over, and remove files that were "
            "replaced more than RETENTION_TABLE_DAYS ago or that a dead run left; started by its schedule each night. Rows "
            "stay as they are, and no day is touched while a run writes it. An hour a run; the next one goes on."
        ),
    )
    def compact_tables() -> None:
        _compact_past_days()

    return compact_tables


def build_compact_schedule() -> dg.ScheduleDefinition:
    """The schedule that compacts each night."""
    times = load(ScheduleSettings)
    return dg.ScheduleDefinition(
        name=COMPACT_JOB,
        job_name=COMPACT_JOB,
        cron_schedule=times.compact_tables,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each night (SCHEDULE_COMPACT_TABLES), joins small files of past days and removes files that were replaced more "
            "than RETENTION_TABLE_DAYS ago."
        ),
    )
