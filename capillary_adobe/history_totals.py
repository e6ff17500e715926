"""Totals of a day of history: what the lines of exports sum to, held against what AEP accepted for the same events.

Belongs here: the measures, the join and the sums. Does not belong here: judging them (`defs/history_checks.py`), counting lines
(`history_checks.py`) and days (`history_coverage.py`).

An event counts once, however many lines tell it, and by whichever lane and day it was delivered: a line has its event key from
the tables of its own day, and the key leads to the entity of the day on which the event landed first. The join is DuckDB's,
with a bound on its memory and a folder to spill to. Sums are decimal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, Self

import duckdb
import pyarrow as pa

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import LandingStore, read_landed
from capillary_adobe.parts import in_parts
from capillary_adobe.state import Outcome
from capillary_adobe.state.history_files import FileDay
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, SET_ASIDE, XDM_EVENTS, Table

_MEMORY = "400MB"
_LINES_AT_ONCE = 5000
# Sums of money and points: more places than any currency has.
_EXACT = "decimal(38, 9)"
# What an export has kept in binary tells more places than these, and each event loses some.
_LOST_AN_EVENT = Decimal("1e-9")


class Measure(NamedTuple):
    """What is summed of an event type: its name, the field of the payload, and where the entity has it."""

    name: str
    source: str
    paths: tuple[str, ...]


def _points(source: str) -> Measure:
    return Measure("points", source, ("_{tenant}.capillary.points.total",))


MEASURES = {
    "transactionAdded": Measure("amount", "amount", ("commerce.order.priceTotal", "commerce.order.refundTotal")),
    "pointsIssued": _points("totalPointsIssued"),
    "pointsRedeemed": _points("totalPointsRedeemed"),
    "pointsExpired": _points("pointsExpired"),
    "issuedPointsReversed": _points("totalIssuedPointsReversed"),
    "redeemedPointsReversed": _points("redeemedPointsReversed"),
    "pointsTransferredInitiated": _points("totalPointsTransferred"),
    # Spelled as Capillary spells it.
    "manualPointsAdjustment": _points("totalPoinstDeducted"),
}
"""The measures by event type; the paths are those of the shipped mapping (docs/mapping.md)."""


@dataclass(frozen=True)
class Sums:
    """Events of one type and one fate: how many, and what they sum to by the export and by AEP's entities.

    `fate` is `accepted`, `refused` (by AEP), `open`, `quarantined`, `ignored`, `unread` (of an object that no run has read) or
    `lost` (a raw event without an entity). `differing` events have another value in the entity than in the export,
    `by_webhook` of them are delivered as the webhook told them. `without_value` have none in the entity.
    """

    event_name: str
    measure: str
    fate: str
    events: int
    exported: Decimal
    delivered: Decimal
    differing: int = 0
    by_webhook: int = 0
    without_value: int = 0


@dataclass(frozen=True)
class DayTotals:
    """The totals of a day. `not_as_counted` names what the lines do not sum to as the import counted it, in words."""

    lines: int = 0
    sums: list[Sums] = field(default_factory=list)
    not_as_counted: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    """Event keys of a few events that differ."""

    @property
    def differing(self) -> int:
        """Events that AEP holds with another value than the export tells, apart from what the webhook told."""
        return sum(one.differing - one.by_webhook for one in self.sums)

    @property
    def by_webhook(self) -> int:
        """Events that the webhook told with another value than the export."""
        return sum(one.by_webhook for one in self.sums)

    @property
    def without_value(self) -> int:
        """Accepted events whose entity has no such field, so that there is nothing to compare."""
        return sum(one.without_value for one in self.sums)

    def events(self, *fates: str) -> int:
        """Events of these fates."""
        return sum(one.events for one in self.sums if one.fate in fates)


def totals_of_day(
    day: str,
    store: LandingStore,
    lake: Lake,
    tenant_id: str,
    counted: Iterable[FileDay],
    unfinished: Collection[str] = (),
) -> DayTotals:
    """The totals of what exports told of a day; `counted` is what their imports noted of it.

    `unfinished` are the versions, short, whose imports have not noted anything yet.

    Raises:
        LandingError: the landing store cannot be read.
        LakeError: a table cannot be read.
    """
    with _Join(day, lake, tenant_id) as join:
        join.lines(_told(store, day))
        join.places()
        join.deliveries()
        return DayTotals(join.count(), join.sums(), join.not_as_counted(counted, unfinished), join.examples())


class _Told(NamedTuple):
    """An event of a line: where it stands, which version and template tell it, and its value as decimal text."""

    object: str
    line: int
    version: str
    template: str
    event_name: str
    value: str | None


_LINES = pa.schema([(name, pa.int64() if name == "line" else pa.string()) for name in _Told._fields])


def _told(store: LandingStore, day: str) -> Iterator[_Told]:
    """The events that lines of exports tell; refused lines and what no import wrote are none."""
    keys = [found.key for found in store.list("history", day)]
    for key, stream in store.staged(keys):
        for record in read_landed(key, stream):
            value = record.value
            export = value.get("export") if type(value) is dict else None
            if type(export) is dict and "refused" not in export and type(name := value.get("eventName")) is str:
                version, template = str(export.get("version", "")), str(export.get("template", ""))
                amount = _amount(MEASURES.get(name), value.get("data"))
                yield _Told(key, record.line, version[:12], template, name, amount)


def _amount(measure: Measure | None, data: Any) -> str | None:
    found = data.get(measure.source) if measure is not None and type(data) is dict else None
    if found is None or type(found) is bool:
        return None
    try:
        return format(Decimal(str(found)), "f")
    except InvalidOperation:
        return None


class _Join:
    """The lines of a day, the places they came to, and the entities that AEP was sent for them."""

    def __init__(self, day: str, lake: Lake, tenant_id: str) -> None:
        self._day = day
        self._lake = lake
        self._paths = {
            name: [path.replace("{tenant}", tenant_id) for path in one.paths] for name, one in MEASURES.items()
        }
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="totals-"))
        bounds = {"memory_limit": _MEMORY, "threads": 2, "temp_directory": folder, "preserve_insertion_order": False}
        self._db = self._stack.enter_context(duckdb.connect(config=bounds))
        self._db.execute(
            f"create table lines (object varchar, line bigint, version varchar, template varchar, event_name varchar, "
            f"value {_EXACT});"
            "create table places (object varchar, line bigint, event_key varchar, day varchar, fate varchar, held boolean);"
            f"create table entities (event_key varchar, id varchar, lane varchar, value {_EXACT});"
            "create table outcomes (id varchar, status varchar);"
            "create table refused (event_key varchar)"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def lines(self, told: Iterable[_Told]) -> None:
        """Take the lines of the day's exports."""
        for part in in_parts(told, _LINES_AT_ONCE):
            columns = [
                pa.array(column, kind.type) for column, kind in zip(zip(*part, strict=True), _LINES, strict=True)
            ]
            self._insert(
                pa.Table.from_arrays(columns, schema=_LINES),
                f"insert into lines select * replace (value::{_EXACT} as value) from part",
            )

    def places(self) -> None:
        """Find out what each line came to: the event that it is, or why it is none."""
        select = "insert into places select object, line,"
        history = "from part where lane = 'history'"
        named = ["object", "line", "lane"]
        self._each(
            RAW_EVENTS, self._day, [*named, "event_key"], f"{select} event_key, '{self._day}', null, true {history}"
        )
        self._each(
            SET_ASIDE,
            self._day,
            [*named, "event_key", "kind", "reason"],
            f"{select} event_key, if(kind = 'duplicate', reason, null), if(kind = 'duplicate', null, 'ignored'), false "
            f"{history}",
        )
        self._each(
            QUARANTINE,
            self._day,
            [*named, "stage"],
            f"{select} null, null, 'quarantined', false {history} and stage = 'raw'",
        )
        # A line that gave way to another stands in the tables more than once, and names one event there.
        self._db.execute(
            "create table events as "
            "with told as (select object, line, any_value(event_key) as event_key, any_value(day) as day, "
            "    any_value(fate) as fate, bool_or(held) as held from places group by all) "
            "select coalesce(event_key, object || ':' || line) as event, any_value(event_key) as event_key, "
            "    any_value(event_name) as event_name, any_value(day) as day, any_value(fate) as fate, "
            "    bool_or(event_key is not null) as placed, bool_or(fate is not null) as ended, "
            "    coalesce(bool_or(held), false) as held, "
            # The line that is the event; where the webhook is, the first that tells of it.
            "    arg_min(value, (not coalesce(held, false), object, line)) as value "
            "from lines left join told using (object, line) group by event"
        )
        self._db.execute("create table keys as select distinct day, event_key from events where event_key is not null")

    def deliveries(self) -> None:
        """Find the entities of the events and what AEP said to them, on the days on which the events landed first."""
        value = self._value()
        days = self._db.sql("select distinct day from keys where day is not null order by day").fetchall()
        for (day,) in days:
            wanted = f"semi join (select event_key from keys where day = '{day}') using (event_key)"
            self._each(
                XDM_EVENTS,
                day,
                ["event_key", "event_name", "id", "lane", "entity"],
                f"insert into entities select event_key, id, lane, try_cast({value} as {_EXACT}) from part {wanted}",
            )
            self._each(
                INGESTION_STATUS,
                day,
                ["event_key", "id", "status"],
                f"insert into outcomes select id, status from part {wanted}",
            )
            self._each(
                QUARANTINE,
                day,
                ["event_key", "stage"],
                f"insert into refused select distinct event_key from part {wanted} where stage = 'xdm'",
            )
        self._db.execute(
            f"""
            create table judged as
            select e.event_name, e.event_key, e.value as exported, x.value as delivered, x.lane, case
                when e.fate is not null then e.fate
                when e.event_key is null then 'unread'
                when x.id is not null and o.status = '{Outcome.ACCEPTED}' then 'accepted'
                when x.id is not null and o.status = '{Outcome.REJECTED}' then 'refused'
                when x.id is not null then 'open'
                when r.event_key is not null then 'quarantined'
                else 'lost' end as fate
            from events e
                left join (select event_key, any_value(id) as id, any_value(lane) as lane, any_value(value) as value
                    from entities group by all) x using (event_key)
                left join (select id, any_value(status) as status from outcomes group by id) o on o.id = x.id
                left join (select distinct event_key from refused) r using (event_key)
            """
        )

    def count(self) -> int:
        """Lines that tell an event."""
        return self._db.sql("select count(*) from lines").fetchall()[0][0]

    def sums(self) -> list[Sums]:
        """The sums by event type and fate."""
        found = self._db.sql(
            """
            select event_name, fate, count(*), coalesce(sum(exported), 0), coalesce(sum(delivered), 0),
                count(*) filter (fate = 'accepted' and delivered is distinct from exported
                    and delivered is not null and exported is not null),
                count(*) filter (fate = 'accepted' and delivered is distinct from exported
                    and delivered is not null and exported is not null and lane = 'live'),
                count(*) filter (fate = 'accepted' and delivered is null and exported is not null)
            from judged group by all order by all
            """
        ).fetchall()
        return [
            Sums(name, MEASURES[name].name if name in MEASURES else "", fate, *numbers)
            for name, fate, *numbers in found
        ]

    def examples(self) -> list[str]:
        """A few events that differ, by key."""
        found = self._db.sql(
            "select event_key from judged where fate = 'accepted' and delivered != exported order by event_key limit 10"
        )
        return [key for (key,) in found.fetchall()]

    def not_as_counted(self, counted: Iterable[FileDay], unfinished: Collection[str]) -> list[str]:
        """Where the lines of a version do not sum to what its import noted when it read the rows."""
        found = {
            (version, template, name): (events, total)
            for version, template, name, events, total in self._db.sql(
                "select version, template, event_name, count(*), coalesce(sum(value), 0) from lines group by all"
            ).fetchall()
        }
        words: list[str] = []
        for one in counted:
            for name, events in one.by_event_type.items():
                lines, total = found.pop((one.version[:12], one.template, name), (0, Decimal(0)))
                measure = MEASURES.get(name)
                noted = one.totals.get(f"{name}.{measure.name}") if measure is not None else None
                where = f"{name} of {one.template}, version {one.version[:12]}"
                if lines != events:
                    words.append(f"{where}: {lines} lines, {events} events imported")
                elif noted is not None and abs(noted - total) > events * _LOST_AN_EVENT:
                    words.append(f"{where}: lines sum to {total.normalize():f}, rows to {noted.normalize():f}")
        return [
            *words,
            *(
                f"{name} of {template}, version {version}: no import noted it"
                for version, template, name in found
                if version not in unfinished
            ),
        ]

    def _value(self) -> str:
        """SQL for the value of an entity, by its event type."""
        cases = " ".join(
            f"when '{name}' then coalesce({', '.join(f'json_extract_string(entity, {_pointer(path)})' for path in paths)})"
            for name, paths in self._paths.items()
        )
        return f"case event_name {cases} end"

    def _each(self, table: Table, day: str, columns: list[str], statement: str) -> None:
        for batch in self._lake.read(table, Slice(day), columns):
            self._insert(batch, statement)

    def _insert(self, part: Any, statement: str) -> None:
        self._db.register("part", part)
        try:
            self._db.execute(statement)
        finally:
            self._db.unregister("part")


def _pointer(path: str) -> str:
    """A dotted path as DuckDB's JSON functions take it, a literal."""
    return "'$" + "".join(f'."{name}"' for name in path.split(".")) + "'"
