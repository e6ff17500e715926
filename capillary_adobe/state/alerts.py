"""Alerts: what has failed, how often, whether it is well again, and which channel was told of it when.

Belongs here: the rows, and how a failure or its end changes them. Does not belong here: finding failures
(`alerting.conditions`, `defs.run_problems`), and when a message is due (`alerting.due`).

One row is one distinct failure, from its first sight until it is well again. What fails again soon after is the same row: a
failure that comes and goes with every micro-batch is one. A row is settled when it is over and every channel knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, index=True),
    # What must come out well for the alert to be over; several keys may share it.
    sa.Column("scope", sa.Text, nullable=False),
    # The failure without its partition: those of many days go out as one message.
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("cure", sa.Text, nullable=False),
    sa.Column("owners", sa.Text, nullable=False),
    sa.Column("asset", sa.Text),
    sa.Column("partition", sa.Text),
    sa.Column("run_id", sa.Text),
    sa.Column("backlog", sa.Boolean, nullable=False),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    # Since when it fails without a pause.
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("recovered_ms", sa.BigInteger),
    sa.Column("recovered_by", sa.Text),
    sa.Column("settled_ms", sa.BigInteger, index=True),
)

alert_tellings = sa.Table(
    "alert_tellings",
    metadata,
    sa.Column("alert_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("failed_ms", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("repeats", sa.Integer, nullable=False),
    sa.Column("recovered_ms", sa.BigInteger),
)

alert_channels = sa.Table(
    "alert_channels",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("took_ms", sa.BigInteger),
    # Null while the channel takes what it is sent.
    sa.Column("refused_since_ms", sa.BigInteger),
    sa.Column("words", sa.Text, nullable=False),
)

alert_looks = sa.Table(
    "alert_looks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("looked_ms", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class Problem:
    """Something has failed, at a moment (epoch ms).

    `key` names the distinct failure, `scope` what must come out well for it to be over, `subject` the failure without its
    partition. A `backlog` may be gone in a moment by itself: it is told when it lasts.
    """

    key: str
    scope: str
    subject: str
    severity: str
    title: str
    cause: str
    cure: str
    at_ms: int
    owners: frozenset[str] = frozenset()
    asset: str | None = None
    partition: str | None = None
    run_id: str | None = None
    backlog: bool = False


@dataclass(frozen=True)
class Well:
    """Something came out well, at a moment (epoch ms), in a run or by a look."""

    scope: str
    at_ms: int
    run_id: str | None = None


@dataclass(frozen=True)
class Alert:
    """One distinct failure; moments are epoch ms. It fails without a pause `since_ms`, unless `recovered_ms` is set."""

    alert_id: int
    key: str
    scope: str
    subject: str
    severity: str
    title: str
    cause: str
    cure: str
    owners: str
    asset: str | None
    partition: str | None
    run_id: str | None
    backlog: bool
    first_ms: int
    since_ms: int
    last_ms: int
    times: int
    recovered_ms: int | None = None
    recovered_by: str | None = None
    settled_ms: int | None = None

    @property
    def owned_by(self) -> frozenset[str]:
        """Owners of the asset."""
        return frozenset(self.owners.split())


@dataclass(frozen=True)
class Telling:
    """What a channel knows of an alert: when it was told last, of which severity and which count, and of its end."""

    alert_id: int
    channel: str
    severity: str
    failed_ms: int
    times: int
    repeats: int = 0
    recovered_ms: int | None = None


@dataclass(frozen=True)
class ChannelState:
    """When a channel took a message last, and since when it refuses; `words` tell what it said."""

    channel: str
    took_ms: int | None
    refused_since_ms: int | None
    words: str


@dataclass(frozen=True)
class Look:
    """How far a sensor of alerts has come: `position` is its own, `looked_ms` when it was last through."""

    position: str
    looked_ms: int


class Alerts:
    """The register of alerts; every method raises StateError where the database cannot be used."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def note(
        self,
        seen: Iterable[Problem | Well],
        window_ms: float,
        look: str,
        position: str | None = None,
        *,
        through: bool = True,
    ) -> None:
        """Take in what a sensor has seen, in its order, together with how far it has come: all of it or nothing.

        Without a `position` it has come no further.

        What is older than what is known of the same failure changes nothing, so that seeing a run twice is harmless.
        `through` is whether the sensor has seen all there was.
        """
        with self._state.begin() as connection:
            self._state.take_turn(connection, "alerts")
            book = _Book(_current(connection, int(self._clock() * 1000 - window_ms)))
            for one in seen:
                if isinstance(one, Well):
                    book.well(one)
                else:
                    book.problem(one)
            for row in book.added:
                connection.execute(sa.insert(alerts).values(_values(row)))
            for row in book.changed():
                connection.execute(sa.update(alerts).where(alerts.c.alert_id == row.alert_id).values(_values(row)))
            if position is not None:
                self._move(connection, look, position, through=through)

    def expect(self, look: str) -> None:
        """Note that a sensor should look from now on, unless it has looked before."""
        new = self._state.insert(alert_looks).values(name=look, position="", looked_ms=int(self._clock() * 1000))
        if self.look(look) is None:
            with self._state.begin() as connection:
                connection.execute(new.on_conflict_do_nothing(index_elements=["name"]))

    def look(self, name: str) -> Look | None:
        """How far a sensor of alerts has come; None before its first look."""
        query = sa.select(alert_looks.c.position, alert_looks.c.looked_ms).where(alert_looks.c.name == name)
        with self._state.read() as connection:
            row = connection.execute(query).first()
            return Look(*row) if row is not None else None

    def unsettled(self) -> list[Alert]:
        """Alerts that stand, or whose end is still to be told, oldest first."""
        query = sa.select(alerts).where(alerts.c.settled_ms.is_(None)).order_by(alerts.c.alert_id)
        with self._state.read() as connection:
            return [Alert(**row) for row in connection.execute(query).mappings()]

    def latest(self, most: int, *, standing: bool) -> list[Alert]:
        """The alerts that changed last, newest first; those that stand, or all."""
        query = sa.select(alerts).order_by(alerts.c.last_ms.desc(), alerts.c.alert_id.desc()).limit(most)
        if standing:
            query = query.where(alerts.c.settled_ms.is_(None), alerts.c.recovered_ms.is_(None))
        with self._state.read() as connection:
            return [Alert(**row) for row in connection.execute(query).mappings()]

    def tellings(self, of: Sequence[Alert]) -> dict[tuple[int, str], Telling]:
        """What channels know of these alerts, by alert and channel."""
        ids = [one.alert_id for one in of]
        found: dict[tuple[int, str], Telling] = {}
        with self._state.read() as connection:
            for place in range(0, len(ids), 500):
                query = sa.select(alert_tellings).where(alert_tellings.c.alert_id.in_(ids[place : place + 500]))
                for row in connection.execute(query).mappings():
                    found[row["alert_id"], row["channel"]] = Telling(**row)
        return found

    def took(self, channel: str, told: Sequence[Telling]) -> None:
        """Note that a channel took a message about these alerts."""
        now_ms = int(self._clock() * 1000)
        insert = self._state.insert(alert_tellings)
        fields = ("severity", "failed_ms", "times", "repeats", "recovered_ms")
        upsert = insert.on_conflict_do_update(
            index_elements=["alert_id", "channel"], set_={name: insert.excluded[name] for name in fields}
        )
        with self._state.begin() as connection:
            if told:
                connection.execute(upsert, [dict(one.__dict__) for one in told])
            self._note_channel(connection, channel, {"took_ms": now_ms, "refused_since_ms": None, "words": ""})

    def refused(self, channel: str, words: str) -> None:
        """Note that a channel did not take a message."""
        now_ms = int(self._clock() * 1000)
        with self._state.begin() as connection:
            known = connection.scalar(
                sa.select(alert_channels.c.refused_since_ms).where(alert_channels.c.channel == channel)
            )
            self._note_channel(connection, channel, {"refused_since_ms": known or now_ms, "words": words})

    def channels(self) -> dict[str, ChannelState]:
        """How the channels stand, by name; one that was never used is not among them."""
        with self._state.read() as connection:
            rows = connection.execute(sa.select(alert_channels)).mappings()
            return {row["channel"]: ChannelState(**row) for row in rows}

    def settle(self, over: Sequence[Alert]) -> None:
        """Note that nothing is left to tell of these, unless one has failed again meanwhile."""
        with self._state.begin() as connection:
            for one in over:
                as_seen = sa.and_(alerts.c.alert_id == one.alert_id, alerts.c.recovered_ms == one.recovered_ms)
                connection.execute(sa.update(alerts).where(as_seen).values(settled_ms=int(self._clock() * 1000)))

    def forget(self, before_ms: int) -> int:
        """Delete what was settled before a moment; returns how many alerts."""
        old = sa.select(alerts.c.alert_id).where(alerts.c.settled_ms < before_ms)
        with self._state.begin() as connection:
            connection.execute(sa.delete(alert_tellings).where(alert_tellings.c.alert_id.in_(old)))
            return connection.execute(sa.delete(alerts).where(alerts.c.settled_ms < before_ms)).rowcount

    def _move(self, connection: sa.Connection, look: str, position: str, *, through: bool) -> None:
        row: dict[str, Any] = {"position": position}
        if through:
            row["looked_ms"] = int(self._clock() * 1000)
        new = self._state.insert(alert_looks).values({"name": look, "looked_ms": int(self._clock() * 1000), **row})
        connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=row))

    def _note_channel(self, connection: sa.Connection, channel: str, row: dict[str, Any]) -> None:
        new = self._state.insert(alert_channels).values({"channel": channel, **row})
        connection.execute(new.on_conflict_do_update(index_elements=["channel"], set_=row))


class _Book:
    """The alerts that what is seen may change, and the rules by which it does."""

    def __init__(self, current: dict[str, Alert]) -> None:
        self._before = dict(current)
        self._now = current
        self._keys: dict[str, set[str]] = {}
        for key, row in current.items():
            self._keys.setdefault(row.scope, set()).add(key)

    @property
    def added(self) -> list[Alert]:
        """New alerts."""
        return [row for row in self._now.values() if not row.alert_id]

    def changed(self) -> list[Alert]:
        """Known alerts that are no longer as they were."""
        return [row for key, row in self._now.items() if row.alert_id and row != self._before.get(key)]

    def problem(self, seen: Problem) -> None:
        known = self._now.get(seen.key)
        owners = " ".join(sorted(seen.owners))
        if known is None:
            values = {**seen.__dict__, "owners": owners}
            at_ms = values.pop("at_ms")
            self._now[seen.key] = Alert(alert_id=0, first_ms=at_ms, since_ms=at_ms, last_ms=at_ms, times=1, **values)
            self._keys.setdefault(seen.scope, set()).add(seen.key)
            return
        if seen.at_ms <= max(known.last_ms, known.recovered_ms or 0):
            return
        self._now[seen.key] = replace(
            known,
            severity=seen.severity,
            title=seen.title,
            cause=seen.cause,
            cure=seen.cure,
            owners=owners,
            run_id=seen.run_id,
            since_ms=known.since_ms if known.recovered_ms is None else seen.at_ms,
            last_ms=seen.at_ms,
            times=known.times + 1,
            recovered_ms=None,
            recovered_by=None,
            settled_ms=None,
        )

    def well(self, seen: Well) -> None:
        for key in self._keys.get(seen.scope, ()):
            known = self._now[key]
            if known.recovered_ms is None and seen.at_ms > known.last_ms:
                self._now[key] = replace(known, recovered_ms=seen.at_ms, recovered_by=seen.run_id)


def _current(connection: sa.Connection, over_since_ms: int) -> dict[str, Alert]:
    """By key, the alert that a failure seen now would belong to: one that is not settled, or was well for a short time."""
    recent = sa.or_(alerts.c.settled_ms.is_(None), alerts.c.recovered_ms > over_since_ms)
    rows = connection.execute(sa.select(alerts).where(recent).order_by(alerts.c.alert_id)).mappings()
    return {row["key"]: Alert(**row) for row in rows}


def _values(row: Alert) -> dict[str, Any]:
    return {name: value for name, value in row.__dict__.items() if name != "alert_id"}
