"""Receipts: what AEP answered to each request, entity by entity. The ground of `sent once`.

Belongs here: one durable row a request and the outcomes of a day read back. Does not belong here: sending
(`adobe.delivery`) and the table an operator looks at (`ingestion_status`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import sqlalchemy as sa

from capillary_adobe.state.database import State, receipts

ID_BYTES = 32


class Outcome(StrEnum):
    """What became of an entity."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    PENDING = "pending"


_LETTERS = {Outcome.ACCEPTED: b"a", Outcome.REJECTED: b"r", Outcome.FAILED: b"f", Outcome.PENDING: b"p"}
_OUTCOMES = {letter[0]: outcome for outcome, letter in _LETTERS.items()}


@dataclass(frozen=True)
class Receipt:
    """One request and its answer; `target` tells under which settings it went out.

    `details` gives code and words by place for entities that were not accepted.
    """

    request_id: str
    day: str
    kind: str
    ids: Sequence[str]
    outcomes: Sequence[Outcome]
    target: str = ""
    answered_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    http_status: int | None = None
    aep_id: str | None = None
    details: dict[int, tuple[int | None, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """The last outcome of one entity and the request it came with."""

    outcome: Outcome
    attempts: int
    request_id: str
    answered_ms: int
    aep_id: str | None
    code: int | None
    detail: str | None


class Receipts:
    """The receipts of all requests."""

    def __init__(self, state: State) -> None:
        self._state = state

    def record(self, receipt: Receipt) -> None:
        """Store a receipt, or what has become known of a stored one since; when this returns it outlives a power cut."""
        row = {
            "request_id": receipt.request_id,
            "day": receipt.day,
            "kind": receipt.kind,
            "target": receipt.target,
            "accepted": sum(outcome is Outcome.ACCEPTED for outcome in receipt.outcomes),
            "answered_ms": receipt.answered_ms,
            "http_status": receipt.http_status,
            "aep_id": receipt.aep_id,
            "ids": bytes.fromhex("".join(receipt.ids)),
            "outcomes": b"".join(_LETTERS[outcome] for outcome in receipt.outcomes),
            "details": {str(place): list(detail) for place, detail in receipt.details.items()},
        }
        statement = self._state.insert(receipts)
        statement = statement.on_conflict_do_update(
            index_elements=["request_id"],
            set_={"outcomes": statement.excluded.outcomes, "answered_ms": statement.excluded.answered_ms},
        )
        with self._state.begin() as connection:
            connection.execute(statement, row)

    def accepted_under(self, target: str) -> bool:
        """Whether AEP has ever taken an entity under these settings."""
        query = sa.select(receipts.c.request_id).where(receipts.c.target == target, receipts.c.accepted > 0).limit(1)
        with self._state.read() as connection:
            return connection.execute(query).first() is not None

    def of_day(self, day: str) -> DayReceipts:
        """The receipts of a landing day, ready to be asked by entity."""
        query = (
            sa.select(
                receipts.c.request_id,
                receipts.c.answered_ms,
                receipts.c.aep_id,
                receipts.c.ids,
                receipts.c.outcomes,
                receipts.c.details,
            )
            .where(receipts.c.day == day)
            .order_by(receipts.c.answered_ms, receipts.c.request_id)
        )
        found = DayReceipts()
        with self._state.read() as connection:
            for row in connection.execute(query):
                found.add(*row)
        found.sort()
        return found


class DayReceipts:
    """The receipts of one day: 24 bytes an entity, so ten million fit in 0.3 GB."""

    def __init__(self) -> None:
        self._requests: list[tuple[str, int, str | None, dict[str, tuple[int | None, str]]]] = []
        self._heads: list[np.ndarray] = []
        self._tails: list[np.ndarray] = []
        self._letters: list[np.ndarray] = []
        self._owners: list[np.ndarray] = []
        self._places: list[np.ndarray] = []
        self.sort()

    def add(
        self,
        request_id: str,
        answered_ms: int,
        aep_id: str | None,
        ids: bytes,
        outcomes: bytes,
        details: dict[str, tuple[int | None, str]],
    ) -> None:
        """Add a request, later ones last."""
        words = np.frombuffer(ids, dtype=">u8").reshape(-1, ID_BYTES // 8)
        self._heads.append(words[:, 0].astype(np.uint64))
        self._tails.append(words[:, 1].astype(np.uint64))
        self._letters.append(np.frombuffer(outcomes, dtype=np.uint8))
        self._owners.append(np.full(len(words), len(self._requests), dtype=np.uint32))
        self._places.append(np.arange(len(words), dtype=np.uint32))
        self._requests.append((request_id, answered_ms, aep_id, details))

    def sort(self) -> None:
        """Make the receipts searchable; within one entity they keep their order."""
        heads = _joined(self._heads, np.uint64)
        order = np.argsort(heads, kind="stable")
        # One column after the other, so that only one is held in both orders.
        self._head = heads[order]
        self._tail = _joined(self._tails, np.uint64)[order]
        self._letter = _joined(self._letters, np.uint8)[order]
        self._owner = _joined(self._owners, np.uint32)[order]
        self._place = _joined(self._places, np.uint32)[order]

    def __len__(self) -> int:
        return len(self._requests)

    def accepted_twice(self) -> int:
        """How many entities AEP acknowledged in more than one request."""
        accepted = self._letter == _LETTERS[Outcome.ACCEPTED][0]
        head, tail = self._head[accepted], self._tail[accepted]
        repeats = (head[1:] == head[:-1]) & (tail[1:] == tail[:-1])
        # A third acknowledgement is a repeat of the same entity.
        repeats[1:] &= ~repeats[:-1]
        return int(repeats.sum())

    def known(self, ids: Sequence[str]) -> list[Known | None]:
        """The last outcome of each entity, None for one that no answered request carried.

        An acknowledgement stands, whatever a later request said.
        """
        if not len(self._head):
            return [None] * len(ids)
        words = np.frombuffer(bytes.fromhex("".join(ids)), dtype=">u8").reshape(-1, ID_BYTES // 8)
        heads = words[:, 0].astype(np.uint64)
        first = np.searchsorted(self._head, heads, side="left")
        last = np.searchsorted(self._head, heads, side="right")
        tails = words[:, 1].astype(np.uint64)
        return [
            self._last(int(start), int(stop), tail) if stop > start else None
            for start, stop, tail in zip(first, last, tails, strict=True)
        ]

    def _last(self, start: int, stop: int, tail: np.uint64) -> Known | None:
        rows = [row for row in range(start, stop) if self._tail[row] == tail]
        if not rows:
            return None
        accepted = [row for row in rows if _OUTCOMES[self._letter[row]] is Outcome.ACCEPTED]
        row = accepted[0] if accepted else rows[-1]
        request_id, answered_ms, aep_id, details = self._requests[self._owner[row]]
        code, detail = details.get(str(self._place[row]), (None, None))
        return Known(_OUTCOMES[self._letter[row]], len(rows), request_id, answered_ms, aep_id, code, detail)


def _joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
    """The parts as one array; the parts themselves are let go."""
    whole = np.concatenate(parts) if parts else np.empty(0, dtype=kind)
    parts.clear()
    return whole
