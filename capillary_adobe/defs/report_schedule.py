"""Job `write_report` and its schedule.

Belongs here: when the report is written. Does not belong here: the report (`assets/delivery_report.py`).
"""

from typing import Any, Final

import dagster as dg

from capillary_adobe.defs.assets.delivery_report import NAME
from capillary_adobe.settings import ScheduleSettings, load

REPORT_JOB: Final = "write_report"


def build_report_job() -> Any:
    """The job."""
    return dg.define_asset_job(
        REPORT_JOB,
        selection=dg.AssetSelection.assets(NAME),
        description=(
            "Write the delivery report anew: what flows, what is stuck and why, and whether yesterday arrived completely; "
            "started by its schedule each hour. It only reads."
        ),
    )


def build_report_schedule() -> dg.ScheduleDefinition:
    """The schedule that has it written each hour."""
    times = load(ScheduleSettings)
    return dg.ScheduleDefinition(
        name=REPORT_JOB,
        job_name=REPORT_JOB,
        cron_schedule=times.write_report,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Each hour (SCHEDULE_WRITE_REPORT), has the delivery report written anew.",
    )
