"""docs/upgrading.md against what an upgrade does: the first version's tables get what the page names, and keep their rows.

Belongs here: the two tables of the page. Does not belong here: how columns are added (`test_lake.py`, the tests of `state`).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from capillary_adobe import state as of_state
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.state import State
from capillary_adobe.state.database import metadata
from capillary_adobe.tables import TABLES, Table
from capillary_adobe_tests.docs.pages import page, rows, section

# A table is known once its module is.
for found in pkgutil.iter_modules(of_state.__path__):
    importlib.import_module(f"{of_state.__name__}.{found.name}")

# The state database as the first version made it.
FIRST_STATE = """
CREATE TABLE landed_objects (object_id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, day TEXT NOT NULL,
  lane TEXT NOT NULL, size BIGINT NOT NULL, stored_ms BIGINT NOT NULL, batch_id TEXT NOT NULL, lines BIGINT);
CREATE TABLE microbatches (batch_id TEXT PRIMARY KEY, day TEXT NOT NULL, lane TEXT NOT NULL, after_key TEXT NOT NULL,
  up_to_key TEXT NOT NULL, objects INTEGER NOT NULL, bytes BIGINT NOT NULL, attempts INTEGER NOT NULL,
  asked_ms BIGINT NOT NULL, done_ms BIGINT);
CREATE TABLE claims (key BLOB PRIMARY KEY, day TEXT NOT NULL, object_id INTEGER NOT NULL, line BIGINT NOT NULL,
  part INTEGER NOT NULL, replaced TEXT) WITHOUT ROWID;
CREATE TABLE receipts (request_id TEXT PRIMARY KEY, day TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
  accepted INTEGER NOT NULL, answered_ms BIGINT NOT NULL, http_status INTEGER, aep_id TEXT, ids BLOB NOT NULL,
  outcomes BLOB NOT NULL, details JSON NOT NULL);
INSERT INTO receipts VALUES ('r', '2026-11-20', 'events', 't', 1, 1795165200000, 200, NULL, x'00', x'61', '[]');
"""

_ENVELOPE = {"event_id", "ref_id", "api_request_id", "loyalty_event_id", "event_log_id"}
# Columns that may be empty and were there in the first version.
FIRST_OPTIONAL = {
    "raw_events": _ENVELOPE,
    "enriched_events": {
        *_ENVELOPE,
        *("store_code", "store_name", "store_external_id", "till_code", "till_name", "program_id", "program_name"),
        *("tier_number", "tier_name", "previous_tier_number", "previous_tier_name", "currency"),
    },
    "xdm_events": set(),
    "ingestion_status": {"code", "detail", "request_id", "aep_id", "answered_ms"},
    "quarantine": {"pointer", "event_name", "event_key"},
    "set_aside": {"event_key"},
}


def parts(heading: str) -> list[str]:
    """What the first column of a table names: tables, and columns as `table.column`."""
    return [name for row in rows(section(page("upgrading.md"), heading)) for name in re.findall(r"`([\w.]+)`", row[0])]


def test_the_state_database_of_the_first_version_gets_what_is_named(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(FIRST_STATE)
    state = State(f"sqlite:///{file}")
    named = parts("### The state database")

    look = state.look(5)
    assert look is not None
    assert set(look.missing) == {one for one in named if "." not in one or one.partition(".")[0] not in named}
    with state.begin() as connection:
        [receipt] = connection.exec_driver_sql("SELECT request_id, route, lost FROM receipts").all()
    after = state.look(5)
    state.engine.dispose()
    assert tuple(receipt) == ("r", "streaming", 0)
    assert after is not None
    assert after.missing == ()


def test_what_is_named_of_the_state_database_is_there() -> None:
    columns = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns}

    assert set(parts("### The state database")) <= {*metadata.tables, *columns}


def test_every_column_that_has_come_since_is_named() -> None:
    optional = {f"{table.name}.{column.name}" for table in TABLES for column in table.columns if not column.required}
    first = {f"{table}.{name}" for table, names in FIRST_OPTIONAL.items() for name in names}
    named = set(parts("### The lake"))

    assert {one for one in named if "." not in one} == {table.name for table in TABLES} - set(FIRST_OPTIONAL)
    assert {one for one in named if "." in one} == {
        one for one in optional - first if one.partition(".")[0] not in named
    }


def test_tables_of_the_first_version_get_what_is_named_and_keep_their_rows(tmp_path: Path) -> None:
    named: dict[str, list[str]] = {}
    for name in parts("### The lake"):
        table, _, column = name.partition(".")
        if column:
            named.setdefault(table, []).append(column)
    lake = Lake(str(tmp_path))

    for table in (one for one in TABLES if one.name in named):
        later = named[table.name]
        before = Table(table.name, tuple(column for column in table.columns if column.name not in later))
        assert not any(column.required for column in table.columns if column.name in later)
        write_deltalake(tmp_path / table.name, filled(before, "2026-11-19"), partition_by=["day"])

        lake.replace(table, Slice("2026-11-20"), filled(table, "2026-11-20").to_batches())

        [old] = [row for batch in lake.read(table, Slice("2026-11-19")) for row in batch.to_pylist()]
        assert {name: old[name] for name in later} == dict.fromkeys(later)
        assert old["batch_id"] == "old"
        present = {field.name for field in DeltaTable(tmp_path / table.name).schema().fields}
        assert set(later) <= present

        # Going back: the former version writes beside what it does not know.
        lake.replace(before, Slice("2026-11-21"), filled(before, "2026-11-21").to_batches())
        assert sum(batch.num_rows for batch in lake.read(before, Slice("2026-11-21"))) == 1
        assert sum(batch.num_rows for batch in Lake(str(tmp_path)).read(table, Slice("2026-11-21"))) == 1


def filled(table: Table, day: str) -> pa.Table:
    """One row with a value where there must be one."""
    values = {"day": day, "batch_id": "old"}
    row = {column.name: values.get(column.name, _value(column.type)) for column in table.columns if column.required}
    return pa.Table.from_pylist([row], schema=table.schema)


def _value(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    if pa.types.is_boolean(kind):
        return False
    return 1 if pa.types.is_integer(kind) else "x"
