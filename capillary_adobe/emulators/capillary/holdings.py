"""What the emulated organisation holds: customers, transactions, stores, tills and programs.

Belongs here: the records as they were handed in, and those of a population that makes them on demand. Does not belong here:
HTTP (`customer_api`, `organisation_api`).

Records have the form of the newer API (v2). Of a customer three fields are ours: `deleted` (true), `mergedInto` (the
survivor's id), and nothing else. They live in memory: an emulator that was started anew knows those of its population alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Protocol

Record = dict[str, Any]
Kind = Literal["customers", "transactions", "stores", "tills", "programs"]
KINDS: Final[tuple[Kind, ...]] = ("customers", "transactions", "stores", "tills", "programs")


class Population(Protocol):
    """Customers who need not be handed in, because they can be told from their ids."""

    def customer(self, customer_id: int) -> Record | None:
        """A customer as v2 tells it, as of now."""
        ...

    def transaction(self, transaction_id: int) -> Record | None:
        """A transaction as v2 tells it."""
        ...

    def organisation(self) -> Mapping[Kind, Iterable[Record]]:
        """Stores, tills and programs."""
        ...


class Holdings:
    """Everything, by kind and id; threads may share it."""

    def __init__(self, population: Population | None = None) -> None:
        self._population = population
        self._lock = threading.Lock()
        self._records: dict[Kind, dict[int, Record]] = {kind: {} for kind in KINDS}
        for kind, records in (population.organisation() if population is not None else {}).items():
            self.put(kind, records)

    def put(self, kind: Kind, records: Iterable[Record]) -> int:
        """Take records in, or put them in place of those with their ids; a ValueError says what is wrong with one."""
        taken = {_id(record): dict(record) for record in records}
        with self._lock:
            self._records[kind] |= taken
        return len(taken)

    def all(self, kind: Kind) -> list[Record]:
        """The records of a kind that were handed in, by their ids."""
        with self._lock:
            return [record for _, record in sorted(self._records[kind].items())]

    def one(self, kind: Kind, record_id: int) -> Record | None:
        """A record by its id."""
        found = self._records[kind].get(record_id)
        if found is not None or self._population is None:
            return found
        if kind == "customers":
            return self._population.customer(record_id)
        return self._population.transaction(record_id) if kind == "transactions" else None

    def customer_with(self, name: str, value: str) -> Record | None:
        """The customer who was handed in with an identifier."""
        for record in self.all("customers"):
            for profile in record.get("profiles", []):
                for identifier in profile.get("identifiers", []):
                    if str(identifier.get("type")).lower() == name.lower() and str(identifier.get("value")) == value:
                        return record
        return None


def _id(record: Any) -> int:
    given = record.get("id") if isinstance(record, dict) else None
    if isinstance(given, bool) or not isinstance(given, int) or given <= 0:
        raise ValueError("a record must be a JSON object with an `id` that is a whole number above 0")
    return given
