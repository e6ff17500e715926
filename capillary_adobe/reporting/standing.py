"""What waits, and how the way back stands, as of now.

Belongs here: reading the registers, with a word on each. Does not belong here: figures of days (`figures.py`).

The way back is all that comes to us and is not an event: AEP's later verdict, and what Capillary answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from capillary_adobe.backfill_progress import BackfillProgress, moment, progress
from capillary_adobe.pacing import AEP_INLET, CAPILLARY_API, not_answering
from capillary_adobe.reference_data import not_set_up
from capillary_adobe.settings import Lane
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe.settings.reading import load
from capillary_adobe.state import (
    Erasures,
    MicroBatches,
    Paces,
    ReadBatches,
    References,
    SentBatches,
    State,
)
from capillary_adobe.state.customers import CustomerCounts
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe.state.lookups import LookupQueue

Level = Literal["ok", "warn", "bad"]
_LANES: tuple[Lane, ...] = ("live", "history")
_WEEK_MS = 7 * 86_400_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Standing:
    """How one thing stands, in a line."""

    name: str
    level: Level
    words: str


@dataclass(frozen=True)
class Backlog:
    """What waits beside the days of the report; `paused` and `outages` tell why, in words, if anything is in the way."""

    paused: str = ""
    held_micro_batches: int = 0
    outages: Sequence[str] = ()
    micro_batches: dict[str, int] = field(default_factory=dict)
    """By lane, those that a run is at work on, or is to be asked for."""
    open_days: Sequence[str] = ()
    """Days that such micro-batches are of: their books close when the run is through."""
    older_days: Sequence[str] = ()
    """Those of them before the days of the report."""
    batches_at_aep: int = 0
    oldest_batch_ms: int | None = None
    history: BackfillProgress | None = None
    """None where nothing was imported."""


def backlog(state: State, first_day: str, now_ms: int) -> Backlog:
    """What waits now; `first_day` is the first of the report.

    Raises:
        StateError: the state database cannot be read.
    """
    pause, register, paces = DeliveryPause(state), MicroBatches(state), Paces(state)
    paused = pause.find()
    open_ = {lane: register.unfinished(lane) for lane in _LANES}
    at_aep = SentBatches(state).open()
    looks = {service: paces.look(service, now_ms / 1000) for service in (AEP_INLET, CAPILLARY_API)}
    found = progress(state, now_ms)
    days = sorted({one.day for listed in open_.values() for one in listed})
    return Backlog(
        paused=paused.words if paused else "",
        held_micro_batches=pause.held(),
        outages=[
            not_answering(service, seen.down_since or now_ms / 1000, seen.words, seen.next_try)
            for service, seen in looks.items()
            if seen is not None and seen.next_try is not None
        ],
        micro_batches={lane: len(listed) for lane, listed in open_.items()},
        open_days=days,
        older_days=[day for day in days if day < first_day],
        batches_at_aep=len(at_aep),
        oldest_batch_ms=at_aep[0].created_ms if at_aep else None,
        history=found if found.first_day is not None else None,
    )


def way_back(state: State, customers: CustomerCounts, now_ms: int) -> list[Standing]:
    """How each part of the way back stands.

    Raises:
        StateError: the state database cannot be read.
        SettingsError: a variable is malformed.
    """
    missing = bool(not_set_up())
    return [
        _verdicts(state, now_ms),
        _lookups(state, now_ms, missing=missing),
        _customers(customers),
        _references(state, missing=missing),
        _erasures(state, now_ms),
    ]


def _verdicts(state: State, now_ms: int) -> Standing:
    read = ReadBatches(state).read_since(now_ms - _WEEK_MS)
    if not read.batches:
        return Standing("AEP's verdict", "ok", "no failed batch was found at AEP in the last seven days")
    strange = f", {read.unmatched} of them none of ours" if read.unmatched else ""
    return Standing(
        "AEP's verdict",
        "warn",
        f"{read.batches} failed batches read in the last seven days, {read.records} refused records named{strange}; "
        f"the last at {moment(read.last_ms)}",
    )


def _lookups(state: State, now_ms: int, *, missing: bool) -> Standing:
    name = "Look-ups at Capillary"
    if missing:
        return Standing(name, "ok", "Capillary's API is not set up, nobody is looked up")
    queue = LookupQueue(state).counts(now_ms)
    if not queue.waiting or queue.oldest_ms is None:
        return Standing(name, "ok", "every look-up is answered")
    late = now_ms - queue.oldest_ms > load(LookupSettings).fresh_hours * _HOUR_MS
    return Standing(
        name,
        "warn" if late or queue.failing else "ok",
        f"{queue.customers} customers and {queue.transactions} bills wait, {queue.failing} of them after a failure; the "
        f"oldest since {moment(queue.oldest_ms)}",
    )


def _customers(known: CustomerCounts) -> Standing:
    due = f", {known.due} with a new profile to be sent" if known.due else ", every profile sent"
    return Standing("Customers", "ok", f"{known.customers} known{due if known.customers else ''}")


def _references(state: State, *, missing: bool) -> Standing:
    known = References(state)
    stores, tills, programs = len(known.stores()), len(known.tills()), len(known.programs())
    words = f"{stores} stores, {tills} tills, {programs} programs known"
    empty = not missing and not stores
    hint = "; press Materialize on stores and programs, or wait for the night" if empty else ""
    return Standing("References", "warn" if empty else "ok", words + hint)


def _erasures(state: State, now_ms: int) -> Standing:
    known = Erasures(state).counts()
    if not known.noted:
        return Standing("Erasures", "ok", "no customer was ever deleted at Capillary")
    late = known.oldest_waiting_ms is not None and now_ms - known.oldest_waiting_ms > 2 * 24 * _HOUR_MS
    words = f"{known.noted - known.waiting} of {known.noted} deleted customers erased here"
    without = f"; {known.without_order} in no work order for AEP yet" if known.without_order else ""
    return Standing("Erasures", "warn" if late else "ok", words + without)
