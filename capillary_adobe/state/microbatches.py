"""Micro-batches asked for by the sensor: their key range, their tries, and whether they are done.

Belongs here: what lets a micro-batch that died be asked for again under the same id. Does not belong here: deciding
when (`defs/sensors.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from capillary_adobe.settings import Lane
from capillary_adobe.state.database import State, landed_objects, microbatches
from capillary_adobe.state.objects import WHOLE_DAY

_COLUMNS = sa.select(*(column for column in microbatches.c if column.name != "done_ms"))


@dataclass(frozen=True)
class MicroBatch:
    """A range of landing keys of one day: above `after_key`, up to and with `up_to_key`."""

    batch_id: str
    day: str
    lane: Lane
    after_key: str
    up_to_key: str
    objects: int
    bytes: int
    attempts: int = 0
    asked_ms: int = 0
    not_before_ms: int = 0

    @property
    def waited(self) -> bool:
        """Whether nothing of it had failed when it ran last: it waited for look-ups."""
        return self.not_before_ms > 0

    @property
    def whole_day(self) -> bool:
        """Whether this stands for a run over the whole day."""
        return not self.up_to_key


def whole_day_id(day: str) -> str:
    """Under which id a run over the whole day stands in the register."""
    return f"{WHOLE_DAY}-{day}"


class MicroBatches:
    """The register of micro-batches."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def ask(self, batch: MicroBatch) -> MicroBatch:
        """Note that a run is asked for, once more if it was before; return it with its number of tries.

        One that is done is open again: a sensor that lost its cursor may ask for it, and its run writes the same rows.
        """
        values = {
            "batch_id": batch.batch_id,
            "day": batch.day,
            "lane": batch.lane,
            "after_key": batch.after_key,
            "up_to_key": batch.up_to_key,
            "objects": batch.objects,
            "bytes": batch.bytes,
            "attempts": 1,
            "asked_ms": self._now_ms(),
        }
        statement = self._state.insert(microbatches).values(values)
        statement = statement.on_conflict_do_update(
            index_elements=["batch_id"],
            set_={
                "attempts": sa.case((microbatches.c.done_ms.is_(None), microbatches.c.attempts + 1), else_=1),
                "asked_ms": statement.excluded.asked_ms,
                # A day that is open stays in the lane in which it waits.
                "lane": sa.case((microbatches.c.done_ms.is_(None), microbatches.c.lane), else_=statement.excluded.lane),
                "done_ms": None,
                "not_before_ms": 0,
            },
        )
        with self._state.begin() as connection:
            connection.execute(statement)
            row = connection.execute(_COLUMNS.where(microbatches.c.batch_id == batch.batch_id)).mappings().one()
        return MicroBatch(**row)

    def open_day(self, day: str, objects: int, lane: Lane = "live") -> None:
        """Note that a run over the whole day is at work, or wanted: the sensor asks for the day as a whole, in this lane."""
        self.ask(MicroBatch(whole_day_id(day), day, lane, "", "", objects, 0))

    def open_days(self) -> set[str]:
        """Days that a run over the whole day has begun and not finished; no micro-batch of theirs may run meanwhile.

        A day that only waits for look-ups is not among them before its time has come.
        """
        c = microbatches.c
        waits = c.not_before_ms > self._now_ms()
        query = sa.select(c.day).where(c.up_to_key == "", c.done_ms.is_(None), ~waits)
        with self._state.read() as connection:
            return set(connection.scalars(query))

    def wait(self, batch_id: str, until_ms: int) -> None:
        """Leave a micro-batch open, to be asked for at this moment (epoch ms): what is open of it waits for look-ups."""
        with self._state.begin() as connection:
            connection.execute(
                sa.update(microbatches)
                .where(microbatches.c.batch_id == batch_id, microbatches.c.done_ms.is_(None))
                .values(not_before_ms=max(1, until_ms), attempts=0)
            )

    def finish(self, batch_id: str) -> None:
        """Note that every entity of a micro-batch has its outcome."""
        with self._state.begin() as connection:
            connection.execute(
                sa.update(microbatches)
                .where(microbatches.c.batch_id == batch_id, microbatches.c.done_ms.is_(None))
                .values(done_ms=self._now_ms())
            )

    def finish_day(self, day: str) -> None:
        """Note that a run over the whole day has done the work of the day's micro-batches."""
        mine = sa.select(landed_objects.c.batch_id).where(landed_objects.c.day == day)
        with self._state.begin() as connection:
            connection.execute(
                sa.update(microbatches)
                .where(
                    microbatches.c.day == day,
                    microbatches.c.done_ms.is_(None),
                    microbatches.c.batch_id.not_in(mine),
                )
                .values(done_ms=self._now_ms())
            )

    def unfinished(self, lane: Lane) -> list[MicroBatch]:
        """Micro-batches asked for and not done, those with the oldest events first; the ids of a lane sort by time.

        Those that wait for look-ups are among them once their time has come.
        """
        c = microbatches.c
        is_open = sa.and_(c.lane == lane, c.done_ms.is_(None), c.not_before_ms <= self._now_ms())
        query = _COLUMNS.where(is_open).order_by(c.day, c.batch_id)
        with self._state.read() as connection:
            return [MicroBatch(**row) for row in connection.execute(query).mappings()]

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
