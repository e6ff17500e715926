"""Batches: what was created at AEP through batch ingestion, how far each got, and which failed ones have been read.

Belongs here: what lets a batch that died half-way be taken up again instead of made twice, and a failed batch be read
once. Does not belong here: the entities of its files (`receipts.py`, under the batch's own id) and speaking to AEP
(`adobe`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

batches = sa.Table(
    "batches",
    metadata,
    # Ours, chosen before AEP is asked, so that a batch whose creation was not answered can be found again.
    sa.Column("external_id", sa.Text, primary_key=True),
    # The day for which it was begun.
    sa.Column("day", sa.Text, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("aep_id", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("completed_ms", sa.BigInteger),
    sa.Column("judged_ms", sa.BigInteger),
    sa.Column("status", sa.Text, nullable=False),
)

# The other days that a batch holds files of.
batch_days = sa.Table(
    "batch_days",
    metadata,
    sa.Column("external_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
)
sa.Index("batch_days_by_day", batch_days.c.day)

read_batches = sa.Table(
    "read_batches",
    metadata,
    sa.Column("aep_id", sa.Text, primary_key=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("read_ms", sa.BigInteger, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("unmatched", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class SentBatch:
    """A batch of ours, begun for `day`: open until `judged_ms`; its data is complete at AEP from `completed_ms` on."""

    external_id: str
    day: str
    target: str
    created_ms: int
    aep_id: str | None = None
    completed_ms: int | None = None
    judged_ms: int | None = None
    status: str = ""


class SentBatches:
    """The register of our batches."""

    def __init__(self, state: State) -> None:
        self._state = state

    def begin(self, batch: SentBatch) -> None:
        """Note a batch before AEP is asked to create it."""
        with self._state.begin() as connection:
            connection.execute(sa.insert(batches).values(**batch.__dict__))

    def update(self, external_id: str, **values: Any) -> None:
        """Note what has become known: `aep_id`, `completed_ms`, `status`, `judged_ms`."""
        with self._state.begin() as connection:
            connection.execute(sa.update(batches).where(batches.c.external_id == external_id).values(**values))

    def join(self, batch: SentBatch, day: str) -> None:
        """Note that a batch is about to hold files of a day, too."""
        if day != batch.day:
            statement = self._state.insert(batch_days).values(external_id=batch.external_id, day=day)
            with self._state.begin() as connection:
                connection.execute(statement.on_conflict_do_nothing())

    def find(self, external_id: str) -> SentBatch | None:
        """A batch as it stands now."""
        query = sa.select(batches).where(batches.c.external_id == external_id)
        with self._state.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
            return SentBatch(**row) if row is not None else None

    def open(self, *days: str) -> list[SentBatch]:
        """Batches without a verdict that hold files of any of these days, or all of them, oldest first."""
        query = sa.select(batches).where(batches.c.judged_ms.is_(None))
        if days:
            query = query.where(_holds_of(days))
        with self._state.read() as connection:
            rows = connection.execute(query.order_by(batches.c.created_ms, batches.c.external_id)).mappings()
            return [SentBatch(**row) for row in rows]

    def unfinished(self, *days: str) -> list[SentBatch]:
        """Batches of any of these days that are not complete: AEP ingests nothing of them yet."""
        return [batch for batch in self.open(*days) if batch.completed_ms is None]

    def days_of(self, batch: SentBatch) -> list[str]:
        """The days of which a batch may hold files, in order."""
        query = sa.select(batch_days.c.day).where(batch_days.c.external_id == batch.external_id)
        with self._state.read() as connection:
            return sorted({batch.day, *connection.scalars(query)})

    def ended_as(self, day: str, status: str, since_ms: int) -> int:
        """How many batches with files of a day were judged with this status at or after a moment."""
        query = sa.select(sa.func.count()).where(
            _holds_of([day]), batches.c.status == status, batches.c.judged_ms >= since_ms
        )
        with self._state.read() as connection:
            return int(connection.execute(query).scalar_one())

    def aep_ids(self, since_ms: int) -> set[str]:
        """AEP's ids of the batches begun at or after a moment."""
        query = sa.select(batches.c.aep_id).where(batches.c.created_ms >= since_ms, batches.c.aep_id.is_not(None))
        with self._state.read() as connection:
            return set(connection.scalars(query))

    def created_since(self, moment_ms: int) -> int:
        """How many batches were begun at or after a moment."""
        query = sa.select(sa.func.count()).where(batches.c.created_ms >= moment_ms)
        with self._state.read() as connection:
            return int(connection.execute(query).scalar_one())


def _holds_of(days: Sequence[str]) -> sa.ColumnElement[bool]:
    joined = sa.select(batch_days.c.external_id).where(batch_days.c.day.in_(days))
    return sa.or_(batches.c.day.in_(days), batches.c.external_id.in_(joined))


class ReadCounts(NamedTuple):
    """Failed batches that were read: how many, their records, those that are none of ours, and when the last was, epoch ms."""

    batches: int
    records: int
    unmatched: int
    last_ms: int


class ReadBatches:
    """Failed batches of AEP whose records have been read."""

    def __init__(self, state: State) -> None:
        self._state = state

    def known(self, since_ms: int) -> set[str]:
        """Ids of those read, of all that AEP created at or after a moment."""
        query = sa.select(read_batches.c.aep_id).where(read_batches.c.created_ms >= since_ms)
        with self._state.read() as connection:
            return set(connection.scalars(query))

    def read_since(self, moment_ms: int) -> ReadCounts:
        """What was read at or after a moment (epoch ms)."""
        c = read_batches.c
        sums = [
            sa.func.coalesce(value, 0)
            for value in (sa.func.sum(c.records), sa.func.sum(c.unmatched), sa.func.max(c.read_ms))
        ]
        query = sa.select(sa.func.count(), *sums).where(c.read_ms >= moment_ms)
        with self._state.read() as connection:
            return ReadCounts(*(int(value) for value in connection.execute(query).one()))

    def note(self, aep_id: str, created_ms: int, records: int, unmatched: int) -> None:
        """Note that a batch was read: how many records it held, and how many of them are none of ours."""
        row = {
            "aep_id": aep_id,
            "created_ms": created_ms,
            "read_ms": time.time_ns() // 1_000_000,
            "records": records,
            "unmatched": unmatched,
        }
        statement = self._state.insert(read_batches).values(row)
        with self._state.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["aep_id"], set_=row))
