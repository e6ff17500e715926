"""The schedule that has yesterday reconciled, days that a failure left out, and once more the day that Capillary tries
nothing of any longer.

Belongs here: the tick. Does not belong here: reconciling (`defs/delivery_log.py`).
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import dagster as dg

from capillary_adobe.defs.delivery_log import NAME
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.reconciling import not_set_up
from capillary_adobe.settings import ScheduleSettings, load

# Capillary repeats for seven days; on the eighth nothing of the day is on its way any more.
_SETTLED_DAYS = 8


def build_reconcile_schedule(job_name: str, partitions: dg.PartitionsDefinition) -> dg.ScheduleDefinition:
    """The schedule that asks for a job over a day each morning."""
    times = load(ScheduleSettings)

    @dg.schedule(
        name="reconcile_yesterday",
        job_name=job_name,
        cron_schedule=times.reconcile_yesterday,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each morning (SCHEDULE_RECONCILE_YESTERDAY), has yesterday's deliveries by Capillary held against what "
            "landed, and once more those of eight days ago if they were looked at then: Capillary repeats for seven "
            "days. Days in between that could not be looked at are made up for after the first morning that goes well. It "
            "skips while Capillary's API is not set up."
        ),
    )
    def reconcile_yesterday(context: dg.ScheduleEvaluationContext) -> dg.SkipReason | list[dg.RunRequest]:
        with told_plainly():
            missing = not_set_up()
        if missing:
            return dg.SkipReason(missing)
        now = context.scheduled_execution_time.astimezone(UTC)
        yesterday, settled = _days_before(now, 1), _days_before(now, _SETTLED_DAYS)
        looked_at = context.instance.get_materialized_partitions(dg.AssetKey(NAME))
        # A day between two that were looked at: its run failed. While every run fails, one a night is enough to say so.
        between = [day for ago in range(2, _SETTLED_DAYS) if _left_out(day := _days_before(now, ago), looked_at)]
        days = [yesterday, *between, *([settled] if settled in looked_at else [])]
        known = [day for day in days if partitions.has_partition_key(day)]
        if not known:
            return dg.SkipReason(f"{yesterday} lies before HISTORY_START")
        return [dg.RunRequest(run_key=f"{day}:{now.date()}", partition_key=day) for day in known]

    return reconcile_yesterday


def _left_out(day: str, looked_at: Collection[str]) -> bool:
    return day not in looked_at and bool(looked_at) and min(looked_at) < day < max(looked_at)


def _days_before(now: datetime, days: int) -> str:
    return (now - timedelta(days=days)).date().isoformat()
