"""A backfill's run gives way to live events on the same processors.

Belongs here: the priority of the run's process. Does not belong here: slots and pools (`dagster.yaml`), the rates that all
runs share (`pacing.py`).

Places alone do not do it: on two cores, with a run of live events each few seconds, a year's backfill beside them took the
live median from 14 s to 23 s, although a live run never had to wait for a slot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from capillary_adobe.settings import HistorySettings, load

_RUN_OF_ITS_OWN = "execute_run"


def give_way(command: Sequence[str] = sys.argv) -> None:
    """Lower the priority of this process by HISTORY_NICE, if it was started for one run.

    A process that works on other runs afterwards, as a Celery worker does, must not: a priority that was given away cannot be
    taken back. Where the operating system refuses, or knows no priority, the run goes on as it is.
    """
    if _RUN_OF_ITS_OWN in command and hasattr(os, "setpriority"):
        level = load(HistorySettings).nice
        if os.getpriority(os.PRIO_PROCESS, 0) < level:
            os.setpriority(os.PRIO_PROCESS, 0, level)
