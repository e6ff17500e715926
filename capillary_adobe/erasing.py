"""Erasing deleted customers: the tables rewritten, day by day, then old files removed, then the state emptied.

Belongs here: which rows of which table are a customer's, and what becomes of each. Does not belong here: what of a payload is
personal (`profiles.erasure`), writing tables (`lake_rewriting.py`), emptying the database (`state.purging`).

Every step finds what is left to do by looking, so a run that was killed is taken up again by the next one. No row is removed:
events stay counted, under the customer's id alone. What lies in the landing store is never changed; its retention ends it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from capillary_adobe.erasing_rows import Found, RowFinder
from capillary_adobe.lake_rewriting import RewritableLake, one_of
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.erasure import ERASED_TEXT, as_kept, bare_record
from capillary_adobe.settings import ErasureSettings
from capillary_adobe.state import Erasures, LandedObjects, State
from capillary_adobe.state.erasures import ORDERS_LOCK
from capillary_adobe.state.purging import Purging
from capillary_adobe.tables import ENRICHED_EVENTS, QUARANTINE, RAW_EVENTS, TABLES, XDM_EVENTS, XDM_PROFILES, Table

Render = Callable[[tuple[Any, ...]], bytes | None]
"""The entity of an enriched row, its values in the table's order; None where no valid one can be made of it."""

Row = dict[str, Any]

_EVENTS_AT_ONCE: Final = 500
_LOOKED_AT: Final = (RAW_EVENTS, ENRICHED_EVENTS, XDM_EVENTS, XDM_PROFILES, QUARANTINE)


@dataclass
class Erased:
    """What a run has done.

    `rows` counts by table the rows that were changed; `came_back` those of them whose customer had been erased before.
    `left` are rows that still hold something after the run, which must be none. `files` were removed, `young_files` stay for
    ERASURE_KEEP_FILES_HOURS, and their customers wait with them.
    """

    customers: int = 0
    newly_noted: int = 0
    erased: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    came_back: int = 0
    state_rows: int = 0
    files: int = 0
    young_files: int = 0
    left: int = 0
    order_id: int | None = None


class Erasing:
    """Erases the customers that the register of erasures holds; `max_customers` is how many may share an identity."""

    def __init__(
        self,
        lake: RewritableLake,
        state: State,
        settings: ErasureSettings,
        render: Render,
        max_customers: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lake = lake
        self._state = state
        self._keep_hours = math.ceil(settings.keep_files_hours)
        self._render = render
        self._clock = clock
        self._erasures = Erasures(state)
        self._purging = Purging(state, max_customers)
        self._rows = RowFinder(lake)

    def run(self, most_in_an_order: int, progress: Callable[[str], None]) -> Erased:
        """Erase whoever waits, look once more for those erased before, and prepare a work order for AEP.

        Raises:
            LakeError, StateError: a table or the database cannot be written; the next run goes on.
        """
        began_ms = self._now_ms()
        done = Erased(newly_noted=self._purging.note_all(began_ms))
        waiting, everyone = set(self._erasures.waiting()), set(self._erasures.all())
        done.customers = len(everyone)
        # First, since a document that is emptied only now makes one more profile to look for.
        done.state_rows = self._purging.purge(began_ms)
        work = self._work(waiting, everyone)
        reopened: set[CustomerKey] = set()
        for number, (day, keys) in enumerate(work, start=1):
            with self._state.day_lock(day):
                again = not keys & waiting
                changed = self._day(day, keys, write=not again)
                if again and changed:
                    # Noted first, so that the files that held it go even if this run is killed before it comes to that.
                    self._erasures.reopen(keys)
                    reopened |= keys
                    self._day(day, keys, write=True)
            done.rows.update(changed)
            if again:
                # An entity may also differ since its mapping does.
                done.came_back += changed.total() - changed[XDM_EVENTS.name]
            progress(f"{number} of {len(work)} looks at a day, {done.rows.total()} rows redacted")
        done.left = self._left(work, began_ms)
        if not done.left:
            self._erasures.note_redacted(waiting | reopened, self._now_ms(), again=bool(done.rows))
            self._erasures.note_look(began_ms)
        if waiting or done.rows:
            done.files, done.young_files = self._sweep()
            self._purging.let_go()
        if not done.left:
            now_ms = self._now_ms()
            done.erased = self._erasures.settle(now_ms - self._keep_hours * 3_600_000, now_ms)
            with self._state.day_lock(ORDERS_LOCK):
                order = self._erasures.prepare(most_in_an_order, now_ms)
            done.order_id = None if order is None else order.order_id
        return done

    def _work(self, waiting: set[CustomerKey], everyone: set[CustomerKey]) -> list[tuple[str, set[CustomerKey]]]:
        """Days to look through, each with the customers to look for: who waits in all, the others where rows are new."""
        last_ms = self._erasures.last_look_ms() or 0
        erased = everyone - waiting
        young = (
            {day for table in _LOOKED_AT for day in self._lake.written_since(table, last_ms / 1000)} if erased else ()
        )
        days = self._days() if waiting else ()
        return [*((day, waiting) for day in sorted(days)), *((day, erased) for day in sorted(young))]

    def _days(self) -> set[str]:
        """Every landing day that a table has or a run may be writing at this moment."""
        return {day for table in _LOOKED_AT for day in self._lake.days(table)} | set(LandedObjects(self._state).days())

    def _left(self, work: list[tuple[str, set[CustomerKey]]], began_ms: int) -> int:
        """Rows that a second look finds, which changes nothing."""
        found = self._purging.left(began_ms)
        for day, keys in work:
            with self._state.day_lock(day):
                found += self._day(day, keys, write=False).total()
        return found

    def _day(self, day: str, keys: Collection[CustomerKey], *, write: bool) -> Counter[str]:
        """Redact what a day's tables have of customers; the caller holds the day's lock."""
        changed: Counter[str] = Counter()
        found = self._rows.of_customers(day, keys)
        erased = frozenset(keys)
        for some in found.chunks(_EVENTS_AT_ONCE):
            changed[RAW_EVENTS.name] += self._change(
                RAW_EVENTS, day, "event_key", some, lambda row: _redacted(row, erased), write=write
            )
            changed[ENRICHED_EVENTS.name] += self._change(
                ENRICHED_EVENTS, day, "event_key", some, lambda row: _redacted_enriched(row, erased), write=write
            )
            changed[XDM_EVENTS.name] += self._entities(day, some, erased, write=write)
        profiles = self._rows.profiles_of(day, keys)
        for some in profiles.chunks(_EVENTS_AT_ONCE):
            changed[XDM_PROFILES.name] += self._change(XDM_PROFILES, day, "id", some, _bare, write=write)
        changed[QUARANTINE.name] += self._quarantine(day, found | profiles, keys, write=write)
        return +changed

    def _entities(self, day: str, event_keys: list[str], erased: frozenset[CustomerKey], *, write: bool) -> int:
        """Make the entities of events anew from their redacted payloads."""
        entities: dict[str, bytes | None] = {}
        for rows in self._rows.with_values(ENRICHED_EVENTS, day, "event_key", event_keys):
            for row in rows.to_pylist():
                kept = _redacted_enriched(row, erased)
                entities[row["event_key"]] = self._render(tuple(kept[name] for name in ENRICHED_EVENTS.names))

        def remade(row: Row) -> Row:
            text = entities.get(row["event_key"])
            if text is None:
                text = bare_record(row["entity"])
            return {**row, "entity": text.decode(), "size": len(text)}

        return self._change(XDM_EVENTS, day, "event_key", event_keys, remade, write=write)

    def _quarantine(self, day: str, stored: Found, keys: Collection[CustomerKey], *, write: bool) -> int:
        changed = 0
        for some in (stored | self._rows.refused_profiles(day, keys)).chunks(_EVENTS_AT_ONCE):
            changed += self._change(QUARANTINE, day, "event_key", some, _without_text, write=write)
        for key, lines in self._rows.refused_lines(day, keys).items():
            for start in range(0, len(lines), _EVENTS_AT_ONCE):
                some = lines[start : start + _EVENTS_AT_ONCE]
                rows = self._rows.lines(day, key, some)
                which = f"stage = 'raw' AND {one_of('object', [key])} AND {one_of('line', some)}"
                changed += self._put(QUARANTINE, day, which, rows, _without_text, write=write)
        return changed

    def _change(
        self, table: Table, day: str, column: str, values: list[str], change: Callable[[Row], Row], *, write: bool
    ) -> int:
        """Change the rows that have one of the values in a column; returns how many were not so already."""
        rows = self._rows.with_values(table, day, column, values)
        return self._put(table, day, one_of(column, values), rows, change, write=write)

    def _put(
        self,
        table: Table,
        day: str,
        which: str,
        rows: Iterator[pa.Table],
        change: Callable[[Row], Row],
        *,
        write: bool,
    ) -> int:
        before = [row for some in rows for row in some.to_pylist()]
        after = [change(row) for row in before]
        differ = sum(one != other for one, other in zip(before, after, strict=True))
        if differ and write:
            self._lake.put_instead(table, day, which, pa.Table.from_pylist(after, schema=table.schema))
        return differ

    def _sweep(self) -> tuple[int, int]:
        """Remove what no current row is in: files that were rewritten, and those that died with their run."""
        removed = young = 0
        for day in sorted({day for table in TABLES for day in self._lake.days_with_files(table)}):
            with self._state.day_lock(day):
                for table in TABLES:
                    gone, kept = self._lake.sweep(table, day, self._keep_hours)
                    removed, young = removed + gone, young + kept
        return removed, young

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _redacted(row: Row, erased: frozenset[CustomerKey]) -> Row:
    data = row["data"].encode()
    return {
        **row,
        "data": as_kept(row["event_name"], row["org_id"], int(row["customer_id"]), data, erased).decode(),
    }


def _redacted_enriched(row: Row, erased: frozenset[CustomerKey]) -> Row:
    kept = _redacted(row, erased)
    if CustomerKey(row["org_id"], int(row["customer_id"])) in erased:
        # What was looked up is of the customer and of the bill; what was held back was the customer's.
        kept |= {"looked_up": None, "held_identities": [] if row["held_identities"] else row["held_identities"]}
    return kept


def _bare(row: Row) -> Row:
    text = bare_record(row["entity"])
    return {**row, "entity": text.decode(), "size": len(text)}


def _without_text(row: Row) -> Row:
    return {**row, "text": ERASED_TEXT}
