"""Loyalty history: what was said of customers' programs, points, tiers and status, kept by source time.

Belongs here: the state of a customer's loyalty as of a past moment, and forgetting what is too old. Does not belong here:
which moment an event may know (`capillary.enrichment`), the newest state (`customers.py`).

A row is what one fact said, so rows never contradict one another and come in any order, as often as they like. Of an event
that landed twice with different contents only the line that counts is ever merged, so whatever was merged last for a stamp
takes the place of what was there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

import orjson
import sqlalchemy as sa

from capillary_adobe.profiles.document import CustomerKey, Facts, Register, Stamp, merged
from capillary_adobe.state.customer_table import hold_writers, insert_rows, slices, these
from capillary_adobe.state.database import State, metadata

loyalty_history = sa.Table(
    "loyalty_history",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    # When it was true at its source, epoch microseconds.
    sa.Column("at_us", sa.BigInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("tie", sa.Text, primary_key=True),
    # JSON: values by field.
    sa.Column("fields", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

_FIELD: Final = re.compile(r"status|program\.[^.]+\.(?:name|is_default|points|lifetime_points|tier_number|tier_name)")
_REPLACED: Final = """
ON CONFLICT (org_id, customer_id, at_us, sequence, tie) DO UPDATE SET fields = excluded.fields
WHERE loyalty_history.fields <> excluded.fields
"""
_CUSTOMERS_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 10_000


class LoyaltyHistory:
    """The history of every customer."""

    def __init__(self, state: State) -> None:
        self._state = state

    def registers_as_of(self, moments: Sequence[tuple[CustomerKey, int]]) -> list[dict[str, Register]]:
        """What was known of each customer's loyalty at each moment (epoch microseconds), in the order of `moments`.

        For each field the newest value said at or before the moment; fields that nothing was said of are absent.
        """
        found: list[dict[str, Register]] = [{} for _ in moments]
        wanted: dict[CustomerKey, list[tuple[int, int]]] = {}
        for place, (key, at_us) in enumerate(moments):
            wanted.setdefault(key, []).append((at_us, place))
        with self._state.read() as connection:
            for org_id, ids in slices(wanted, _CUSTOMERS_AT_ONCE):
                last = max(at_us for some in ids for at_us, _ in wanted[CustomerKey(org_id, some)])
                for key, rows in self._rows(connection, org_id, ids, last):
                    for place, known in _states(rows, wanted[key]):
                        found[place] = known
        return found

    def _rows(
        self, connection: sa.Connection, org_id: int, ids: list[int], last: int
    ) -> Iterator[tuple[CustomerKey, Iterator[Any]]]:
        t = loyalty_history.c
        query = (
            sa.select(t.customer_id, t.at_us, t.sequence, t.tie, t.fields)
            .where(these(self._state, loyalty_history, org_id, ids), t.at_us <= last)
            .order_by(t.org_id, t.customer_id, t.at_us)
        )
        for customer_id, rows in groupby(connection.execute(query), key=lambda row: row[0]):
            yield CustomerKey(org_id, customer_id), rows

    def note(self, connection: sa.Connection, facts: Iterable[Facts]) -> None:
        """Keep what facts say of loyalty, within the caller's transaction."""
        rows = {row[:-1]: row for one in facts for row in _row(one)}
        names = [column.name for column in loyalty_history.columns]
        insert_rows(self._state, connection, loyalty_history, names, sorted(rows.values()), _REPLACED)

    def forget(self, connection: sa.Connection, keys: Collection[CustomerKey]) -> None:
        """Remove everything about customers, within the caller's transaction."""
        for org_id, ids in slices(keys):
            connection.execute(sa.delete(loyalty_history).where(these(self._state, loyalty_history, org_id, ids)))

    def prune(self, before_us: int) -> int:
        """Remove what was said before a moment and replaced before it, too; returns how many rows went.

        What was in force at the moment stays, so every later moment is answered as before.
        """
        removed = 0
        start: tuple[int, int] = (-(2**63), -(2**63))
        while True:
            old, nobody_follows = self._old_rows(start, before_us)
            removed += self._remove(list(_outdated(old)))
            if nobody_follows:
                return removed
            start = (old[-1].org_id, old[-1].customer_id)

    def _old_rows(self, after: tuple[int, int], before_us: int) -> tuple[list[Any], bool]:
        """Some whole customers' rows of before the moment, and whether they are the last."""
        t = loyalty_history.c
        follow = sa.or_(t.org_id > after[0], sa.and_(t.org_id == after[0], t.customer_id > after[1]))
        query = sa.select(loyalty_history).where(follow, t.at_us < before_us)
        ordered = query.order_by(t.org_id, t.customer_id, t.at_us)
        with self._state.read() as connection:
            rows = list(connection.execute(ordered.limit(_ROWS_AT_ONCE)))
            if len(rows) < _ROWS_AT_ONCE:
                return rows, True
            # The last customer may have more rows than these.
            last = sa.and_(t.org_id == rows[-1].org_id, t.customer_id == rows[-1].customer_id)
            whole = [row for row in rows if (row.org_id, row.customer_id) != (rows[-1].org_id, rows[-1].customer_id)]
            return whole + list(connection.execute(ordered.where(last))), False

    def _remove(self, rows: Sequence[Any]) -> int:
        if not rows:
            return 0
        t = loyalty_history.c
        names = ("org_id", "customer_id", "at_us", "sequence", "tie")
        statement = sa.delete(loyalty_history).where(*(t[name] == sa.bindparam(f"the_{name}") for name in names))
        with self._state.begin() as connection:
            hold_writers(self._state, connection)
            keys = [{f"the_{name}": getattr(row, name) for name in names} for row in rows]
            return max(connection.execute(statement, keys).rowcount, 0)


@lru_cache(maxsize=4096)
def _is_kept(field: str) -> bool:
    return _FIELD.fullmatch(field) is not None


def _row(facts: Facts) -> Iterator[tuple[Any, ...]]:
    fields = {name: value for name, value in facts.fields.items() if _is_kept(name)}
    if fields:
        yield *facts.key, *facts.stamp, orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def _said(row: Any) -> dict[str, Register]:
    stamp = Stamp(row.at_us, row.sequence, row.tie)
    return {name: Register(stamp, value) for name, value in orjson.loads(row.fields).items()}


def _states(rows: Iterable[Any], moments: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, Register]]]:
    """The state at each (moment, place), of one customer's rows in order of time."""
    known: dict[str, Register] = {}
    coming = iter(rows)
    row = next(coming, None)
    for at_us, place in sorted(moments):
        while row is not None and row.at_us <= at_us:
            known = merged(known, _said(row))
            row = next(coming, None)
        yield place, {name: register for name, register in known.items() if register.value is not None}


def _outdated(rows: Sequence[Any]) -> Iterator[Any]:
    """Rows, of those of whole customers, of which no field is the newest."""
    for _, of_one in groupby(rows, key=lambda row: (row.org_id, row.customer_id)):
        mine = list(of_one)
        newest: Mapping[str, Register] = {}
        for row in mine:
            newest = merged(newest, _said(row))
        in_force = {register.stamp for register in newest.values()}
        yield from (row for row in mine if Stamp(row.at_us, row.sequence, row.tie) not in in_force)
