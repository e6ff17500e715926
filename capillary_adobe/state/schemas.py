"""Schemas of the tenant as AEP showed them last, so that every run can judge by them without asking.

Belongs here: one row a schema: its version, its content, when it was asked for, and which content was tried on stored
entities. Does not belong here: fetching (`adobe.schema_registry`), what a schema means (`xdm.tenant_schemas`) and which
one guards (`schema_in_force.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

tenant_schemas = sa.Table(
    "tenant_schemas",
    metadata,
    sa.Column("schema_id", sa.Text, primary_key=True),
    sa.Column("sandbox", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    # Null until AEP has answered once.
    sa.Column("version", sa.Text),
    sa.Column("fetched_ms", sa.BigInteger),
    sa.Column("content", sa.Text),
    # Paths of the fields that AEP reads as identities, with their namespaces.
    sa.Column("identities", sa.Text),
    sa.Column("sha", sa.Text),
    sa.Column("tried_ms", sa.BigInteger, nullable=False),
    # Why the last try brought nothing; empty where it did.
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("checked_sha", sa.Text),
)


@dataclass(frozen=True)
class CachedSchema:
    """A schema as noted; moments are epoch ms.

    `content` is None while AEP never showed one that can be used. `identities` are the fields that AEP reads as identities, by
    path, with their namespaces. `words` says why the last try (`tried_ms`) failed, if it
    did. `sha` tells two contents apart, `checked_sha` is the content that stored entities were last tried on.
    """

    schema_id: str
    kind: str
    version: str | None
    fetched_ms: int | None
    content: dict[str, Any] | None
    identities: dict[str, str]
    sha: str | None
    tried_ms: int
    words: str
    checked_sha: str | None


class TenantSchemas:
    """The schemas of one sandbox."""

    def __init__(self, state: State, sandbox: str) -> None:
        self._state = state
        self._sandbox = sandbox

    def read(self, schema_id: str) -> CachedSchema | None:
        """What is noted of a schema; None if it was never asked for."""
        query = sa.select(tenant_schemas).where(self._one(schema_id))
        with self._state.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        values = {name: value for name, value in row.items() if name != "sandbox"}
        values["content"] = None if values["content"] is None else orjson.loads(values["content"])
        values["identities"] = orjson.loads(values["identities"] or b"{}")
        return CachedSchema(**values)

    def keep(
        self,
        schema_id: str,
        kind: str,
        version: str,
        content: dict[str, Any],
        identities: dict[str, str],
        sha: str,
        now_ms: int,
    ) -> None:
        """Note what AEP shows now; it takes the place of what it showed before."""
        self._write(
            schema_id,
            kind=kind,
            version=version,
            fetched_ms=now_ms,
            content=orjson.dumps(content).decode(),
            identities=orjson.dumps(identities).decode(),
            sha=sha,
            tried_ms=now_ms,
            words="",
        )

    def failed(self, schema_id: str, kind: str, words: str, now_ms: int) -> None:
        """Note a try that brought nothing; what AEP showed before stays."""
        self._write(schema_id, kind=kind, tried_ms=now_ms, words=words)

    def checked(self, schema_id: str, sha: str) -> None:
        """Note that stored entities were tried on this content."""
        with self._state.begin() as connection:
            connection.execute(sa.update(tenant_schemas).where(self._one(schema_id)).values(checked_sha=sha))

    def _one(self, schema_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(tenant_schemas.c.schema_id == schema_id, tenant_schemas.c.sandbox == self._sandbox)

    def _write(self, schema_id: str, **values: Any) -> None:
        new = self._state.insert(tenant_schemas).values(schema_id=schema_id, sandbox=self._sandbox, **values)
        with self._state.begin() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["schema_id", "sandbox"], set_=values))
