"""Old runs of Dagster: which may go, and taking all that is kept of them.

Belongs here: what of a run stands where in Dagster's own storage, SQLite or PostgreSQL. Does not belong here: when, and what
is told (`purge_job.py`).

`instance.delete_run` takes a run and its events. It leaves the results of checks, which are as many bytes as the events, the
captured output, with SQLite the tags and the emptied database file of the run; and it takes the newest materialization of a
partition with it, which then counts as missing. So it is done here table by table. The row of a run goes last: what is
killed half-way is found again by the next run.

What a sensor reports stands under no run, so that no purge of runs finds it. `landing_sensor` reports an observation for each
micro-batch, some 2 KB, with SQLite twice: at one every 30 seconds that is 4 GB a year.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa

# Private to Dagster, which has no other door to what its own deletion leaves behind; the versions are pinned exactly.
from dagster._core.events import DagsterEventType
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    ROOT_RUN_ID_TAG,
    WILL_RETRY_TAG,
)

# So many go in one transaction: a kill costs little, and a writer waits for less than a second.
_AT_ONCE: Final = 100
_EVENTS_AT_ONCE: Final = 500
_FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_BACKFILL_AT_WORK: Final = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
# A planned one without a materialization behind it is what shows a partition as failed.
_SHOWN_EVENTS: Final = (
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
    DagsterEventType.ASSET_OBSERVATION,
)
_JUDGED: Final = ("SUCCEEDED", "FAILED")

NEWEST: Final = "newest of an asset, check or partition"
AT_WORK: Final = "of a backfill at work"
TO_BE_RETRIED: Final = "to be retried"
PARENT: Final = "parent of a run that stays"


class PurgingError(Exception):
    """Runs cannot be purged; the text names the cure."""


@dataclass
class Purged:
    """What a purge has done: runs removed and the bytes they took, runs that stay by reason, and runs it had no time for.

    `events` are those of no run.
    """

    runs: int = 0
    bytes: int = 0
    events: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    left: int = 0


class RunPurging:
    """Purges finished runs of an instance."""

    def __init__(self, instance: dg.DagsterInstance, clock: Callable[[], float] = time.monotonic) -> None:
        events, runs = instance.event_log_storage, instance.run_storage
        if not isinstance(events, SqlEventLogStorage) or not isinstance(runs, SqlRunStorage):
            raise PurgingError(
                "Dagster's storage is neither SQLite nor PostgreSQL, and only those can be purged. Name one of them in the "
                "`storage` part of dagster.yaml, or stop the schedule purge_runs."
            )
        self._instance, self._events, self._runs = instance, events, runs
        self._clock = clock

    def purge(self, before: datetime, seconds: float, *, dry_run: bool = False) -> Purged:
        """Remove runs that ended before a moment, the oldest first, for at most about so many seconds; then events of no run.

        With `dry_run` they are only counted.
        """
        deadline = self._clock() + seconds
        done = Purged()
        protected = self._protected()
        old = self._old(before)
        for place in range(0, len(old), _AT_ONCE):
            if self._clock() > deadline:
                done.left = len(old) - place
                break
            some = old[place : place + _AT_ONCE]
            for run_id in some:
                if run_id in protected:
                    done.kept[protected[run_id]] += 1
            going = [run_id for run_id in some if run_id not in protected]
            staying = self._parents(going)
            done.kept[PARENT] += len(staying)
            going = [run_id for run_id in going if run_id not in staying]
            done.runs += len(going)
            done.bytes += self._bytes(going)
            if not dry_run:
                self._remove(going)
        done.kept = +done.kept
        done.events = self._purge_runless(before, deadline, dry_run=dry_run)
        return done

    def _purge_runless(self, before: datetime, deadline: float, *, dry_run: bool) -> int:
        """Remove events of no run that nothing shows any more; returns how many."""
        e = SqlEventLogStorageTable.c
        mine = sa.and_(e.run_id == RUNLESS_RUN_ID, _of_shown_kind())
        long_ago = e.timestamp < before.astimezone(UTC).replace(tzinfo=None)
        with self._events.index_connection() as connection:
            shown = set(connection.execute(sa.select(e.id).where(mine, e.id.in_(_newest_events()))).scalars())
            old = [
                id_ for id_ in connection.execute(sa.select(e.id).where(mine, long_ago)).scalars() if id_ not in shown
            ]
        if dry_run:
            return len(old)
        for place in range(0, len(old), _EVENTS_AT_ONCE):
            if self._clock() > deadline:
                return place
            some = old[place : place + _EVENTS_AT_ONCE]
            with self._events.index_connection() as connection:
                connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(some)))
                connection.execute(sa.delete(SqlEventLogStorageTable).where(e.id.in_(some)))
        if old and isinstance(self._events, SqliteEventLogStorage):
            # Their second copies; what is shown is read from the index alone.
            with self._events.run_connection(RUNLESS_RUN_ID) as connection:
                connection.execute(sa.delete(SqlEventLogStorageTable).where(long_ago))
        return len(old)

    def _old(self, before: datetime) -> list[str]:
        wanted = dg.RunsFilter(statuses=_FINISHED, updated_before=before.astimezone(UTC))
        return list(reversed(self._instance.get_run_ids(wanted)))

    def _protected(self) -> dict[str, str]:
        """Runs that stay, whatever their age, and why."""
        found = dict.fromkeys(self._shown(), NEWEST)
        backfills = self._instance.get_backfills(filters=BulkActionsFilter(statuses=_BACKFILL_AT_WORK))
        if backfills:
            wanted = dg.RunsFilter(tags={BACKFILL_ID_TAG: [one.backfill_id for one in backfills]})
            found |= dict.fromkeys(self._instance.get_run_ids(wanted), AT_WORK)
        awaited = self._instance.get_runs(dg.RunsFilter(statuses=_FINISHED, tags={WILL_RETRY_TAG: "true"}))
        found |= {run.run_id: TO_BE_RETRIED for run in awaited if AUTO_RETRY_RUN_ID_TAG not in run.tags}
        return found

    def _shown(self) -> set[str]:
        """Runs whose events or check results are the newest of their kind."""
        e, c = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
        by_check = (c.asset_key, c.check_name, c.partition)
        asked = sa.select(sa.func.max(c.id)).group_by(*by_check)
        judged = sa.select(sa.func.max(c.id)).where(c.execution_status.in_(_JUDGED)).group_by(*by_check)
        with self._events.index_connection() as connection:
            found = set(connection.execute(sa.select(e.run_id).where(e.id.in_(_newest_events()))).scalars())
            for query in (asked, judged):
                found |= set(connection.execute(sa.select(c.run_id).where(c.id.in_(query))).scalars())
        return {run_id for run_id in found if run_id}

    def _parents(self, going: Collection[str]) -> set[str]:
        """Those that a run which stays was started from, through others or not."""
        t = RunTagsTable.c
        family = sa.select(t.value, t.run_id).where(
            t.key.in_((PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG)), t.value.in_(list(going))
        )
        with self._runs.connect() as connection:
            pairs = [(parent, child) for parent, child in connection.execute(family)]
        staying: set[str] = set()
        while found := {parent for parent, child in pairs if child not in going or child in staying} - staying:
            staying |= found
        return staying

    def _bytes(self, run_ids: Sequence[str]) -> int:
        """What runs take, about: their rows, files and captured output."""
        if not run_ids:
            return 0
        e, c, r = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c, RunsTable.c
        with self._events.index_connection() as connection:
            size = _sum(connection, sa.func.length(e.event), e.run_id.in_(run_ids))
            size += _sum(connection, sa.func.length(c.evaluation_event), c.run_id.in_(run_ids))
        with self._runs.connect() as connection:
            size += _sum(connection, sa.func.length(r.run_body), r.run_id.in_(run_ids))
        files = (path for run_id in run_ids for path in (*self._shards(run_id), *self._output(run_id)))
        return size + sum(map(_size, files))

    def _remove(self, run_ids: Sequence[str]) -> None:
        if not run_ids:
            return
        e, c, t, r = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c, RunTagsTable.c, RunsTable.c
        for run_id in run_ids:
            self._instance.compute_log_manager.delete_logs(prefix=[run_id])
        events = sa.select(e.id).where(e.run_id.in_(run_ids), e.asset_key.is_not(None))
        with self._events.index_connection() as connection:
            connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(events)))
            connection.execute(sa.delete(SqlEventLogStorageTable).where(e.run_id.in_(run_ids)))
            connection.execute(sa.delete(AssetCheckExecutionsTable).where(c.run_id.in_(run_ids)))
        for run_id in run_ids:
            for path in self._shards(run_id):
                path.unlink(missing_ok=True)
        with self._runs.connect() as connection:
            connection.execute(sa.delete(RunTagsTable).where(t.run_id.in_(run_ids)))
            connection.execute(sa.delete(RunsTable).where(r.run_id.in_(run_ids)))

    def _shards(self, run_id: str) -> list[Path]:
        """With SQLite, the database file that each run has of its own."""
        if not isinstance(self._events, SqliteEventLogStorage):
            return []
        database = self._events.path_for_shard(run_id)
        return [Path(f"{database}{ending}") for ending in ("", "-wal", "-shm")]

    def _output(self, run_id: str) -> Iterator[Path]:
        """Captured output of the steps, where it is kept on this machine."""
        yield from Path(self._instance.storage_directory(), run_id).rglob("*")


def _of_shown_kind() -> sa.ColumnElement[bool]:
    e = SqlEventLogStorageTable.c
    return sa.and_(e.dagster_event_type.in_([kind.value for kind in _SHOWN_EVENTS]), e.asset_key.is_not(None))


def _newest_events() -> sa.Select[Any]:
    """The newest event of each kind of an asset or partition, whoever reported it."""
    e = SqlEventLogStorageTable.c
    return sa.select(sa.func.max(e.id)).where(_of_shown_kind()).group_by(e.asset_key, e.partition, e.dagster_event_type)


def _sum(connection: Any, what: Any, where: Any) -> int:
    return int(connection.execute(sa.select(sa.func.sum(what)).where(where)).scalar() or 0)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size if path.is_file() else 0
    return 0
