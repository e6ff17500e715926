"""Job `close_day` and the schedule that asks for it: yesterday, and days of the last week that stayed open.

Belongs here: the job and the tick. Does not belong here: the verdict (`assets/closed_days.py`), working on a day.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from capillary_adobe.balance import Accounts
from capillary_adobe.closing import is_over, landing_days_of, yesterday
from capillary_adobe.defs.assets.closed_days import NAME, was_closed
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.defs.road import ROAD
from capillary_adobe.settings import CapillarySettings, ScheduleSettings, load
from capillary_adobe.state import LandedObjects
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE

CLOSE_JOB: Final = "close_day"
_FROM_DELIVERY_ON: Final = (INGESTION_STATUS.name, QUARANTINE.name)
_LOOK_BACK_DAYS: Final = 7


def build_close_job() -> Any:
    """The job: the whole road of a day, and the verdict."""
    return dg.define_asset_job(
        CLOSE_JOB,
        selection=dg.AssetSelection.assets(*ROAD, NAME),
        description=(
            "Close a day: read what is late, send what is open, draw the checks of the whole day and its balance, and say in "
            "one line whether it is closed; started by its schedule each morning for yesterday. Choose the partition. Nothing "
            "that AEP has acknowledged is sent again."
        ),
    )


def build_close_schedule(partitions: dg.PartitionsDefinition) -> dg.ScheduleDefinition:
    """The schedule that closes yesterday each morning."""
    times = load(ScheduleSettings)

    @dg.schedule(
        name=CLOSE_JOB,
        job_name=CLOSE_JOB,
        cron_schedule=times.close_day,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each morning (SCHEDULE_CLOSE_DAY), closes the landing days of yesterday in CAPILLARY_ORG_TIMEZONE that are over, "
            "and those of the last week that were left open. A day with objects that no run has read is worked on as a whole; "
            "of any other, what is open is sent."
        ),
    )
    def close_day(
        context: dg.ScheduleEvaluationContext, landing: LandingResource, lake: LakeResource, state: StateResource
    ) -> dg.SkipReason | list[dg.RunRequest]:
        with told_plainly():
            now = context.scheduled_execution_time
            known = [one for one in _days(context.instance, now) if partitions.has_partition_key(one)]
            database = state.open()
            accounts, ledger = Accounts(landing.open(), lake.open(), database), LandedObjects(database)
            late = {one for one in known if accounts.unread(one) or ledger.half_read(one)}
        if not known:
            return dg.SkipReason("Yesterday lies before HISTORY_START, or is not over in UTC yet")
        return [_request(one, now.date(), as_a_whole=one in late) for one in known]

    return close_day


def _days(instance: dg.DagsterInstance, now: datetime) -> list[str]:
    zone = load(CapillarySettings).zone
    due = [one for one in landing_days_of(yesterday(now, zone), zone) if is_over(one, now)]
    if not due:
        return []
    first = date.fromisoformat(due[0])
    before = [(first - timedelta(days=ago)).isoformat() for ago in range(_LOOK_BACK_DAYS, 0, -1)]
    return [*_left_open(before, lambda one: was_closed(instance, one)), *due]


def _left_open(days: list[str], closed: Callable[[str], bool | None]) -> list[str]:
    """Days that were not closed, or whose run failed: those without a verdict behind one that has it."""
    verdicts = {day: closed(day) for day in days}
    judged = [day for day, verdict in verdicts.items() if verdict is not None]
    return [day for day in days if verdicts[day] is False or (verdicts[day] is None and judged and day > judged[0])]


def _request(day: str, today: date, *, as_a_whole: bool) -> dg.RunRequest:
    stages = ROAD if as_a_whole else _FROM_DELIVERY_ON
    return dg.RunRequest(
        run_key=f"{day}:{today}",
        partition_key=day,
        asset_selection=[dg.AssetKey(one) for one in (*stages, NAME)],
    )
