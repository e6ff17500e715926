"""A backfill's run gives way to live events on the same processors.

Belongs here: the priority of the run's process. Does not belong here: slots and pools (`dagster.yaml`), the rates that all
runs share (`pacing.py`).

Places alone do not do it: on two cores, with a run of live events each few seconds, a year's backfill beside them took the
live median from 14 s to 23 s, and with this from 15 s to 19 s. The rest was not the processors: live runs waited until others
had been launched.
"""

from __future__ import annotations

import logging
import os
import sys
from multiprocessing import parent_process

from capillary_adobe.settings import HistorySettings, load

_LOG = logging.getLogger(__name__)


def give_way() -> None:
    """Lower the priority of this process to HISTORY_NICE, if it was started for one run; on Windows nothing happens.

    Where it is shut off from that, as by systemd, it says so and goes on: a backfill that is in the way is better than none.
    A process that works on other runs afterwards, as a Celery worker does, must not: a priority that was given away cannot be
    taken back.
    """
    if _for_one_run() and hasattr(os, "setpriority"):
        level = load(HistorySettings).nice
        if os.getpriority(os.PRIO_PROCESS, 0) < level:
            try:
                os.setpriority(os.PRIO_PROCESS, 0, level)
            except PermissionError:
                _LOG.warning("HISTORY_NICE=%d has no effect: this process may not change its priority.", level)


def _for_one_run() -> bool:
    """Whether the process is a code server's child, which it starts for each run, or the command of a launcher that does so."""
    return parent_process() is not None or "execute_run" in sys.argv
