"""Receipts: what was sent in each request and what AEP answered, entity by entity. The ground of `sent once`.

Belongs here: one durable row a request, written before it leaves and again when its answer is known; the rows of AEP's
later verdict and of an operator's replay. Rows are never removed, so they also tell what moved when. Does not belong
here: what follows from the rows (`day_receipts.py`), sending (`adobe`), the table an operator looks at
(`ingestion_status`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from capillary_adobe.state.database import State, receipts
from capillary_adobe.state.day_receipts import EVERY_PLACE, ID_BYTES, DayReceipts
from capillary_adobe.state.outcomes import Detail, Fate, Route


@dataclass(frozen=True)
class Receipt:
    """One request and what is known of it; `target` tells under which settings it went out.

    `lost` counts sendings of this content whose answer never came; `details` are by place.
    """

    request_id: str
    day: str
    kind: str
    ids: Sequence[str]
    fates: Sequence[Fate]
    target: str = ""
    route: Route = Route.STREAMING
    answered_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    http_status: int | None = None
    aep_id: str | None = None
    lost: int = 0
    details: dict[int, Detail] = field(default_factory=dict)


class Receipts:
    """The receipts of all requests."""

    def __init__(self, state: State) -> None:
        self._state = state

    def record(self, *written: Receipt) -> None:
        """Store receipts, or what has become known of stored ones; when this returns they outlive a power cut."""
        if not written:
            return
        statement = self._state.insert(receipts)
        changing = ("ids", "outcomes", "accepted", "answered_ms", "http_status", "aep_id", "lost", "details")
        statement = statement.on_conflict_do_update(
            index_elements=["request_id"], set_={name: statement.excluded[name] for name in changing}
        )
        with self._state.begin() as connection:
            connection.execute(statement, [_row(receipt) for receipt in written])

    def accepted_under(self, target: str) -> bool:
        """Whether AEP has ever taken an entity under these settings."""
        query = sa.select(receipts.c.request_id).where(receipts.c.target == target, receipts.c.accepted > 0).limit(1)
        with self._state.read() as connection:
            return connection.execute(query).first() is not None

    def of_requests(self, prefix: str) -> list[Receipt]:
        """The receipts whose request ids begin like this, in order of the ids."""
        query = sa.select(receipts).where(receipts.c.request_id.startswith(prefix, autoescape=True))
        with self._state.read() as connection:
            found = connection.execute(query.order_by(receipts.c.request_id)).mappings()
            return [_receipt(dict(row)) for row in found]

    def of_day(self, day: str, kind: str | None = None) -> DayReceipts:
        """The receipts of a landing day, or those of one kind of entity, ready to be asked by entity."""
        t = receipts.c
        query = (
            sa.select(t.request_id, t.route, t.answered_ms, t.aep_id, t.lost, t.ids, t.outcomes, t.details)
            .where(t.day == day)
            .order_by(t.answered_ms, t.request_id)
        )
        if kind is not None:
            query = query.where(t.kind == kind)
        found = DayReceipts()
        with self._state.read() as connection:
            for row in connection.execute(query):
                found.add(*row)
        found.sort()
        return found

    def days_of(self, kind: str, ids: Collection[str], since_ms: int) -> dict[str, str]:
        """The landing day of each entity of a kind that AEP has acknowledged since a moment (epoch ms), where it has."""
        if not ids:
            return {}
        t = receipts.c
        accepted = sa.select(t.day, t.ids).where(t.kind == kind, t.answered_ms >= since_ms, t.accepted > 0)
        found: dict[str, str] = {}
        with self._state.read() as connection:
            for day, listed in connection.execute(accepted.order_by(t.answered_ms)):
                carried = {listed[start : start + ID_BYTES].hex() for start in range(0, len(listed), ID_BYTES)}
                found.update(dict.fromkeys(carried.intersection(ids), day))
        return found

    def causes(self, day: str, kind: str | None = None) -> dict[str, str]:
        """The entities of a day, or those of one kind, that AEP has ever refused, and the last cause of each."""
        t = receipts.c
        query = sa.select(t.ids, t.details).where(t.day == day, sa.cast(t.details, sa.Text) != "{}")
        if kind is not None:
            query = query.where(t.kind == kind)
        found: dict[str, str] = {}
        with self._state.read() as connection:
            for ids, details in connection.execute(query.order_by(t.answered_ms, t.request_id)):
                for place, detail in _by_place(details, len(ids) // ID_BYTES).items():
                    if detail.cause is not None:
                        start = place * ID_BYTES
                        found[bytes(ids[start : start + ID_BYTES]).hex()] = detail.cause
        return found

    def replayed(self, day: str) -> dict[str, int]:
        """When each entity of a day that was opened again was so last, epoch ms."""
        query = sa.select(receipts).where(receipts.c.day == day, receipts.c.route == Route.REPLAY.value)
        with self._state.read() as connection:
            rows = [
                _receipt(dict(row)) for row in connection.execute(query.order_by(receipts.c.answered_ms)).mappings()
            ]
        return {id_: row.answered_ms for row in rows for id_ in row.ids}

    def entities_of(self, prefix: str) -> int:
        """How many entities the requests hold whose ids begin like this."""
        size = sa.func.coalesce(sa.func.sum(sa.func.length(receipts.c.ids)), 0)
        query = sa.select(size).where(receipts.c.request_id.startswith(prefix, autoescape=True))
        with self._state.read() as connection:
            return int(connection.execute(query).scalar_one()) // ID_BYTES

    def sent_since(self, day: str, moment_ms: int) -> list[Receipt]:
        """What was sent of a day at or after a moment (epoch ms), or had its answer then."""
        sent = [Route.STREAMING.value, Route.BATCH.value]
        query = sa.select(receipts).where(
            receipts.c.day == day, receipts.c.answered_ms >= moment_ms, receipts.c.route.in_(sent)
        )
        with self._state.read() as connection:
            return [_receipt(dict(row)) for row in connection.execute(query).mappings()]

    def days(self) -> list[str]:
        """Landing days with a receipt, in order."""
        query = sa.select(receipts.c.day).distinct().order_by(receipts.c.day)
        with self._state.read() as connection:
            return list(connection.scalars(query))


def _row(receipt: Receipt) -> dict[str, Any]:
    return {
        "request_id": receipt.request_id,
        "day": receipt.day,
        "kind": receipt.kind,
        "target": receipt.target,
        "route": receipt.route.value,
        "accepted": sum(fate is Fate.ACCEPTED for fate in receipt.fates),
        "answered_ms": receipt.answered_ms,
        "http_status": receipt.http_status,
        "aep_id": receipt.aep_id,
        "lost": receipt.lost,
        "ids": bytes.fromhex("".join(receipt.ids)),
        "outcomes": "".join(fate.value for fate in receipt.fates).encode(),
        "details": _packed(receipt),
    }


def _packed(receipt: Receipt) -> dict[str, list[int | str | None]]:
    """The details by place; one that all entities share stands once. A dropped batch of a million would else be 160 MB."""
    shared = set(receipt.details.values())
    if len(receipt.details) == len(receipt.ids) > 1 and len(shared) == 1:
        return {EVERY_PLACE: list(shared.pop())}
    return {str(place): list(detail) for place, detail in receipt.details.items()}


def _by_place(details: dict[str, list[Any]], count: int) -> dict[int, Detail]:
    if EVERY_PLACE in details:
        return dict.fromkeys(range(count), Detail(*details[EVERY_PLACE]))
    return {int(place): Detail(*detail) for place, detail in details.items()}


def _receipt(row: dict[str, Any]) -> Receipt:
    ids = row["ids"].hex()
    listed = [ids[start : start + 2 * ID_BYTES] for start in range(0, len(ids), 2 * ID_BYTES)]
    return Receipt(
        request_id=row["request_id"],
        day=row["day"],
        kind=row["kind"],
        target=row["target"],
        route=Route(row["route"]),
        ids=listed,
        fates=[Fate(letter) for letter in row["outcomes"].decode()],
        answered_ms=row["answered_ms"],
        http_status=row["http_status"],
        aep_id=row["aep_id"],
        lost=row["lost"],
        details=_by_place(row["details"], len(listed)),
    )
