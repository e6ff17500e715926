"""A day of history made by hand: lines of exports in a landing store, and the rows that the road would write of them.

Belongs here: what the tests of the checks of history share. Does not belong here: assertions, and the road itself.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import open_landing_store
from capillary_adobe.state import State
from capillary_adobe.state.history_files import FileDay, HistoryFile, HistoryFiles
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, SET_ASIDE, XDM_EVENTS, Table

DAY = "2025-03-10"
VERSION = "ab" * 32
TENANT = "acme"


def key_of(name: str) -> str:
    """An event key for a name."""
    return sha256(name.encode()).hexdigest()


def bill(number: str, amount: Any, *, version: str = VERSION, **export: Any) -> dict[str, Any]:
    """A line of a bill."""
    return line("transactionAdded", f"transactions|{number}", {"amount": amount}, version=version, **export)


def line(name: str, key: str, data: dict[str, Any], *, version: str = VERSION, **export: Any) -> dict[str, Any]:
    """A line of the history lane."""
    told = {"template": key.partition("|")[0], "key": key, "file": "export.csv", "version": version[:12], **export}
    return {"eventName": name, "orgId": 1, "createdAt": 1741600000000, "data": data, "export": told}


def purchase(amount: Any) -> dict[str, Any]:
    """The entity of a bill."""
    return {"commerce": {"order": {"priceTotal": amount}}}


def points(amount: Any) -> dict[str, Any]:
    """The entity of an event of points."""
    return {f"_{TENANT}": {"capillary": {"points": {"total": amount}}}}


@dataclass
class HistoryDay:
    """Stores in a folder, and the rows of one day."""

    root: Path
    rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = open_landing_store(str(self.root / "landing"))
        self.lake = Lake(str(self.root / "lake"))
        self.state = State(f"sqlite:///{self.root / 'state.db'}")
        self.files = HistoryFiles(self.state)

    def land(
        self, lines: Iterable[dict[str, Any]], *, template: str = "transactions", version: str = VERSION, day: str = DAY
    ) -> str:
        """Land lines as an import does; the key of the object."""
        key = f"history/{day}/{version[:12]}-{template}-0000.jsonl.gz"
        self.store.write(key, gzip.compress(b"".join(orjson.dumps(one) + b"\n" for one in lines), mtime=0))
        return key

    def note(
        self, *days: FileDay, version: str = VERSION, rows: int | None = None, name: str = "export.zip"
    ) -> HistoryFile:
        """Note an import in the ledger."""
        self.files.begin(HistoryFile(version, name, "/exports", 10, 1))
        self.files.finish(version, sum(one.rows for one in days) if rows is None else rows, list(days))
        found = self.files.find(version)
        assert found is not None
        return found

    def raw(self, name: str, key: str, place: tuple[str, int], **fields: Any) -> None:
        """A raw event."""
        self._add(
            RAW_EVENTS, fields.pop("day", DAY), event_name=name, event_key=key, object=place[0], line=place[1], **fields
        )

    def aside(self, name: str, key: str | None, place: tuple[str, int], kind: str, reason: str, **fields: Any) -> None:
        """A duplicate or an ignored line."""
        where = {"object": place[0], "line": place[1]}
        day = fields.pop("day", DAY)
        self._add(SET_ASIDE, day, event_name=name, event_key=key, kind=kind, reason=reason, **where, **fields)

    def refused(self, place: tuple[str, int], *, stage: str = "raw", key: str | None = None, day: str = DAY) -> None:
        """A line, or an entity, in quarantine."""
        self._add(QUARANTINE, day, object=place[0], line=place[1], stage=stage, event_key=key)

    def entity(self, name: str, key: str, entity: dict[str, Any], status: str | None, **fields: Any) -> None:
        """An entity and its outcome, if a run has looked at it."""
        day = fields.pop("day", DAY)
        told = {"event_name": name, "event_key": key, "id": key_of(key), **fields}
        self._add(XDM_EVENTS, day, entity=orjson.dumps(entity).decode(), **told)
        if status is not None:
            self._add(INGESTION_STATUS, day, status=status, kind="events", **told)

    def write(self) -> None:
        """Write the rows into the tables."""
        tables = {table.name: table for table in (RAW_EVENTS, SET_ASIDE, QUARANTINE, XDM_EVENTS, INGESTION_STATUS)}
        for (name, day), rows in self.rows.items():
            table = tables[name]
            self.lake.replace(table, Slice(day), [pa.RecordBatch.from_pylist(rows, schema=table.schema)])

    def _add(self, table: Table, day: str, **fields: Any) -> None:
        given = {"day": day, "batch_id": "day", "lane": "history", **fields}
        row = {
            column.name: given.get(column.name, _blank(column.type) if column.required else None)
            for column in table.columns
        }
        self.rows.setdefault((table.name, day), []).append(row)


def _blank(kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return "x"
    if pa.types.is_list(kind):
        return []
    return False if pa.types.is_boolean(kind) else 0
