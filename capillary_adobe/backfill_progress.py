"""Progress of a backfill: how many days of history are through, how fast, and when the rest is expected to be.

Belongs here: what follows from the registers of days, files and batches, and its words. Does not belong here: working on a
day, launching a backfill (`defs/history_backfill.py`), printing (`cli_backfill.py`).

Nothing is guessed: where no day has come through within the last hour, or nothing is at work, the end is unknown, and why is
told.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from capillary_adobe.state import HistoryDay, HistoryDays, HistoryFiles, SentBatches, State

STANDINGS: Final = ("waiting", "running", "at_aep", "done", "failed")
"""How a day can stand: `at_aep` is sent, and waits for AEP's verdict on its batch."""

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class FailedDay:
    """A day that a run did not come through with; `cause` in the words of the run."""

    day: str
    failed_ms: int
    attempts: int
    cause: str


@dataclass(frozen=True)
class BackfillProgress:
    """Where a backfill stands. Moments are epoch ms; `events_left` are those of days that wait, run or are at AEP.

    `expected_end_ms` is None where it cannot be told, and `why_unknown` says why; failed days are not part of it.
    """

    days: dict[str, int]
    first_day: str | None
    last_day: str | None
    events: int
    events_done: int
    events_left: int
    events_per_second: float | None
    days_done_last_hour: int
    expected_end_ms: int | None
    why_unknown: str | None
    waiting: list[str]
    running: list[str]
    failed: list[FailedDay]
    files: int
    files_done: int
    files_failed: int
    file_rows: int

    @property
    def days_left(self) -> int:
        """Days that are not through."""
        return sum(self.days.values()) - self.days["done"]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "days_left": self.days_left}


def progress(state: State, now_ms: int | None = None) -> BackfillProgress:
    """Where the backfill of all imported days stands.

    Raises:
        StateError: the state database cannot be reached.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    known, files = HistoryDays(state).all(), HistoryFiles(state).all()
    stands = standings(state, known)
    by_standing = Counter(stands.values())
    done = sum(one.events for one in known if stands[one.day] == "done")
    left = sum(one.events for one in known if stands[one.day] in ("waiting", "running", "at_aep"))
    lately = [one for one in known if stands[one.day] == "done" and (one.done_ms or 0) > now_ms - _HOUR_MS]
    rate = _rate(lately, now_ms)
    waiting = [day for day, standing in stands.items() if standing == "waiting"]
    end_ms, unknown = _end(by_standing, waiting, left, rate, now_ms)
    return BackfillProgress(
        days={name: by_standing[name] for name in STANDINGS},
        first_day=known[0].day if known else None,
        last_day=known[-1].day if known else None,
        events=sum(one.events for one in known),
        events_done=done,
        events_left=left,
        events_per_second=rate,
        days_done_last_hour=len(lately),
        expected_end_ms=end_ms,
        why_unknown=unknown,
        waiting=waiting,
        running=[day for day, standing in stands.items() if standing == "running"],
        failed=[
            FailedDay(one.day, one.failed_ms or 0, one.attempts, one.cause or "")
            for one in known
            if stands[one.day] == "failed"
        ],
        files=len(files),
        files_done=sum(one.done_ms is not None for one in files),
        # One that was imported before stands as it landed, though an import of it failed since.
        files_failed=sum(one.failed is not None and one.done_ms is None for one in files),
        file_rows=sum(one.rows for one in files),
    )


def expected_end(found: BackfillProgress) -> str:
    """The expected end in plain words, or why it is unknown."""
    if found.expected_end_ms is None:
        return f"unknown: {found.why_unknown}"
    return f"{moment(found.expected_end_ms)}, if it goes on as in the last hour"


def moment(moment_ms: int) -> str:
    """A moment as an operator reads it, to the minute, UTC."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def standings(state: State, known: Sequence[HistoryDay]) -> dict[str, str]:
    """How each day stands; one of which all that was read is in complete batches waits for AEP and for no run of ours."""
    register = SentBatches(state)
    complete, unfinished = set[str](), set[str]()
    for batch in register.open():
        (unfinished if batch.completed_ms is None else complete).update(register.days_of(batch))
    at_aep = complete - unfinished
    return {one.day: "at_aep" if one.day in at_aep and _is_sent(one) else one.standing for one in known}


def _is_sent(one: HistoryDay) -> bool:
    """Whether a run may have sent all that there is of a day."""
    if one.standing == "waiting":
        return one.done_ms is None and (one.begun_ms or 0) >= one.imported_ms
    return one.standing == "running"


def _rate(lately: Sequence[HistoryDay], now_ms: int) -> float | None:
    """Events a second of the days that came through within the last hour, from when the first of them was begun."""
    if not lately:
        return None
    begun_ms = min(one.begun_ms or one.done_ms or now_ms for one in lately)
    seconds = (now_ms - max(begun_ms, now_ms - _HOUR_MS)) / 1000
    return round(sum(one.events for one in lately) / seconds, 1) if seconds > 0 else None


def _end(
    by_standing: Counter[str], waiting: Sequence[str], left: int, rate: float | None, now_ms: int
) -> tuple[int | None, str | None]:
    open_ = by_standing["waiting"] + by_standing["running"] + by_standing["at_aep"]
    if not open_:
        failed = by_standing["failed"]
        if failed:
            return None, f"no day is left but the {failed} that failed; mend their causes and launch the backfill again"
        return None, "every imported day is through" if by_standing["done"] else "no day of history is imported"
    if not by_standing["running"]:
        if not by_standing["waiting"]:
            return None, "every day is sent; AEP's verdict on their batches is awaited"
        if waiting[0] >= datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat():
            return None, "what waits is of a day that is still filling; launch the backfill when it is over"
        return None, "no run is at work on the days that wait; launch the backfill"
    if not rate:
        return None, "no day with events came through within the last hour"
    return now_ms + round(left / rate * 1000), None
