"""Customers from events: the facts of a slice of raw events merged into the documents, and the proof that the newest won.

Belongs here: reading the slice, counting what its events told, comparing documents with it afterwards. Does not belong here:
which event says what (`profiles.facts_from_events`), the merge (`state.customers`), facts from Capillary's API
(`looking_up.py`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.profiles.document import DELETED, CustomerKey, Document, Facts, merged
from capillary_adobe.profiles.facts_from_events import facts_of_event
from capillary_adobe.settings.customers import ProfileSettings
from capillary_adobe.state.customers import Customers, Merged
from capillary_adobe.tables import RAW_EVENTS, XDM_PROFILES

LOOKED_AT: Final = 500
"""Events whose facts are compared with the documents after a merge."""

_COLUMNS: Final = ["org_id", "customer_id", "created_ms", "event_log_id", "event_key", "event_name", "data"]


@dataclass
class FactCounts:
    """What the events of a run told. `sample` are the facts of some of the events, by `event_key`."""

    events: int = 0
    facts: int = 0
    changed: int = 0
    deleted: frozenset[CustomerKey] = frozenset()
    masked: Counter[str] = field(default_factory=Counter)
    """Values that Capillary hid, by event type."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Values that could not be read, by their path in the payload."""
    sample: list[Facts] = field(default_factory=list)


class NewestWins(NamedTuple):
    """What the proof has found; `lost` facts that no document holds, `older` documents behind a profile made of them."""

    facts: int
    profiles: int
    lost: int
    older: int


def merge_slice(
    lake: Lake,
    customers: Customers,
    part: Slice,
    settings: ProfileSettings,
    erasure_label: str,
    zone: ZoneInfo,
    progress: Callable[[str], None],
) -> FactCounts:
    """Merge what the events of a slice say of their customers; the caller holds the day's lock.

    Doing it again, in another order or split otherwise, changes nothing.

    Raises:
        LakeError: the table cannot be read.
        StateError: the documents cannot be written.
    """
    found = FactCounts()
    done: Merged = customers.merge(_facts(lake, part, settings, erasure_label, zone, found, progress))
    found.facts, found.changed, found.deleted = done
    return found


def newest_wins(lake: Lake, customers: Customers, part: Slice, sample: list[Facts]) -> NewestWins:
    """Whether the documents hold the newest of what a slice's sample says, and are behind no profile made of them.

    A fact is lost where merging it once more would change its customer's document. A document is behind where a profile of
    the day was made of newer values, as when the state database was put back to an old copy.
    """
    documents = customers.documents({facts.key for facts in sample})
    lost = sum(_is_lost(facts, documents.get(facts.key, {})) for facts in sample)
    newest: dict[CustomerKey, int] = {}
    profiles = 0
    for batch in lake.read(XDM_PROFILES, Slice(part.day), ["org_id", "customer_id", "newest_ms"]):
        for org_id, customer_id, newest_ms in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            key = CustomerKey(org_id, customer_id)
            if key in documents:
                profiles += 1
                newest[key] = max(newest_ms, newest.get(key, 0))
    older = sum(_is_behind(documents[key], newest_ms) for key, newest_ms in newest.items())
    return NewestWins(len(sample), profiles, lost, older)


def _facts(
    lake: Lake,
    part: Slice,
    settings: ProfileSettings,
    erasure_label: str,
    zone: ZoneInfo,
    found: FactCounts,
    progress: Callable[[str], None],
) -> Iterator[Facts]:
    # The smallest of the keys, which are hashes: a sample that is the same in every run over the same events.
    kept: list[tuple[_Downwards, int, list[Facts]]] = []
    for batch in lake.read(RAW_EVENTS, part, _COLUMNS):
        for row in batch.to_pylist():
            read = facts_of_event(row, settings, erasure_label, zone)
            found.events += 1
            if read.masked:
                found.masked[row["event_name"]] += read.masked
            found.unreadable.update(read.unreadable)
            entry = (_Downwards(row["event_key"]), found.events, read.facts)
            if len(kept) < LOOKED_AT:
                heapq.heappush(kept, entry)
            else:
                heapq.heappushpop(kept, entry)
            yield from read.facts
        progress(f"{found.events} events read")
    found.sample = [facts for _, _, some in kept for facts in some]


class _Downwards(str):
    """A text that sorts the other way round."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _is_lost(facts: Facts, document: Document) -> bool:
    return merged(document, facts.document) != document


def _is_behind(document: Document, newest_ms: int) -> bool:
    if DELETED in document:
        return False
    return max((register.stamp.at_us for register in document.values()), default=0) // 1000 < newest_ms
