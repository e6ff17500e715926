"""When what an export says of customers was true.

Belongs here: the stamps of its facts. Does not belong here: what the facts are.

Insights+ exports run to the end of the day before the export's (docs.capillarytech.com/docs/schedule-export-job), so an event
of the export's own day is newer than the export, at whatever hour the file was written.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from capillary_adobe.profiles.document import Stamp

TIE: Final = "insights"


def stamp_of_export(exported_ms: int, zone: ZoneInfo, program_id: int | None = None) -> Stamp:
    """The last moment of the day before an export's, in the organisation's zone.

    A customer in several programs has a row for each, and the rows are facts of their own.
    """
    day = datetime.fromtimestamp(exported_ms / 1000, zone).date()
    tie = TIE if program_id is None else f"{TIE} {program_id}"
    return Stamp(int(datetime.combine(day, time(), zone).timestamp()) * 1_000_000 - 1, 0, tie)


def stamp_beneath(exported_ms: int) -> Stamp:
    """A stamp older than any dated one, by which a later export still replaces an earlier one."""
    return Stamp(0, exported_ms, TIE)
