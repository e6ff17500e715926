"""Sending a day again on purpose: what AEP has acknowledged is opened, once for each confirmation.

Belongs here: the words that confirm it, opening events in the ledger, asking for profiles anew. Does not belong here: sending
(`delivery.py`), and entities that AEP refused (`replay.py`).

An event keeps its `_id`: AEP's profile store drops the repeat, its data lake holds it twice. A profile is made anew, as with a
replay: as it was it may be older than what was sent since. What was opened stands in the ledger in one transaction, so that a
confirmation which was carried out, even by a run that died, opens nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from capillary_adobe.adobe.hold import Entities
from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Detail, Fate, Receipt, Receipts, Route, State
from capillary_adobe.state.customers import Customers

_EVENTS: Final = "events"
# A receipt is a row; a day of a million would be 32 MB in one.
_IDS_A_RECEIPT: Final = 50_000
_WHY: Final = Detail(None, "To be sent again on purpose.", None)


class SendingAgainRefused(Exception):
    """The confirmation is not the one that is wanted; the text tells what would be sent and what to type."""


@dataclass(frozen=True)
class Opened:
    """What was opened: events, and profiles that are made anew; nothing where the confirmation had been carried out."""

    events: int = 0
    profiles: int = 0


def confirmation(day: str, number: int) -> str:
    """What an operator types to have a day sent again, the first time, the second, and so on."""
    return f"{day} #{number}"


def open_again(state: State, day: str, typed: str, events: Entities, profiles: Entities) -> Opened:
    """Open the events of a day that AEP has acknowledged, and have its profiles made anew.

    `events` reads those that may be sent, `profiles` the day's rows of `xdm_profiles`. The caller holds the day's lock.

    Raises:
        SendingAgainRefused: `typed` confirms neither the next time nor the last one.
    """
    receipts = Receipts(state)
    last = _times(receipts, day)
    if last and typed.strip() == confirmation(day, last):
        return Opened()
    ids = _acknowledged(receipts, day, events)
    wanted = confirmation(day, last + 1)
    if typed.strip() != wanted:
        raise SendingAgainRefused(
            f"Nothing is sent again: it is not confirmed. {len(ids)} events of {day} that AEP has acknowledged would be sent "
            "once more, and its data lake would hold them twice; their profiles would be made anew. To have it done, set "
            f"`ops.ingestion_status.config.send_again` to `{wanted}`."
        )
    # Asked for first: who is killed in between confirms once more, and one more revision of a profile does no harm.
    keys = _customers(profiles)
    if keys:
        Customers(state).send_again(keys)
    parts = list(in_parts(ids, _IDS_A_RECEIPT)) or [[]]
    receipts.record(*(_receipt(day, last + 1, place, list(part)) for place, part in enumerate(parts)))
    return Opened(len(ids), len(keys))


def _times(receipts: Receipts, day: str) -> int:
    """How often a day was sent again."""
    found = receipts.of_requests(_prefix(day))
    return max((int(one.request_id.split("/")[2]) for one in found), default=0)


def _prefix(day: str) -> str:
    return f"again/{day}/"


def _acknowledged(receipts: Receipts, day: str, events: Entities) -> list[str]:
    known, found = receipts.of_day(day), list[str]()
    for batch in events(["id"]):
        ids = batch.column("id").to_pylist()
        states = known.known(ids)
        found += [id_ for id_, state in zip(ids, states, strict=True) if state and state.fate is Fate.ACCEPTED]
    return found


def _customers(profiles: Entities) -> set[CustomerKey]:
    rows: Iterable[tuple[str, int]] = (
        pair
        for batch in profiles(["org_id", "customer_id"])
        for pair in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
    return {CustomerKey(int(org), int(customer)) for org, customer in rows}


def _receipt(day: str, number: int, place: int, ids: list[str]) -> Receipt:
    return Receipt(
        request_id=f"{_prefix(day)}{number}/{place}",
        day=day,
        kind=_EVENTS,
        route=Route.REPLAY,
        ids=ids,
        fates=[Fate.PENDING] * len(ids),
        details=dict.fromkeys(range(len(ids)), _WHY),
    )
