"""Landed objects in the ledger, and lines with their keys.

Belongs here: what the tests of several kinds of state need to begin. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from capillary_adobe.landing import LandedObject
from capillary_adobe.state import LandedObjects, Place, State, Verdict
from capillary_adobe.state.claims import Claims, Ruling

DAY = "2026-03-04"
NEXT_DAY = "2026-03-05"


def event_key(text: object) -> str:
    """An idempotency key."""
    return sha256(str(text).encode()).hexdigest()


def landed(*names: str, day: str = DAY, lane: str = "events", size: int = 10) -> list[LandedObject]:
    """Objects of a day as a landing store lists them."""
    return [LandedObject(f"{lane}/{day}/{name}", size, 1_000) for name in names]


def taken(state: State, keys: Sequence[str], day: str = DAY, batch_id: str = "b") -> dict[str, int]:
    """Take objects and give their ids by key."""
    found = [LandedObject(key, 10, 1_000) for key in keys]
    return {read.key: read.object_id for read in LandedObjects(state).take(day, batch_id, found)}


def rule(state: State, day: str, lines: Sequence[tuple[str, Place]]) -> list[Ruling]:
    """Take the objects of the lines and rule on them."""
    ids = taken(state, sorted({place.key for _, place in lines}), day)
    return Claims(state).rule(day, ids, lines)


def firsts(lines: Sequence[tuple[str, Place]], rulings: Sequence[Ruling]) -> list[str]:
    """Keys of the lines that were ruled to be first."""
    return [key for (key, _), ruling in zip(lines, rulings, strict=True) if ruling.verdict is Verdict.FIRST]
