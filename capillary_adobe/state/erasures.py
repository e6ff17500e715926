"""Erasures: the customers who were deleted at Capillary, and how far each has been erased here and asked for at AEP.

Belongs here: these facts, kept for good, since a replay or a late event must not bring a value back. Does not belong here:
what is personal (`profiles.erasure`), the rewriting of tables (`erasing.py`), talking to AEP (`adobe.hygiene`).
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state.customer_table import slices
from capillary_adobe.state.database import State, metadata

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    sa.Column("noted_ms", sa.BigInteger, nullable=False),
    # When the tables had nothing of the customer in a current row any more; null until then.
    sa.Column("redacted_ms", sa.BigInteger),
    # When the job found nothing of the customer in state and tables any more; null until then.
    sa.Column("erased_ms", sa.BigInteger),
    # The work order that names the customer to AEP; null until one is prepared.
    sa.Column("order_id", sa.Integer),
    sqlite_with_rowid=False,
)
sa.Index("erasures_by_order", erasures.c.order_id)
sa.Index("erasures_by_customer", erasures.c.customer_id)

erasure_orders = sa.Table(
    "erasure_orders",
    metadata,
    sa.Column("order_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("prepared_ms", sa.BigInteger, nullable=False),
    sa.Column("customers", sa.Integer, nullable=False),
    # Null until a person has approved the order and AEP has taken it.
    sa.Column("approved_ms", sa.BigInteger),
    sa.Column("aep_id", sa.Text),
    # AEP's own word, as last asked for.
    sa.Column("status", sa.Text),
    sa.Column("asked_ms", sa.BigInteger),
)

erasure_looks = sa.Table(
    "erasure_looks",
    metadata,
    # One row: when the last run that came to its end began.
    sa.Column("look_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("began_ms", sa.BigInteger, nullable=False),
)

ORDERS_LOCK = "erasure_orders"
"""Held while an order is prepared or posted, so that no customer is in two and none is posted twice."""

_KEYS_AT_ONCE = 400
"""Customers in one statement: SQLite takes 32,766 parameters, and its parser a nesting of 1,000."""


@dataclass(frozen=True)
class ErasureCounts:
    """How many customers were noted as deleted, are not erased yet, and are in no work order; the oldest of the former."""

    noted: int
    waiting: int
    without_order: int
    oldest_waiting_ms: int | None


@dataclass(frozen=True)
class WorkOrder:
    """A work order; without `approved_ms` it waits for a person."""

    order_id: int
    prepared_ms: int
    customers: int
    approved_ms: int | None
    aep_id: str | None
    status: str | None


class Erasures:
    """The register of deleted customers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def note(self, keys: Collection[CustomerKey], at_ms: int) -> int:
        """Note customers as deleted; those that are noted already stay as they are. Returns how many are new.

        Raises:
            StateError: the database cannot be written.
        """
        added = 0
        for some in in_parts(sorted(keys), _KEYS_AT_ONCE):
            rows = [{"org_id": key.org_id, "customer_id": key.customer_id, "noted_ms": at_ms} for key in some]
            statement = self._state.insert(erasures).values(rows).on_conflict_do_nothing()
            with self._state.begin() as connection:
                added += connection.execute(statement).rowcount
        return added

    def any(self) -> bool:
        """Whether a customer was ever noted."""
        with self._state.read() as connection:
            return connection.execute(sa.select(erasures.c.customer_id).limit(1)).first() is not None

    def among(self, keys: Collection[CustomerKey]) -> set[CustomerKey]:
        """Those of the customers who were noted."""
        found: set[CustomerKey] = set()
        if not keys:
            return found
        with self._state.read() as connection:
            for org_id, some in slices(keys, _KEYS_AT_ONCE):
                mine = sa.and_(erasures.c.org_id == org_id, erasures.c.customer_id.in_(some))
                query = sa.select(erasures.c.customer_id).where(mine)
                found.update(CustomerKey(org_id, known) for known in connection.execute(query).scalars())
        return found

    def with_ids(self, ids: Collection[int]) -> set[CustomerKey]:
        """Noted customers of any organisation who have one of these ids."""
        found: set[CustomerKey] = set()
        c = erasures.c
        with self._state.read() as connection:
            for some in in_parts(sorted(ids), _KEYS_AT_ONCE):
                query = sa.select(c.org_id, c.customer_id).where(c.customer_id.in_(some))
                found.update(CustomerKey(*row) for row in connection.execute(query))
        return found

    def waiting(self) -> list[CustomerKey]:
        """Customers who were noted and not erased yet."""
        return self._keys(erasures.c.erased_ms.is_(None))

    def all(self) -> list[CustomerKey]:
        """Every customer who was noted."""
        return self._keys(sa.true())

    def note_redacted(self, keys: Collection[CustomerKey], at_ms: int, *, again: bool) -> None:
        """Note that no current row of a table has anything of customers any more; `again` puts a later moment, too."""
        self._set(keys, sa.true() if again else erasures.c.redacted_ms.is_(None), redacted_ms=at_ms)

    def settle(self, redacted_by_ms: int, at_ms: int) -> int:
        """Note as erased whoever waits and was redacted by a moment, whose old files are gone; returns how many."""
        c = erasures.c
        ready = sa.and_(c.erased_ms.is_(None), c.redacted_ms <= redacted_by_ms)
        with self._state.begin() as connection:
            return connection.execute(sa.update(erasures).where(ready).values(erased_ms=at_ms)).rowcount

    def reopen(self, keys: Collection[CustomerKey]) -> None:
        """Let customers wait once more, since something of them has come back; their work order stays."""
        self._set(keys, sa.true(), erased_ms=None)

    def last_look_ms(self) -> int | None:
        """When the last run began that looked for all of them to the end."""
        with self._state.read() as connection:
            return connection.execute(sa.select(erasure_looks.c.began_ms)).scalar_one_or_none()

    def note_look(self, began_ms: int) -> None:
        """Note that a run came to its end."""
        insert = self._state.insert(erasure_looks).values(look_id=1, began_ms=began_ms)
        with self._state.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["look_id"], set_={"began_ms": began_ms}))

    def counts(self) -> ErasureCounts:
        """How many there are."""
        c = erasures.c
        waiting = sa.func.coalesce(sa.func.sum(sa.case((c.erased_ms.is_(None), 1), else_=0)), 0)
        unordered = sa.func.coalesce(sa.func.sum(sa.case((c.order_id.is_(None), 1), else_=0)), 0)
        oldest = sa.func.min(sa.case((c.erased_ms.is_(None), c.noted_ms)))
        with self._state.read() as connection:
            row = connection.execute(sa.select(sa.func.count(), waiting, unordered, oldest).select_from(erasures)).one()
        return ErasureCounts(int(row[0]), int(row[1]), int(row[2]), row[3])

    def prepare(self, most: int, at_ms: int) -> WorkOrder | None:
        """Put erased customers who are in no order yet into a new one, at most `most`; None where there are none.

        Customers of one order belong to one installation, so organisations of Capillary may be mixed.
        """
        c = erasures.c
        ready = sa.and_(c.order_id.is_(None), c.erased_ms.is_not(None))
        query = (
            sa.select(c.org_id, c.customer_id).where(ready).order_by(c.noted_ms, c.org_id, c.customer_id).limit(most)
        )
        with self._state.begin() as connection:
            keys = [CustomerKey(*row) for row in connection.execute(query)]
            if not keys:
                return None
            new = sa.insert(erasure_orders).values(prepared_ms=at_ms, customers=len(keys))
            order_id = connection.execute(new.returning(erasure_orders.c.order_id)).scalar_one()
            for org_id, some in slices(keys, _KEYS_AT_ONCE):
                mine = sa.and_(c.org_id == org_id, c.customer_id.in_(some))
                connection.execute(sa.update(erasures).where(mine).values(order_id=order_id))
        return WorkOrder(order_id, at_ms, len(keys), None, None, None)

    def orders(self) -> list[WorkOrder]:
        """Every work order, oldest first."""
        with self._state.read() as connection:
            return [_order(row) for row in connection.execute(sa.select(erasure_orders).order_by("order_id"))]

    def order(self, order_id: int) -> WorkOrder | None:
        """One work order."""
        with self._state.read() as connection:
            query = sa.select(erasure_orders).where(erasure_orders.c.order_id == order_id)
            row = connection.execute(query).one_or_none()
        return None if row is None else _order(row)

    def customers_of(self, order_id: int) -> list[CustomerKey]:
        """Customers of a work order."""
        return self._keys(erasures.c.order_id == order_id)

    def approve(self, order_id: int, aep_id: str, status: str, at_ms: int) -> None:
        """Note that AEP took a work order."""
        self._update_order(order_id, aep_id=aep_id, status=status, approved_ms=at_ms, asked_ms=at_ms)

    def note_status(self, order_id: int, status: str, at_ms: int) -> None:
        """Note what AEP says of a work order."""
        self._update_order(order_id, status=status, asked_ms=at_ms)

    def _update_order(self, order_id: int, **values: Any) -> None:
        with self._state.begin() as connection:
            connection.execute(sa.update(erasure_orders).where(erasure_orders.c.order_id == order_id).values(**values))

    def _keys(self, which: sa.ColumnElement[bool]) -> list[CustomerKey]:
        query = sa.select(erasures.c.org_id, erasures.c.customer_id).where(which).order_by("org_id", "customer_id")
        with self._state.read() as connection:
            return [CustomerKey(*row) for row in connection.execute(query)]

    def _set(self, keys: Collection[CustomerKey], which: sa.ColumnElement[bool], **values: Any) -> None:
        for org_id, some in slices(keys, _KEYS_AT_ONCE):
            mine = sa.and_(erasures.c.org_id == org_id, erasures.c.customer_id.in_(some), which)
            with self._state.begin() as connection:
                connection.execute(sa.update(erasures).where(mine).values(**values))


def now_ms() -> int:
    """The time, epoch ms."""
    return int(time.time() * 1000)


def _order(row: sa.Row[Any]) -> WorkOrder:
    return WorkOrder(row.order_id, row.prepared_ms, row.customers, row.approved_ms, row.aep_id, row.status)
