"""The pause of delivery: one switch for the installation, and the micro-batches that wait for it to end.

Belongs here: the switch, holding and letting go. Does not belong here: what obeys it (`defs/assets/ingestion_status.py`, the
sensors), asking for micro-batches (`microbatching.py`).

A held micro-batch is open and is not asked for, so that no try is spent on it. Holding and resuming take turns: a run that
saw the switch before it was turned holds nothing afterwards, or nobody would ever ask for its micro-batch again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata, microbatches
from capillary_adobe.state.microbatches import MicroBatches

delivery_pause = sa.Table(
    "delivery_pause",
    metadata,
    # The one row, there while delivery is paused.
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

_NAME: Final = "delivery"
_TURN: Final = "delivery-pause"
# Later than any moment until which a look-up is waited for.
_UNTIL_RESUMED_MS: Final = 2**62
# A day of which more are held is asked for as a whole: a run costs two seconds before its work begins.
_ONE_BY_ONE: Final = 20


@dataclass(frozen=True)
class Paused:
    """Since when delivery is paused (epoch ms), and why, in the operator's words."""

    since_ms: int
    reason: str

    @property
    def words(self) -> str:
        """For whoever finds that nothing is sent."""
        since = datetime.fromtimestamp(self.since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"delivery is paused since {since}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True)
class Resumed:
    """What a resume has let go: micro-batches, and the days of them that are asked for as a whole."""

    was_paused: bool
    micro_batches: int
    whole_days: tuple[str, ...]


class DeliveryPause:
    """The switch."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def find(self) -> Paused | None:
        """The pause, or None while delivery goes on."""
        with self._state.read() as connection:
            row = connection.execute(sa.select(delivery_pause.c.since_ms, delivery_pause.c.reason)).first()
        return None if row is None else Paused(*row)

    def pause(self, reason: str) -> tuple[Paused, bool]:
        """Pause delivery; tells whether it was not paused before. A pause that is there already stays as it is."""
        row = {"name": _NAME, "since_ms": int(self._clock() * 1000), "reason": reason.strip()}
        statement = self._state.insert(delivery_pause).values(row).on_conflict_do_nothing(index_elements=["name"])
        with self._state.begin() as connection:
            self._state.take_turn(connection, _TURN)
            new = bool(connection.execute(statement).rowcount)
            found = connection.execute(sa.select(delivery_pause.c.since_ms, delivery_pause.c.reason)).one()
        return Paused(*found), new

    def hold(self, batch_id: str) -> bool:
        """Keep an open micro-batch from being asked for until delivery is resumed; False if it has been meanwhile."""
        with self._state.begin() as connection:
            self._state.take_turn(connection, _TURN)
            if connection.execute(sa.select(delivery_pause.c.name)).first() is None:
                return False
            mine = sa.update(microbatches).where(microbatches.c.batch_id == batch_id, microbatches.c.done_ms.is_(None))
            connection.execute(mine.values(not_before_ms=_UNTIL_RESUMED_MS, attempts=0))
        return True

    def resume(self) -> Resumed:
        """Let delivery go on, and have what was held asked for again, the oldest first."""
        now_ms = int(self._clock() * 1000)
        with self._state.begin() as connection:
            self._state.take_turn(connection, _TURN)
            was_paused = bool(connection.execute(sa.delete(delivery_pause)).rowcount)
            let_go = self._let_go(connection, now_ms)
        many = self._many(let_go)
        today = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
        for day in many:
            # New live events wait for none of the older days.
            MicroBatches(self._state, self._clock).open_day(day, 0, "live" if day >= today else "history")
        return Resumed(was_paused, len(let_go), many)

    def held(self) -> int:
        """How many micro-batches wait for the end of the pause."""
        waiting = microbatches.c.not_before_ms == _UNTIL_RESUMED_MS
        query = sa.select(sa.func.count()).where(waiting, microbatches.c.done_ms.is_(None))
        with self._state.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _let_go(self, connection: sa.Connection, now_ms: int) -> list[Any]:
        m = microbatches.c
        waiting = sa.and_(m.not_before_ms == _UNTIL_RESUMED_MS, m.done_ms.is_(None))
        let_go = list(connection.execute(sa.select(m.batch_id, m.day).where(waiting)))
        connection.execute(sa.update(microbatches).where(waiting).values(not_before_ms=0, asked_ms=now_ms))
        return let_go

    def _many(self, let_go: list[Any]) -> tuple[str, ...]:
        by_day = Counter(row.day for row in let_go)
        return tuple(sorted(day for day, count in by_day.items() if count > _ONE_BY_ONE))
