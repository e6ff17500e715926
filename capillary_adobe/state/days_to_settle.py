"""Days whose tables are behind their receipts: AEP has decided something outside a run of the day.

Belongs here: the note that outlives a kill between reading a verdict and writing the tables. Does not belong here: writing
them (`outcomes.py`).
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

days_to_settle = sa.Table(
    "days_to_settle",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("marked_ns", sa.BigInteger, nullable=False),
)


class DaysToSettle:
    """The register of such days."""

    def __init__(self, state: State) -> None:
        self._state = state

    def mark(self, day: str) -> None:
        """Note that something of a day is about to be decided; before it is, so that no kill comes between."""
        marked_ns = time.time_ns()
        statement = self._state.insert(days_to_settle).values(day=day, marked_ns=marked_ns)
        with self._state.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["day"], set_={"marked_ns": marked_ns}))

    def settled(self, day: str, marked_ns: int) -> None:
        """Take the note of that moment back, once the day's tables are written; a later note stays."""
        t = days_to_settle.c
        with self._state.begin() as connection:
            connection.execute(sa.delete(days_to_settle).where(t.day == day, t.marked_ns == marked_ns))

    def all(self) -> dict[str, int]:
        """The days, in order, each with the moment of its note."""
        t = days_to_settle.c
        with self._state.read() as connection:
            return {row.day: row.marked_ns for row in connection.execute(sa.select(t.day, t.marked_ns).order_by(t.day))}
