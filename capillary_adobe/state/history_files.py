"""Imported files: each version of an export by its content, how far its import got, and what became of its rows day by day.

Belongs here: the ledger that lets a file be imported once, an import that died go on, and the checks count. Does not belong
here: reading files (`capillary.insights`) and the import (`history_importing.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from capillary_adobe.parts import in_parts
from capillary_adobe.state.database import State, metadata
from capillary_adobe.state.history_days import note_imported

history_files = sa.Table(
    "history_files",
    metadata,
    # Hex SHA-256 of the file's bytes: a changed file is another version.
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    # Where it was found and how it looked there, so that a poll need not read it again to know it.
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
    sa.Column("begun_ms", sa.BigInteger, nullable=False),
    sa.Column("done_ms", sa.BigInteger),
    # Rows counted by the reader alone, apart from what was made of them.
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed", sa.Text),
    # Digest of the objects that land, noted before the first of them does.
    sa.Column("landing", sa.Text),
)

history_file_days = sa.Table(
    "history_file_days",
    metadata,
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("template", sa.Text, primary_key=True),
    # Empty for what belongs to no day: customers' state, rows without a readable date.
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("event_rows", sa.BigInteger, nullable=False),
    # Lines written to the landing store: events and rows refused.
    sa.Column("lines", sa.BigInteger, nullable=False),
    # Rows by reason code.
    sa.Column("quarantined", sa.JSON, nullable=False),
    sa.Column("ignored", sa.JSON, nullable=False),
    # By event type: number of events, and by `<event type>.<measure>` the sum as decimal text.
    sa.Column("by_event_type", sa.JSON, nullable=False),
    sa.Column("totals", sa.JSON, nullable=False),
)
sa.Index("history_file_days_by_day", history_file_days.c.day)
_IN_ORDER: Final = (history_file_days.c.day, history_file_days.c.version, history_file_days.c.template)
# Parts in which days that somebody may stop reading are fetched.
_IN_PARTS: Final = {"yield_per": 50}


def import_lock(version: str) -> str:
    """The name under which an import of a version is at work, for `State.day_lock`."""
    return f"import-{version}"


@dataclass(frozen=True)
class HistoryFile:
    """A version of an export. `rows` are those that the reader counted; `failed` is why an import stopped, in words.

    `landing` is a digest of the objects that have landed or were about to.
    """

    version: str
    name: str
    place: str
    size: int
    changed_ms: int
    begun_ms: int = 0
    done_ms: int | None = None
    rows: int = 0
    failed: str | None = None
    landing: str | None = None


@dataclass
class FileDay:
    """What became of a file's rows of one template and day."""

    version: str
    template: str
    day: str
    events: int = 0
    event_rows: int = 0
    lines: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    by_event_type: dict[str, int] = field(default_factory=dict)
    totals: dict[str, Decimal] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that are accounted for."""
        return self.event_rows + sum(self.quarantined.values()) + sum(self.ignored.values())


class HistoryFiles:
    """The ledger of imported files."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def begin(self, file: HistoryFile) -> HistoryFile:
        """Note that an import begins, or goes on.

        The moment at which it first began stays. So does the name that the file had when its first object was about to land,
        since its lines tell it; until then a file may be renamed, as its name may tell its template.
        """
        values = {
            "version": file.version,
            "name": file.name,
            "place": file.place,
            "size": file.size,
            "changed_ms": file.changed_ms,
            "begun_ms": self._now_ms(),
        }
        statement = self._state.insert(history_files).values(values)
        c, new = history_files.c, statement.excluded
        found_as = {
            name: sa.case((c.landing.is_(None), new[name]), else_=c[name])
            for name in ("name", "place", "size", "changed_ms")
        }
        statement = statement.on_conflict_do_update(index_elements=["version"], set_={"failed": None, **found_as})
        with self._state.begin() as connection:
            connection.execute(statement)
            return _file(connection.execute(_by_version(file.version)).mappings().one())

    def land(self, version: str, landing: str) -> None:
        """Note which objects are about to land, by their digest; until they have, the file is not imported."""
        with self._state.begin() as connection:
            connection.execute(
                sa.update(history_files).where(history_files.c.version == version).values(landing=landing, done_ms=None)
            )

    def finish(self, version: str, rows: int, days: Iterable[FileDay]) -> None:
        """Note that a file is imported, what became of its rows, and that its days have new events, all at once."""
        now_ms = self._now_ms()
        with self._state.begin() as connection:
            # Two files that share days would each miss the events of the other.
            self._state.take_turn(connection, "history_days")
            touched = _days_of(connection, version)
            connection.execute(sa.delete(history_file_days).where(history_file_days.c.version == version))
            for some in in_parts(days, 500):
                connection.execute(sa.insert(history_file_days), [_row(day) for day in some])
            connection.execute(
                sa.update(history_files)
                .where(history_files.c.version == version)
                .values(done_ms=now_ms, rows=rows, failed=None)
            )
            touched |= _days_of(connection, version)
            for some in in_parts(sorted(touched), 500):
                note_imported(self._state, connection, _events(connection, some), now_ms)

    def fail(self, version: str, words: str) -> None:
        """Note why an import stopped; the words must hold no value of a row."""
        with self._state.begin() as connection:
            connection.execute(sa.update(history_files).where(history_files.c.version == version).values(failed=words))

    def find(self, version: str) -> HistoryFile | None:
        """The file of a version, if it is known."""
        with self._state.read() as connection:
            row = connection.execute(_by_version(version)).mappings().one_or_none()
            return _file(row) if row is not None else None

    def before(self, file: HistoryFile) -> HistoryFile | None:
        """The version that a file follows: the one of the same name that was imported last, but for itself."""
        c = history_files.c
        same = sa.and_(c.name == file.name, c.version != file.version, c.done_ms.is_not(None))
        query = sa.select(history_files).where(same).order_by(c.done_ms.desc(), c.version).limit(1)
        with self._state.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
            return _file(row) if row is not None else None

    def all(self) -> list[HistoryFile]:
        """Every known version, in the order in which their imports began."""
        query = sa.select(history_files).order_by(history_files.c.begun_ms, history_files.c.version)
        with self._state.read() as connection:
            return [_file(row) for row in connection.execute(query).mappings()]

    def days(self, version: str | None = None, day: str | None = None) -> list[FileDay]:
        """What became of the rows, of one version or of all, of one day or of all."""
        query = sa.select(history_file_days)
        if version is not None:
            query = query.where(history_file_days.c.version == version)
        if day is not None:
            query = query.where(history_file_days.c.day == day)
        with self._state.read() as connection:
            return [_file_day(row) for row in connection.execute(query.order_by(*_IN_ORDER)).mappings()]

    def days_after(self, day: str) -> Iterator[FileDay]:
        """What became of the rows of later days, day by day; who has seen enough reads no further."""
        query = sa.select(history_file_days).where(history_file_days.c.day > day).order_by(*_IN_ORDER)
        with self._state.read() as connection:
            for row in connection.execute(query, execution_options=_IN_PARTS).mappings():
                yield _file_day(row)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _by_version(version: str) -> sa.Select[Any]:
    return sa.select(history_files).where(history_files.c.version == version)


def _days_of(connection: sa.Connection, version: str) -> set[str]:
    """Days on which lines of a version landed."""
    c = history_file_days.c
    return set(connection.execute(sa.select(c.day).where(c.version == version, c.lines > 0)).scalars())


def _events(connection: sa.Connection, days: list[str]) -> list[tuple[str, int]]:
    """Days and the number of their events, of all files together."""
    c = history_file_days.c
    query = sa.select(c.day, sa.func.sum(c.events)).where(c.day.in_(days)).group_by(c.day)
    found = {day: int(events) for day, events in connection.execute(query)}
    return [(day, found.get(day, 0)) for day in days]


def _file(row: sa.RowMapping) -> HistoryFile:
    return HistoryFile(**{column.name: row[column.name] for column in history_files.columns})


def _row(day: FileDay) -> dict[str, object]:
    return {**day.__dict__, "totals": {name: str(total) for name, total in day.totals.items()}}


def _file_day(row: sa.RowMapping) -> FileDay:
    values: dict[str, Any] = {column.name: row[column.name] for column in history_file_days.columns}
    return FileDay(**{**values, "totals": {name: Decimal(total) for name, total in values["totals"].items()}})
