"""Customers: their documents, merged so that the newest value wins, and who waits for a new profile.

Belongs here: keeping documents, what is asked about them, which revision is due and which is settled. Does not belong here:
the merge itself (`profiles.document`), what a transaction of it writes (`customer_merge.py`), rendering profiles (`xdm`).
"""

from __future__ import annotations

import gc
import heapq
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import MERGED_INTO, CustomerKey, Facts, Register, unpacked
from capillary_adobe.state.customer_merge import CustomerMerge, ask_again
from capillary_adobe.state.customer_read_ahead import ReadAhead
from capillary_adobe.state.customer_table import (
    CUSTOMERS_AT_ONCE,
    among,
    customers,
    hold_writers,
    insert_rows,
    is_due,
    is_merged,
    slices,
    these,
)
from capillary_adobe.state.database import State
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.state.open_profiles import close_profiles
from capillary_adobe.state.pace import CLOCK_SLACK_SECONDS

_READ_AHEAD: Final = 20_000
"""Facts that are sorted at once, so that neighbours share a transaction; about 2 KB of memory each."""
_CLOCK_SLACK_MS: Final = int(CLOCK_SLACK_SECONDS * 1000)


class Merged(NamedTuple):
    """What a merge did: facts read, documents of which a value changed, deleted customers.

    `deleted` are all whom these facts delete, also if they were deleted before: a run that is repeated tells again.
    """

    facts: int
    changed: int
    deleted: frozenset[CustomerKey]


class Due(NamedTuple):
    """A customer whose profile is to be made: the document as it was at the revision."""

    key: CustomerKey
    revision: int
    document: dict[str, Register]


class CustomerCounts(NamedTuple):
    """How many customers there are, and how many of them wait for a new profile."""

    customers: int
    due: int


class Customers:
    """The documents of all customers; safe to share between threads.

    `max_customers` is how many customers may share an identity (IDENTITY_MAX_CUSTOMERS). Each method raises StateError
    where the database cannot be reached or written.
    """

    def __init__(self, state: State, max_customers: int | None = None, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock
        uses = IdentityUses(state) if max_customers is None else IdentityUses(state, max_customers)
        self._merge = CustomerMerge(state, uses)
        self._read_ahead = ReadAhead(state)

    def merge(self, facts: Iterable[Facts]) -> Merged:
        """Merge facts into the documents, in transactions of some thousand customers each.

        They may come in any order, split in any way, more than once, and from several writers at once. Whoever is killed
        on the way merges the same facts again.
        """
        read = changed = 0
        deleted: set[CustomerKey] = set()
        for some in self._sorted_chunks(facts):
            with _no_search_for_cycles():
                written = self._merge.write(some, self._now_ms())
            read += len(some)
            changed += written.changed
            deleted |= written.deleted
        return Merged(read, changed, frozenset(deleted))

    def documents(self, keys: Iterable[CustomerKey]) -> dict[CustomerKey, dict[str, Register]]:
        """The documents of those customers who are known."""
        return {key: unpacked(row[0]) for key, row in self._rows(keys, customers.c.document)}

    def survivors(self, keys: Iterable[CustomerKey]) -> dict[CustomerKey, CustomerKey]:
        """Who each merged customer is now, chains followed to their end; customers who are not merged are absent.

        Where merges lead in a circle, the newest of them counts, and its target is nobody's victim.
        """
        wanted = set(keys)
        targets: dict[CustomerKey, CustomerKey] = {}
        ahead = set(wanted)
        while ahead:
            found = dict(self._merged_into(ahead))
            targets |= found
            ahead = set(found.values()) - targets.keys()
        self._open_circles(targets)
        return {key: _end(targets, key) for key in wanted if key in targets}

    def due_victims(self, keys: Iterable[CustomerKey]) -> dict[CustomerKey, CustomerKey]:
        """The customers merged into these, by one step, whose own profile is due, with their survivor."""
        c = customers.c
        found: dict[CustomerKey, CustomerKey] = {}
        for org_id, ids in slices(keys):
            of_these = sa.and_(c.org_id == org_id, is_merged, among(self._state, c.merged_into, ids))
            with self._state.read() as connection:
                rows = connection.execute(sa.select(c.customer_id, c.merged_into).where(of_these, is_due)).all()
            found |= {CustomerKey(org_id, row[0]): CustomerKey(org_id, row[1]) for row in rows}
        return found

    def organisations(self) -> list[int]:
        """The organisations whose customers are known, in order."""
        c = customers.c
        found: list[int] = []
        with self._state.read() as connection:
            # From one to the next by the key: all customers are many more.
            query = sa.select(sa.func.min(c.org_id))
            while (org_id := connection.execute(query).scalar_one()) is not None:
                found.append(org_id)
                query = sa.select(sa.func.min(c.org_id)).where(c.org_id > org_id)
        return found

    def deleted(self, keys: Iterable[CustomerKey]) -> set[CustomerKey]:
        """Those of the customers who were deleted: nothing may be kept of them any more."""
        return {key for key, _ in self._rows(keys, customers.c.deleted, customers.c.deleted)}

    def due(self, keys: Collection[CustomerKey] | None, limit: int, settled_before_ms: int) -> list[Due]:
        """At most `limit` customers, of these or of all, whose profile has changed since it was settled last.

        Those who have waited longest come first. Whose profile was settled after `settled_before_ms` waits.
        """
        c = customers.c
        # A moment to come is that of a clock that was set back since; nobody waits for it.
        settled_lately = c.settled_ms.between(int(settled_before_ms) + 1, self._now_ms() + _CLOCK_SLACK_MS)
        ready = sa.and_(is_due, ~settled_lately)
        if keys is None:
            query = (
                sa.select(c.due_ms, c.org_id, c.customer_id).where(ready).order_by(c.due_ms, c.org_id, c.customer_id)
            )
            with self._state.read() as connection:
                waiting = [(row[0], CustomerKey(row[1], row[2])) for row in connection.execute(query.limit(limit))]
        else:
            found = self._rows(keys, c.due_ms, ready)
            waiting = heapq.nsmallest(limit, ((row[0], key) for key, row in found))
        # Read again in whole rows: a revision must not be told with the document of another.
        rows = dict(self._rows((key for _, key in waiting), (c.revision, c.document), ready))
        return [Due(key, rows[key][0], unpacked(rows[key][1])) for _, key in waiting if key in rows]

    def settle(self, settled: Iterable[tuple[CustomerKey, int]], now_ms: int, by_day: str | None = None) -> None:
        """Note revisions as acknowledged, refused or not to be sent; what is settled only ever grows.

        Who has changed meanwhile waits again, behind all others. Days with an older record that is open yet are noted as to
        be written again, and other days than `by_day`, whose run settles, also for one of the same revision.
        """
        newest: dict[CustomerKey, int] = {}
        for key, revision in settled:
            newest[key] = max(revision, newest.get(key, 0))
        now = int(now_ms)
        for org_id, ids in slices(newest):
            rows = ", ".join(f"({one}, {int(newest[CustomerKey(org_id, one)])})" for one in ids)
            statement = f"""
                UPDATE customers SET settled_revision = new.column2, due_ms = {now},
                    settled_ms = CASE WHEN settled_ms BETWEEN {now} AND {now + _CLOCK_SLACK_MS} THEN settled_ms ELSE {now} END
                FROM (VALUES {rows}) AS new
                WHERE org_id = {org_id} AND customer_id = new.column1 AND settled_revision < new.column2
            """
            with self._writing() as connection:
                connection.exec_driver_sql(statement)
                mine = {CustomerKey(org_id, one): newest[CustomerKey(org_id, one)] for one in ids}
                close_profiles(connection, self._state, mine, by_day)

    def settled_revisions(self, keys: Iterable[CustomerKey]) -> dict[CustomerKey, int]:
        """The last settled revision of each customer who is known; 0 before the first."""
        return {key: row[0] for key, row in self._rows(keys, customers.c.settled_revision)}

    def send_again(self, keys: Collection[CustomerKey] | None) -> int:
        """Have the profiles of these customers, or of all, made and sent once more; returns how many."""
        asked = 0
        chunks = slices(keys) if keys is not None else self._everybody()
        for org_id, ids in chunks:
            with self._writing() as connection:
                some = [CustomerKey(org_id, one) for one in ids]
                asked += ask_again(self._state, connection, some, self._now_ms())
        return asked

    def note_looked_up(self, keys: Iterable[CustomerKey], at_ms: int) -> None:
        """Note when Capillary was asked about customers, also about those whom it does not know."""
        end = """
            ON CONFLICT (org_id, customer_id) DO UPDATE SET looked_up_ms = excluded.looked_up_ms
            WHERE customers.looked_up_ms < excluded.looked_up_ms
        """
        names = ("org_id", "customer_id", "document", "revision", "looked_up_ms")
        for org_id, ids in slices(keys):
            with self._writing() as connection:
                rows = [(org_id, one, b"[]", 0, at_ms) for one in ids]
                insert_rows(self._state, connection, customers, names, rows, end)

    def not_fresh(self, keys: Collection[CustomerKey], before_ms: int) -> list[CustomerKey]:
        """Customers who were not looked up since a moment, in the order given; never one who was deleted."""
        c = customers.c
        fresh = {key for key, _ in self._rows(keys, c.looked_up_ms, sa.or_(c.looked_up_ms >= before_ms, c.deleted))}
        return [key for key in dict.fromkeys(keys) if key not in fresh]

    def counts(self) -> CustomerCounts:
        """How many customers there are; reads indexes alone."""
        number = sa.select(sa.func.count()).select_from(customers)
        with self._state.read() as connection:
            return CustomerCounts(*(connection.scalar(one) or 0 for one in (number, number.where(is_due))))

    def are_due(self, at_least: int) -> bool:
        """Whether so many customers wait for a new profile, or more; reads an index alone."""
        some = sa.select(sa.literal(1)).select_from(customers).where(is_due).limit(at_least).subquery()
        with self._state.read() as connection:
            return (connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0) >= at_least

    def _rows(
        self,
        keys: Iterable[CustomerKey],
        columns: sa.Column[Any] | tuple[sa.Column[Any], ...],
        where: sa.ColumnElement[bool] | None = None,
    ) -> Iterator[tuple[CustomerKey, Any]]:
        """The columns of those of the customers that are known and match, ordered by key."""
        wanted = columns if isinstance(columns, tuple) else (columns,)
        for org_id, ids in slices(keys):
            query = sa.select(*wanted, customers.c.customer_id).where(these(self._state, customers, org_id, ids))
            with self._state.read() as connection:
                rows = connection.execute(query if where is None else query.where(where)).all()
            yield from ((CustomerKey(org_id, row.customer_id), row) for row in rows)

    def _merged_into(self, keys: Iterable[CustomerKey]) -> Iterator[tuple[CustomerKey, CustomerKey]]:
        for key, row in self._rows(keys, customers.c.merged_into, is_merged):
            yield key, CustomerKey(key.org_id, row[0])

    def _open_circles(self, targets: dict[CustomerKey, CustomerKey]) -> None:
        """Take the merge of the survivor out of each circle of merges: all but the newest lead to its target."""
        for circle in _circles(targets):
            merges = {key: document[MERGED_INTO] for key, document in self.documents(circle).items()}
            newest = max(circle, key=lambda key: (merges[key].stamp, key))
            del targets[targets[newest]]

    def _sorted_chunks(self, facts: Iterable[Facts]) -> Iterator[list[Facts]]:
        """The facts in pieces of CUSTOMERS_AT_ONCE, those of neighbours together as far as they come near each other."""
        for some in in_parts(facts, _READ_AHEAD):
            some.sort(key=lambda one: one.key)
            self._read_ahead.fetch(one.key for one in some)
            yield from in_parts(some, CUSTOMERS_AT_ONCE)

    def _everybody(self) -> Iterator[tuple[int, list[int]]]:
        c = customers.c
        after = (-(2**63), -(2**63))
        while True:
            follow = sa.tuple_(c.org_id, c.customer_id) > sa.tuple_(*after)
            query = sa.select(c.org_id, c.customer_id).where(follow).order_by(c.org_id, c.customer_id)
            with self._state.read() as connection:
                keys = [CustomerKey(*row) for row in connection.execute(query.limit(CUSTOMERS_AT_ONCE))]
            if not keys:
                return
            yield from slices(keys)
            after = keys[-1]

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._state.begin() as connection:
            hold_writers(self._state, connection)
            yield connection

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Without Python's search for cycles: documents have none, and it took a fifth of a large merge."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _end(targets: Mapping[CustomerKey, CustomerKey], key: CustomerKey) -> CustomerKey:
    while key in targets:
        key = targets[key]
    return key


def _circles(targets: Mapping[CustomerKey, CustomerKey]) -> Iterator[list[CustomerKey]]:
    """The circles that the arrows make; an arrow leads out of each key but once, so they do not touch."""
    done: set[CustomerKey] = set()
    for start in sorted(targets):
        path: dict[CustomerKey, None] = {}
        key = start
        while key in targets and key not in done and key not in path:
            path[key] = None
            key = targets[key]
        if key in path:
            steps = list(path)
            yield steps[steps.index(key) :]
        done |= path.keys()
