"""The event log: one row for each event and webhook, with every attempt to deliver it.

Belongs here: the file `log.db`, and what it is asked. Does not belong here: delivery (`notifications`) and the form in
which the API shows a row (`log_api`).

The body is kept until the delivery is settled, so that an emulator that was killed goes on with what was open. The log
stays bounded: the oldest settled rows go.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from capillary_adobe.emulators.capillary.behaviour import DAY_SECONDS
from capillary_adobe.emulators.capillary.reading import Told

_PRUNED_EVERY = 1000
_SCHEMA = """
create table if not exists deliveries (
    id integer primary key, consumer_group text not null, event_name text, event_id text, ref_id text,
    request_id text, search_key text, body blob, ingested_ms integer not null, started_ms integer, ended_ms integer,
    status text not null, http_status integer, taken_ms integer, attempts integer not null default 0);
create index if not exists by_group on deliveries (consumer_group, ingested_ms);
create index if not exists by_status on deliveries (status);
create index if not exists by_event on deliveries (event_id);
create table if not exists attempts (
    delivery integer not null, number integer not null, started_ms integer not null, taken_ms integer not null,
    http_status integer, primary key (delivery, number)) without rowid;
"""


class Status(StrEnum):
    """Where a delivery stands; docs.capillarytech.com/docs/manage-webhook names these four."""

    PENDING = "PENDING"
    RETRYING = "RETRYING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


OPEN = (Status.PENDING, Status.RETRYING)


class Attempt(NamedTuple):
    """One request to a webhook; `http_status` is None where no answer came in time."""

    started_ms: int
    taken_ms: int
    http_status: int | None


@dataclass(frozen=True)
class Search:
    """Which rows are wanted; times are of the moment the event was handed in, ms, both ends included."""

    consumer_group: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    event_name: str | None = None
    event_id: str | None = None
    ref_id: str | None = None
    request_id: str | None = None
    search_key: str | None = None
    status: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its values."""
        equal = ("consumer_group", "event_name", "event_id", "ref_id", "request_id", "search_key", "status")
        found = [(f"{name} = ?", getattr(self, name)) for name in equal if getattr(self, name) is not None]
        found += [("ingested_ms >= ?", self.start_ms)] if self.start_ms is not None else []
        found += [("ingested_ms <= ?", self.end_ms)] if self.end_ms is not None else []
        return " and ".join(["true", *(condition for condition, _ in found)]), [value for _, value in found]


class Log:
    """The rows; threads may share it."""

    def __init__(self, path: Path, rows: int, days: int) -> None:
        self._path = path
        self._rows = rows
        self._days = days
        self._lock = threading.Lock()
        self._since_pruning = 0
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Read what is there and be ready to add to it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self._path, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        # A kill of the emulator loses nothing; a power cut may, and nobody emulates through one.
        self._connection.executescript("pragma journal_mode=wal; pragma synchronous=off;" + _SCHEMA)

    def close(self) -> None:
        """Let go of the file; what a late thread still reports is dropped."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def add(self, body: bytes, told: Told, consumer_groups: Iterable[str]) -> list[tuple[str, int]]:
        """Note an event for some webhooks; gives each consumer group with the row's number."""
        now = now_ms()
        names = "consumer_group, event_name, event_id, ref_id, request_id, search_key, body, ingested_ms, status"
        statement = f"insert into deliveries ({names}) values ({', '.join('?' * 9)})"
        with self._lock:
            if self._connection is None:
                return []
            with self._connection as connection:
                added = [
                    (group, connection.execute(statement, (group, *told, body, now, Status.PENDING)).lastrowid or 0)
                    for group in consumer_groups
                ]
            self._since_pruning += len(added)
            if self._since_pruning >= _PRUNED_EVERY:
                self._since_pruning = 0
                self._prune(self._connection, now)
        return added

    def attempted(self, delivery: int, attempt: Attempt, status: Status) -> None:
        """Note an attempt and where the delivery stands after it."""
        settled = status not in OPEN
        with self._lock:
            if self._connection is None:
                return
            with self._connection as connection:
                connection.execute(
                    "update deliveries set status = ?, http_status = ?, taken_ms = ?, attempts = attempts + 1, "
                    "started_ms = coalesce(started_ms, ?), ended_ms = ?, body = case when ? then null else body end "
                    "where id = ?",
                    (
                        status,
                        attempt.http_status,
                        attempt.taken_ms,
                        attempt.started_ms,
                        attempt.started_ms + attempt.taken_ms if settled else None,
                        settled,
                        delivery,
                    ),
                )
                connection.execute(
                    "insert into attempts select ?, coalesce(max(number), 0) + 1, ?, ?, ? from attempts where delivery = ?",
                    (delivery, *attempt, delivery),
                )

    def open_deliveries(self) -> list[tuple[str, int]]:
        """Consumer group and number of every row that is not settled, oldest first."""
        rows = self._read("select consumer_group, id from deliveries where status in (?, ?) order by id", *OPEN)
        return [(row["consumer_group"], row["id"]) for row in rows]

    def body_of(self, delivery: int) -> tuple[bytes, int | None] | None:
        """The body of an open row, and when it was first tried."""
        rows = self._read("select body, started_ms from deliveries where id = ? and body is not null", delivery)
        return (rows[0]["body"], rows[0]["started_ms"]) if rows else None

    def rows(self, search: Search, order: str, limit: int, offset: int) -> list[sqlite3.Row]:
        """A page of rows; `order` is made of this package's own names."""
        condition, values = search.where()
        return self._read(
            f"select * from deliveries where {condition} order by {order} limit ? offset ?", *values, limit, offset
        )

    def counts(self, search: Search) -> dict[str, int]:
        """How many rows stand where."""
        condition, values = search.where()
        rows = self._read(f"select status, count(*) as rows from deliveries where {condition} group by status", *values)
        return dict.fromkeys((status.value for status in Status), 0) | {row["status"]: row["rows"] for row in rows}

    def average_ms(self, search: Search) -> float | None:
        """How long webhooks took on average to take what they took."""
        condition, values = search.where()
        statement = f"select avg(taken_ms) as mean from deliveries where {condition} and status = ?"
        rows = self._read(statement, *values, Status.SUCCESS)
        return rows[0]["mean"] if rows else None

    def attempts_of(self, delivery: int) -> list[dict[str, Any]]:
        """Every attempt of a row, in order."""
        statement = "select number, started_ms, taken_ms, http_status from attempts where delivery = ? order by number"
        return [dict(row) for row in self._read(statement, delivery)]

    def _read(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            if self._connection is None:
                return []
            with self._connection as connection:
                return connection.execute(statement, values).fetchall()

    def _prune(self, connection: sqlite3.Connection, now: int) -> None:
        oldest = now - self._days * DAY_SECONDS * 1000
        with connection:
            connection.execute(
                "delete from deliveries where status not in (?, ?) and (ingested_ms < ? or "
                "id <= (select max(id) from deliveries) - ?)",
                (*OPEN, oldest, self._rows),
            )
            connection.execute("delete from attempts where delivery not in (select id from deliveries)")


def now_ms() -> int:
    """Now, ms since 1970."""
    return time.time_ns() // 1_000_000
