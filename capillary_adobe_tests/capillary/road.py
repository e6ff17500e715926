"""The raw stage on a real landing store, lake and state database, driven as its asset drives it.

Belongs here: landing objects, running a slice, reading the tables. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from capillary_adobe.capillary.catalogue import Catalogue
from capillary_adobe.capillary.raw import RawCounts, RawStage
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import open_landing_store
from capillary_adobe.landing.store import LANE_FOLDERS
from capillary_adobe.settings import CapillarySettings, Thresholds
from capillary_adobe.state import LandedObjects, State
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE, Table
from capillary_adobe_tests.capillary.events import DAY

Json = dict[str, Any]


class Road:
    """One landing store with its tables and its state."""

    def __init__(
        self, folder: Path, mapped: Iterable[str], catalogue: Catalogue | None = None, **settings: Any
    ) -> None:
        self.store = open_landing_store(str(folder / "landing"))
        self.lake = Lake(str(folder / "lake"))
        self.state = State(f"sqlite:///{folder}/state.db")
        self.ledger = LandedObjects(self.state)
        self.progress: list[str] = []
        self._stage = RawStage(
            self.store, self.lake, self.state, CapillarySettings(**settings), Thresholds(), set(mapped), catalogue
        )

    def land(self, name: str, records: bytes | Iterable[Json | bytes], day: str = DAY, lane: str = "events") -> str:
        """Write an object and return its key."""
        if not isinstance(records, bytes):
            records = b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in records)
        key = f"{lane}/{day}/{name}"
        self.store.write(key, records)
        return key

    def run(self, batch_id: str | None = None, keys: Iterable[str] | None = None, day: str = DAY) -> RawCounts:
        """Run a micro-batch over these objects, or the whole day."""
        found = [one for lane in LANE_FOLDERS for one in self.store.list(lane, day)]
        part = Slice(day, batch_id)
        with self.state.day_lock(day):
            if batch_id is None:
                taken = self.ledger.take_day(day, found)
            else:
                wanted = set(keys or [])
                taken = self.ledger.take(day, batch_id, (one for one in found if one.key in wanted))
            return self._stage.write(part, taken, self.progress.append)

    def rows(self, table: Table, *columns: str, day: str = DAY) -> list[Any]:
        """Rows of a day in the order of their places; of one column its values alone."""
        found = self.lake.table(table, Slice(day), table.names).to_pylist()
        found.sort(key=lambda row: (row["object"], row["line"], row["part"]))
        if not columns:
            return found
        return [row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns) for row in found]

    def tables(self, day: str = DAY) -> dict[str, list[Any]]:
        """Everything that the stage has written for a day."""
        return {table.name: self.rows(table, day=day) for table in (RAW_EVENTS, QUARANTINE, SET_ASIDE)}
