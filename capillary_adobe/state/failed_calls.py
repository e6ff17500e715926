"""Failed calls: how many calls to a service failed on a UTC day, by class.

Belongs here: the classes, counting, and a look at the counts. Does not belong here: which answer is of which class
(`adobe.errors`, `capillary.api.turns`), and what becomes of the call. A retry that went well leaves no other trace:
receipts hold how a request ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from capillary_adobe.state.database import State, metadata

failed_calls = sa.Table(
    "failed_calls",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("failure", sa.Text, primary_key=True),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False),
)


class CallFailure(StrEnum):
    """Why a call failed, as far as it decides who mends it."""

    AUTHENTICATION = "authentication"
    """The credential or a right of it is refused."""
    LIMITS = "limits"
    """The service asks for fewer calls."""
    NETWORK = "network"
    """No answer, or one that says that the service or something on the way to it fails."""
    OTHER = "other"
    """Address or form is refused, for every call alike. What a record is to blame for lies in quarantine."""


class FailedCallCount(NamedTuple):
    """How many calls to a service failed on a UTC day for one reason, and when the last one did, epoch ms."""

    day: str
    service: str
    failure: CallFailure
    times: int
    last_ms: int


class FailedCalls:
    """The counts of one service."""

    def __init__(self, state: State, service: str, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._service = service
        self._clock = clock

    def note(self, failure: CallFailure | None) -> None:
        """Count one; None is a call that did not fail.

        Raises:
            StateError: the state database cannot be written.
        """
        if failure is None:
            return
        now = self._clock()
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        row = {"day": day, "service": self._service, "failure": failure.value, "times": 1, "last_ms": int(now * 1000)}
        new = self._state.insert(failed_calls).values(row)
        counted = {"times": failed_calls.c.times + 1, "last_ms": new.excluded.last_ms}
        with self._state.begin() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["day", "service", "failure"], set_=counted))


def failed_calls_since(state: State, day: str) -> list[FailedCallCount]:
    """What failed on a UTC day and after it, of all services, by day.

    Raises:
        StateError: the state database cannot be read.
    """
    query = sa.select(failed_calls).where(failed_calls.c.day >= day).order_by(*failed_calls.primary_key)
    with state.read() as connection:
        rows = connection.execute(query).mappings()
        return [FailedCallCount(**{**row, "failure": CallFailure(row["failure"])}) for row in rows]
