"""A backfill launched as the UI launches it, with a webserver, a daemon and an AEP emulator of its own.

Belongs here: starting the programs, waiting, and the memory of the processes. Does not belong here: the questions to the UI
(`ui_backfills.py`), what is delivered (`history_account.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from bench.ui_backfills import UiBackfills
from capillary_adobe.demo.stack import Stack
from capillary_adobe.demo.surroundings import Ports, Surroundings

_LONGEST_SECONDS = 24 * 3600.0


def backfill(
    folder: Path, environment: dict[str, str], days: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """Backfill the days; how it ended, what it took, and the largest memory of a run."""
    given = {name: value for name, value in environment.items() if "_" in name and name.split("_")[0] in _OURS}
    around = Surroundings(folder, Ports.free(), given)
    peaks = _Peaks(folder)
    with Stack(around, say) as stack:
        stack.start()
        # The commands find the tenant that set-up has recorded in the state, and the emulator by its address.
        environment |= {name: value for name, value in around.environment().items() if name.startswith("ADOBE_")}
        asked = UiBackfills(around.ui_url)
        started = time.perf_counter()
        backfill_id = asked.launch(days, "bench.history")
        stack.wait("backfill", lambda: peaks.look() or asked.is_over(backfill_id), _LONGEST_SECONDS)
        seconds = time.perf_counter() - started
        status, told = asked.status(backfill_id)
        at_aep = requests.get(f"{around.emulator_url}/summary.json", timeout=30).json()
    return {
        "status": status,
        "assets": told,
        "seconds": round(seconds, 1),
        "days_a_minute": round(len(days) / seconds * 60, 1),
        "peak_mb": peaks.megabytes,
        "at_aep": {name: at_aep[name] for name in ("in_lake", "by_event_type") if name in at_aep},
    }


_OURS = {"LANDING", "LAKE", "STATE", "HISTORY", "CAPILLARY", "INSIGHTS", "ADOBE"}


# The other programs of the stack; what is left are the code server's children, of which the runs are the large ones.
_NO_RUN = (b"webserver", b"daemon", b"emulate", b"code-server")


class _Peaks:
    """The largest memory that a run process of this folder has had."""

    def __init__(self, folder: Path) -> None:
        self._mark = f"DAGSTER_HOME={folder}/".encode()
        self.megabytes = 0

    def look(self) -> bool:
        """Look at the processes; always False, so that it can stand in a condition."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command, environ = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
                if self._mark in environ and not any(word in command for word in _NO_RUN):
                    found = re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text())
                    self.megabytes = max(self.megabytes, int(found[1]) // 1024 if found else 0)
            except OSError:
                continue
        return False
