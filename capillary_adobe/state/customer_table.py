"""The table of customers, and how rows of many customers are named in one statement.

Belongs here: columns, indexes, conditions over keys. Does not belong here: what is written (`customer_merge.py`) and what
is asked (`customers.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state.database import State, metadata

CUSTOMERS_AT_ONCE: Final = 2000
"""Customers of one statement and of one transaction: what a merge holds in memory, and how long another writer waits."""

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    # As `profiles.document.packed` writes it. Not compressed, so that what was erased can be shown to be gone.
    sa.Column("document", sa.LargeBinary, nullable=False),
    # Grows by one whenever what a profile is made of has changed; a profile of revision n is never sent after one of n + 1.
    sa.Column("revision", sa.BigInteger, nullable=False),
    # The last revision that AEP has acknowledged or refused, or of which no valid profile could be made.
    sa.Column("settled_revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("settled_ms", sa.BigInteger, nullable=False, server_default="0"),
    # The revision since which an identity is held back, or the customer's no longer: an older record might tell it, and is
    # not sent any more.
    sa.Column("guarded_revision", sa.BigInteger, nullable=False, server_default="0"),
    # Since when a profile waits to be sent, epoch ms; without meaning while none does.
    sa.Column("due_ms", sa.BigInteger, nullable=False, server_default="0"),
    # When Capillary was last asked about the customer, epoch ms.
    sa.Column("looked_up_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("merged_into", sa.BigInteger),
    sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
)
# A table with rowid, unlike the small ones: SQLite would spill documents above 1 KB into pages of their own.
is_due = customers.c.revision > customers.c.settled_revision
sa.Index(
    "customers_due",
    customers.c.due_ms,
    customers.c.org_id,
    customers.c.customer_id,
    sqlite_where=is_due,
    postgresql_where=is_due,
)
is_merged = customers.c.merged_into.is_not(None)
sa.Index(
    "customers_merged",
    customers.c.org_id,
    customers.c.merged_into,
    sqlite_where=is_merged,
    postgresql_where=is_merged,
)
# Not the bare column: SQLite would not know the condition of the index again, and read every document.
is_deleted = customers.c.deleted.is_(True)
sa.Index(
    "customers_deleted",
    customers.c.org_id,
    customers.c.customer_id,
    sqlite_where=is_deleted,
    postgresql_where=is_deleted,
)


def slices(keys: Iterable[CustomerKey], size: int = CUSTOMERS_AT_ONCE) -> Iterator[tuple[int, list[int]]]:
    """The customers in order, each once, as (org_id, at most `size` customer ids)."""
    by_organisation: dict[int, set[int]] = {}
    for key in keys:
        by_organisation.setdefault(key.org_id, set()).add(key.customer_id)
    for org_id, ids in sorted(by_organisation.items()):
        ordered = sorted(ids)
        for start in range(0, len(ordered), size):
            yield org_id, ordered[start : start + size]


def among(state: State, column: sa.ColumnElement[int], values: list[int]) -> sa.ColumnElement[bool]:
    """Whether a column is one of the values: one parameter for all; one each costs 20 µs, and SQLite takes 32,766."""
    if state.is_sqlite:
        listed = sa.func.json_each(orjson.dumps(values).decode()).table_valued("value")
        return column.in_(sa.select(listed.c.value))
    return column == sa.any_(sa.bindparam(None, values, ARRAY(sa.BigInteger), unique=True))


def these(state: State, table: sa.Table, org_id: int, ids: list[int]) -> sa.ColumnElement[bool]:
    """Whether a row of a table with `org_id` and `customer_id` is of one of these customers."""
    return sa.and_(table.c.org_id == org_id, among(state, table.c.customer_id, ids))


def hold_writers(state: State, connection: sa.Connection) -> None:
    """Let one transaction at a time write customers until it ends; reading what it is about to replace needs no locks."""
    state.take_turn(connection, "customers")


def insert_rows(
    state: State,
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    rows: list[tuple[Any, ...]],
    end: str,
) -> None:
    """Insert rows, values in the order of `names`, with `end` (ON CONFLICT …) behind the statement.

    Past SQLAlchemy's own way, which costs twice the time with SQLite and a statement for each row with PostgreSQL.
    """
    if not rows:
        return
    listed = ", ".join(names)
    if state.is_sqlite:
        marks = ", ".join("?" for _ in names)
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({listed}) VALUES ({marks}) {end}", rows)
        return
    arrays = ", ".join(f"%s::{table.c[name].type.compile(connection.dialect)}[]" for name in names)
    statement = f"INSERT INTO {table.name} ({listed}) SELECT * FROM unnest({arrays}) {end}"
    connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))
