"""The state database itself: tables, connections, and the lock that lets one run at a time write a day.

Belongs here: what SQLite and PostgreSQL need to behave alike. Does not belong here: the meaning of the rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from capillary_adobe.state.file_locks import is_locked, locked, locked_if_free

metadata = sa.MetaData()

landed_objects = sa.Table(
    "landed_objects",
    metadata,
    sa.Column("object_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("day", sa.Text, nullable=False, index=True),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False),
    # Null until the rows of every line are in the lake.
    sa.Column("lines", sa.BigInteger),
)

microbatches = sa.Table(
    "microbatches",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("after_key", sa.Text, nullable=False),
    sa.Column("up_to_key", sa.Text, nullable=False),
    sa.Column("objects", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("asked_ms", sa.BigInteger, nullable=False),
    sa.Column("done_ms", sa.BigInteger),
    # Above 0 while its only open events wait for a look-up: it is not asked for before this moment.
    sa.Column("not_before_ms", sa.BigInteger, nullable=False, server_default="0"),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("object_id", sa.Integer, nullable=False),
    sa.Column("line", sa.BigInteger, nullable=False),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("replaced", sa.Text),
    sqlite_with_rowid=False,
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    # Fingerprint of the settings it went out under: inlet, organisation, schema, dataset, dataflow.
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False, server_default="streaming"),
    sa.Column("accepted", sa.Integer, nullable=False),
    # Until there is an answer, when it was sent.
    sa.Column("answered_ms", sa.BigInteger, nullable=False),
    # Sendings of this content whose answer never came.
    sa.Column("lost", sa.Integer, nullable=False, server_default="0"),
    sa.Column("http_status", sa.Integer),
    sa.Column("aep_id", sa.Text),
    # 32 bytes an entity, then one letter an entity, then [code, words, cause] by place for those not accepted.
    sa.Column("ids", sa.LargeBinary, nullable=False),
    sa.Column("outcomes", sa.LargeBinary, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)


sa.Index("receipts_by_target", receipts.c.target, sqlite_where=receipts.c.accepted > 0)


_NO_ADDRESS = (
    "STATE_URL is no database address: give sqlite:///<path> or postgresql://<user>:<password>@<host>/<name>. In a password "
    "write @ as %40, : as %3A, / as %2F and % as %25."
)


class StateError(Exception):
    """The state database cannot be used; the text names the place and the cure."""


@dataclass(frozen=True)
class Look:
    """What a look at the database finds: its version and which tables and columns the next run will add."""

    version: str
    missing: tuple[str, ...]


class State:
    """An open state database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3; the driver installed here and by Dagster is psycopg2.
        try:
            self._url = sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://", 1))
        except (SQLAlchemyError, ValueError):
            # Without the cause: its text may repeat the password.
            raise StateError(_NO_ADDRESS) from None
        # The rest of a password that holds the sign; as part of the host it would be told.
        if "@" in (self._url.host or ""):
            raise StateError(_NO_ADDRESS)
        # In memory every process would have a state of its own, and lose it.
        if self.is_sqlite and self._url.database in (None, "", ":memory:"):
            raise StateError(_NO_ADDRESS)

    @property
    def _shown(self) -> str:
        secret = [name for name in self._url.query if "password" in name]
        return self._url.difference_update_query(secret).render_as_string(hide_password=True)

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine, with every table in place.

        Raises:
            StateError: the database cannot be reached or written.
        """
        try:
            if self.is_sqlite:
                Path(self._url.database or "").absolute().parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(self._url, hide_parameters=True)
            if self.is_sqlite:
                event.listen(engine, "connect", _prepare_sqlite)
                event.listen(engine, "begin", _begin_immediately)
            with self._one_at_a_time("tables"), engine.begin() as connection:
                # Two sessions that create the same table fail one another.
                self.take_turn(connection, "tables")
                metadata.create_all(connection)
                _add_new_columns(connection)
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise self._unusable(error) from error
        return engine

    def look(self, seconds: int) -> Look | None:
        """Look without changing anything; None where the database does not exist yet and can be made.

        Raises:
            StateError: the database cannot be reached within `seconds` or not be written.
        """
        try:
            if self.is_sqlite and not Path(self._url.database or "").is_file():
                _demand_place(Path(self._url.database or "").absolute())
                return None
            waiting = {"timeout": seconds} if self.is_sqlite else {"connect_timeout": seconds}
            engine = sa.create_engine(self._url, connect_args=waiting, poolclass=sa.NullPool)
            with engine.connect() as connection:
                if self.is_sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                name = connection.dialect.name.replace("sqlite", "SQLite").replace("postgresql", "PostgreSQL")
                version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
                missing = tuple(_missing_parts(connection))
                if not self.is_sqlite:
                    _demand_rights(connection, to_create=bool(missing))
                connection.rollback()
            return Look(f"{name} {version}", missing)
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise self._unusable(error) from error

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction.

        Raises:
            StateError: the database cannot be reached or written.
        """
        engine = self.engine
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            # Without the cause here and below: its text repeats the statement, with customers and their values.
            raise self._unusable(error) from None

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, and waits for no writer.

        Raises:
            StateError: the database cannot be reached.
        """
        engine = self.engine
        try:
            with engine.connect().execution_options(reads_only=True, stream_results=True) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._unusable(error) from None

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ON CONFLICT in the database's dialect."""
        if self.is_sqlite:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    @contextmanager
    def day_lock(self, day: str) -> Iterator[None]:
        """Hold a day for one writer; another waits. The lock ends with its process, so a kill leaves none behind.

        Raises:
            StateError: the database cannot be reached or written.
        """
        if self.is_sqlite:
            with self._one_at_a_time(day):
                yield
            return
        number = _lock_number(day)
        with ExitStack() as stack:
            try:
                # Outside any transaction: a server may end those that stand idle for as long as a day takes.
                connection = stack.enter_context(self.engine.connect())
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.execute(sa.select(sa.func.pg_advisory_lock(number)))
            except SQLAlchemyError as error:
                raise self._unusable(error) from error
            try:
                yield
            finally:
                # A connection that broke has lost its lock already; the server gives it back.
                with suppress(SQLAlchemyError):
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))

    def is_held(self, day: str) -> bool:
        """Whether a writer holds a day just now, without waiting for it.

        Raises:
            StateError: the database cannot be reached or read.
        """
        if self.is_sqlite:
            try:
                return is_locked(self._lock_file(day))
            except OSError as error:
                raise self._unusable(error) from error
        # Of a transaction, it ends with it.
        tried = sa.select(sa.func.pg_try_advisory_xact_lock(_lock_number(day)))
        with self.begin() as connection:
            return not connection.execute(tried).scalar_one()

    @contextmanager
    def lock_if_free(self, name: str) -> Iterator[bool]:
        """Hold a name for one at a time, and never wait: tells whether it is held now. It ends with its process, too.

        Whoever waits for nobody under this lock may take it while it holds a day. No name is that of a day.

        Raises:
            StateError: the database cannot be reached or written.
        """
        with ExitStack() as stack:
            if self.is_sqlite:
                try:
                    held = stack.enter_context(locked_if_free(self._lock_file(name)))
                except OSError as error:
                    raise self._unusable(error) from error
                yield held
                return
            number = _lock_number(name)
            try:
                connection = stack.enter_context(self.engine.connect())
                connection.execution_options(isolation_level="AUTOCOMMIT")
                held = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(number))).scalar_one())
            except SQLAlchemyError as error:
                raise self._unusable(error) from error
            try:
                yield held
            finally:
                if held:
                    with suppress(SQLAlchemyError):
                        connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))

    def take_turn(self, connection: sa.Connection, name: str) -> None:
        """Be the only transaction under this name until it ends; with SQLite there is one writer anyway.

        It spares PostgreSQL's writers deadlocks over rows that each takes in an order of its own.
        """
        if not self.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_lock_number(name))))

    @contextmanager
    def _one_at_a_time(self, name: str) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._lock_file(name)))
            except OSError as error:
                raise self._unusable(error) from error
            yield

    def _lock_file(self, name: str) -> Path:
        return Path(f"{self._url.database}.locks") / name

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; otherwise it is PostgreSQL."""
        return self._url.get_backend_name() == "sqlite"

    def _unusable(self, error: Exception) -> StateError:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
        return StateError(
            f"The state database STATE_URL={self._shown} cannot be used ({cause}). Check that it is reachable, that its "
            "folder or schema belongs to the user that runs Dagster, and that there is free space."
        )


def _demand_place(path: Path) -> None:
    """Refuse where a new database file could not be made."""
    if path.exists():
        raise IsADirectoryError(f"{path} is no file")
    nearest = next(parent for parent in path.parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise PermissionError(f"{nearest} is no folder that can be written")


def _demand_rights(connection: sa.Connection, *, to_create: bool) -> None:
    """Refuse a PostgreSQL server that only reads, and a schema in which missing tables could not be made."""
    asked = "SELECT pg_is_in_recovery(), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
    reads_only, may_create = connection.exec_driver_sql(asked).one()
    if reads_only:
        raise PermissionError("the server is a standby, which only reads")
    if to_create and not may_create:
        raise PermissionError("tables are missing, and this user may not create any in the schema")


def _missing_parts(connection: sa.Connection) -> Iterator[str]:
    """Tables and columns that the database does not have yet."""
    found = sa.inspect(connection)
    present = set(found.get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in present:
            yield table.name
            continue
        columns = {column["name"] for column in found.get_columns(table.name)}
        yield from (f"{table.name}.{column.name}" for column in table.columns if column.name not in columns)


def _add_new_columns(connection: sa.Connection) -> None:
    """Bring tables of an older version up to date; columns are only ever added, each with a default."""
    found = sa.inspect(connection)
    for table in metadata.sorted_tables:
        existing = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in existing:
                described = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {described}")


def _lock_number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling begins too late for two writers; `begin` below does it.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # A receipt must outlive a power cut, not only a kill.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 60000")
    connection.execute("PRAGMA cache_size = -131072")
    # What is deleted or overwritten is a person's now and then: its bytes are zeroed where that costs no page more, which
    # would be a tenth of a large merge; the rest goes with the file, which an erasure writes anew.
    connection.execute("PRAGMA secure_delete = FAST")


def _begin_immediately(connection: sa.Connection) -> None:
    # Two writers that both begin by reading would deadlock; who only reads needs no lock.
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
