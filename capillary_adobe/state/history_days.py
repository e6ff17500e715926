"""Days of history: which have been imported, which a run has begun, delivered or failed on, and why.

Belongs here: the register behind `status --backfill` and the button that goes on where a backfill was left. Does not belong
here: working on a day, and what its rows were (`history_files.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.state.database import State, metadata

history_days = sa.Table(
    "history_days",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),
    # When an import last added to it: what a run delivered before is not all of it.
    sa.Column("imported_ms", sa.BigInteger, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("begun_ms", sa.BigInteger),
    # The run that is at work on it.
    sa.Column("run_id", sa.Text),
    sa.Column("done_ms", sa.BigInteger),
    sa.Column("failed_ms", sa.BigInteger),
    # Why it failed, in the words that an operator reads in the UI.
    sa.Column("cause", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
)


@dataclass(frozen=True)
class HistoryDay:
    """A day that holds imported events; moments in epoch ms."""

    day: str
    imported_ms: int
    events: int
    begun_ms: int | None = None
    run_id: str | None = None
    done_ms: int | None = None
    failed_ms: int | None = None
    cause: str | None = None
    attempts: int = 0

    @property
    def standing(self) -> str:
        """`waiting`, `running`, `done` or `failed`; what was imported since a run began makes a done day wait again.

        A day that its run has left, and that is not done, waits: for AEP's verdict, or for another run.
        """
        if self.done_ms is not None and (self.begun_ms or 0) >= self.imported_ms:
            return "done"
        if self.failed_ms is not None and self.failed_ms >= (self.begun_ms or 0):
            return "failed"
        at_work = self.begun_ms is not None and self.done_ms is None and self.run_id is not None
        return "running" if at_work else "waiting"


class HistoryDays:
    """The register of days of history."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def imported(self, events: Iterable[tuple[str, int]]) -> None:
        """Note that an import added to days: day and number of its events now, of all files together."""
        now_ms = self._now_ms()
        for some in in_parts(events, 500):
            with self._state.begin() as connection:
                note_imported(self._state, connection, some, now_ms)

    def begin(self, day: str, run_id: str) -> None:
        """Note that a run works on a day from its first stage on; a day that holds no history is left alone."""
        t = history_days.c
        self._change(day, begun_ms=self._now_ms(), run_id=run_id, done_ms=None, attempts=t.attempts + 1)

    def go_on(self, day: str, run_id: str) -> None:
        """Note that a run goes on with a day that another has begun, and has left, failed on or died with."""
        t = history_days.c
        others = sa.and_(t.day == day, t.begun_ms.is_not(None), t.done_ms.is_(None), t.run_id.is_distinct_from(run_id))
        with self._state.begin() as connection:
            going = sa.update(history_days).where(others)
            connection.execute(going.values(run_id=run_id, failed_ms=None, cause=None))

    def leave(self, day: str, run_id: str) -> None:
        """Note that a run has done what it can for a day."""
        t = history_days.c
        with self._state.begin() as connection:
            mine = sa.update(history_days).where(t.day == day, t.run_id == run_id)
            connection.execute(mine.values(run_id=None))

    def finish(self, day: str) -> None:
        """Note that every entity of a day has its outcome."""
        self._change(day, done_ms=self._now_ms(), failed_ms=None, cause=None)

    def fail(self, day: str, cause: str) -> None:
        """Note why a run did not come through with a day."""
        self._change(day, failed_ms=self._now_ms(), cause=cause)

    def let_go(self, run_ids: Iterable[str]) -> None:
        """Have the days wait again that these runs began and will not come through with: they were cancelled, or died."""
        t = history_days.c
        for some in in_parts(run_ids, 500):
            mine = sa.and_(t.run_id.in_(some), t.done_ms.is_(None), t.failed_ms.is_(None) | (t.failed_ms < t.begun_ms))
            with self._state.begin() as connection:
                connection.execute(sa.update(history_days).where(mine).values(run_id=None))

    def find(self, day: str) -> HistoryDay | None:
        """A day, if it holds history."""
        return next(iter(self.all(day)), None)

    def all(self, day: str | None = None) -> list[HistoryDay]:
        """Every day that holds history, in order; or one."""
        query = sa.select(history_days).order_by(history_days.c.day)
        if day is not None:
            query = query.where(history_days.c.day == day)
        with self._state.read() as connection:
            return [HistoryDay(**row) for row in connection.execute(query).mappings()]

    def _change(self, day: str, **values: Any) -> None:
        with self._state.begin() as connection:
            connection.execute(sa.update(history_days).where(history_days.c.day == day).values(**values))

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def note_imported(state: State, connection: sa.Connection, events: list[tuple[str, int]], now_ms: int) -> None:
    """Note in a transaction that an import added to days: day and number of its events now, of all files together."""
    if not events:
        return
    insert = state.insert(history_days)
    noted = insert.on_conflict_do_update(
        index_elements=["day"], set_={"imported_ms": insert.excluded.imported_ms, "events": insert.excluded.events}
    )
    connection.execute(noted, [{"day": day, "imported_ms": now_ms, "events": number} for day, number in events])
