"""The judgement of a day: what Capillary says it sent, joined with what landed, event by event.

Belongs here: the classes, the join and the figures. Does not belong here: asking Capillary and reading the tables
(`reconciling.py`), printing (`cli_reconcile.py`).

The join is DuckDB's, with a bound on its memory and a folder to spill to: a day may have a million events.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import duckdb
import pyarrow as pa

from capillary_adobe.capillary.api.delivery_log import Fate, Sending

_MEMORY = "400MB"

_LOG = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_name", pa.string()),
        ("request_id", pa.string()),
        ("ref_id", pa.string()),
        ("ingested_ms", pa.int64()),
        ("attempted_ms", pa.int64()),
        ("fate", pa.string()),
        ("http_status", pa.int64()),
    ]
)
LANDED = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_name", pa.string()),
        ("lane", pa.string()),
        ("created_ms", pa.int64()),
        ("request_id", pa.string()),
        ("ref_id", pa.string()),
    ]
)
"""What is told of landed records; all but a raw event's `event_id` and `lane` may be null."""


class Judged(StrEnum):
    """What became of an event of the log."""

    ARRIVED = "arrived"
    MISSING = "missing"
    JUST_SENT = "just_sent"
    ANSWER_LOST = "answer_lost"
    RETRYING = "retrying"
    FAILED = "failed"


MEANINGS = {
    Judged.ARRIVED: "delivered by Capillary's log, and landed",
    Judged.MISSING: "delivered by Capillary's log, and not landed: lost",
    Judged.JUST_SENT: "delivered a moment ago, and not read yet",
    Judged.ANSWER_LOST: "not delivered by Capillary's log, and landed all the same",
    Judged.RETRYING: "not delivered yet: Capillary goes on trying",
    Judged.FAILED: "given up by Capillary, and not landed: lost",
}
LOST = (Judged.MISSING, Judged.FAILED)


@dataclass(frozen=True)
class JudgedEvent:
    """One event of the log that has not landed."""

    event_id: str
    event_type: str
    judged: str
    ingested_ms: int
    attempted_ms: int | None
    attempts: int
    http_status: int | None


class Judgement:
    """Gathers both sides of a day, then tells the classes. First the log, whole; then what landed; then the questions."""

    def __init__(self, start_ms: int, end_ms: int, sent_before_ms: int) -> None:
        self._bounds = {"start": start_ms, "end": end_ms}
        self._sent_before_ms = sent_before_ms
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="reconcile-"))
        bounds = {"memory_limit": _MEMORY, "threads": 2, "temp_directory": folder, "preserve_insertion_order": False}
        self._db = self._stack.enter_context(duckdb.connect(config=bounds))
        self._db.execute(
            "create table log (event_id varchar, event_name varchar, request_id varchar, ref_id varchar, "
            "ingested_ms bigint, attempted_ms bigint, fate varchar, http_status integer, part integer);"
            "create table landed (event_id varchar);"
            "create table nameless (event_name varchar, request_id varchar, ref_id varchar);"
            "create table others (event_name varchar, lane varchar, events bigint);"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sent(self, parts: Iterable[list[Sending]]) -> None:
        """Take the log: the day itself, and what follows it closely."""
        for number, rows in enumerate(parts):
            columns = zip(*rows, strict=True) if rows else ((),) * len(_LOG)
            batch = pa.RecordBatch.from_arrays(
                [pa.array(column, field.type) for column, field in zip(columns, _LOG, strict=True)], schema=_LOG
            )
            with _named(self._db, "part", pa.Table.from_batches([batch])):
                self._db.execute("insert into log select *, $number from part", {"number": number})
        self._db.execute("create table ids as select distinct event_id from log")

    def landed(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take records that landed, in the form of `LANDED`."""
        with _named(self._db, "part", pa.RecordBatchReader.from_batches(LANDED, iter(rows))):
            self._db.execute("create or replace temp table records as select * from part")
        of_day = "created_ms >= $start and created_ms < $end"
        self._db.execute("insert into landed select event_id from records semi join ids using (event_id)")
        self._db.execute(
            "insert into nameless select lower(event_name), coalesce(request_id, ''), coalesce(ref_id, '') from records "
            "where event_id is null and created_ms is not null"
        )
        self._db.execute(
            f"insert into others select event_name, lane, count(*) from records anti join ids using (event_id) "
            f"where event_id is not null and {of_day} group by all",
            self._bounds,
        )
        self._db.execute("drop table records")

    def judge(self) -> None:
        """Put each event of the day's log into its class."""
        self._db.execute(
            f"""
            create table judged as
            with sent as (
                select event_id,
                    any_value(event_name) as event_type,
                    any_value(request_id) as request_id,
                    any_value(ref_id) as ref_id,
                    min(log.ingested_ms) as ingested_ms,
                    max(log.attempted_ms) as attempted_ms,
                    count(distinct log.attempted_ms) as attempts,
                    bool_or(fate = '{Fate.DELIVERED}') as delivered,
                    arg_max(fate, coalesce(log.attempted_ms, log.ingested_ms)) as fate,
                    arg_max(http_status, coalesce(log.attempted_ms, log.ingested_ms)) as http_status
                from log group by event_id
                having min(log.ingested_ms) >= $start and min(log.ingested_ms) < $end
            ),
            by_id as (
                select sent.*, exists (select 1 from landed where landed.event_id = sent.event_id) as by_id from sent
            ),
            -- Records without an id are held against those of their request, each for one event.
            nameless_of as (
                select event_name, request_id, ref_id, count(*) as records from nameless
                where request_id != '' group by all
            ),
            placed as (
                select by_id.*, not by_id and coalesce(records, 0) >= row_number() over (
                    partition by by_id, lower(event_type), by_id.request_id, by_id.ref_id order by ingested_ms, event_id
                ) as by_request
                from by_id left join nameless_of on lower(event_type) = nameless_of.event_name
                    and by_id.request_id = nameless_of.request_id and by_id.ref_id = nameless_of.ref_id
            )
            select *, case
                when delivered and (by_id or by_request) then '{Judged.ARRIVED}'
                when delivered and coalesce(attempted_ms, ingested_ms) >= $sent_before then '{Judged.JUST_SENT}'
                when delivered then '{Judged.MISSING}'
                when by_id or by_request then '{Judged.ANSWER_LOST}'
                when fate = '{Fate.FAILED}' then '{Judged.FAILED}'
                else '{Judged.RETRYING}' end as judged
            from placed
            """,
            {**self._bounds, "sent_before": self._sent_before_ms},
        )

    def by_type(self) -> dict[str, dict[str, int]]:
        """Events of the log by event type and class."""
        return self._nested("select event_type, judged, count(*) from judged group by all order by all")

    def by_status(self) -> dict[str, dict[str, int]]:
        """Events that have not landed by class and last HTTP status; `none` where there was no answer."""
        return self._nested(
            "select judged, coalesce(http_status::varchar, 'none'), count(*) from judged where not (by_id or by_request) "
            "group by all order by all"
        )

    def matched_by_request(self) -> int:
        """Events that landed without an id and were told by their request."""
        return self._db.sql("select count(*) from judged where by_request").fetchall()[0][0]

    def log_rows(self) -> int:
        """Sendings in the day's log: an event that was sent twice counts twice, a row that came in two parts once."""
        return self._db.execute(
            """
            with alike as (
                select * exclude (part), part, count(*) as rows from log
                where ingested_ms >= $start and ingested_ms < $end group by all
            )
            select coalesce(sum(most), 0)::bigint
            from (select * exclude (part, rows), max(rows) as most from alike group by all)
            """,
            self._bounds,
        ).fetchall()[0][0]

    def not_in_log(self) -> dict[str, dict[str, int]]:
        """Events of the day that landed and that the log does not name, by event type and lane."""
        return self._nested("select event_name, lane, sum(events)::bigint from others group by all order by all")

    def events(self, judged: Judged) -> Iterator[JudgedEvent]:
        """The events of a class, oldest first."""
        found = self._db.execute(
            "select event_id, event_type, judged, ingested_ms, attempted_ms, attempts, http_status from judged "
            "where judged = $judged order by ingested_ms, event_id",
            {"judged": judged.value},
        )
        while rows := found.fetchmany(10_000):
            yield from (JudgedEvent(*row) for row in rows)

    def _nested(self, statement: str) -> dict[str, dict[str, int]]:
        nested: dict[str, dict[str, int]] = {}
        for outer, inner, count in self._db.sql(statement).fetchall():
            nested.setdefault(outer, {})[inner] = count
        return nested


@contextmanager
def _named(db: duckdb.DuckDBPyConnection, name: str, relation: Any) -> Iterator[None]:
    """A relation under a name, for one block."""
    db.register(name, relation)
    try:
        yield
    finally:
        db.unregister(name)
