"""References: the organisation's stores, tills, programs and tiers, as Capillary and the events told them last.

Belongs here: the rows. What is no longer told stays: events of the past name it. Does not belong here: fetching them
(`capillary.api.organisation`, `reference_data.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from capillary_adobe.capillary.api.entities import Program, Store, Tier, Till
from capillary_adobe.state.database import State, metadata

Kind = Literal["stores", "tills", "programs"]

stores = sa.Table(
    "reference_stores",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("code", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("external_id", sa.Text),
    sa.Column("currency", sa.Text),
    sa.Column("city", sa.Text),
    sa.Column("active", sa.Boolean, nullable=False),
)

tills = sa.Table(
    "reference_tills",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("code", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("store_id", sa.BigInteger),
    sa.Column("active", sa.Boolean, nullable=False),
)

programs = sa.Table(
    "reference_programs",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text),
    sa.Column("is_default", sa.Boolean),
    sa.Column("points_to_currency", sa.Double),
    # When the name was true, epoch microseconds.
    sa.Column("at_us", sa.BigInteger, nullable=False),
)

tiers = sa.Table(
    "reference_tiers",
    metadata,
    sa.Column("program_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)

_TABLES: Final[dict[str, sa.Table]] = {"stores": stores, "tills": tills, "programs": programs, "tiers": tiers}


class Named(NamedTuple):
    """A program that an event named, as of the event's time (epoch microseconds)."""

    program_id: int
    name: str
    at_us: int


class References:
    """Stores, tills, programs and tiers; every method raises StateError where the database cannot be used."""

    def __init__(self, state: State) -> None:
        self._state = state

    def stores(self) -> list[Store]:
        """Every store, by its id."""
        return [Store(**row) for row in self._rows("stores")]

    def tills(self) -> list[Till]:
        """Every till, by its id."""
        return [Till(**row) for row in self._rows("tills")]

    def programs(self) -> list[Program]:
        """Every program with its tiers, by its id."""
        by_program: dict[int, list[Tier]] = {}
        for tier in self.tiers():
            by_program.setdefault(tier.program_id, []).append(tier)
        return [Program(**row, tiers=tuple(by_program.get(row["id"], ()))) for row in self._rows("programs")]

    def tiers(self) -> list[Tier]:
        """Every tier, by program and number; also of programs that are known by their tiers alone."""
        return [Tier(**row) for row in self._rows("tiers")]

    def keep_stores(self, found: Iterable[Store]) -> None:
        """Note the stores that Capillary shows."""
        self._keep("stores", [one._asdict() for one in found])

    def keep_tills(self, found: Iterable[Till]) -> None:
        """Note the tills that Capillary shows."""
        self._keep("tills", [one._asdict() for one in found])

    def keep_programs(self, found: Iterable[Program], at_us: int) -> None:
        """Note the programs and tiers that Capillary shows, asked for at a moment (epoch microseconds)."""
        listed = list(found)
        rows = [{name: value for name, value in one._asdict().items() if name != "tiers"} for one in listed]
        self._keep("programs", [row | {"at_us": at_us} for row in rows])
        self.merge_tiers((tier, at_us) for one in listed for tier in one.tiers)

    def merge_programs(self, named: Iterable[Named]) -> None:
        """Take in names of programs; the newest of several counts."""
        rows = [
            {"id": program_id, "name": name, "at_us": at_us}
            for (program_id,), name, at_us in _newest(((one.program_id,), one.name, one.at_us) for one in named)
        ]
        self._merge(programs, rows, ["id"])

    def merge_tiers(self, told: Iterable[tuple[Tier, int]]) -> None:
        """Take in names of tiers, each as of a moment (epoch microseconds); the newest of several counts."""
        keyed = (((tier.program_id, tier.number), tier.name, at_us) for tier, at_us in told)
        rows = [
            {"program_id": program_id, "number": number, "name": name, "at_us": at_us}
            for (program_id, number), name, at_us in _newest(keyed)
        ]
        self._merge(tiers, rows, ["program_id", "number"])

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        table = _TABLES[kind]
        columns = [column for column in table.columns if column.name != "at_us"]
        with self._state.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(*table.primary_key.columns)).mappings()
            return [dict(row) for row in rows]

    def _keep(self, kind: Kind, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        table = _TABLES[kind]
        new = self._state.insert(table)
        values = {column.name: new.excluded[column.name] for column in table.columns if not column.primary_key}
        upsert = new.on_conflict_do_update(index_elements=["id"], set_=values)
        with self._state.begin() as connection:
            # In one order, so that two writers never wait for one another.
            connection.execute(upsert, sorted(rows, key=lambda row: row["id"]))

    def _merge(self, table: sa.Table, rows: list[dict[str, Any]], key: list[str]) -> None:
        if not rows:
            return
        new = self._state.insert(table)
        # Of two names that were told for the same moment the greater one, so that the order in which they come is nothing.
        newer = sa.or_(
            new.excluded.at_us > table.c.at_us,
            sa.and_(new.excluded.at_us == table.c.at_us, new.excluded.name > sa.func.coalesce(table.c.name, "")),
        )
        values = {"name": new.excluded.name, "at_us": new.excluded.at_us}
        with self._state.begin() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=key, set_=values, where=newer), rows)


def _newest(told: Iterable[tuple[tuple[int, ...], str, int]]) -> list[tuple[tuple[int, ...], str, int]]:
    """The newest name of each key, in the order of the keys."""
    newest: dict[tuple[int, ...], tuple[int, str]] = {}
    for key, name, at_us in told:
        newest[key] = max(newest.get(key, (at_us, name)), (at_us, name))
    return [(key, name, at_us) for key, (at_us, name) in sorted(newest.items())]
