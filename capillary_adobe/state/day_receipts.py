"""The receipts of one landing day, read back and ready to be asked by entity.

Belongs here: how the state of an entity follows from its requests. Does not belong here: storing receipts
(`receipts.py`).

An acknowledgement stands, whatever a later request said; only AEP's later verdict or an operator's replay moves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from capillary_adobe.state.outcomes import Detail, Fate, Known, Route

ID_BYTES = 32
EVERY_PLACE = "*"
"""Stands in the details for every place of a request."""

_FATES = {ord(fate.value): fate for fate in Fate}
_ACCEPTED = ord(Fate.ACCEPTED.value)
_UNKNOWN = ord(Fate.UNKNOWN.value)
_SENT = (Route.STREAMING, Route.BATCH)


class _Request(NamedTuple):
    request_id: str
    route: Route
    answered_ms: int
    aep_id: str | None
    lost: int
    details: dict[str, list[int | str | None]]


class DayReceipts:
    """The receipts of one day: 24 bytes an entity, so ten million fit in 0.3 GB."""

    def __init__(self) -> None:
        self._requests: list[_Request] = []
        self._heads: list[np.ndarray] = []
        self._tails: list[np.ndarray] = []
        self._letters: list[np.ndarray] = []
        self._owners: list[np.ndarray] = []
        self._places: list[np.ndarray] = []
        self.sort()

    def add(
        self,
        request_id: str,
        route: str,
        answered_ms: int,
        aep_id: str | None,
        lost: int,
        ids: bytes,
        fates: bytes,
        details: dict[str, list[int | str | None]],
    ) -> None:
        """Add a request, later ones last."""
        words = np.frombuffer(ids, dtype=">u8").reshape(-1, ID_BYTES // 8)
        self._heads.append(words[:, 0].astype(np.uint64))
        self._tails.append(words[:, 1].astype(np.uint64))
        self._letters.append(np.frombuffer(fates, dtype=np.uint8))
        self._owners.append(np.full(len(words), len(self._requests), dtype=np.uint32))
        self._places.append(np.arange(len(words), dtype=np.uint32))
        self._requests.append(_Request(request_id, Route(route), answered_ms, aep_id, lost, details))

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

    def known(self, ids: Sequence[str]) -> list[Known | None]:
        """The state of each entity, None for one that no request carried."""
        if not len(self._head):
            return [None] * len(ids)
        words = np.frombuffer(bytes.fromhex("".join(ids)), dtype=">u8").reshape(-1, ID_BYTES // 8)
        heads = words[:, 0].astype(np.uint64)
        first = np.searchsorted(self._head, heads, side="left")
        last = np.searchsorted(self._head, heads, side="right")
        tails = words[:, 1].astype(np.uint64)
        return [
            self._state(int(start), int(stop), tail) if stop > start else None
            for start, stop, tail in zip(first, last, tails, strict=True)
        ]

    def accepted_twice(self) -> int:
        """How many entities AEP acknowledged in more than one request, replays after its verdict left out."""
        return sum(self._repeated(rows) for rows in self._entities(self._letter == _ACCEPTED))

    def maybe_twice(self) -> int:
        """How many entities AEP may hold twice: acknowledged, after a sending whose answer was lost."""
        lost = np.array([request.lost > 0 for request in self._requests], dtype=bool)
        doubtful = self._letter == _UNKNOWN
        if len(lost):
            doubtful |= lost[self._owner]
        return sum(any(self._letter[row] == _ACCEPTED for row in rows) for rows in self._entities(doubtful, at_least=1))

    def _entities(self, wanted: np.ndarray, at_least: int = 2) -> Iterator[list[int]]:
        """The rows of each entity that has so many wanted ones."""
        heads, counts = np.unique(self._head[wanted], return_counts=True)
        for head in heads[counts >= at_least]:
            start, stop = (int(np.searchsorted(self._head, head, side=side)) for side in ("left", "right"))
            by_tail: dict[int, list[int]] = {}
            for row in range(start, stop):
                by_tail.setdefault(int(self._tail[row]), []).append(row)
            yield from (rows for rows in by_tail.values() if sum(bool(wanted[row]) for row in rows) >= at_least)

    def _repeated(self, rows: list[int]) -> bool:
        accepted = 0
        for row in rows:
            if self._requests[self._owner[row]].route not in _SENT:
                accepted = 0
            elif self._letter[row] == _ACCEPTED:
                accepted += 1
                if accepted > 1:
                    return True
        return False

    def _state(self, start: int, stop: int, tail: np.uint64) -> Known | None:
        rows = [row for row in range(start, stop) if self._tail[row] == tail]
        if not rows:
            return None
        standing = rows[0]
        attempts = doubtful = 0
        for row in rows:
            request = self._requests[self._owner[row]]
            sent = request.route in _SENT
            attempts += sent
            doubtful += request.lost + (self._letter[row] == _UNKNOWN)
            if self._letter[standing] != _ACCEPTED or not sent:
                standing = row
        request = self._requests[self._owner[standing]]
        return Known(
            fate=_FATES[int(self._letter[standing])],
            route=request.route,
            attempts=attempts,
            request_id=request.request_id,
            answered_ms=request.answered_ms,
            aep_id=request.aep_id,
            detail=_detail(request, int(self._place[standing])),
            doubtful=int(doubtful),
        )


def _detail(request: _Request, place: int) -> Detail:
    found = request.details.get(str(place)) or request.details.get(EVERY_PLACE) or ()
    return Detail(*found)  # pyright: ignore[reportArgumentType]


def _joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
    """The parts as one array; the parts themselves are let go."""
    whole = np.concatenate(parts) if parts else np.empty(0, dtype=kind)
    parts.clear()
    return whole
