"""Look-ups: what is to be asked of Capillary, when, and how often it was asked in vain.

Belongs here: the queue that every run shares, and leases, so that no two runs ask for the same. Does not belong here:
asking (`looking_up.py`), and what was answered (`state.customers`, `state.transaction_details`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple, cast

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state.database import State, metadata

LookupKind = Literal["customer", "transaction"]

LIVE: Final = 0
HISTORY: Final = 1
"""How urgent a look-up is: those for live events come first."""

FIRST_PAUSE_MS: Final = 30_000
LONGEST_PAUSE_MS: Final = 3_600_000
AT_ONCE: Final = 500
"""Look-ups in one statement: it has a bounded number of parameters, and a short transaction lets others in."""

lookups = sa.Table(
    "lookups",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    # The customer's id, or the type and the id of a transaction.
    sa.Column("key", sa.Text, primary_key=True),
    # Whom it is about, for the erasure of a customer.
    sa.Column("customer_id", sa.BigInteger, nullable=False),
    sa.Column("urgency", sa.SmallInteger, nullable=False),
    sa.Column("wanted_ms", sa.BigInteger, nullable=False),
    # Not before this moment: a pause after a failure, or the lease of the run that is asking.
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("lookups_due", lookups.c.urgency, lookups.c.due_ms)


class Wanted(NamedTuple):
    """A look-up by what it is about; `key` is the customer's id, or `<type>:<id>` of a transaction."""

    kind: LookupKind
    org_id: int
    key: str
    customer_id: int

    @property
    def customer(self) -> CustomerKey:
        """Whom it is about."""
        return CustomerKey(self.org_id, self.customer_id)

    @classmethod
    def of_customer(cls, key: CustomerKey) -> Wanted:
        """The look-up of a customer."""
        return cls("customer", key.org_id, str(key.customer_id), key.customer_id)

    @classmethod
    def of_transaction(cls, customer: CustomerKey, transaction_id: str, kind: str) -> Wanted:
        """The look-up of a transaction of the type `kind`, as Capillary spells types."""
        return cls("transaction", customer.org_id, f"{kind}:{transaction_id}", customer.customer_id)


class Lookup(NamedTuple):
    """A look-up that this run has to make, and how often it was made in vain."""

    wanted: Wanted
    attempts: int


class LookupCounts(NamedTuple):
    """How the queue stands; `due` may be asked now, `oldest_ms` tells since when the oldest has been wanted."""

    customers: int
    transactions: int
    due: int
    failing: int
    oldest_ms: int | None

    @property
    def waiting(self) -> int:
        """All of them."""
        return self.customers + self.transactions


class LookupQueue:
    """The queue; several runs may use it at once."""

    def __init__(self, state: State) -> None:
        self._state = state

    def want(self, wanted: Iterable[Wanted], urgency: int, now_ms: int) -> None:
        """Put look-ups in; one that is there already stays as it is, but for its urgency, which can only rise."""
        for part in in_parts(sorted(set(wanted)), AT_ONCE):
            rows = [
                {**one._asdict(), "urgency": urgency, "wanted_ms": now_ms, "due_ms": now_ms, "attempts": 0}
                for one in part
            ]
            # Rows beside the statement: written into it, they would cost twenty times as much.
            statement = self._state.insert(lookups)
            statement = statement.on_conflict_do_update(
                index_elements=["kind", "org_id", "key"],
                set_={"urgency": statement.excluded.urgency},
                where=lookups.c.urgency > statement.excluded.urgency,
            )
            with one_writer(self._state) as connection:
                connection.execute(statement, rows)

    def take(
        self, limit: int, now_ms: int, lease_ms: int, only: Collection[Wanted] | None = None, urgency: int = HISTORY
    ) -> list[Lookup]:
        """Up to `limit` look-ups that are due, the urgent and oldest first, for this run alone until the lease ends.

        Whoever takes them tells what came of each (`Awaited.answered`, `put_back`); of a run that died they come back by
        themselves. `only` restricts them to these, `urgency` to those at least as urgent.
        """
        c = lookups.c
        query = sa.select(lookups).where(c.due_ms <= now_ms, c.urgency <= urgency)
        queries = [query] if only is None else [query.where(these) for these in any_of(lookups, only)]
        with one_writer(self._state) as connection:
            found = [
                Lookup(Wanted(cast(LookupKind, row.kind), row.org_id, row.key, row.customer_id), row.attempts)
                for query in queries
                for row in connection.execute(query.order_by(c.urgency, c.due_ms).limit(limit))
            ][:limit]
            self._move(connection, [one.wanted for one in found], now_ms + lease_ms)
        return found

    def put_back(self, unanswered: Sequence[Lookup], now_ms: int, *, failed: bool) -> None:
        """Give back what has not been answered: after a failure for a pause that doubles, else at once."""
        by_attempts: dict[int, list[Wanted]] = {}
        for one in unanswered:
            by_attempts.setdefault(one.attempts, []).append(one.wanted)
        with one_writer(self._state) as connection:
            for attempts, wanted in by_attempts.items():
                due_ms = now_ms + pause_ms(attempts + 1) if failed else now_ms
                self._move(connection, wanted, due_ms, attempts + failed)

    def counts(self, now_ms: int) -> LookupCounts:
        """How the queue stands."""
        c = lookups.c
        query = sa.select(
            sa.func.count().filter(c.kind == "customer"),
            sa.func.count().filter(c.kind == "transaction"),
            sa.func.count().filter(c.due_ms <= now_ms),
            sa.func.count().filter(c.attempts > 0),
            sa.func.min(c.wanted_ms),
        )
        with self._state.read() as connection:
            return LookupCounts(*connection.execute(query).one())

    def any_due(self, now_ms: int) -> bool:
        """Whether there is anything to ask now; counting a queue of millions would take seconds."""
        # Each urgency named, or the index would not help.
        due = sa.and_(lookups.c.urgency.in_((LIVE, HISTORY)), lookups.c.due_ms <= now_ms)
        with self._state.read() as connection:
            return connection.execute(sa.select(lookups.c.key).where(due).limit(1)).first() is not None

    def waits(self, urgency: int, since_ms: int, now_ms: int) -> bool:
        """Whether a look-up of this urgency may be asked now and has been wanted since before a moment."""
        late = sa.and_(lookups.c.urgency == urgency, lookups.c.due_ms <= now_ms, lookups.c.wanted_ms < since_ms)
        with self._state.read() as connection:
            return connection.execute(sa.select(lookups.c.key).where(late).limit(1)).first() is not None

    def _move(
        self, connection: sa.Connection, wanted: Sequence[Wanted], due_ms: int, attempts: int | None = None
    ) -> None:
        values = {"due_ms": due_ms} | ({} if attempts is None else {"attempts": attempts})
        for these in any_of(lookups, wanted):
            connection.execute(sa.update(lookups).where(these).values(values))


@contextmanager
def one_writer(state: State) -> Iterator[sa.Connection]:
    """A transaction that changes many look-ups, or what waits for them: one after another.

    Two that took the same rows in different orders would wait for each other.
    """
    with state.begin() as connection:
        state.take_turn(connection, lookups.name)
        yield connection


def pause_ms(attempts: int) -> int:
    """How long a look-up rests after so many failures."""
    # The exponent is bounded: an outage of weeks would make it a number without end.
    return min(FIRST_PAUSE_MS * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_MS)


def any_of(table: sa.Table, wanted: Iterable[Wanted]) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions that name some hundred look-ups of a table each, by `kind`, if it has that, `org_id` and `key`.

    Of one kind and organisation each: for a list of whole keys SQLite would read every row.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    for one in wanted:
        groups.setdefault((one.kind, one.org_id), []).append(one.key)
    for (kind, org_id), keys in sorted(groups.items()):
        of_kind = [table.c.kind == kind] if "kind" in table.c else []
        for part in in_parts(keys, AT_ONCE):
            yield sa.and_(*of_kind, table.c.org_id == org_id, table.c.key.in_(part))
