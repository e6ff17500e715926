"""The lake: Delta tables partitioned by landing day; read, replace, count.

Belongs here: everything that touches the `deltalake` library. Does not belong here: what the columns mean
(`tables.py`) and who may write when (the state database's day lock).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import chain
from operator import and_
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from capillary_adobe.lake_files import ROWS_PER_GROUP
from capillary_adobe.lake_storage import LakeError, LakePlace, LakeUnavailable, open_place
from capillary_adobe.pump import Pump, PumpStopped
from capillary_adobe.tables import TABLES, Table

__all__ = ["ROWS_PER_GROUP", "Lake", "LakeError", "LakeUnavailable", "Slice"]

FILE_BYTES = 64 * 2**20
# A commit a few seconds apart all day long: without frequent checkpoints every read replays the log from the start.
CHECKPOINT_COMMITS = 25
# A day's files of one table from which on they are joined.
FILES_A_DAY = 40
# Keys in one delete predicate: the parser's recursion and the statement stay small.
KEYS_PER_PREDICATE = 500
COMMIT_ATTEMPTS = 50
_MARK = "capillaryAdobeWrite"


@dataclass(frozen=True)
class Slice:
    """The rows of one landing day: all of them, those of one micro-batch, or those of one stage (quarantine)."""

    day: str
    batch_id: str | None = None
    stage: str | None = None

    @property
    def _equals(self) -> dict[str, str]:
        named = {"day": self.day, "batch_id": self.batch_id, "stage": self.stage}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def predicate(self) -> str:
        """SQL predicate for replacing."""
        return " AND ".join(f"{name} = '{value}'" for name, value in self._equals.items())

    @property
    def filter(self) -> pc.Expression:
        """Arrow filter for reading."""
        return reduce(and_, (pc.field(name) == value for name, value in self._equals.items()))


@dataclass(frozen=True)
class Lake:
    """The tables under one address: a folder, or `s3://<bucket>/<prefix>`."""

    url: str

    @cached_property
    def _writer(self) -> dict[str, WriterProperties]:
        def properties(table: Table) -> WriterProperties:
            bulk = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
            return WriterProperties(
                compression="ZSTD",
                compression_level=1,
                max_row_group_size=ROWS_PER_GROUP,
                write_batch_size=1024,
                column_properties=dict.fromkeys(table.bulk, bulk),
            )

        return {table.name: properties(table) for table in TABLES}

    @cached_property
    def _place(self) -> LakePlace:
        return open_place(self.url)

    @cached_property
    def _known(self) -> dict[str, DeltaTable]:
        return {}

    def uri(self, table: Table) -> str:
        """Address of a table.

        Raises:
            LakeError: `url` is no address of a lake.
        """
        return self._place.uri(table.name)

    def replace(self, table: Table, part: Slice, rows: Iterable[pa.RecordBatch]) -> int:
        """Replace the rows of `part` by `rows` in one transaction; return how many were written.

        Nothing is committed where nothing changes: each commit costs the more the more days the table has, and half of those
        of a day of history without a fault would be of this kind.

        Raises:
            LakeError: the table cannot be written.
        """
        written = 0

        def counted(pump: Pump[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            nonlocal written
            for batch in pump:
                written += batch.num_rows
                yield batch

        delta, mark = self._open_or_create(table), uuid4().hex
        before = delta.version()
        with Pump(rows) as pump:
            batches = counted(pump)
            try:
                first = next((batch for batch in batches if batch.num_rows), None)
                if first is None and not self._files(delta, part):
                    self._known[table.name] = delta
                    return 0
                write_deltalake(
                    delta,
                    pa.RecordBatchReader.from_batches(table.schema, chain([] if first is None else [first], batches)),
                    mode="overwrite",
                    # After a way back, the table has columns of the newer version.
                    schema_mode="merge",
                    predicate=part.predicate,
                    writer_properties=self._writer[table.name],
                    target_file_size=FILE_BYTES,
                    commit_properties=CommitProperties(custom_metadata={_MARK: mark}),
                )
            except (DeltaError, OSError, PumpStopped) as error:
                if pump.failure is not None:
                    raise pump.failure from None
                if not self._committed(table, before, mark, error):
                    raise self._unusable(table, error) from error
            else:
                self._known[table.name] = delta
        return written

    def _committed(self, table: Table, before: int, mark: str, error: Exception) -> bool:
        """Whether a commit is in the log all the same.

        Where the answer to it was lost, it was sent again, and what it then collided with was itself.
        """
        return isinstance(error, CommitFailedError) and self._place.holds_commit(table.name, before, mark)

    def remove_events(self, table: Table, part: Slice, event_keys: Iterable[str], column: str = "event_key") -> None:
        """Remove the rows that other micro-batches of the day wrote for these events, by the column that holds the keys.

        Raises:
            LakeError: the table cannot be written.
        """
        keys = sorted(event_keys)
        for start in range(0, len(keys), KEYS_PER_PREDICATE):
            listed = ", ".join(f"'{key}'" for key in keys[start : start + KEYS_PER_PREDICATE])
            others = f"day = '{part.day}' AND batch_id != '{part.batch_id}' AND {column} IN ({listed})"
            self._delete(table, others)

    def _delete(self, table: Table, predicate: str) -> None:
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            try:
                self._open_or_create(table).delete(predicate, self._writer[table.name])
            except CommitFailedError as error:
                # Unlike a replacement, a removal fails when another day is written meanwhile; it is soon repeated.
                if attempt == COMMIT_ATTEMPTS:
                    raise self._unusable(table, error) from error
            except (DeltaError, OSError) as error:
                raise self._unusable(table, error) from error
            else:
                return

    def read(self, table: Table, part: Slice, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream rows in batches of at most `ROWS_PER_GROUP`; nothing where the table does not exist yet.

        File by file and row group by row group, in this thread: the dataset scanner reads ahead without a bound that
        holds (0.4 GB more for a day of 400,000 events), and its threads outlive a reader that stops early.
        """
        delta = self._look(table)
        if delta is None:
            return
        names = columns or table.names
        try:
            for path, size in self._files(delta, part):
                for rows in self._rows_of(table, path, size, part.day, {*names, "batch_id", "stage"}):
                    yield from rows.filter(part.filter).select(names).combine_chunks().to_batches()
        except (OSError, pa.ArrowException) as error:
            raise self._unusable(table, error) from error

    def reader(self, table: Table, part: Slice) -> Callable[[list[str]], Iterator[pa.RecordBatch]]:
        """Reads the wanted columns of a slice anew at each call."""
        return lambda columns: self.read(table, part, columns)

    def _rows_of(self, table: Table, path: str, size: int, day: str, wanted: set[str]) -> Iterator[pa.Table]:
        with self._place.file(table.name, path, size) as file:
            stored = [name for name in file.names if name in wanted]
            for batch in file.batches(stored):
                yield as_declared(table, batch, day, wanted)

    def table(self, table: Table, part: Slice, columns: list[str]) -> pa.Table:
        """Read rows that are known to be few, or few columns of many."""
        schema = pa.schema([table.schema.field(name) for name in columns])
        return pa.Table.from_batches(self.read(table, part, columns), schema=schema)

    def _files(self, delta: DeltaTable, part: Slice) -> list[tuple[str, int]]:
        """Path and bytes of the files that may hold rows of the slice."""
        files = _files_of_day(delta, part.day)
        if part.batch_id is not None:
            lowest, highest = pc.field("min.batch_id"), pc.field("max.batch_id")
            files = files.filter((lowest <= part.batch_id) & (highest >= part.batch_id))
        return list(zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True))

    def count(self, table: Table, part: Slice) -> int:
        """Rows of a slice; of a whole day without reading any file."""
        delta = self._look(table)
        if delta is None:
            return 0
        if part == Slice(part.day):
            return sum(_files_of_day(delta, part.day)["num_records"].to_pylist())
        return sum(batch.num_rows for batch in self.read(table, part, ["day"]))

    def schema(self, table: Table) -> pa.Schema:
        """Columns as stored; none where the table does not exist yet."""
        delta = self._look(table)
        return pa.schema([]) if delta is None else pa.schema(delta.schema().to_arrow())

    def days(self, table: Table) -> list[str]:
        """Landing days with rows, in order."""
        delta = self._look(table)
        if delta is None:
            return []
        actions = pa.table(delta.get_add_actions(flatten=True))
        return sorted({day for day in actions["partition.day"].to_pylist() if day})

    def files(self, table: Table, part: Slice) -> tuple[int, int]:
        """Files of a day and their bytes."""
        delta = self._look(table)
        if delta is None:
            return 0, 0
        of_day = _files_of_day(delta, part.day)
        return of_day.num_rows, sum(of_day["size_bytes"].to_pylist())

    def tidy(self, table: Table, day: str) -> None:
        """Join the small files that a day's micro-batches leave, once there are many; the caller holds the day's lock.

        Every look at a day costs per file: at 400 micro-batches the balance took 2.8 s, at 40 it takes 0.3 s. Rows stay
        as they are; the replaced files remain until the table is vacuumed.

        Raises:
            LakeError: the table cannot be written.
        """
        files, _ = self.files(table, Slice(day))
        if files < FILES_A_DAY:
            return
        delta = self._open_or_create(table)
        try:
            delta.optimize.compact(
                partition_filters=[("day", "=", day)],
                target_size=FILE_BYTES,
                writer_properties=self._writer[table.name],
            )
        except CommitFailedError:
            # Another day was written meanwhile; the next micro-batch tidies.
            return
        except (DeltaError, OSError) as error:
            raise self._unusable(table, error) from error

    def _look(self, table: Table) -> DeltaTable | None:
        """The table as it is now, for reading."""
        delta = self._refreshed(table)
        if delta is not None:
            self._known[table.name] = delta
        return delta

    def _refreshed(self, table: Table) -> DeltaTable | None:
        """The table as it is now, its owner's alone until it is known again: a writer may be fed with rows of the same table.

        Of a table that is known, only what has been committed since is fetched: on S3 2 requests in place of 10 to 50.
        """
        known = self._known.pop(table.name, None)
        if known is not None:
            with suppress(DeltaError, OSError):
                known.update_incremental()
                return known
        return self._open(table)

    def _open(self, table: Table) -> DeltaTable | None:
        try:
            return DeltaTable(self.uri(table), storage_options=self._place.options)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise self._unusable(table, error) from error

    def _open_or_create(self, table: Table) -> DeltaTable:
        self._place.admit_writing()
        existing = self._refreshed(table)
        if existing is not None:
            return self._with_new_columns(table, existing)
        try:
            self._place.put_in_place(table.name, lambda folder: _create(table, folder))
        except (DeltaError, OSError) as error:
            # Another writer may have been first.
            created = self._open(table)
            if created is None:
                raise self._unusable(table, error) from error
            return created
        return self._there(table)

    def _there(self, table: Table) -> DeltaTable:
        delta = self._open(table)
        if delta is None:
            raise self._unusable(table, FileNotFoundError("it was there a moment ago and is gone"))
        return delta

    def _with_new_columns(self, table: Table, delta: DeltaTable) -> DeltaTable:
        """A table of an older version gets the columns that have come since; only optional ones are ever added."""
        present = {field.name for field in delta.schema().fields}
        missing = [column for column in table.columns if column.name not in present and not column.required]
        if missing:
            schema = pa.schema([pa.field(column.name, column.type) for column in missing])
            try:
                delta.alter.add_columns(DeltaSchema.from_arrow(schema).fields)
            except CommitFailedError:
                # Another writer was first.
                delta = self._there(table)
            except (DeltaError, OSError) as error:
                raise self._unusable(table, error) from error
        return delta

    def _unusable(self, table: Table, error: Exception) -> LakeError:
        return self._place.failure(table.name, error)


def _create(table: Table, folder: Path) -> None:
    DeltaTable.create(
        folder,
        schema=table.schema,
        name=table.name,
        partition_by=["day"],
        configuration={
            # Statistics over the other columns would copy personal values into the log.
            "delta.dataSkippingStatsColumns": "batch_id",
            "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
            # No older version can be read than its files are kept; thirty days of such commits are half a million files.
            "delta.logRetentionDuration": "interval 7 days",
        },
    )


def as_declared(table: Table, batch: pa.RecordBatch, day: str, wanted: Collection[str]) -> pa.Table:
    """Rows as they are stored, with their day, of the declared types."""
    stored = batch.schema.names
    # Files that a removal has rewritten hold their texts as views, which no filter takes.
    declared = pa.schema([table.schema.field(name) for name in [*stored, "day"]])
    of_day = pa.array([day] * batch.num_rows, pa.string())
    rows = pa.Table.from_batches([batch]).append_column("day", of_day).cast(declared)
    for field in table.schema:
        if field.name in wanted and field.name not in {*stored, "day"}:
            # The file is of a version that did not have the column yet.
            rows = rows.append_column(field, pa.nulls(batch.num_rows, field.type))
    return rows


def _files_of_day(delta: DeltaTable, day: str) -> pa.Table:
    return pa.table(delta.get_add_actions(flatten=True)).filter(pc.field("partition.day") == day)
