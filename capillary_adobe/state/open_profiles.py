"""Open profiles: those on their way to AEP without a final outcome. The ground of `never older`.

Belongs here: which revision of a customer has left before, and since when; which landing days have a row that a newer
profile makes superseded. Does not belong here: the customers' documents (`customers.py`), what AEP answered for each
record (`receipts.py`), sending (`adobe.profile_delivery`).

A row stands before its record leaves and goes when the record, or a newer one of the customer, is settled. So there are as
many rows as profiles without an outcome, and a process that is killed at any moment leaves behind what it may have sent.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state.customer_table import customers, slices
from capillary_adobe.state.database import State, metadata
from capillary_adobe.state.days_to_settle import days_to_settle

open_profiles = sa.Table(
    "open_profiles",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True),
    # The landing day whose table `xdm_profiles` has the record.
    sa.Column("day", sa.Text, primary_key=True),
    # When it left last, epoch ms; 0 for one that never left.
    sa.Column("sent_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("open_profiles_by_day", open_profiles.c.day)

_AT_ONCE = 400


class ProfileRow(NamedTuple):
    """A record of a customer's profile, by the revision of the document that it was made of."""

    key: CustomerKey
    revision: int

    @property
    def id(self) -> str:
        """Its id in the ledger."""
        return ledger_id(self.key, self.revision)


class Sending(NamedTuple):
    """A record that left for AEP and has no outcome yet."""

    revision: int
    day: str
    sent_ms: int


@dataclass(frozen=True)
class Standing:
    """How far AEP has come with a customer; `sendings` are those that may have reached it and are not settled."""

    settled_revision: int = 0
    settled_ms: int = 0
    sendings: tuple[Sending, ...] = ()
    guarded_revision: int = 0
    """A record of an older revision may tell an identity that is held back by now, or the customer's no longer."""
    erased: bool = True
    """Deleted at Capillary, or not known at all: nothing of the customer may leave."""

    @property
    def last_revision(self) -> int:
        """The newest revision that AEP may have; an older one must never follow it."""
        return max((self.settled_revision, *(one.revision for one in self.sendings)))

    @property
    def last_ms(self) -> int:
        """When a profile of the customer left last, epoch ms."""
        return max((self.settled_ms, *(one.sent_ms for one in self.sendings)))

    def supersedes(self, revision: int) -> bool:
        """Whether a record that has no outcome of its own is never to be sent."""
        oldest = max(self.settled_revision + 1, self.last_revision, self.guarded_revision)
        return self.erased or revision < oldest


NOBODY = Standing()


def ledger_id(key: CustomerKey, revision: int) -> str:
    """The id under which receipts and tables know a record: the same wherever and whenever it is made."""
    return sha256(f"{key.org_id}|{key.customer_id}|{revision}".encode()).hexdigest()


class OpenProfiles:
    """The register of open profiles; a method is one or more short transactions."""

    def __init__(self, state: State) -> None:
        self._state = state

    def standings(self, keys: Collection[CustomerKey]) -> dict[CustomerKey, Standing]:
        """How far AEP has come with each customer; none for one who is not known."""
        sent: defaultdict[CustomerKey, list[Sending]] = defaultdict(list)
        found: dict[CustomerKey, Standing] = {}
        o, c = open_profiles.c, customers.c
        columns = (c.org_id, c.customer_id, c.settled_revision, c.settled_ms, c.guarded_revision, c.deleted)
        with self._state.read() as connection:
            for org_id, ids in slices(keys, _AT_ONCE):
                left = sa.select(o.org_id, o.customer_id, o.revision, o.day, o.sent_ms).where(
                    o.org_id == org_id, o.customer_id.in_(ids), o.sent_ms > 0
                )
                for org, customer, *sending in connection.execute(left):
                    sent[CustomerKey(org, customer)].append(Sending(*sending))
                query = sa.select(*columns).where(c.org_id == org_id, c.customer_id.in_(ids))
                for org, customer, revision, moment_ms, guarded, erased in connection.execute(query):
                    key = CustomerKey(org, customer)
                    found[key] = Standing(revision, moment_ms, tuple(sent.get(key, ())), guarded, erased)
        return found

    def keys_of(self, customer_ids: Collection[int]) -> dict[int, list[CustomerKey]]:
        """The customers who have these ids, in whatever organisation."""
        found: defaultdict[int, list[CustomerKey]] = defaultdict(list)
        c = customers.c
        with self._state.read() as connection:
            org_id = connection.execute(sa.select(sa.func.min(c.org_id))).scalar_one()
            while org_id is not None:
                for org, ids in slices((CustomerKey(org_id, one) for one in customer_ids), _AT_ONCE):
                    query = sa.select(c.customer_id).where(c.org_id == org, c.customer_id.in_(ids))
                    for one in connection.scalars(query):
                        found[one].append(CustomerKey(org, one))
                org_id = connection.execute(sa.select(sa.func.min(c.org_id)).where(c.org_id > org_id)).scalar_one()
        return found

    def of_day(self, day: str) -> list[ProfileRow]:
        """The records of a day that left and are not settled."""
        o = open_profiles.c
        query = sa.select(o.org_id, o.customer_id, o.revision).where(o.day == day, o.sent_ms > 0)
        with self._state.read() as connection:
            return [ProfileRow(CustomerKey(org, customer), n) for org, customer, n in connection.execute(query)]

    def leave(self, day: str, rows: Iterable[ProfileRow], now_ms: int) -> None:
        """Note records that are about to leave; when this returns the note outlives a power cut."""
        statement = self._state.insert(open_profiles)
        statement = statement.on_conflict_do_update(
            index_elements=list(open_profiles.primary_key), set_={"sent_ms": statement.excluded.sent_ms}
        )
        self._write(statement, day, rows, now_ms)

    def wait(self, day: str, rows: Iterable[ProfileRow]) -> None:
        """Note records of a day that stand in its table without an outcome.

        Whoever settles a newer one from now on marks the day; what was settled before, `standings` tells.
        """
        self._write(self._state.insert(open_profiles).on_conflict_do_nothing(), day, rows, 0)

    def _write(self, statement: Any, day: str, rows: Iterable[ProfileRow], sent_ms: int) -> None:
        noted_rows = sorted(set(rows))
        for some in in_parts(noted_rows, _AT_ONCE):
            with self._state.begin() as connection:
                self._state.take_turn(connection, open_profiles.name)
                connection.execute(statement, [_row(row, day, sent_ms) for row in some])

    def keep_only(self, day: str, rows: Collection[ProfileRow]) -> None:
        """Forget the records of a day that never left, but for these; the day's tables have no others without an outcome."""
        o = open_profiles.c
        query = sa.select(o.org_id, o.customer_id, o.revision).where(o.day == day, o.sent_ms == 0)
        kept = set(rows)
        with self._state.begin() as connection:
            noted = [ProfileRow(CustomerKey(org, customer), n) for org, customer, n in connection.execute(query)]
            gone = [
                {"_org": row.key.org_id, "_customer": row.key.customer_id, "_revision": row.revision}
                for row in noted
                if row not in kept
            ]
            if gone:
                one = (
                    o.org_id == sa.bindparam("_org"),
                    o.customer_id == sa.bindparam("_customer"),
                    o.revision == sa.bindparam("_revision"),
                )
                connection.execute(sa.delete(open_profiles).where(*one, o.day == day, o.sent_ms == 0), gone)


def close_profiles(
    connection: sa.Connection, state: State, newest: Mapping[CustomerKey, int], by_day: str | None
) -> None:
    """Take back the notes on records that are settled now or superseded by it, in the transaction that settles them.

    The days that have another of these records are noted as behind their receipts, so that `aep_verdict` or their next run
    writes `superseded` there; not the record itself in the table of `by_day`, whose run is writing it.
    """
    # No note may come between the look at the notes and the commit of what settles them, as on SQLite none does.
    state.take_turn(connection, open_profiles.name)
    o = open_profiles.c
    behind: set[str] = set()
    gone: list[dict[str, Any]] = []
    for org_id, ids in slices(newest, _AT_ONCE):
        query = sa.select(o.org_id, o.customer_id, o.revision, o.day).where(o.org_id == org_id, o.customer_id.in_(ids))
        for org, customer, revision, day in connection.execute(query):
            reached = newest[CustomerKey(org, customer)]
            if revision <= reached:
                gone.append({"_org": org, "_customer": customer, "_revision": revision, "_day": day})
                if revision < reached or day != by_day:
                    behind.add(day)
    if gone:
        one = (
            o.org_id == sa.bindparam("_org"),
            o.customer_id == sa.bindparam("_customer"),
            o.revision == sa.bindparam("_revision"),
            o.day == sa.bindparam("_day"),
        )
        connection.execute(sa.delete(open_profiles).where(*one), gone)
    if behind:
        statement = state.insert(days_to_settle)
        statement = statement.on_conflict_do_update(
            index_elements=["day"], set_={"marked_ns": statement.excluded.marked_ns}
        )
        marked_ns = time.time_ns()
        connection.execute(statement, [{"day": day, "marked_ns": marked_ns} for day in sorted(behind)])


def _row(row: ProfileRow, day: str, sent_ms: int) -> dict[str, Any]:
    key = row.key
    return {
        "org_id": key.org_id,
        "customer_id": key.customer_id,
        "revision": row.revision,
        "day": day,
        "sent_ms": sent_ms,
    }
