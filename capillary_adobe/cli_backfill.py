"""What `capillary-adobe status --backfill` prints.

Belongs here: words, order and alignment. Does not belong here: the numbers (`backfill_progress.py`) and the option (`cli.py`).
"""

from __future__ import annotations

import json

from tabulate import tabulate

from capillary_adobe.backfill_progress import BackfillProgress, FailedDay, expected_end, moment

_STANDINGS = {
    "waiting": "days that wait for a backfill",
    "running": "days that a run has begun",
    "at_aep": "days that are sent and wait for AEP's verdict",
    "done": "days that are through",
    "failed": "days that failed",
}
_FAILED_TOLD = 50
NOTHING = "No day of history is imported. `capillary-adobe import-history <path|url>` imports an export."


def as_json(found: BackfillProgress) -> str:
    """The progress for programs."""
    return json.dumps(found.as_dict(), indent=2)


def told(found: BackfillProgress) -> str:
    """The progress for a person."""
    if found.first_day is None:
        return NOTHING + _files(found)
    rate = "unknown" if found.events_per_second is None else f"{found.events_per_second:g}"
    rows = [
        *((_STANDINGS[name], count, _share(found, name)) for name, count in found.days.items()),
        ("events", found.events, f"{found.events_done} through, {found.events_left} left"),
        ("events a second, last hour", rate, f"{found.days_done_last_hour} days came through"),
    ]
    table = tabulate(
        rows, tablefmt="plain", colalign=("left", "right", "left"), preserve_whitespace=True, disable_numparse=True
    )
    parts = [f"History from {found.first_day} to {found.last_day}", table, f"Expected end: {expected_end(found)}"]
    if found.failed:
        parts.append(_failed(found.failed))
    return "\n\n".join(parts) + _files(found)


def _share(found: BackfillProgress, name: str) -> str:
    named = {"waiting": found.waiting, "running": found.running}.get(name)
    if named:
        return f"{named[0]} to {named[-1]}" if len(named) > 1 else named[0]
    total = sum(found.days.values())
    return f"of {total}" if name == "done" else ""


def _failed(days: list[FailedDay]) -> str:
    rows = [(one.day, moment(one.failed_ms), one.attempts, one.cause) for one in days[:_FAILED_TOLD]]
    more = f"\nand {len(days) - _FAILED_TOLD} more; --json lists all" if len(days) > _FAILED_TOLD else ""
    headers = ["failed day", "when", "tries", "why"]
    return tabulate(rows, headers=headers, tablefmt="simple", maxcolwidths=[None, None, None, 80]) + more


def _files(found: BackfillProgress) -> str:
    if not found.files:
        return ""
    open_ = found.files - found.files_done - found.files_failed
    under_way = f", {open_} under way" if open_ else ""
    failed = f", {found.files_failed} failed" if found.files_failed else ""
    return f"\n\nFiles imported: {found.files_done} with {found.file_rows} rows{under_way}{failed}"
