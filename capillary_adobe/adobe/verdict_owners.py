"""Owners of refused records: which of our entities a record is, and of which landing day.

Belongs here: finding them by what a record carries, for events and for profiles. Does not belong here: fetching refused
records (`data_access.py`) and noting what became of them (`verdict.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson

from capillary_adobe.adobe.profile_delivery import PROFILES
from capillary_adobe.adobe.refused import FailedRecord
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Claims, Receipts, State
from capillary_adobe.state.open_profiles import OpenProfiles, Standing, ledger_id
from capillary_adobe.xdm.identities import CUSTOMER

_HEX: Final = frozenset("0123456789abcdef")
_ID_LENGTH: Final = 64
_DAY_MS: Final = 86_400_000
_IDENTITY: Final = re.compile(r"(?:(\d{1,18})-)?(\d{1,18})")


class Owned(NamedTuple):
    """An entity of ours that a record is: its id in the ledger, its landing day, and whether its verdict still counts."""

    id: str
    day: str
    standing: bool = True


class Owner(Protocol):
    """Finds whose the records of one dataset are."""

    kind: str

    def owned(self, records: Sequence[FailedRecord], created_ms: int) -> list[Owned | None]:
        """For each record of a batch that AEP made at a moment, what it is of ours."""
        ...


class EventOwner:
    """Events carry their id."""

    kind = "events"

    def __init__(self, state: State) -> None:
        self._claims = Claims(state)

    def owned(self, records: Sequence[FailedRecord], created_ms: int) -> list[Owned | None]:  # noqa: ARG002 - the protocol's
        """By `_id`, which is the event's key."""
        ids = [record.entity_id if _is_id(record.entity_id) else None for record in records]
        days = self._claims.days_of([id_ for id_ in ids if id_ is not None])
        return [Owned(id_, days[id_]) if id_ is not None and id_ in days else None for id_ in ids]


class ProfileOwner:
    """Profiles carry their customer; the record is the last one that was settled, if no newer one was sent since."""

    kind = PROFILES

    def __init__(self, state: State, days: int, clocks_apart_ms: int = 120_000) -> None:
        self._open = OpenProfiles(state)
        self._receipts = Receipts(state)
        self._days = days
        self._clocks_apart_ms = clocks_apart_ms

    def owned(self, records: Sequence[FailedRecord], created_ms: int) -> list[Owned | None]:
        """By the primary identity. What was sent after AEP made the batch is not what the batch holds: it stands."""
        named = [_customer(record.entity) for record in records]
        keys = self._open.keys_of({customer for org, customer in filter(None, named)})
        wanted = [_among(keys.get(one[1], ()), one[0]) if one else None for one in named]
        standings = self._open.standings({key for key in wanted if key is not None})
        ids = [self._id(key, standings) for key in wanted]
        since_ms = time.time_ns() // 1_000_000 - self._days * _DAY_MS
        days = self._receipts.days_of(PROFILES, {id_ for id_ in ids if id_ is not None}, since_ms)
        return [
            Owned(id_, days[id_], standings[key].last_ms <= created_ms + self._clocks_apart_ms)
            if key is not None and id_ in days
            else None
            for key, id_ in zip(wanted, ids, strict=True)
        ]

    def _id(self, key: CustomerKey | None, standings: dict[CustomerKey, Standing]) -> str | None:
        standing = standings.get(key) if key is not None else None
        return None if key is None or standing is None else ledger_id(key, standing.settled_revision)


def _among(keys: Sequence[CustomerKey], org_id: int | None) -> CustomerKey | None:
    """The customer who is meant; without an organisation there must be only one."""
    found = [key for key in keys if org_id in (None, key.org_id)]
    return found[0] if len(found) == 1 else None


def _customer(entity: bytes | None) -> tuple[int | None, int] | None:
    """Organisation, where the identity tells it, and customer of a record."""
    try:
        content: Any = orjson.loads(entity or b"null")
    except orjson.JSONDecodeError:
        return None
    identities = content.get("identityMap") if type(content) is dict else None
    listed = identities.get(CUSTOMER) if type(identities) is dict else None
    for one in listed if type(listed) is list else ():
        if type(one) is dict and one.get("primary") is True:
            found = _IDENTITY.fullmatch(str(one.get("id")))
            return (int(found[1]) if found[1] else None, int(found[2])) if found else None
    return None


def _is_id(entity_id: str | None) -> bool:
    return entity_id is not None and len(entity_id) == _ID_LENGTH and _HEX.issuperset(entity_id)
