"""The environment record: which objects in AEP are this installation's, as set-up found or made them.

Belongs here: names and ids, one set for each organisation and sandbox. Does not belong here: secrets, making the objects
(`adobe.setup`) and how the record completes the settings (`environment.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

environment = sa.Table(
    "environment",
    metadata,
    sa.Column("org_id", sa.Text, primary_key=True),
    sa.Column("sandbox", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
)


class EnvironmentRecord:
    """The record of one sandbox of one organisation."""

    def __init__(self, state: State, org_id: str, sandbox: str) -> None:
        self._state = state
        self._org_id = org_id
        self._sandbox = sandbox

    def read(self) -> dict[str, str]:
        """Everything recorded, by name."""
        query = sa.select(environment.c.name, environment.c.value).where(self._ours)
        with self._state.read() as connection:
            return {row.name: row.value for row in connection.execute(query.order_by(environment.c.name))}

    def write(self, values: Mapping[str, str], *, afresh: bool = False) -> None:
        """Record these, all or none; other names stay, or go if the record begins `afresh`."""
        written_ms = time.time_ns() // 1_000_000
        rows = [
            {"org_id": self._org_id, "sandbox": self._sandbox, "name": name, "value": value, "written_ms": written_ms}
            for name, value in values.items()
        ]
        if not rows:
            return
        insert = self._state.insert(environment)
        upsert = insert.on_conflict_do_update(
            index_elements=["org_id", "sandbox", "name"],
            set_={"value": insert.excluded.value, "written_ms": insert.excluded.written_ms},
        )
        with self._state.begin() as connection:
            if afresh:
                connection.execute(sa.delete(environment).where(self._ours))
            connection.execute(upsert, rows)

    @property
    def _ours(self) -> sa.ColumnElement[bool]:
        return sa.and_(environment.c.org_id == self._org_id, environment.c.sandbox == self._sandbox)
