"""What is kept, counted: Dagster's storage, the tables of the lake with their logs, the state database.

Belongs here: rows, files and bytes as they are at a moment. Does not belong here: what they should be (`ninety_days.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from deltalake import DeltaTable

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_LOG = "_delta_log"


def of_storage(home: Path, postgres: str | None) -> dict[str, Any]:
    """Rows by table, and bytes, of Dagster's storage under a home; `postgres` is the address of its database, if it has one."""
    if postgres is None:
        urls = [f"sqlite:///{home / name}" for name in _DATABASES]
        rows = {table: n for url in urls for table, n in rows_of(url).items()}
        index = sum(_bytes(home.glob(f"{name}*")) for name in _DATABASES)
    else:
        rows, index = rows_of(postgres), _postgres_bytes(postgres)
    of_runs = [one for one in (home / "history" / "runs").glob("*.db*") if not one.name.startswith("index.db")]
    output = [one for one in (home / "storage").rglob("*") if one.is_file()]
    return {
        "rows": rows,
        "index_bytes": index,
        "files_of_runs": len(of_runs),
        "bytes_of_runs": _bytes(of_runs),
        "output_files": len(output),
        "output_bytes": _bytes(output),
    }


def of_lake(lake: Path) -> dict[str, dict[str, int]]:
    """By table: data files and those of them that hold rows, their bytes, files of the log and their bytes."""
    found: dict[str, dict[str, int]] = {}
    for table in sorted(one for one in lake.iterdir() if (one / _LOG).is_dir()):
        files = [one for one in table.rglob("*") if one.is_file()]
        log = [one for one in files if _LOG in one.parts]
        data = [one for one in files if _LOG not in one.parts]
        found[table.name] = {
            "files": len(data),
            "files_in_use": len(DeltaTable(table).file_uris()),
            "bytes": _bytes(data),
            "log_files": len(log),
            "log_bytes": _bytes(log),
        }
    return found


def of_state(database: Path) -> dict[str, Any]:
    """Rows by table, and bytes, of a state database of SQLite."""
    rows = {name: n for name, n in rows_of(f"sqlite:///{database}").items() if n}
    return {"rows": rows, "bytes": _bytes(database.parent.glob(f"{database.name}*"))}


def rows_of(url: str) -> dict[str, int]:
    """Rows of each table of a database."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        counted = (sa.select(sa.func.count()).select_from(sa.table(name)) for name in names)
        return {name: int(connection.execute(one).scalar_one()) for name, one in zip(names, counted, strict=True)}


def _postgres_bytes(url: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one())


def _bytes(paths: Iterable[Path]) -> int:
    return sum(one.stat().st_size for one in paths if one.is_file())
