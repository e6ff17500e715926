"""Upkeep of the tables: small files of past days joined, files removed that no reader needs any more.

Belongs here: which days and in which order, and the time it may take. Does not belong here: how files are joined and removed
(`lake_rewriting.py`).

Both work day by day under the day's lock, and both find by looking what is left to do: a run that was killed or ran out of
time is taken up by the next one.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.state import State
from capillary_adobe.tables import TABLES


@dataclass
class KeptUp:
    """What a run of the upkeep has done: by table, files that became part of larger ones, and old files removed.

    `days` were joined; `left` are days, of each table, for which no time was left.
    """

    joined: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    days: set[str] = field(default_factory=set)
    left: int = 0


class Upkeep:
    """Keeps the tables of a lake small and quick to read."""

    def __init__(self, lake: RewritableLake, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._lake = lake
        self._state = state
        self._clock = clock

    def run(self, today: str, keep_days: float, seconds: float, progress: Callable[[str], None]) -> KeptUp:
        """Join small files of days before `today`, then remove files that were replaced `keep_days` ago.

        It begins nothing new after so many seconds.

        Raises:
            LakeError, StateError: a table or the database cannot be used; the next run goes on.
        """
        deadline = self._clock() + seconds
        done = KeptUp()
        for table in TABLES:
            for day in self._lake.days_to_join(table):
                if day >= today:
                    # Its micro-batches join their files themselves.
                    continue
                if self._clock() > deadline:
                    done.left += 1
                    continue
                with self._state.day_lock(day):
                    fewer = self._lake.join(table, day)
                if fewer:
                    done.joined[table.name] += fewer
                    done.days.add(day)
            progress(f"{table.name}: {done.joined[table.name]} files joined")
        for table in TABLES:
            for day, paths in sorted(self._lake.dead_files(table, math.ceil(keep_days * 24)).items()):
                if self._clock() > deadline:
                    done.left += 1
                    continue
                with self._state.day_lock(day):
                    self._lake.remove_files(table, paths)
                done.removed[table.name] += len(paths)
            progress(f"{table.name}: {done.removed[table.name]} old files removed")
        return done
