"""Replay: entities that AEP refused for one cause are opened again, and nothing else moves.

Belongs here: finding them by cause, opening them in the ledger, and the proof from the ledger. Does not belong here:
making and sending them again (`defs`, `delivery.py`).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter

from capillary_adobe.adobe.hold import Entities, nothing
from capillary_adobe.state import Detail, Fate, Outcome, Receipt, Receipts, Route, State


def refused_by_cause(state: State, day: str) -> Counter[str]:
    """How many entities of a day AEP refuses at the moment, by cause."""
    found = _standing(Receipts(state), day)
    return Counter(cause for cause, fate in found.values() if fate is Fate.REJECTED)


def open_by_cause(state: State, day: str) -> Counter[str]:
    """The same, with those that a replay has opened and not sent yet."""
    return Counter(cause for cause, _ in _standing(Receipts(state), day).values())


def standing(state: State, day: str, cause: str, held: Entities = nothing) -> set[str]:
    """Ids of the entities of a day that a replay of this cause would send."""
    return set(_of_cause(Receipts(state), day, cause, held))


def reopen(state: State, day: str, cause: str, held: Entities = nothing) -> set[str]:
    """Open the entities of a day that are refused for this cause; their ids, with those opened before and not sent yet.

    Those that are `held` back stay refused: they would not be sent.
    """
    receipts = Receipts(state)
    found = _of_cause(receipts, day, cause, held)
    refused = [id_ for id_, fate in found.items() if fate is Fate.REJECTED]
    if refused:
        receipts.record(
            Receipt(
                request_id=f"replay/{uuid.uuid4()}",
                day=day,
                kind="events",
                route=Route.REPLAY,
                ids=refused,
                fates=[Fate.PENDING] * len(refused),
                details=dict.fromkeys(range(len(refused)), Detail(None, "To be sent again by a replay.", cause)),
            )
        )
    return set(found)


def moved_since(state: State, day: str, moment_ms: int) -> set[str]:
    """Ids of all entities of a day that were sent at or after a moment (epoch ms), or had their answer then."""
    return {id_ for receipt in Receipts(state).sent_since(day, moment_ms) for id_ in receipt.ids}


def now_ms() -> int:
    """The moment, as the ledger notes it."""
    return time.time_ns() // 1_000_000


def _of_cause(receipts: Receipts, day: str, cause: str, held: Entities) -> dict[str, Fate]:
    found = {id_: fate for id_, (why, fate) in _standing(receipts, day).items() if why == cause}
    if found:
        for batch in held(["id"]):
            for id_ in batch.column("id").to_pylist():
                found.pop(id_, None)
    return found


def _standing(receipts: Receipts, day: str) -> dict[str, tuple[str, Fate]]:
    """Entities that stand refused, or were opened again and have no outcome yet: last cause and fate."""
    causes = receipts.causes(day)
    states = receipts.of_day(day).known(list(causes))
    return {
        id_: (cause, known.fate)
        for (id_, cause), known in zip(causes.items(), states, strict=True)
        if known is not None and known.outcome is not Outcome.ACCEPTED and not known.waits_at_aep
    }
