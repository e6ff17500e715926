"""Partitions: one per landing day, UTC, today included.

Belongs here: the one partitions definition of the road. Does not belong here: what a day holds (`landing`).
"""

from __future__ import annotations

import dagster as dg

from capillary_adobe.settings import HistorySettings, load


def landing_days() -> dg.DailyPartitionsDefinition:
    """Days from `HISTORY_START` to today; the end offset makes the running day a partition too."""
    return dg.DailyPartitionsDefinition(
        start_date=load(HistorySettings).start.isoformat(), timezone="UTC", end_offset=1
    )
