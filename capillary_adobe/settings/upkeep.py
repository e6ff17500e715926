"""Settings of upkeep: how long what is only kept for people stays, the delivery report, and when the schedules ask.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Cron, PageUrl, Zone
from capillary_adobe.settings.source import environment


class RetentionSettings(BaseSettings):
    """How long runs of Dagster and replaced files of the tables stay."""

    model_config = environment("RETENTION_")

    run_days: float = Field(
        default=30.0,
        ge=1,
        description=(
            "Days that a finished run stays with its events and logs. What the UI shows as newest of an asset, "
            "partition or check stays on."
        ),
    )
    table_days: float = Field(
        default=7.0,
        ge=1,
        le=7,
        description=(
            "Days that a file of a table stays after it was replaced, for whoever still reads an older version. "
            "The tables' own log names replaced files for a week."
        ),
    )


class ReportSettings(BaseSettings):
    """The delivery report."""

    model_config = environment("REPORT_")

    days: int = Field(default=14, ge=2, le=366, description="Landing days that the report shows, today included.")
    link: PageUrl | None = Field(
        default=None,
        description=(
            "Address at which people open the page, where a web server or a bucket serves it. The UI shows it as a link. "
            "Without user and query."
        ),
    )


class ScheduleSettings(BaseSettings):
    """When each schedule asks for its job: five fields of cron, in `SCHEDULE_TIMEZONE`. Read when the code location loads."""

    model_config = environment("SCHEDULE_")

    timezone: Zone = Field(default="UTC", description="Zone in which the times of all schedules are meant.")
    write_report: Cron = Field(default="20 * * * *", description="When the delivery report is written.")
    erase_deleted: Cron = Field(
        default="0 2 * * *", description="When customers who were deleted at Capillary are erased."
    )
    refresh_references: Cron = Field(default="30 2 * * *", description="When stores and programs are read.")
    compact_tables: Cron = Field(
        default="0 3 * * *", description="When small files of past days are joined and old files removed."
    )
    purge_runs: Cron = Field(default="30 3 * * *", description="When old runs of Dagster are purged.")
    reconcile_yesterday: Cron = Field(
        default="0 4 * * *", description="When Capillary's log of yesterday is held against what landed."
    )
    close_day: Cron = Field(
        default="30 4 * * *",
        description="When yesterday is closed. The landing day must be over by then, which is at 0:00 UTC.",
    )
