"""Calls that count against so many a minute: one row a call, from its turn until it can share no minute with a new one.

Belongs here: the rows, and how long it takes until there is room. Does not belong here: who may take how many (`pacing`).

A service counts a call when it arrives, and that is some time between the turn and the answer. So a call counts here from
its turn until 60 seconds after its answer: whichever 60 seconds the service looks at, and however long calls are under
way, it finds no more than the limit. The one that took a turn last has found room, and whatever arrived up to 60 seconds
before it was still counted then.
"""

from __future__ import annotations

import uuid
from typing import Final

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

WINDOW_SECONDS: Final = 60.0
# The clocks of several machines differ a little.
_CLOCK_SLACK_SECONDS = 0.5
# After this long a call is over that nobody has reported: its process was killed.
_LONGEST_CALL_SECONDS = 120.0
_COUNTED_SECONDS = WINDOW_SECONDS + _CLOCK_SLACK_SECONDS

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("taken_at", sa.Double, nullable=False),
    # From then on it counts no longer.
    sa.Column("over_at", sa.Double, nullable=False),
)

sa.Index("calls_by_end", calls.c.service, calls.c.over_at)


class CallsInFlight:
    """The calls of one service. Every method but `counted` runs in a transaction that holds the service's row in `pace`.

    Moments are in seconds since 1970.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    def seconds_until_room(self, connection: sa.Connection, now: float, limit: int, apart: float) -> float:
        """How long until fewer than `limit` calls count, and the last one was taken `apart` seconds ago; 0 if now."""
        ours = calls.c.service == self._service
        connection.execute(sa.delete(calls).where(ours, calls.c.over_at <= now))
        # A clock that was set back would have them count for ever.
        latest = now + _COUNTED_SECONDS + _LONGEST_CALL_SECONDS
        back = sa.update(calls).where(ours, calls.c.over_at > latest + _CLOCK_SLACK_SECONDS)
        connection.execute(back.values(taken_at=now, over_at=latest))
        counted = sa.select(sa.func.count(), sa.func.max(calls.c.taken_at)).where(ours)
        count, last = connection.execute(counted).one()
        room = 0.0
        if count >= limit:
            ends = sa.select(calls.c.over_at).where(ours).order_by(calls.c.over_at).offset(count - limit).limit(1)
            room = connection.execute(ends).scalar_one() - now
        return max(0.0, room, apart - (now - last) if last is not None and last <= now else 0.0)

    def counted(self, state: State, now: float) -> int:
        """How many calls count at a moment; a look from outside, which holds no row."""
        query = sa.select(sa.func.count()).where(calls.c.service == self._service, calls.c.over_at > now)
        with state.read() as connection:
            return int(connection.execute(query).scalar_one())

    def begin(self, connection: sa.Connection, now: float) -> str:
        """Count a call that leaves now; gives its id."""
        call_id = uuid.uuid4().hex
        over_at = now + _LONGEST_CALL_SECONDS + _COUNTED_SECONDS
        connection.execute(
            sa.insert(calls).values(call_id=call_id, service=self._service, taken_at=now, over_at=over_at)
        )
        return call_id

    def end(self, connection: sa.Connection, call_id: str, now: float) -> None:
        """Note that a call was answered, or that nobody waits for its answer any longer."""
        connection.execute(sa.update(calls).where(calls.c.call_id == call_id).values(over_at=now + _COUNTED_SECONDS))
