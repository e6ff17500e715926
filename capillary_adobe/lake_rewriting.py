"""The lake, changed after the fact: rows put in the place of others, files joined, and files removed that nothing refers to.

Belongs here: what an erasure and the upkeep need beyond reading and replacing. Does not belong here: which rows and what of
them (`erasing.py`), which days (`lake_upkeep.py`).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from capillary_adobe.lake import COMMIT_ATTEMPTS, FILE_BYTES, Lake, Slice, as_declared
from capillary_adobe.tables import Table


class RewritableLake(Lake):
    """The tables under one address, for whoever erases."""

    def matching(
        self, table: Table, day: str, looked_at: list[str], wanted: Callable[[pa.Table], pa.BooleanArray]
    ) -> Iterator[pa.Table]:
        """Whole rows of a day for which `wanted` says so of some columns; other columns of other rows are hardly read.

        Raises:
            LakeError: the table cannot be read.
        """
        delta = self._look(table)
        if delta is None:
            return

        def judged(batch: pa.RecordBatch) -> pa.BooleanArray:
            return wanted(as_declared(table, batch, day, set(looked_at)))

        try:
            for path, size in self._files(delta, Slice(day)):
                with self._place.file(table.name, path, size) as file:
                    stored = [name for name in file.names if name in looked_at]
                    for batch in file.matching(stored, judged):
                        if batch.num_rows:
                            yield as_declared(table, batch, day, set(table.names)).select(table.names)
        except (OSError, pa.ArrowException) as error:
            raise self._unusable(table, error) from error

    def put_instead(self, table: Table, day: str, which: str, rows: pa.Table) -> None:
        """Put rows in the place of those of a day that a SQL predicate names, in one transaction.

        Only files that have such rows are written anew. The caller holds the day's lock, and has all such rows in `rows` that
        are to stay.

        Raises:
            LakeError: the table cannot be written.
        """
        predicate = f"day = '{day}' AND {which}"
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            try:
                delta = self._open_or_create(table)
                write_deltalake(
                    delta,
                    rows,
                    mode="overwrite",
                    schema_mode="merge",
                    predicate=predicate,
                    writer_properties=self._writer[table.name],
                    target_file_size=FILE_BYTES,
                )
            except CommitFailedError as error:
                # Another day was written meanwhile. Where the answer to a commit was lost, doing it again changes nothing.
                if attempt == COMMIT_ATTEMPTS:
                    raise self._unusable(table, error) from error
            except (DeltaError, OSError) as error:
                raise self._unusable(table, error) from error
            else:
                return

    def sweep(self, table: Table, day: str, hours: int) -> tuple[int, int]:
        """Remove the files of a day that no current row has been in for some hours; 0 removes them all.

        Also those of runs that died: no log names them, so that no vacuum would find them. The caller holds the day's lock, or
        the files of a run under way would go. Returns how many were removed and how many stay, being too young.

        Raises:
            LakeError: the table cannot be listed or written.
        """
        delta = self._look(table)
        if delta is None:
            return 0, 0
        try:
            current = {path for path, _ in self._files(delta, Slice(day))}
            idle = {path: at for path, at in self._place.written(table.name, day).items() if path not in current}
            old = sorted(idle) if not hours else _idle_for(delta, idle, hours)
            self._place.remove(table.name, old)
        except (DeltaError, OSError) as error:
            raise self._unusable(table, error) from error
        return len(old), len(idle) - len(old)

    def days_to_join(self, table: Table) -> list[str]:
        """Days with several files that are smaller than a file should be, in order.

        Raises:
            LakeError: the table cannot be read.
        """
        delta = self._look(table)
        if delta is None:
            return []
        actions = pa.table(delta.get_add_actions(flatten=True)).filter(pc.field("size_bytes") < FILE_BYTES)
        small = Counter(actions["partition.day"].to_pylist())
        return sorted(day for day, files in small.items() if day and files > 1)

    def join(self, table: Table, day: str) -> int:
        """Join the small files of a day; how many fewer there are. Rows stay as they are. The caller holds the day's lock.

        Raises:
            LakeError: the table cannot be written.
        """
        before, _ = self.files(table, Slice(day))
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            try:
                self._open_or_create(table).optimize.compact(
                    partition_filters=[("day", "=", day)],
                    target_size=FILE_BYTES,
                    writer_properties=self._writer[table.name],
                )
            except CommitFailedError as error:
                # Another day was written meanwhile.
                if attempt == COMMIT_ATTEMPTS:
                    raise self._unusable(table, error) from error
            except (DeltaError, OSError) as error:
                raise self._unusable(table, error) from error
            else:
                break
        after, _ = self.files(table, Slice(day))
        return before - after

    def dead_files(self, table: Table, hours: int) -> dict[str, list[str]]:
        """Files, by day, that no current row has been in for some hours; those of runs that died, too.

        What is dead stays so, whatever is written after this look: they may be removed later. A write takes less than `hours`.

        Raises:
            LakeError: the table cannot be listed.
        """
        try:
            # Listed first: whatever is old by then stands in the log that is read next, or in none.
            listed = {
                path: at
                for day in self._place.days(table.name)
                for path, at in self._place.written(table.name, day).items()
            }
            delta = self._look(table)
            if delta is None:
                return {}
            current = set(pa.table(delta.get_add_actions(flatten=True))["path"].to_pylist())
            idle = {path: at for path, at in listed.items() if path not in current}
            dead = _idle_for(delta, idle, hours)
        except (DeltaError, OSError) as error:
            raise self._unusable(table, error) from error
        by_day: defaultdict[str, list[str]] = defaultdict(list)
        for path in dead:
            by_day[path.split("/")[0].removeprefix("day=")].append(path)
        return dict(by_day)

    def remove_files(self, table: Table, paths: list[str]) -> None:
        """Remove dead files; one that is gone already is no error. The caller holds their day's lock.

        Raises:
            LakeError: one cannot be removed.
        """
        try:
            self._place.remove(table.name, paths)
        except OSError as error:
            raise self._unusable(table, error) from error

    def days_with_files(self, table: Table) -> list[str]:
        """Days that have files, also those of which no row is left.

        Raises:
            LakeError: the table cannot be listed.
        """
        try:
            return self._place.days(table.name)
        except OSError as error:
            raise self._unusable(table, error) from error

    def written_since(self, table: Table, moment: float) -> set[str]:
        """Days with files that were written since a moment, epoch seconds."""
        delta = self._look(table)
        if delta is None:
            return set()
        actions = pa.table(delta.get_add_actions(flatten=True)).select(["partition.day", "modification_time"])
        young = actions.filter(pc.field("modification_time") >= int(moment * 1000))
        return {day for day in young["partition.day"].to_pylist() if day}


def _idle_for(delta: DeltaTable, idle: dict[str, float], hours: int) -> list[str]:
    """Files that were taken out of the table some hours ago, or written then where its log does not name them."""
    if not idle:
        return []
    # Only listed: a vacuum would do it for all days, without their locks.
    replaced = set(delta.vacuum(0, dry_run=True, enforce_retention_duration=False))
    long_ago = set(delta.vacuum(hours, dry_run=True, enforce_retention_duration=False))
    before = time.time() - hours * 3600
    return sorted(path for path, at in idle.items() if path in long_ago or (path not in replaced and at < before))


def one_of(column: str, values: Collection[str] | Collection[int]) -> str:
    """The SQL predicate that a column has one of some values."""
    listed = ", ".join(str(value) if isinstance(value, int) else _quoted(value) for value in sorted(values))
    return f"{column} IN ({listed})"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
