"""Transaction details: what Capillary's API told of a bill beside its event.

Belongs here: keeping the line items, payments and tax of a bill. Does not belong here: asking for them (`looking_up.py`)
and reading an answer (`capillary.transaction_details`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.state.database import State, metadata
from capillary_adobe.state.lookups import AT_ONCE, Wanted, any_of

transaction_details = sa.Table(
    "transaction_details",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    # Type and id, as in `lookups`.
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, nullable=False),
    sa.Column("answered_ms", sa.BigInteger, nullable=False),
    # JSON; an empty object where Capillary knows no such transaction.
    sa.Column("details", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("transaction_details_by_customer", transaction_details.c.org_id, transaction_details.c.customer_id)
sa.Index("transaction_details_by_age", transaction_details.c.answered_ms)


class TransactionDetails:
    """The details of all transactions that were looked up."""

    def __init__(self, state: State) -> None:
        self._state = state

    def keep(self, answers: Iterable[tuple[Wanted, Mapping[str, Any]]], now_ms: int) -> None:
        """Keep what was answered; the first answer stays, so that an event made again is the same."""
        rows = [
            {
                "org_id": wanted.org_id,
                "key": wanted.key,
                "customer_id": wanted.customer_id,
                "answered_ms": now_ms,
                "details": orjson.dumps(details),
            }
            for wanted, details in sorted(answers, key=lambda answer: answer[0])
        ]
        for part in in_parts(rows, AT_ONCE):
            statement = self._state.insert(transaction_details)
            with self._state.begin() as connection:
                connection.execute(statement.on_conflict_do_nothing(index_elements=["org_id", "key"]), part)

    def of(self, wanted: Collection[Wanted]) -> dict[Wanted, dict[str, Any]]:
        """What is known of these transactions; an empty one of those that Capillary does not know."""
        c = transaction_details.c
        found: dict[Wanted, dict[str, Any]] = {}
        asked = {(one.org_id, one.key): one for one in wanted}
        for these in any_of(transaction_details, asked.values()):
            query = sa.select(c.org_id, c.key, c.details).where(these)
            with self._state.read() as connection:
                found |= {asked[row.org_id, row.key]: orjson.loads(row.details) for row in connection.execute(query)}
        return found

    def prune(self, before_ms: int) -> int:
        """Drop what was answered before a moment; how many there were."""
        with self._state.begin() as connection:
            old = sa.delete(transaction_details).where(transaction_details.c.answered_ms < before_ms)
            return connection.execute(old).rowcount
