"""The demo's own proof: everything started for real, events received and delivered, days balanced, a partition re-run.

Belongs here: what has to be seen, and saying what was seen and when. Does not belong here: the programs (`stack.py`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from capillary_adobe.demo.stack import REPORT_GROUP, Say, Stack
from capillary_adobe.demo.surroundings import DemoError, Ports, Surroundings

_GROUP = "delivery"
_MICRO_BATCH_JOB = "deliver_micro_batch"
_LOOKUP_JOB = "look_up_customers"
_LONGEST_SECONDS = 120.0
_STATUS_SECONDS = 60
_ASK_SECONDS = 10


def check(say: Say) -> None:
    """Start the demo on free ports and in a temporary folder, see it work, stop it.

    Raises:
        DemoError: what was expected did not happen; the folder with the logs stays.
        Interrupted: the user did not want to wait.
    """
    begun = time.monotonic()

    def timed(words: str) -> None:
        say(f"{time.monotonic() - begun:6.1f} s  {words}")

    folder = Path(tempfile.mkdtemp(prefix="capillary-adobe-check-"))
    # Without a past: days that wait for a backfill are at rest, and imports beside the feed would take twice the time.
    around = Surroundings(folder, Ports.free(), past=False)
    stack = Stack(around, timed)
    try:
        with stack.interruptible(), stack:
            stack.start()
            _Look(around, stack, timed).all_of_it()
    except DemoError as error:
        raise DemoError(f"{error}\nThe logs are in {around.logs}.") from error
    if stack.left_behind:
        raise DemoError(f"Still running after the stop: {', '.join(stack.left_behind)}.")
    shutil.rmtree(folder)
    timed("Nothing is left running. Everything works.")


class _Look:
    """What has to be seen, in order."""

    def __init__(self, around: Surroundings, stack: Stack, say: Say) -> None:
        self._around = around
        self._stack = stack
        self._say = say
        self._days: list[dict[str, Any]] = []

    def all_of_it(self) -> None:
        """Look at everything."""
        today = datetime.now(UTC).date().isoformat()
        self._stack.wait("a micro-batch run that succeeded", self._micro_batch_delivered, _LONGEST_SECONDS)
        self._stack.stop_feed()
        self._stack.wait("every event of Capillary's received", self._everything_is_received)
        self._stack.wait("every landed object read", self._everything_is_read, _LONGEST_SECONDS)
        self._reconcile(today)
        yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
        self._report(yesterday)
        for day in self._rerun(yesterday):
            self._say(
                f"{day['day']}: balanced, {day['landed_lines']} lines landed, {day['raw']} events, "
                f"{day['duplicates']} duplicates, {sum(day['quarantined'].values())} in quarantine, "
                f"{day['delivery']['accepted']} accepted by AEP, and {day['profile_delivery']['accepted']} profiles"
            )

    def _micro_batch_delivered(self) -> bool:
        runs = self._stack.ui.runs(pipelineName=_MICRO_BATCH_JOB)
        failed = [run.run_id for run in runs if run.status == "FAILURE"]
        if failed:
            raise DemoError(f"The micro-batch run {failed[0]} failed.")
        return any(run.status == "SUCCESS" for run in runs)

    def _everything_is_received(self) -> bool:
        delivered = requests.get(f"{self._around.capillary_url}/control/summary", timeout=_ASK_SECONDS).json()[
            "deliveries"
        ]
        others = {name: count for name, count in delivered.items() if name != "SUCCESS" and count}
        if "FAILED" in others:
            raise DemoError(f"Capillary gave events up: {others}.")
        return bool(delivered.get("SUCCESS")) and not others

    def _reconcile(self, day: str) -> None:
        account = self._told("reconcile", "--day", day, "--json")
        if not account["sent"] or account["outcomes"]["arrived"] != account["sent"]:
            raise DemoError(f"Not all that Capillary sent on {day} has landed: {account['outcomes']}.")
        self._say(f"{day}: {account['sent']} events in Capillary's log, all of them landed")

    def _everything_is_read(self) -> bool:
        # A balance takes seconds of a core that the runs need, so it is drawn only when none is at work. Look-ups go on
        # beside, as long as Capillary's quota makes them.
        look_ups = self._stack.ui.unfinished(pipelineName=_LOOKUP_JOB)
        if set(self._stack.ui.unfinished()) - set(look_ups):
            return False
        self._days = self._status()
        return len(self._days) > 1 and all(
            day["balanced"]
            and not day["unread_objects"]
            and day["delivery"]["accepted"]
            and day["profile_delivery"]["accepted"]
            for day in self._days
        )

    def _rerun(self, day: str) -> list[dict[str, Any]]:
        """Materialize a day once more; the balances after that."""
        run_id = self._materialized(_GROUP, f"partition {day} materialized again", day)
        failed = self._stack.ui.failed_checks(run_id)
        if failed:
            raise DemoError(f"Checks of the partition {day} failed: {', '.join(failed)}.")
        before, self._days = self._days, self._status()
        if _accepted(self._days, day) != _accepted(before, day):
            raise DemoError(
                f"{day} had {_accepted(before, day)} accepted entities before its partition was re-run, another number after."
            )
        return self._days

    def _report(self, yesterday: str) -> None:
        self._materialized(REPORT_GROUP, "delivery report written")
        page = self._around.data / "lake" / "delivery_report.html"
        if f"Did {yesterday} arrive completely?" not in page.read_text(encoding="utf-8"):
            raise DemoError(f"{page} does not tell of yesterday.")

    def _materialized(self, group: str, what: str, day: str | None = None) -> str:
        """Materialize a group, or a partition of it, and wait until it is done; the run's id."""
        run_id = self._stack.ui.materialize(group, day)

        def finished() -> bool:
            [run] = self._stack.ui.runs(runIds=[run_id])
            if run.status in {"FAILURE", "CANCELED"}:
                raise DemoError(f"The run {run_id} of {day or group} ended as {run.status}.")
            return run.status == "SUCCESS"

        self._stack.wait(what, finished, _LONGEST_SECONDS)
        return run_id

    def _status(self) -> list[dict[str, Any]]:
        """The balances as `capillary-adobe status --json` prints them."""
        return self._told("status", "--json")

    def _told(self, *arguments: str) -> Any:
        """What a command prints as JSON, in the demo's surroundings."""
        told = subprocess.run(  # noqa: S603 - a command of this package's own making
            [sys.executable, "-m", "capillary_adobe.cli", *arguments],
            env=self._around.environment(),
            cwd=self._around.folder,
            capture_output=True,
            text=True,
            timeout=_STATUS_SECONDS,
            check=False,
        )
        if told.returncode:
            raise DemoError(f"capillary-adobe {arguments[0]} failed: {told.stderr.strip() or told.stdout.strip()}")
        return json.loads(told.stdout)


def _accepted(days: list[dict[str, Any]], day: str) -> int:
    return next(found["delivery"]["accepted"] for found in days if found["day"] == day)
