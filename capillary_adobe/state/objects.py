"""Which landed objects have been read, by which micro-batch, and how many lines they held.

Belongs here: the ledger that the sensor, the whole-day run and the balance share. Does not belong here: listing the
store (`landing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from capillary_adobe.landing import LandedObject
from capillary_adobe.landing.store import lane_of
from capillary_adobe.settings import Lane
from capillary_adobe.state.database import State, landed_objects

WHOLE_DAY = "day"
"""The batch id of a run over a whole day."""

_ROWS = 1000


@dataclass(frozen=True, order=True)
class ReadObject:
    """A landed object that a micro-batch has taken."""

    key: str
    object_id: int
    lane: Lane
    stored_ms: int
    size: int
    """Bytes, as it was listed."""


class LandedObjects:
    """The ledger of landed objects."""

    def __init__(self, state: State) -> None:
        self._state = state

    def take(self, day: str, batch_id: str, found: Iterable[LandedObject]) -> list[ReadObject]:
        """Give the objects to a micro-batch and return those it has, in key order; another's stay with it."""
        rows = self._insert(day, batch_id, found)
        t = landed_objects.c
        with self._state.begin() as connection:
            # What a run over the whole day had noted and never finished is free again.
            for start in range(0, len(rows), _ROWS):
                keys = [row["key"] for row in rows[start : start + _ROWS]]
                abandoned = sa.and_(t.key.in_(keys), t.batch_id == WHOLE_DAY, t.lines.is_(None))
                connection.execute(sa.update(landed_objects).where(abandoned).values(batch_id=batch_id))
            return self._select(connection, t.day == day, t.batch_id == batch_id)

    def take_day(self, day: str, found: Iterable[LandedObject]) -> list[ReadObject]:
        """Every object of a day, for a run over the whole of it, in key order.

        They change hands only when their lines are recorded: a run that dies leaves the micro-batches as they were.
        """
        self._insert(day, WHOLE_DAY, found, as_found=True)
        with self._state.read() as connection:
            return self._select(connection, landed_objects.c.day == day)

    def _insert(
        self, day: str, batch_id: str, found: Iterable[LandedObject], *, as_found: bool = False
    ) -> list[dict[str, object]]:
        """Note objects that are new; with `as_found` also how large the known ones are now."""
        rows: list[dict[str, object]] = [
            {
                "key": o.key,
                "day": day,
                "lane": lane_of(o.key),
                "size": o.size,
                "stored_ms": o.stored_ms,
                "batch_id": batch_id,
            }
            for o in found
        ]
        with self._state.begin() as connection:
            for start in range(0, len(rows), _ROWS):
                insert = self._state.insert(landed_objects)
                noted = (
                    insert.on_conflict_do_update(
                        index_elements=["key"],
                        set_={"size": insert.excluded.size, "stored_ms": insert.excluded.stored_ms},
                    )
                    if as_found
                    else insert.on_conflict_do_nothing(index_elements=["key"])
                )
                connection.execute(noted, rows[start : start + _ROWS])
        return rows

    def _select(self, connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[ReadObject]:
        t = landed_objects.c
        found = connection.execute(sa.select(t.key, t.object_id, t.lane, t.stored_ms, t.size).where(*where))
        return sorted(ReadObject(*row) for row in found)

    def record_lines(self, batch_id: str, lines: dict[int, int]) -> None:
        """Note that the rows of these objects are in the lake under this micro-batch: lines by object id."""
        if not lines:
            return
        statement = (
            sa.update(landed_objects)
            .where(landed_objects.c.object_id == sa.bindparam("which"))
            .values(lines=sa.bindparam("count"), batch_id=batch_id)
        )
        with self._state.begin() as connection:
            connection.execute(statement, [{"which": which, "count": count} for which, count in lines.items()])

    def known_keys(self, day: str, lane: Lane) -> set[str]:
        """Keys of a day and lane that are read, or that a micro-batch has taken."""
        t = landed_objects.c
        query = sa.select(t.key).where(
            t.day == day, t.lane == lane, sa.or_(t.batch_id != WHOLE_DAY, t.lines.is_not(None))
        )
        with self._state.read() as connection:
            return set(connection.scalars(query))

    def read_sizes(self, day: str) -> dict[str, int]:
        """Objects of a day whose rows are in the lake: key and the size they had when they were taken."""
        query = sa.select(landed_objects.c.key, landed_objects.c.size).where(
            landed_objects.c.day == day, landed_objects.c.lines.is_not(None)
        )
        with self._state.read() as connection:
            return {row.key: row.size for row in connection.execute(query)}

    def lines_by_key(self, day: str, folder: str) -> dict[str, int]:
        """Lines of each object in a folder of a day, such as `history`, whose rows are in the lake, by key."""
        t = landed_objects.c
        query = sa.select(t.key, t.lines).where(
            t.day == day, t.lines.is_not(None), t.key.startswith(f"{folder}/", autoescape=True)
        )
        with self._state.read() as connection:
            return {row.key: row.lines for row in connection.execute(query)}

    def half_read(self, day: str) -> bool:
        """Whether a run over the whole day has taken objects whose lines are not in the lake."""
        t = landed_objects.c
        query = sa.select(t.object_id).where(t.day == day, t.batch_id == WHOLE_DAY, t.lines.is_(None)).limit(1)
        with self._state.read() as connection:
            return connection.execute(query).first() is not None

    def lines(self, day: str) -> int:
        """Lines of a day's objects that are in the lake."""
        query = sa.select(sa.func.coalesce(sa.func.sum(landed_objects.c.lines), 0)).where(landed_objects.c.day == day)
        with self._state.read() as connection:
            return int(connection.execute(query).scalar_one())

    def days(self, lane: Lane | None = None) -> list[str]:
        """Days with a taken object, of one lane or of any, in order."""
        query = sa.select(landed_objects.c.day).distinct().order_by(landed_objects.c.day)
        if lane is not None:
            query = query.where(landed_objects.c.lane == lane)
        with self._state.read() as connection:
            return list(connection.scalars(query))

    def first_day(self, lane: Lane) -> str | None:
        """The first day of which a lane has a taken object."""
        query = sa.select(landed_objects.c.day).where(landed_objects.c.lane == lane)
        with self._state.read() as connection:
            return connection.scalar(query.order_by(landed_objects.c.day).limit(1))

    def last(self, lane: Lane) -> ReadObject | None:
        """The object of a lane's last day whose key sorts last."""
        t = landed_objects.c
        query = sa.select(t.key, t.object_id, t.lane, t.stored_ms, t.size).where(t.lane == lane)
        with self._state.read() as connection:
            row = connection.execute(query.order_by(t.day.desc(), t.key.desc()).limit(1)).first()
            return ReadObject(*row) if row is not None else None

    def is_read(self, key: str) -> bool:
        """Whether the rows of an object are in the lake."""
        query = sa.select(landed_objects.c.object_id).where(
            landed_objects.c.key == key, landed_objects.c.lines.is_not(None)
        )
        with self._state.read() as connection:
            return connection.execute(query).first() is not None

    def stored_between(self, lane: Lane, from_ms: int, to_ms: int) -> bool:
        """Whether a taken object of a lane was stored between two moments (epoch ms)."""
        t = landed_objects.c
        days = [datetime.fromtimestamp(ms / 1000, UTC).date().isoformat() for ms in (from_ms, to_ms)]
        # By the day as well, which has an index; a slow writer's object may lie under the day before.
        query = sa.select(t.object_id).where(
            t.day.between(days[0], days[1]), t.lane == lane, t.stored_ms.between(from_ms, to_ms)
        )
        with self._state.read() as connection:
            return connection.execute(query.limit(1)).first() is not None
