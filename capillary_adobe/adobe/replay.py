"""Replay: entities that AEP refused for one cause are opened again, and nothing else moves.

Belongs here: finding them by cause, opening them in the ledger, and the proof from the ledger. Does not belong here:
making and sending them again (`defs`, `delivery.py`, `profile_delivery.py`).

A profile is never sent again as it was: a newer one of the customer may have gone since. It is asked for anew, as a newer
revision, and the refused record is superseded.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter

from capillary_adobe.adobe.hold import Entities, nothing
from capillary_adobe.adobe.profile_delivery import PROFILES
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Detail, Fate, Outcome, Receipt, Receipts, Route, State
from capillary_adobe.state.customers import Customers

EVENTS = "events"


def refused_by_cause(state: State, day: str) -> Counter[str]:
    """How many entities of a day AEP refuses at the moment, by cause."""
    found = _standing(Receipts(state), day)
    return Counter(cause for cause, fate in found.values() if fate is Fate.REJECTED)


def open_by_cause(state: State, day: str) -> Counter[str]:
    """The same, with those events that a replay has opened and not sent yet."""
    receipts = Receipts(state)
    profiles = Counter(cause for cause, fate in _standing(receipts, day, PROFILES).values() if fate is Fate.REJECTED)
    return Counter(cause for cause, _ in _standing(receipts, day, EVENTS).values()) + profiles


def standing(state: State, day: str, cause: str, held: Entities = nothing) -> set[str]:
    """Ids of the events of a day that a replay of this cause would send."""
    return set(_of_cause(Receipts(state), day, cause, held))


def reopen(state: State, day: str, cause: str, held: Entities = nothing) -> set[str]:
    """Open the events of a day that are refused for this cause; their ids, with those opened before and not sent yet.

    Those that are `held` back stay refused: they would not be sent.
    """
    receipts = Receipts(state)
    found = _of_cause(receipts, day, cause, held)
    _open(receipts, day, cause, EVENTS, [id_ for id_, fate in found.items() if fate is Fate.REJECTED])
    return set(found)


def reopen_profiles(state: State, day: str, cause: str, read: Entities) -> int:
    """Have a new profile made for each customer whose record of a day is refused for this cause; how many records.

    `read` gives the day's rows of `xdm_profiles`. Asking comes first: who is killed in between asks once more.
    """
    receipts = Receipts(state)
    refused = {
        id_ for id_, (why, fate) in _standing(receipts, day, PROFILES).items() if why == cause and fate is Fate.REJECTED
    }
    if not refused:
        return 0
    keys: set[CustomerKey] = set()
    for batch in read(["id", "org_id", "customer_id"]):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        keys |= {CustomerKey(org, customer) for id_, org, customer in rows if id_ in refused}
    Customers(state).send_again(keys)
    _open(receipts, day, cause, PROFILES, sorted(refused))
    return len(refused)


def _open(receipts: Receipts, day: str, cause: str, kind: str, refused: list[str]) -> None:
    if refused:
        receipts.record(
            Receipt(
                request_id=f"replay/{uuid.uuid4()}",
                day=day,
                kind=kind,
                route=Route.REPLAY,
                ids=refused,
                fates=[Fate.PENDING] * len(refused),
                details=dict.fromkeys(range(len(refused)), Detail(None, "To be sent again by a replay.", cause)),
            )
        )


def moved_since(state: State, day: str, moment_ms: int) -> set[str]:
    """Ids of all entities of a day that were sent at or after a moment (epoch ms), or had their answer then."""
    return {id_ for receipt in Receipts(state).sent_since(day, moment_ms) for id_ in receipt.ids}


def now_ms() -> int:
    """The moment, as the ledger notes it."""
    return time.time_ns() // 1_000_000


def _of_cause(receipts: Receipts, day: str, cause: str, held: Entities) -> dict[str, Fate]:
    found = {id_: fate for id_, (why, fate) in _standing(receipts, day, EVENTS).items() if why == cause}
    if found:
        for batch in held(["id"]):
            for id_ in batch.column("id").to_pylist():
                found.pop(id_, None)
    return found


def _standing(receipts: Receipts, day: str, kind: str | None = None) -> dict[str, tuple[str, Fate]]:
    """Entities that stand refused, or were opened again and have no outcome yet: last cause and fate."""
    causes = receipts.causes(day, kind)
    states = receipts.of_day(day).known(list(causes))
    return {
        id_: (cause, known.fate)
        for (id_, cause), known in zip(causes.items(), states, strict=True)
        if known is not None and known.outcome is not Outcome.ACCEPTED and not known.waits_at_aep
    }
