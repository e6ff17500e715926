"""The account of a soak: what the emulator took, held against what the ledger says of it.

Belongs here: arithmetic over the two lists. Does not belong here: making them (`soak.py`).

An entity may be at AEP twice for two reasons only: an answer was lost to a fault, or the process died with the request
under way. Either must have left a row in the ledger that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import requests

from capillary_adobe.state import Fate, Outcome, Receipt, Receipts, State

_PAGE = 5000


@dataclass(frozen=True)
class Account:
    """The figures; every list of ids is empty or short where delivery keeps its promise."""

    accepted: int
    distinct: int
    rejected: int
    lost: list[str]
    """At AEP in no copy, and not rejected either."""
    falsely_settled: list[str]
    """Accepted by the ledger, unknown at AEP."""
    not_named: list[str]
    """At AEP more often than the ledger admits."""
    duplicates_by_kills: list[int]
    """For each kill, how many entities of its requests under way are at AEP twice."""
    duplicates_by_faults: int
    doubtful: int
    maybe_twice: int
    acknowledged_twice: int
    most_messages: int
    messages_per_request: float


def in_flight(state: State, day: str, since_ms: int) -> list[Receipt]:
    """Requests begun since a moment that were never settled: those under way when their process died."""
    return [receipt for receipt in Receipts(state).sent_since(day, since_ms) if _unsettled(receipt)]


def account(state: State, day: str, ids: Sequence[str], arrived: Counter[str], kills: list[list[Receipt]]) -> Account:
    """Hold what arrived against the ledger; `kills` are the requests that each kill caught under way."""
    receipts = Receipts(state)
    ledger = receipts.of_day(day)
    known = dict(zip(ids, ledger.known(ids), strict=True))
    outcome = {id_: state.outcome if state else Outcome.PENDING for id_, state in known.items()}
    doubtful = {id_: state.doubtful if state else 0 for id_, state in known.items()}
    again = {id_: count - 1 for id_, count in arrived.items() if count > 1}
    sizes = [len(receipt.ids) for receipt in receipts.sent_since(day, 0)]
    by_kills = [_again_in(requests_, again) for requests_ in kills]
    return Account(
        accepted=arrived.total(),
        distinct=len(arrived),
        rejected=sum(one is Outcome.REJECTED for one in outcome.values()),
        lost=[id_ for id_ in ids if id_ not in arrived and outcome[id_] is not Outcome.REJECTED],
        falsely_settled=[id_ for id_ in ids if id_ not in arrived and outcome[id_] is Outcome.ACCEPTED],
        not_named=[id_ for id_, copies in again.items() if doubtful.get(id_, 0) < copies],
        duplicates_by_kills=by_kills,
        duplicates_by_faults=sum(again.values()) - sum(by_kills),
        doubtful=sum(times > 0 for times in doubtful.values()),
        maybe_twice=ledger.maybe_twice(),
        acknowledged_twice=ledger.accepted_twice(),
        most_messages=max(sizes, default=0),
        messages_per_request=round(sum(sizes) / max(len(sizes), 1), 1),
    )


def arrivals(base_url: str) -> Iterator[str]:
    """The `_id` of every entity that the emulator took, in order."""
    offset = 0
    while True:
        url = f"{base_url}/accepted.json?offset={offset}&limit={_PAGE}"
        page = requests.get(url, timeout=60).json()
        if not page:
            return
        offset += len(page)
        yield from (line["entity"]["_id"] for line in page)


def _again_in(caught: Iterable[Receipt], again: dict[str, int]) -> int:
    return sum(id_ in again for receipt in caught for id_ in receipt.ids)


def _unsettled(receipt: Receipt) -> bool:
    # Whatever is settled without an answer for a message has words for it, or the answer's id.
    never_answered = all(fate is Fate.UNKNOWN for fate in receipt.fates)
    return never_answered and not receipt.details and receipt.aep_id is None
