"""Pace: how fast a service may be asked and whether it answers, one row a service, shared by every run.

Belongs here: the row, what the passing of time alone does to it, changing it under a lock, and a look at it for people.
Does not belong here: who may take how much, what the service's answers do to it, and the waiting
(`pacing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

# AEP's own bucket holds a second's worth. A request leaves before it arrives: the rest is slack for the network's jitter.
CAPACITY_SECONDS = 0.8
# What a lowered rate gains a second, as a share of the set rate.
RECOVERY = 0.02
# Clocks of several machines differ a little, and then the fastest counts: going by each in turn would refill twice. A
# clock that went back by more than this was set back, and waiting for it could take hours.
CLOCK_SLACK_SECONDS = 5.0

pace = sa.Table(
    "pace",
    metadata,
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("noted_at", sa.Double, nullable=False),
    sa.Column("records", sa.Double, nullable=False),
    sa.Column("requests", sa.Double, nullable=False),
    sa.Column("factor", sa.Double, nullable=False),
    sa.Column("throttled_at", sa.Double),
    sa.Column("paused_until", sa.Double, nullable=False),
    sa.Column("pause", sa.Double, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("down_since", sa.Double),
    sa.Column("next_try", sa.Double),
    sa.Column("failed_trials", sa.Integer, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
)


@dataclass
class Pace:
    """One row, as of `noted_at`; every moment is in seconds since 1970.

    `records` and `requests` are the credit left in either bucket, counted in seconds of the set rate: 0.4 of 1500 a second
    is 600; below zero it is a debt. `factor` is the share of the set rate that AEP lets pass. `pause` is the length of the
    last pause that AEP gave no length for. `next_try` is set while the breaker is open.
    """

    service: str
    noted_at: float
    records: float = CAPACITY_SECONDS
    requests: float = CAPACITY_SECONDS
    factor: float = 1.0
    throttled_at: float | None = None
    paused_until: float = 0.0
    pause: float = 0.0
    failures: int = 0
    down_since: float | None = None
    next_try: float | None = None
    failed_trials: int = 0
    words: str = ""

    def advance(self, now: float) -> bool:
        """Let time pass until `now`; True when the clock was found set back, which must be stored."""
        back = self.noted_at - now
        set_back = back > CLOCK_SLACK_SECONDS
        if set_back:
            self._shift(-back)
        passed = max(0.0, now - self.noted_at)
        earned = _earned(self.factor, passed)
        self.noted_at += passed
        self.factor = min(1.0, self.factor + RECOVERY * passed)
        self.records = min(self.capacity, self.records + earned)
        self.requests = min(self.capacity, self.requests + earned)
        return set_back

    def _shift(self, seconds: float) -> None:
        self.noted_at += seconds
        self.paused_until += seconds
        self.throttled_at = None if self.throttled_at is None else self.throttled_at + seconds
        self.down_since = None if self.down_since is None else self.down_since + seconds
        self.next_try = None if self.next_try is None else self.next_try + seconds

    @property
    def capacity(self) -> float:
        """Most credit that a bucket holds."""
        return CAPACITY_SECONDS * self.factor

    def seconds_to_earn(self, credit: float) -> float:
        """How long it takes from `noted_at` until this much credit has come in."""
        growing = (1.0 - self.factor) / RECOVERY
        while_growing = _earned(self.factor, growing)
        if credit > while_growing:
            return growing + credit - while_growing
        return (math.sqrt(self.factor**2 + 2 * RECOVERY * credit) - self.factor) / RECOVERY


def _earned(factor: float, seconds: float) -> float:
    """Credit that comes in within some seconds while the factor grows back to 1."""
    growing = min(seconds, (1.0 - factor) / RECOVERY)
    return growing * (factor + RECOVERY * growing / 2) + seconds - growing


@dataclass(frozen=True)
class PaceView:
    """How a service stands; moments in seconds since 1970, None where they do not apply.

    `down_since`, `next_try` and `words` (what was seen last) tell of an open breaker. A `next_try` that is over means that
    the next request is the trial.
    """

    factor: float
    paused_until: float | None
    failures: int
    down_since: float | None
    next_try: float | None
    words: str


class Paces:
    """The rows of all services."""

    def __init__(self, state: State) -> None:
        self._state = state

    def look(self, service: str, now: float) -> PaceView | None:
        """How a service stands, None if nothing was ever noted of it."""
        found = self.read(service)
        if found is None:
            return None
        found.advance(now)
        is_down = found.next_try is not None
        return PaceView(
            factor=found.factor,
            paused_until=found.paused_until if found.paused_until > now else None,
            failures=found.failures,
            down_since=found.down_since if is_down else None,
            next_try=found.next_try,
            words=found.words if is_down else "",
        )

    def read(self, service: str) -> Pace | None:
        """The row as it was noted last, without waiting for anybody."""
        with self._state.read() as connection:
            row = connection.execute(sa.select(pace).where(pace.c.service == service)).mappings().first()
        return None if row is None else Pace(**row)

    @contextmanager
    def hold(self, service: str, clock: Callable[[], float]) -> Iterator[Pace]:
        """The row as of now, for one at a time; what was changed in it is stored at the end."""
        with self.hold_with(service, clock) as (_connection, held):
            yield held

    @contextmanager
    def hold_with(self, service: str, clock: Callable[[], float]) -> Iterator[tuple[sa.Connection, Pace]]:
        """The row like `hold`, and the transaction that holds it, for what must change together with it.

        What only time has changed is not: it can be computed again, and a transaction that writes nothing costs no fsync.
        """
        with self._state.begin() as connection:
            held = self._locked(connection, service, clock)
            # Not earlier: others may have held the row meanwhile.
            set_back = held.advance(clock())
            before = replace(held)
            yield connection, held
            if set_back or held != before:
                connection.execute(sa.update(pace).where(pace.c.service == service).values(asdict(held)))

    def _locked(self, connection: sa.Connection, service: str, clock: Callable[[], float]) -> Pace:
        query = sa.select(pace).where(pace.c.service == service).with_for_update()
        if not self._state.is_sqlite:
            # A server that loses power may forget the last half second of pacing; that is worth no fsync a request.
            query = query.add_columns(sa.func.set_config("synchronous_commit", "off", True).label("ignored"))  # noqa: FBT003
        row = connection.execute(query).mappings().first()
        if row is None:
            new = self._state.insert(pace).values(asdict(Pace(service, clock())))
            connection.execute(new.on_conflict_do_nothing(index_elements=["service"]))
            row = connection.execute(query).mappings().one()
        return Pace(**{name: value for name, value in row.items() if name != "ignored"})
