"""A backfill launched as the UI launches it, with a webserver, a daemon and an AEP emulator of its own.

Belongs here: starting the programs, launching, waiting, and the memory of the processes. Does not belong here: what is
delivered (`history_account.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from capillary_adobe.defs.road import ROAD
from capillary_adobe.demo.stack import Stack
from capillary_adobe.demo.surroundings import Ports, Surroundings

_LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
    ... on PartitionBackfill { status error { message }
        assetBackfillData { assetBackfillStatuses { ... on AssetPartitionsStatusCounts { numPartitionsTargeted
            numPartitionsMaterialized numPartitionsFailed } } } } } }"""
_OVER = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED"}
_LOOK_SECONDS = 2.0
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
        asked = _Asked(around.ui_url)
        started = time.perf_counter()
        backfill_id = asked.launch(days)
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


class _Asked:
    """The webserver's GraphQL, as the UI uses it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"
        self._next_look = 0.0
        self._over = False

    def launch(self, days: Sequence[str]) -> str:
        """Select the assets of the road and these partitions, and press the button."""
        selection = [{"path": [name]} for name in ROAD]
        params = {"assetSelection": selection, "partitionNames": list(days), "title": "bench.history"}
        answer = self._ask(_LAUNCH, {"params": params})["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise RuntimeError(f"The backfill was not launched: {answer}")
        return answer["backfillId"]

    def is_over(self, backfill_id: str) -> bool:
        if time.monotonic() >= self._next_look:
            self._over = self.status(backfill_id)[0] in _OVER
            self._next_look = time.monotonic() + _LOOK_SECONDS
        return self._over

    def status(self, backfill_id: str) -> tuple[str, Any]:
        """The status, and the partitions of each asset by what became of them."""
        found = self._ask(_STATUS, {"id": backfill_id})["partitionBackfillOrError"]
        if "status" not in found:
            raise RuntimeError(f"The backfill is not found: {found}")
        counts = (found.get("assetBackfillData") or {}).get("assetBackfillStatuses", [])
        return found["status"], found["error"] or [list(one.values()) for one in counts if one]

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(self._url, json={"query": query, "variables": variables}, timeout=120)
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            raise RuntimeError(f"GraphQL: {body['errors'][0]['message']}")
        return body["data"]


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
