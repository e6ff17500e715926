"""What stands on the disk after a run: landing store, each table, the state database by table, Dagster's own.

Belongs here: counting bytes of an installation in a folder. Does not belong here: runs (`road.py`).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from capillary_adobe.tables import TABLES

# A table with less is not worth a line.
_WORTH_A_LINE = 0.005


def used(folder: Path, lines: int) -> dict[str, object]:
    """Bytes a landed line, of an installation as `road.py` lays it out; files that were replaced do not count."""
    tables = {table.name: _table(folder / "lake" / table.name) for table in TABLES}
    state = _state(folder / "state.db")
    return {
        "landing": _each(sum(path.stat().st_size for path in (folder / "landing").rglob("*.jsonl*")), lines),
        "lake": _shares(tables, lines),
        "state": _shares(state, lines),
        "dagster_bytes_a_run": _runs(folder / "home" / "history" / "runs"),
    }


def _shares(found: dict[str, int], lines: int) -> dict[str, float]:
    total = sum(found.values())
    listed = {name: size for name, size in sorted(found.items()) if size >= total * _WORTH_A_LINE}
    return {name: _each(size, lines) for name, size in (*listed.items(), ("all", total))}


def _each(size: int, lines: int) -> float:
    return round(size / lines, 1)


def _runs(folder: Path) -> int:
    """Of a run's own file, whatever the number of lines; SQLite has one for each."""
    sizes = [path.stat().st_size for path in folder.glob("*.db") if path.name != "index.db"]
    return sum(sizes) // max(1, len(sizes))


def _table(folder: Path) -> int:
    if not DeltaTable.is_deltatable(str(folder)):
        return 0
    return sum(pa.table(DeltaTable(folder).get_add_actions(flatten=True))["size_bytes"].to_pylist())


def _state(file: Path) -> dict[str, int]:
    """By table, indexes with their table."""
    with closing(sqlite3.connect(file)) as database:
        found = database.execute(
            "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name GROUP BY m.tbl_name"
        ).fetchall()
    return dict(found)
