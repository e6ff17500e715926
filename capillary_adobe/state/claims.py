"""Claims: which landed line is the event of a key, across all days and routes, for ever.

Belongs here: telling a first landing from a duplicate. Does not belong here: how keys are made (`capillary.keys`).

Within a day the line that sorts first holds the key, whatever the order of arrival, so that any cut of the day into
micro-batches gives the same rows. Between days the first to be read holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from capillary_adobe.state.database import State, claims, landed_objects

# Half of a SHA-256: among 10^10 events the odds of one clash are 10^-19, and the index is half the size.
KEY_BYTES = 16
# SQLite takes statements up to 1 MB.
_KEYS_PER_STATEMENT = 8000


class Place(NamedTuple):
    """A line of a landed object; places sort as the keys of a day do."""

    key: str
    line: int
    part: int


class Verdict(Enum):
    """What a line is."""

    FIRST = "first"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Ruling:
    """The verdict on one line, the day of the first landing, the line that gave way to this one, and the one that it
    gave way to itself."""

    verdict: Verdict
    day: str
    replaced: Place | None = None
    taken_by: Place | None = None


class Claims:
    """The index of event keys."""

    def __init__(self, state: State) -> None:
        self._state = state

    def rule(self, day: str, object_ids: dict[str, int], lines: Sequence[tuple[str, Place]]) -> list[Ruling]:
        """Rule on lines (event key, place) of one day, in the order given.

        `object_ids` maps the landing keys of the lines to their ids in the ledger.
        """
        wanted: dict[bytes, Place] = {}
        for event_key, place in lines:
            short = bytes.fromhex(event_key)[:KEY_BYTES]
            if short not in wanted or place < wanted[short]:
                wanted[short] = place
        with self._state.begin() as connection:
            held = self._held(connection, list(wanted))
            self._insert(connection, day, object_ids, {k: p for k, p in wanted.items() if k not in held})
            # Read again what another writer may have inserted in between; SQLite allows only one, so it finds nothing.
            raced = self._held(connection, [k for k in wanted if k not in held])
            held |= {key: claim for key, claim in raced.items() if claim.place != wanted[key] or claim.day != day}
            self._give_way(connection, day, object_ids, wanted, held)
        return [self._ruling(day, place, wanted, held, bytes.fromhex(key)[:KEY_BYTES]) for key, place in lines]

    def days_of(self, event_keys: Sequence[str]) -> dict[str, str]:
        """Landing day of each event that is known."""
        by_short = {bytes.fromhex(key)[:KEY_BYTES]: key for key in event_keys}
        with self._state.read() as connection:
            return {by_short[short]: claim.day for short, claim in self._held(connection, list(by_short)).items()}

    def _ruling(
        self, day: str, place: Place, wanted: dict[bytes, Place], held: dict[bytes, _Claim], key: bytes
    ) -> Ruling:
        claim = held.get(key)
        if claim is None:
            return Ruling(Verdict.FIRST if wanted[key] == place else Verdict.DUPLICATE, day)
        holders = (*claim.replaced, claim.place)
        if claim.day != day or place not in holders:
            return Ruling(Verdict.DUPLICATE, claim.day)
        at = holders.index(place)
        before = holders[at - 1] if at else None
        if place == claim.place:
            return Ruling(Verdict.FIRST, day, before)
        return Ruling(Verdict.DUPLICATE, day, before, holders[at + 1])

    def _held(self, connection: sa.Connection, keys: list[bytes]) -> dict[bytes, _Claim]:
        found: dict[bytes, _Claim] = {}
        for start in range(0, len(keys), _KEYS_PER_STATEMENT):
            listed = ", ".join(self._literal(key) for key in keys[start : start + _KEYS_PER_STATEMENT])
            query = (
                sa.select(
                    claims.c.key, claims.c.day, landed_objects.c.key, claims.c.line, claims.c.part, claims.c.replaced
                )
                .join(landed_objects, landed_objects.c.object_id == claims.c.object_id)
                .where(sa.text(f"claims.key IN ({listed})"))
            )
            for key, day, object_key, line, part, replaced in connection.execute(query):
                was = tuple(Place(*place) for place in orjson.loads(replaced or "[]"))
                found[bytes(key)] = _Claim(day, Place(object_key, line, part), was)
        return found

    def _insert(self, connection: sa.Connection, day: str, object_ids: dict[str, int], new: dict[bytes, Place]) -> None:
        date.fromisoformat(day)
        # In key order the b-tree is filled page by page.
        rows = [
            f"({self._literal(key)}, '{day}', {object_ids[place.key]}, {place.line}, {place.part})"
            for key, place in sorted(new.items())
        ]
        for start in range(0, len(rows), _KEYS_PER_STATEMENT):
            values = ", ".join(rows[start : start + _KEYS_PER_STATEMENT])
            connection.exec_driver_sql(
                f"INSERT INTO claims (key, day, object_id, line, part) VALUES {values} ON CONFLICT (key) DO NOTHING"
            )

    def _literal(self, key: bytes) -> str:
        """A key as a literal: bound one by one, 100,000 keys cost two seconds of SQLAlchemy and eight of psycopg2."""
        return f"x'{key.hex()}'" if self._state.is_sqlite else f"'\\x{key.hex()}'::bytea"

    def _give_way(
        self,
        connection: sa.Connection,
        day: str,
        object_ids: dict[str, int],
        wanted: dict[bytes, Place],
        held: dict[bytes, _Claim],
    ) -> None:
        """Let a line of the same day that sorts later give way; the claim remembers it, in case this run dies."""
        rows: list[dict[str, Any]] = []
        for key, claim in held.items():
            place = wanted[key]
            if claim.day == day and place < claim.place:
                gave_way = (*claim.replaced, claim.place)
                held[key] = _Claim(day, place, gave_way)
                rows.append(
                    {
                        "which": key,
                        "object_id": object_ids[place.key],
                        "line": place.line,
                        "part": place.part,
                        "replaced": orjson.dumps([list(given) for given in gave_way]).decode(),
                    }
                )
        if rows:
            connection.execute(sa.update(claims).where(claims.c.key == sa.bindparam("which")), rows)


@dataclass(frozen=True)
class _Claim:
    day: str
    place: Place
    # Every line that has held the key before, in order.
    replaced: tuple[Place, ...]
