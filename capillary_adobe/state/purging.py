"""Purging: what the state database holds of deleted customers beside their documents, and the pages it stood on.

Belongs here: finding and deleting rows by customer in whichever table has some, and having the database let go of old bytes.
Does not belong here: the documents (`customers.py`), who is deleted (`erasures.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from capillary_adobe.profiles.document import DELETED, CustomerKey, Facts, Stamp
from capillary_adobe.state.awaited import awaited
from capillary_adobe.state.customer_table import customers, is_deleted, is_merged, slices, these
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.database import State, StateError
from capillary_adobe.state.erasures import Erasures, erasures
from capillary_adobe.state.identity_uses import identity_uses
from capillary_adobe.state.lookups import lookups
from capillary_adobe.state.loyalty_history import loyalty_history
from capillary_adobe.state.transaction_details import transaction_details

# Others know a customer by the id alone: `customers` and `erasures`, which must go on, and `open_profiles`.
EMPTIED: Final = (awaited, identity_uses, lookups, loyalty_history, transaction_details)
"""The tables that hold something of a customer besides the document."""

_DEEPEST_CHAIN: Final = 10
_CHECKPOINT_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.2
_PATIENCE_MS: Final = 100


class Purging:
    """Empties the state of deleted customers; `max_customers` is how many may share an identity."""

    def __init__(self, state: State, max_customers: int = 1) -> None:
        self._state = state
        self._documents = Customers(state, max_customers)
        self._erasures = Erasures(state)

    def note_all(self, at_ms: int) -> int:
        """Note whoever is deleted and was not noted, and every account merged into one; returns how many are new.

        The first is what a run leaves that was killed between merging a deletion and noting it; Capillary itself deletes the
        second, up to ten merges deep.
        """
        added = self._erasures.note(self._unnoted(), at_ms)
        for _ in range(_DEEPEST_CHAIN):
            merged = self._merged_into_noted()
            if not merged:
                break
            self._bury(merged, at_ms)
            added += self._erasures.note(merged, at_ms)
        return added

    def purge(self, at_ms: int) -> int:
        """Delete what is known of customers noted by a moment, and leave a document that says so; returns how many rows went.

        Raises:
            StateError: the database cannot be written.
        """
        self._bury(self._unburied(at_ms), at_ms)
        gone = 0
        for table in EMPTIED:
            for org_id, ids in slices(self._with_rows(table, at_ms)):
                with self._state.begin() as connection:
                    mine = sa.delete(table).where(these(self._state, table, org_id, ids))
                    gone += connection.execute(mine).rowcount
        return gone

    def left(self, noted_by_ms: int) -> int:
        """How often a table still holds something of a customer noted by a moment."""
        found = len(self._unburied(noted_by_ms))
        return found + sum(len(self._with_rows(table, noted_by_ms)) for table in EMPTIED)

    def let_go(self) -> None:
        """Have the database give up the pages on which deleted values stood, its log included.

        SQLite is written anew, for which it needs as much room again as it takes; who writes meanwhile waits. PostgreSQL
        forgets the dead rows; its backups and archived logs keep what they have until they expire.

        Raises:
            StateError: it cannot be done now, as where a reader holds an old state of SQLite for long.
        """
        try:
            with closing(self._state.engine.raw_connection()) as connection:
                self._let_go(connection)
        except SQLAlchemyError as error:
            raise StateError(_NOT_LET_GO) from error
        except Exception as error:
            # The drivers raise classes of their own, which only share their grandparent.
            if type(error).__module__.partition(".")[0] not in ("sqlite3", "psycopg2"):
                raise
            raise StateError(_NOT_LET_GO) from error

    def _let_go(self, connection: Any) -> None:
        if not self._state.is_sqlite:
            connection.dbapi_connection.autocommit = True
            try:
                with closing(connection.cursor()) as cursor:
                    for table in (customers, *EMPTIED):
                        cursor.execute(f"VACUUM {table.name}")
            finally:
                connection.dbapi_connection.autocommit = False
            return
        with closing(connection.cursor()) as cursor:
            cursor.execute("VACUUM")
            [patience_ms] = cursor.execute("PRAGMA busy_timeout").fetchone()
            # A checkpoint that waits for readers keeps writers out meanwhile, so it is tried again and again instead.
            cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
            try:
                give_up = time.monotonic() + _CHECKPOINT_SECONDS
                while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    if time.monotonic() > give_up:
                        raise StateError(_NOT_LET_GO)
                    time.sleep(_PAUSE_SECONDS)
            finally:
                # The connection goes back to the pool.
                cursor.execute(f"PRAGMA busy_timeout = {patience_ms}")

    def _unnoted(self) -> list[CustomerKey]:
        c, e = customers.c, erasures.c
        noted = sa.exists().where(e.org_id == c.org_id, e.customer_id == c.customer_id)
        return self._keys(sa.select(c.org_id, c.customer_id).where(is_deleted, ~noted))

    def _merged_into_noted(self) -> list[CustomerKey]:
        c, e = customers.c, erasures.c
        noted = sa.exists().where(e.org_id == c.org_id, e.customer_id == c.merged_into)
        return self._keys(sa.select(c.org_id, c.customer_id).where(is_merged, ~c.deleted, noted))

    def _unburied(self, noted_by_ms: int) -> list[CustomerKey]:
        c, e = customers.c, erasures.c
        buried = sa.exists().where(c.org_id == e.org_id, c.customer_id == e.customer_id, is_deleted)
        return self._keys(sa.select(e.org_id, e.customer_id).where(e.noted_ms <= noted_by_ms, ~buried))

    def _with_rows(self, table: sa.Table, noted_by_ms: int) -> list[CustomerKey]:
        t, e = table.c, erasures.c
        same = sa.and_(t.org_id == e.org_id, t.customer_id == e.customer_id)
        noted = e.noted_ms <= noted_by_ms
        if table is loyalty_history:
            # Sorted by customer. The others are read once from end to end, bills by their index alone.
            return self._keys(sa.select(e.org_id, e.customer_id).where(noted, sa.exists().where(same)))
        return self._keys(sa.select(t.org_id, t.customer_id).distinct().where(sa.exists().where(same, noted)))

    def _bury(self, keys: Iterable[CustomerKey], at_ms: int) -> None:
        stamp = Stamp(at_ms * 1000, 0, "erasure")
        self._documents.merge(Facts(key, stamp, {DELETED: True}) for key in keys)

    def _keys(self, query: sa.Executable) -> list[CustomerKey]:
        with self._state.read() as connection:
            return [CustomerKey(*row) for row in connection.execute(query)]


_NOT_LET_GO: Final = (
    "The state database does not let go of the pages on which deleted values stood: another process reads or writes it for "
    "long, or there is no room for a second copy of it. The next run tries again."
)
