"""Batches: what was created at AEP through batch ingestion, how far each got, and which failed ones have been read.

Belongs here: what lets a batch that died half-way be taken up again instead of made twice, and a failed batch be read
once. Does not belong here: the entities of its files (`receipts.py`, under the batch's own id) and speaking to AEP
(`adobe`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

batches = sa.Table(
    "batches",
    metadata,
    # Ours, chosen before AEP is asked, so that a batch whose creation was not answered can be found again.
    sa.Column("external_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("aep_id", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("completed_ms", sa.BigInteger),
    sa.Column("judged_ms", sa.BigInteger),
    sa.Column("status", sa.Text, nullable=False),
)

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
    """A batch of ours: open until `judged_ms`; its data is complete at AEP from `completed_ms` on."""

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

    def open(self, day: str | None = None) -> list[SentBatch]:
        """Batches without a verdict, of one day or of all, oldest first."""
        query = sa.select(batches).where(batches.c.judged_ms.is_(None))
        if day is not None:
            query = query.where(batches.c.day == day)
        with self._state.read() as connection:
            rows = connection.execute(query.order_by(batches.c.created_ms, batches.c.external_id)).mappings()
            return [SentBatch(**row) for row in rows]

    def ended_as(self, day: str, status: str, since_ms: int) -> int:
        """How many batches of a day were judged with this status at or after a moment."""
        query = sa.select(sa.func.count()).where(
            batches.c.day == day, batches.c.status == status, batches.c.judged_ms >= since_ms
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


class ReadBatches:
    """Failed batches of AEP whose records have been read."""

    def __init__(self, state: State) -> None:
        self._state = state

    def known(self, since_ms: int) -> set[str]:
        """Ids of those read, of all that AEP created at or after a moment."""
        query = sa.select(read_batches.c.aep_id).where(read_batches.c.created_ms >= since_ms)
        with self._state.read() as connection:
            return set(connection.scalars(query))

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
