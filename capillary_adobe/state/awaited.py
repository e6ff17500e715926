"""Awaited look-ups: which micro-batches hold events back until a look-up is answered, and when they are asked for again.

Belongs here: the note of a held micro-batch, and letting it go. Does not belong here: the look-ups themselves
(`state.lookups`), asking for micro-batches (`microbatching.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.state.database import State, metadata, microbatches
from capillary_adobe.state.lookups import AT_ONCE, Wanted, any_of, lookups, one_writer
from capillary_adobe.state.microbatches import whole_day_id

awaited = sa.Table(
    "awaited_lookups",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    # Whom it is about, for the erasure of a customer.
    sa.Column("customer_id", sa.BigInteger, nullable=False),
    sa.Column("answered", sa.Boolean, nullable=False),
    # When the event goes with what is known.
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("awaited_lookups_by_key", awaited.c.kind, awaited.c.org_id, awaited.c.key)


class Awaited:
    """The register of what micro-batches wait for; `batch_id` is that of the register of micro-batches."""

    def __init__(self, state: State) -> None:
        self._state = state

    def note(self, day: str, batch_id: str | None, waits: Iterable[tuple[Wanted, int]]) -> None:
        """Write down anew what a micro-batch waits for, each with the moment (epoch ms) at which it waits no longer.

        Without a micro-batch it is the whole day, whose micro-batches then wait for nothing. What is no longer in the queue
        was answered while the events were made, too late for them: it counts as answered, so that they are made again.
        """
        own = batch_id or whole_day_id(day)
        replaced = awaited.c.batch_id == own
        if batch_id is None:
            of_day = sa.select(microbatches.c.batch_id).where(microbatches.c.day == day)
            replaced = sa.or_(replaced, awaited.c.batch_id.in_(of_day))
        until: dict[Wanted, int] = {}
        for wanted, until_ms in waits:
            until[wanted] = min(until_ms, until.get(wanted, until_ms))
        with one_writer(self._state) as connection:
            connection.execute(sa.delete(awaited).where(replaced))
            for part in in_parts(sorted(until.items()), AT_ONCE):
                rows = [
                    {
                        "batch_id": own,
                        "kind": one.kind,
                        "org_id": one.org_id,
                        "key": one.key,
                        "customer_id": one.customer_id,
                        "answered": False,
                        "until_ms": until_ms,
                    }
                    for one, until_ms in part
                ]
                connection.execute(self._state.insert(awaited), rows)
            # Left as unanswered, it would hold its events until their time is up, since no answer will come any more.
            c, queued = awaited.c, lookups.c
            same = sa.and_(queued.kind == c.kind, queued.org_id == c.org_id, queued.key == c.key)
            answered = ~sa.exists().where(same)
            connection.execute(sa.update(awaited).where(c.batch_id == own, answered).values(answered=True))

    def answered(self, wanted: Sequence[Wanted], now_ms: int) -> None:
        """Take what has been answered, or will never be, out of the queue, and let go what has waited for it.

        Both at once: between the two somebody might note that it waits for a look-up that nobody will make.
        """
        for waiting, queued in zip(any_of(awaited, wanted), any_of(lookups, wanted), strict=True):
            with one_writer(self._state) as connection:
                connection.execute(sa.update(awaited).where(waiting).values(answered=True))
                connection.execute(sa.delete(lookups).where(queued))
        self.let_go(now_ms)

    def let_go(self, now_ms: int) -> None:
        """Have those micro-batches asked for again of whose look-ups half are answered.

        Halves, and not each answer: so a large micro-batch is made a dozen times at most while its answers come in.
        """
        m, c = microbatches.c, awaited.c
        waiting = sa.select(m.batch_id).where(m.done_ms.is_(None), m.not_before_ms > now_ms)
        ready = (
            sa.select(c.batch_id)
            .where(c.batch_id.in_(waiting))
            .group_by(c.batch_id)
            .having(sa.func.count().filter(c.answered.is_(True)) * 2 >= sa.func.count())
        )
        with one_writer(self._state) as connection:
            connection.execute(
                sa.update(microbatches)
                .where(m.batch_id.in_(ready), m.not_before_ms > now_ms)
                .values(not_before_ms=now_ms)
            )

    def until(self, day: str, batch_id: str | None) -> int | None:
        """When the first event of a micro-batch, or of the whole day, goes with what is known; None if nothing is awaited."""
        own = batch_id or whole_day_id(day)
        query = sa.select(sa.func.min(awaited.c.until_ms)).where(awaited.c.batch_id == own)
        with self._state.read() as connection:
            return connection.scalar(query)
