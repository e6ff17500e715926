"""Who has which identity: the collapse guard's memory, so that no identity joins several customers.

Belongs here: the uses of identities, how many customers share one, whose guard flipped when that changed. Does not belong
here: which identities a customer has (`profiles.identities`), leaving them out (`xdm.identities`).

An identity is known by its fingerprint alone. The tables follow the documents of the customers and are changed in the
transaction that changes those, so that what customers have equals a recount of the documents at any time.

AEP never parts what an identity has joined, nor forgets whose it was. So a customer who no longer has an identity that may
have been sent counts on, or the next one who gets it would become one person with the former. Once merged, the survivor
counts instead: AEP has made one person of the two. Who had it while it was held back or was erased counts no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.identities import KINDS, Identity, Kind, fingerprint
from capillary_adobe.state.database import State, metadata

identity_uses = sa.Table(
    "identity_uses",
    metadata,
    sa.Column("fingerprint", sa.LargeBinary(16), primary_key=True),
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    # HELD: the customer has it, and it was never free to be sent. LINKED: has it, and it may have been sent. FORMER: has it
    # no more, and it may have been sent.
    sa.Column("link", sa.SmallInteger, nullable=False, server_default="1"),
    sqlite_with_rowid=False,
)
HELD, LINKED, FORMER = 0, 1, 2
_is_former = identity_uses.c.link == sa.literal_column(str(FORMER))
sa.Index(
    "identity_uses_former",
    identity_uses.c.org_id,
    identity_uses.c.customer_id,
    sqlite_where=_is_former,
    postgresql_where=_is_former,
)
# Only what two customers and more have: few rows, so that the guard and its report need not count millions.
shared_identities = sa.Table(
    "shared_identities",
    metadata,
    sa.Column("fingerprint", sa.LargeBinary(16), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("customers", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

Change = tuple[CustomerKey, frozenset[Identity], frozenset[Identity]]
"""A customer, the identities that it had, and those that it has now."""

_NOBODY: Final[Mapping[CustomerKey, CustomerKey | None]] = {}

SPANS: Final = ((2, 2), (3, 5), (6, 10), (11, 100), (101, 1000), (1001, None))
"""Spans of the histogram: how many customers share an identity."""

# SQLite takes 32,766 parameters in a statement; three for each pair.
_AT_ONCE: Final = 2000


class FanIn(NamedTuple):
    """How many identities of a kind are shared, by span of customers, and by how many customers the worst is."""

    kind: Kind
    by_span: tuple[int, ...]
    worst: int
    held: int
    let_through: int


class IdentityUses:
    """The identities in use; safe to share between threads.

    `max_customers` is how many customers may share an identity before it is held back from all of them.
    """

    def __init__(self, state: State, max_customers: int = 1) -> None:
        self._state = state
        self._most = max_customers

    def change(
        self,
        connection: sa.Connection,
        changes: Iterable[Change],
        ended: Mapping[CustomerKey, CustomerKey | None] = _NOBODY,
    ) -> set[CustomerKey]:
        """Follow changed documents; the customers whose guard flipped: an identity of theirs became held, or free.

        `ended` are customers who are merged, each with the survivor, or deleted, with None, whether they had identities or
        not; nothing of them stays, and what of a merged one may have been sent counts for the survivor. Some of those who
        flipped may be in `changes` themselves. Which row was there before is looked up, so a change that is made again
        changes nothing. The caller keeps other writers of customers out (`customer_table.hold_writers`): two who each gave
        the same identity to one customer would both see it with one customer alone.
        """
        # Who is merged in a circle is nobody else's victim.
        ended = {key: survivor for key, survivor in ended.items() if survivor != key}
        added, removed = _differences(changes)
        if not added and not removed and not ended:
            return set()
        left = list(self._former(connection, ended))
        prints = sorted({use.fingerprint for use in [*added, *removed, *left]})
        before = dict(self._counts(connection, prints))
        heirs = [heir for use in [*removed, *left] if (heir := _heir(use, ended)) is not None]
        there = self._there(connection, [*added, *removed, *heirs], before)
        sent = {use for use in removed if self._may_be_sent(there.get(use, FORMER), before.get(use.fingerprint, 1))}
        inherited = {heir for use in [*sent, *left] if (heir := _heir(use, ended)) is not None}
        new = [use for use in added if use not in there]
        again = [use for use in added if there.get(use) == FORMER]
        former, gone = [], left
        for use in removed:
            if there.get(use, FORMER) != FORMER:
                (former if use in sent | inherited and use.key not in ended else gone).append(use)
        orphaned = sorted(inherited - there.keys() - set(new))
        counts = self._counted(before, there, [*new, *orphaned], gone)
        freed = [one for one in counts if before.get(one, 1) > self._most >= counts[one]]
        caught = [one for one in counts if before.get(one, 1) <= self._most < counts[one]]
        links = {use: LINKED if use in inherited or counts[use.fingerprint] <= self._most else HELD for use in new}
        self._write(connection, gone, links | dict.fromkeys(orphaned, FORMER))
        self._mark(connection, former, FORMER)
        self._mark(connection, again, LINKED)
        self._mark(connection, [use for use in sorted(inherited - set(removed)) if there.get(use) == HELD], LINKED)
        for some in in_parts(freed, _AT_ONCE):
            free = identity_uses.c.fingerprint.in_(some) & (identity_uses.c.link == HELD)
            connection.execute(sa.update(identity_uses).where(free).values(link=LINKED))
        changed = {use.fingerprint: use.kind for use in [*new, *orphaned, *gone]}
        self._write_shared(connection, changed, before, counts)
        users = self._uses(connection, [*freed, *caught])
        return {use.key for use, link in users if link != FORMER}

    def _may_be_sent(self, link: int, customers: int) -> bool:
        """Whether a use that ends may stand in AEP."""
        return link == LINKED or (link == HELD and customers <= self._most)

    def shared(self, identities: Iterable[Identity]) -> frozenset[Identity]:
        """Those of the identities that more customers have or had than may share one."""
        prints = {fingerprint(identity): identity for identity in identities}
        return frozenset(prints[one] for one in self.sharing(prints))

    def held(self, pairs: Iterable[tuple[CustomerKey, Identity]]) -> frozenset[tuple[CustomerKey, Identity]]:
        """Those of the pairs that may not go out: too many customers share it, or it is not known to be this customer's.

        For events: what one of them tells may be withdrawn or replaced by now, or somebody else's. What no document has
        was counted for nobody, so nobody could tell that several have it.
        """
        asked = {(fingerprint(identity), *key): (key, identity) for key, identity in pairs}
        prints = sorted({one[0] for one in asked})
        with self._state.read() as connection:
            many = {one for one, customers in self._counts(connection, prints) if customers > self._most}
            few = [one for one in prints if one not in many]
            users: dict[bytes, set[CustomerKey]] = defaultdict(set)
            for use, link in self._uses(connection, few):
                if link != FORMER:
                    users[use.fingerprint].add(use.key)
        return frozenset(pair for (one, *_), pair in asked.items() if one in many or pair[0] not in users.get(one, ()))

    def sharing(self, fingerprints: Iterable[bytes]) -> frozenset[bytes]:
        """Those of the fingerprints whose identity more customers have than may share one."""
        with self._state.read() as connection:
            found = self._counts(connection, sorted(fingerprints))
            return frozenset(one for one, customers in found if customers > self._most)

    def fan_in(self) -> list[FanIn]:
        """What is shared, for each kind of identity; no value is in it."""
        table = shared_identities.c
        asked = sa.select(table.kind, table.customers, sa.func.count()).group_by(table.kind, table.customers)
        found: dict[str, dict[int, int]] = defaultdict(dict)
        with self._state.read() as connection:
            for kind, customers, identities in connection.execute(asked):
                found[kind][customers] = identities
        return [self._fan_in(kind, found[kind]) for kind in KINDS]

    def _fan_in(self, kind: Kind, counts: dict[int, int]) -> FanIn:
        spans = tuple(
            sum(n for customers, n in counts.items() if low <= customers and (high is None or customers <= high))
            for low, high in SPANS
        )
        held = sum(n for customers, n in counts.items() if customers > self._most)
        return FanIn(kind, spans, max(counts, default=0), held, sum(counts.values()) - held)

    def _counts(self, connection: sa.Connection, prints: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
        """How many customers have it, for those that several have."""
        table = shared_identities.c
        for some in in_parts(prints, _AT_ONCE):
            asked = sa.select(table.fingerprint, table.customers).where(table.fingerprint.in_(some))
            yield from ((bytes(one), customers) for one, customers in connection.execute(asked))

    def _there(self, connection: sa.Connection, uses: Sequence[_Use], shared: Collection[bytes]) -> dict[_Use, int]:
        """Which uses there are of the unshared identities, and which of `uses` there are of the shared ones, with their link.

        A shared identity may have a million customers, who are not listed.
        """
        found = dict(self._uses(connection, sorted({one.fingerprint for one in uses if one.fingerprint not in shared})))
        table = identity_uses.c
        columns = (table.fingerprint, table.org_id, table.customer_id)
        wanted = [(one.fingerprint, *one.key) for one in uses if one.fingerprint in shared]
        for some in in_parts(wanted, _AT_ONCE):
            asked = sa.select(*columns, table.kind, table.link).where(sa.tuple_(*columns).in_(some))
            found.update(_uses_of(connection.execute(asked)))
        return found

    def _uses(self, connection: sa.Connection, prints: Sequence[bytes]) -> Iterator[tuple[_Use, int]]:
        for some in in_parts(prints, _AT_ONCE):
            yield from _uses_of(connection.execute(_ASKED.where(identity_uses.c.fingerprint.in_(some))))

    def _former(self, connection: sa.Connection, keys: Collection[CustomerKey]) -> Iterator[_Use]:
        """What the customers have no more and still count for."""
        columns = (identity_uses.c.org_id, identity_uses.c.customer_id)
        for some in in_parts(sorted(keys), _AT_ONCE):
            asked = _ASKED.where(_is_former, sa.tuple_(*columns).in_([tuple(key) for key in some]))
            yield from (use for use, _ in _uses_of(connection.execute(asked)))

    @staticmethod
    def _counted(
        before: dict[bytes, int], there: Iterable[_Use], new: Iterable[_Use], gone: Iterable[_Use]
    ) -> dict[bytes, int]:
        """How many customers count for each identity afterwards."""
        counts: dict[bytes, int] = defaultdict(int, before)
        # An identity that was not shared had one customer at most, and all of those are in `there` or go.
        for print_ in {use.fingerprint for use in [*there, *gone]} - before.keys():
            counts[print_] = 1
        for use in new:
            counts[use.fingerprint] += 1
        for use in gone:
            counts[use.fingerprint] -= 1
        return counts

    def _write(self, connection: sa.Connection, gone: Iterable[_Use], new: Mapping[_Use, int]) -> None:
        for some in in_parts(gone, _AT_ONCE):
            connection.execute(sa.delete(identity_uses).where(_IS_IT), [_it(use) for use in some])
        insert = self._state.insert(identity_uses)
        for some in in_parts(new.items(), _AT_ONCE):
            rows = [
                {
                    "fingerprint": use.fingerprint,
                    "org_id": use.key.org_id,
                    "customer_id": use.key.customer_id,
                    "kind": use.kind,
                    "link": link,
                }
                for use, link in some
            ]
            connection.execute(insert, rows)

    @staticmethod
    def _mark(connection: sa.Connection, uses: Iterable[_Use], link: int) -> None:
        for some in in_parts(uses, _AT_ONCE):
            connection.execute(sa.update(identity_uses).where(_IS_IT).values(link=link), [_it(use) for use in some])

    def _write_shared(
        self, connection: sa.Connection, kinds: dict[bytes, str], before: dict[bytes, int], counts: dict[bytes, int]
    ) -> None:
        shared = shared_identities.c
        upsert = self._state.insert(shared_identities)
        upsert = upsert.on_conflict_do_update(
            index_elements=[shared.fingerprint], set_={"customers": upsert.excluded.customers}
        )
        several = [
            {"fingerprint": one, "kind": kinds[one], "customers": counts[one]}
            for one in sorted(kinds)
            if counts[one] > 1 and counts[one] != before.get(one)
        ]
        for some in in_parts(several, _AT_ONCE):
            connection.execute(upsert, some)
        for some in in_parts(sorted(one for one in before if counts[one] < 2), _AT_ONCE):
            connection.execute(sa.delete(shared_identities).where(shared.fingerprint.in_(some)))


class _Use(NamedTuple):
    fingerprint: bytes
    key: CustomerKey
    kind: str


def _heir(use: _Use, ended: Mapping[CustomerKey, CustomerKey | None]) -> _Use | None:
    """The use as the survivor's; None unless its customer is merged."""
    survivor = ended.get(use.key)
    return None if survivor is None else use._replace(key=survivor)


_ASKED = sa.select(
    identity_uses.c.fingerprint,
    identity_uses.c.org_id,
    identity_uses.c.customer_id,
    identity_uses.c.kind,
    identity_uses.c.link,
)
_IS_IT = (
    (identity_uses.c.fingerprint == sa.bindparam("f"))
    & (identity_uses.c.org_id == sa.bindparam("o"))
    & (identity_uses.c.customer_id == sa.bindparam("c"))
)


def _it(use: _Use) -> dict[str, Any]:
    return {"f": use.fingerprint, "o": use.key.org_id, "c": use.key.customer_id}


def _uses_of(rows: Iterable[Any]) -> Iterator[tuple[_Use, int]]:
    for one, org_id, customer_id, kind, link in rows:
        yield _Use(bytes(one), CustomerKey(org_id, customer_id), kind), link


def _differences(changes: Iterable[Change]) -> tuple[list[_Use], list[_Use]]:
    """Uses that are new and uses that are gone, sorted; a customer who is named twice has what is said last."""
    first: dict[CustomerKey, frozenset[Identity]] = {}
    last: dict[CustomerKey, frozenset[Identity]] = {}
    for key, before, after in changes:
        first.setdefault(key, before)
        last[key] = after
    new = [(key, one) for key, after in last.items() for one in after - first[key]]
    gone = [(key, one) for key, before in first.items() for one in before - last[key]]
    return (
        sorted(_Use(fingerprint(one), key, one.kind) for key, one in new),
        sorted(_Use(fingerprint(one), key, one.kind) for key, one in gone),
    )
