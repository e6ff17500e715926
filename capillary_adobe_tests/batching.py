"""A landing store with its sensor and its runs, moved by hand.

Belongs here: landing, ticking, running. Does not belong here: any expectation.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.landing.store import lane_of
from capillary_adobe.microbatching import Cursor, MicroBatcher
from capillary_adobe.settings import LandingSettings, Lane, load
from capillary_adobe.state import LandedObjects, MicroBatch, MicroBatches, State

DAY, NEXT_DAY = "2026-03-04", "2026-03-05"
SWEEP_MS = 60_000


def at(day: str, hour: int = 12) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC, hour=hour).timestamp() * 1000)


class Bench:
    """A landing store with its sensor; `tick` is what a sensor's evaluation does, `run` what its run does."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.store = LocalLandingStore(folder / "landing")
        self.state = State(f"sqlite:///{folder}/state.db")
        self.ledger = LandedObjects(self.state)
        self.register = MicroBatches(self.state)
        self.options = load(LandingSettings, **options)
        self.first_day = date(2026, 1, 1)
        self.now_ms = at(DAY)
        self.cursor = Cursor()
        self.read: list[str] = []
        self.words = ""

    def land(self, key: str, size: int = 10, age_ms: int = 10_000) -> str:
        self.store.write(key, b"x" * size)
        stored = (self.now_ms - age_ms) / 1000
        os.utime(self.store.root / key, (stored, stored))
        return key

    def tick(self, lane: Lane = "live") -> MicroBatch | None:
        batcher = MicroBatcher(self.store, self.ledger, self.register, self.options, self.first_day)
        cursor = Cursor.parse(self.cursor.text())
        proposal = batcher.propose(lane, cursor.lane(lane), self.now_ms)
        self.cursor, self.words = cursor, proposal.words
        return self.register.ask(proposal.batch) if proposal.batch else None

    def take(self, batch: MicroBatch) -> list[str]:
        listed = self.store.list(lane_of(batch.up_to_key), batch.day, batch.after_key)
        in_range = (found for found in listed if found.key <= batch.up_to_key)
        return [found.key for found in self.ledger.take(batch.day, batch.batch_id, in_range)]

    def run(self, batch: MicroBatch | None) -> list[str]:
        """Read the objects of a micro-batch and finish it."""
        if batch is None:
            return []
        mine = self.take(batch)
        ids = {one.key: one.object_id for one in self.ledger.take(batch.day, batch.batch_id, [])}
        self.ledger.record_lines(batch.batch_id, {ids[key]: 1 for key in mine})
        self.register.finish(batch.batch_id)
        self.read += mine
        return mine

    def work(self, lane: Lane = "live", rounds: int = 50) -> list[list[str]]:
        """Tick and run until a tick has nothing to ask for."""
        runs: list[list[str]] = []
        for _ in range(rounds):
            batch = self.tick(lane)
            if batch is None:
                return runs
            runs.append(self.run(batch))
        raise AssertionError(f"still asking after {rounds} rounds: {self.words}")


def event(name: str, day: str = DAY, hour: int = 0) -> str:
    return f"events/{day}/{hour:02}/{name}.jsonl"
