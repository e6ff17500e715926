"""Copies of what Dagster keeps of a run and of a sensor's ticks, put straight into its storage, SQLite or PostgreSQL.

Belongs here: which rows and files stand for a run, and writing them again under another id and moment. Does not belong here:
how many, and of what (`ninety_nights.py`).

A copy holds what the run that it is made of holds: its row and tags, its events in the index and, with SQLite, in a file of its
own, its check results and its captured output. A real run of a micro-batch takes two seconds, a copy a hundredth of one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.selector import InstigatorSelector
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.schedules.schema import JobTickTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from dagster._serdes import serialize_value

_PLACEHOLDER = 1234567890.0
_MOMENTS = ("start_time", "end_time")
_EVENT_IDS = ("event_id", "evaluation_event_storage_id", "materialization_event_storage_id")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Copy:
    """What a copy has in the place of the words of the run, and by how many seconds it is later."""

    words: Mapping[str, str]
    later: float

    def text(self, value: str) -> str:
        for old, new in self.words.items():
            value = value.replace(old, new)
        return value


class Copies:
    """Writes copies into the storage of an instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        events, runs, ticks = instance.event_log_storage, instance.run_storage, instance.schedule_storage
        assert isinstance(events, SqlEventLogStorage)
        assert isinstance(runs, SqlRunStorage)
        assert isinstance(ticks, SqlScheduleStorage)
        self._events, self._runs, self._ticks = events, runs, ticks
        self._output = Path(instance.storage_directory())

    def of_run(self, run_id: str, day: str, copied_to: str, ends: Sequence[float]) -> None:
        """Copy a finished run of a day once for each moment, seconds since 1970, at which a copy is to have ended.

        The copies are of the day `copied_to`.
        """
        with self._runs.connect() as connection:
            (run,) = _rows(connection, RunsTable, RunsTable.c.run_id == run_id)
            tags = _rows(connection, RunTagsTable, RunTagsTable.c.run_id == run_id)
        copies = [_Copy({run_id: str(uuid4()), day: copied_to}, end - float(run["end_time"])) for end in ends]
        with self._runs.connect() as connection:
            _insert(connection, RunsTable, ([_moved(run, copy)] for copy in copies))
            _insert(connection, RunTagsTable, ([_moved(tag, copy) for tag in tags] for copy in copies))
        self._copy_events(run_id, copies)
        self._copy_files(run_id, copies)

    def _copy_events(self, run_id: str, copies: Sequence[_Copy]) -> None:
        e, t, c = SqlEventLogStorageTable.c, AssetEventTagsTable.c, AssetCheckExecutionsTable.c
        with self._events.index_connection() as connection:
            events = _rows(connection, SqlEventLogStorageTable, e.run_id == run_id)
            places = {event["id"]: place for place, event in enumerate(events)}
            tags = _rows(connection, AssetEventTagsTable, t.event_id.in_(list(places)))
            checks = _rows(connection, AssetCheckExecutionsTable, c.run_id == run_id)
            first = int(connection.execute(sa.select(sa.func.max(e.id))).scalar_one()) + 1

            def all_of(rows: Sequence[Row], *, with_ids: bool = False) -> Iterator[list[Row]]:
                for number, copy in enumerate(copies):
                    base = first + number * len(events)
                    ids = {id_: base + place for id_, place in places.items()}
                    yield [_moved(row, copy, ids, with_ids=with_ids) for row in rows]

            _insert(connection, SqlEventLogStorageTable, all_of(events, with_ids=True))
            _insert(connection, AssetEventTagsTable, all_of(tags))
            _insert(connection, AssetCheckExecutionsTable, all_of(checks))
            if connection.dialect.name == "postgresql":
                # Ids that were given by hand move no sequence on.
                connection.exec_driver_sql(
                    "SELECT setval(pg_get_serial_sequence('event_logs', 'id'), (SELECT max(id) FROM event_logs))"
                )

    def _copy_files(self, run_id: str, copies: Sequence[_Copy]) -> None:
        output = self._output / run_id
        for copy in copies if output.is_dir() else ():
            shutil.copytree(output, self._output / copy.words[run_id])
        if not isinstance(self._events, SqliteEventLogStorage):
            return
        with self._events.run_connection(run_id) as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        # Ids and days are of one length, so the pages stay as they are.
        written = Path(self._events.path_for_shard(run_id)).read_bytes()
        for copy in copies:
            moved = written
            for old, new in copy.words.items():
                moved = moved.replace(old.encode(), new.encode())
            Path(self._events.path_for_shard(copy.words[run_id])).write_bytes(moved)

    def of_ticks(self, sensor: str, location: str, status: TickStatus, moments: Sequence[float]) -> None:
        """Write a tick of a sensor for each moment, seconds since 1970."""
        selector = InstigatorSelector(location_name=location, repository_name="__repository__", name=sensor).get_id()
        # Serializing each of 30,000 takes as long as all the rest of a day.
        body = serialize_value(_tick(selector, sensor, status, _PLACEHOLDER))
        rows = [
            {
                "job_origin_id": selector,
                "selector_id": selector,
                "status": status.value,
                "type": InstigatorType.SENSOR.value,
                "timestamp": datetime.fromtimestamp(moment, UTC).replace(tzinfo=None),
                "tick_body": body.replace(str(_PLACEHOLDER), str(float(moment))),
            }
            for moment in moments
        ]
        with self._ticks.connect() as connection:
            _insert(connection, JobTickTable, [rows])

    def purge_ticks(self, instance: dg.DagsterInstance, sensor: str, location: str, now: float) -> None:
        """Purge a sensor's ticks as the daemon does after each of them, by the instance's retention."""
        selector = InstigatorSelector(location_name=location, repository_name="__repository__", name=sensor).get_id()
        kept = instance.get_tick_retention_settings(InstigatorType.SENSOR)
        for status, days in kept.items():
            if days > 0:
                instance.purge_ticks(selector, selector, now - days * 86_400, [status])


def _tick(selector: str, sensor: str, status: TickStatus, moment: float) -> TickData:
    ran = status is TickStatus.SUCCESS
    return TickData(
        instigator_origin_id=selector,
        instigator_name=sensor,
        instigator_type=InstigatorType.SENSOR,
        status=status,
        timestamp=moment,
        end_timestamp=moment,
        selector_id=selector,
        cursor='{"live": "events/2026-01-01/00/1767225600000-0.jsonl", "history": "", "swept_ms": 1767225600000}',
        skip_reason=None
        if ran
        else "live: nothing new has landed; history: 12 days wait for a backfill: history_backfill",
        run_ids=[str(uuid4())] if ran else [],
    )


def _rows(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> list[Row]:
    return [dict(row) for row in connection.execute(sa.select(table).where(which).order_by(table.c[0])).mappings()]


def _insert(connection: sa.Connection, table: sa.Table, copies: Iterable[Sequence[Row]]) -> None:
    rows = [dict(row) for copy in copies for row in copy]
    if rows:
        connection.execute(sa.insert(table), rows)


def _moved(row: Row, copy: _Copy, ids: Mapping[int, int] | None = None, *, with_ids: bool = False) -> Row:
    """A row of a run as one of a copy of it."""
    moved: dict[str, Any] = {}
    for name, value in row.items():
        if name == "id":
            if with_ids and ids is not None:
                moved[name] = ids[value]
        elif isinstance(value, str):
            moved[name] = copy.text(value)
        elif isinstance(value, datetime):
            moved[name] = value + timedelta(seconds=copy.later)
        elif name in _MOMENTS and value is not None:
            moved[name] = value + copy.later
        elif name in _EVENT_IDS and ids is not None and value is not None:
            moved[name] = ids.get(value, value)
        else:
            moved[name] = value
    return moved
