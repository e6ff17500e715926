"""Merging facts into the stored documents, one chunk of customers at a time.

Belongs here: what one transaction writes when facts become known. Does not belong here: the rule that the newest value
wins (`profiles.document`), which identities customers share (`identity_uses.py`).

A chunk is read and merged before its transaction, while others may write, and read again within it: what has not changed
meanwhile needs no second merge, so the lock is held for the writing alone. A kill between two chunks is harmless, since
the same facts may be merged again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from capillary_adobe.profiles.document import (
    DELETED,
    MERGED_INTO,
    CustomerKey,
    Document,
    Facts,
    Register,
    advanced,
    merged,
    unpacked,
    written,
)
from capillary_adobe.profiles.identities import Identity, identities_of
from capillary_adobe.state.customer_table import customers, hold_writers, insert_rows, is_due, slices, these
from capillary_adobe.state.database import State
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.state.loyalty_history import LoyaltyHistory

_NOTHING: Final = b"[]"
_WRITTEN: Final = ("org_id", "customer_id", "document", "revision", "due_ms", "merged_into", "deleted")
# Who waits already keeps the place.
_REPLACED: Final = """
ON CONFLICT (org_id, customer_id) DO UPDATE SET document = excluded.document, revision = excluded.revision,
    merged_into = excluded.merged_into, deleted = excluded.deleted,
    due_ms = CASE WHEN customers.revision > customers.settled_revision THEN customers.due_ms ELSE excluded.due_ms END
"""
_OF_IDENTITY: Final = ("email", "mobile", "external_id", MERGED_INTO, DELETED)
_OF_IDENTITIES: Final = ("card.", "withdrawn.")
# Writing values down to compare them is a tenth of a merge, and for these the same as comparing them.
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class Written(NamedTuple):
    """What a chunk has changed: documents of which a value changed, customers who are deleted according to its facts."""

    changed: int
    deleted: frozenset[CustomerKey]


class _Stored(NamedTuple):
    """A row as it was read; a customer who has none is as one with an empty document."""

    document: bytes = _NOTHING
    revision: int = 0
    merged_into: int | None = None
    deleted: bool = False


@dataclass(frozen=True)
class _Outcome:
    """What becomes of one customer; `before` is the text that it follows from."""

    before: bytes
    after: bytes
    changed: bool
    merged_into: int | None
    deleted: bool
    had: frozenset[Identity] | None = None
    has: frozenset[Identity] | None = None


class CustomerMerge:
    """Writes chunks of facts."""

    def __init__(self, state: State, uses: IdentityUses) -> None:
        self._state = state
        self._uses = uses
        self._history = LoyaltyHistory(state)

    def write(self, facts: Collection[Facts], now_ms: int) -> Written:
        """Merge facts of at most a few thousand customers in one transaction.

        Raises:
            StateError: the database cannot be written.
        """
        news = _by_customer(facts)
        with self._state.read() as connection:
            stored = self._stored(connection, news)
        outcomes = {key: _outcome(key, stored.get(key, _Stored()), new) for key, new in news.items()}
        with self._state.begin() as connection:
            hold_writers(self._state, connection)
            stored = self._stored(connection, news)
            for key, new in news.items():
                now = stored.get(key, _Stored())
                if now.document != outcomes[key].before:
                    outcomes[key] = _outcome(key, now, new)
            self._put(connection, outcomes, stored, now_ms)
            self._history.note(connection, (one for one in facts if not outcomes[one.key].deleted))
            self._history.forget(connection, [key for key, found in outcomes.items() if found.deleted])
            self._flip(connection, outcomes, now_ms)
        return Written(
            sum(found.changed for found in outcomes.values()),
            frozenset(key for key, new in news.items() if DELETED in new),
        )

    def _stored(self, connection: sa.Connection, keys: Iterable[CustomerKey]) -> dict[CustomerKey, _Stored]:
        found: dict[CustomerKey, _Stored] = {}
        c = customers.c
        for org_id, ids in slices(keys):
            query = sa.select(c.customer_id, c.document, c.revision, c.merged_into, c.deleted)
            for row in connection.execute(query.where(these(self._state, customers, org_id, ids))).all():
                found[CustomerKey(org_id, row[0])] = _Stored(bytes(row[1]), *row[2:])
        return found

    def _put(
        self,
        connection: sa.Connection,
        outcomes: Mapping[CustomerKey, _Outcome],
        stored: Mapping[CustomerKey, _Stored],
        now_ms: int,
    ) -> None:
        rows: list[tuple[Any, ...]] = []
        for key, found in sorted(outcomes.items(), key=lambda item: item[0]):
            if found.before == found.after and key in stored:
                continue
            revision = stored.get(key, _Stored()).revision + found.changed
            rows.append((*key, found.after, revision, now_ms, found.merged_into, found.deleted))
        insert_rows(self._state, connection, customers, _WRITTEN, rows, _REPLACED)

    def _flip(self, connection: sa.Connection, outcomes: Mapping[CustomerKey, _Outcome], now_ms: int) -> None:
        """Tell the guard which identities came and went, and have those it decides anew about rendered again."""
        changes = [
            (key, found.had, found.has)
            for key, found in outcomes.items()
            if found.had is not None and found.has is not None and found.had != found.has
        ]
        # A merged or deleted customer has no identities; what it had before is the survivor's, or nobody's.
        ended = [
            key
            for key, found in outcomes.items()
            if found.had is not None and (found.merged_into is not None or found.deleted)
        ]
        if not changes and not ended:
            return
        flipped = self._uses.change(connection, changes, self._ends(connection, ended))
        ask_again(self._state, connection, [key for key in flipped if not _is_changed(outcomes.get(key))], now_ms)
        self._guard(connection, flipped.union(key for key, had, has in changes if had - has))

    def _guard(self, connection: sa.Connection, keys: Collection[CustomerKey]) -> None:
        """Let no record leave any more that was made before the guard decided, or of an identity that is gone."""
        for org_id, ids in slices(keys):
            mine = these(self._state, customers, org_id, ids)
            connection.execute(sa.update(customers).where(mine).values(guarded_revision=customers.c.revision))

    def _ends(self, connection: sa.Connection, ended: Collection[CustomerKey]) -> dict[CustomerKey, CustomerKey | None]:
        """Who each of these customers is now, chains of merges followed; None for one who was deleted.

        Of merges that lead in a circle it is whoever of them is met twice.
        """
        rows: dict[CustomerKey, _Stored] = {}
        ahead = set(ended)
        while ahead:
            found = self._stored(connection, ahead)
            rows |= found
            into = {
                CustomerKey(key.org_id, one.merged_into) for key, one in found.items() if one.merged_into is not None
            }
            ahead = into - rows.keys() - ahead
        return {key: _end(rows, key) for key in ended}


def ask_again(state: State, connection: sa.Connection, keys: Collection[CustomerKey], now_ms: int) -> int:
    """Have the customers' profiles made and sent once more, within the caller's transaction; returns how many."""
    asked = 0
    c = customers.c
    for org_id, ids in slices(keys):
        statement = (
            sa.update(customers)
            .where(these(state, customers, org_id, ids), c.revision > 0, ~c.deleted)
            .values(revision=c.revision + 1, due_ms=sa.case((is_due, c.due_ms), else_=now_ms))
        )
        asked += max(connection.execute(statement).rowcount, 0)
    return asked


def _end(rows: Mapping[CustomerKey, _Stored], key: CustomerKey) -> CustomerKey | None:
    seen: set[CustomerKey] = set()
    while (row := rows.get(key)) is not None and row.merged_into is not None and key not in seen:
        seen.add(key)
        key = CustomerKey(key.org_id, row.merged_into)
    return None if row is not None and row.deleted else key


def _is_changed(found: _Outcome | None) -> bool:
    return found is not None and found.changed


def _by_customer(facts: Iterable[Facts]) -> dict[CustomerKey, dict[str, Register]]:
    news: dict[CustomerKey, dict[str, Register]] = {}
    for one in facts:
        known = news.get(one.key)
        news[one.key] = one.document if known is None else merged(known, one.document)
    return news


def _outcome(key: CustomerKey, stored: _Stored, new: Document) -> _Outcome:
    text, before, after = advanced(stored.document, new)
    moved = before.keys() | after.keys()
    had = has = None
    if any(name in _OF_IDENTITY or name.startswith(_OF_IDENTITIES) for name in moved):
        had, has = identities_of(unpacked(stored.document)), identities_of(unpacked(text))
    return _Outcome(
        before=stored.document,
        after=text,
        # A newer stamp alone makes no new profile, unless it brings an identity back that had been withdrawn.
        changed=had != has or any(_differ(before.get(name), after.get(name)) for name in moved),
        merged_into=_target(key, after.get(MERGED_INTO)) if MERGED_INTO in moved else stored.merged_into,
        deleted=stored.deleted or DELETED in after,
        had=had,
        has=has,
    )


def _target(key: CustomerKey, merge: Register | None) -> int | None:
    """The survivor; who is said to be merged into themselves is not merged."""
    return merge.value if merge is not None and type(merge.value) is int and merge.value != key.customer_id else None


def _differ(before: Register | None, after: Register | None) -> bool:
    if before is None or after is None:
        return True
    one, other = before.value, after.value
    if type(one) is type(other) and type(one) in _PLAIN:
        return one != other
    return written(one) != written(other)
