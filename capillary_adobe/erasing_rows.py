"""Finding the rows of customers in a day's tables.

Belongs here: by which columns a row is known to be a customer's. Does not belong here: what becomes of it (`erasing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.profile_making import STAGE, quarantine_place
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.erasure import customers_in, is_of, may_name_others
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, XDM_PROFILES, Table

Mask = Callable[[pa.Table], pa.BooleanArray]


@dataclass(frozen=True)
class Found:
    """Keys of rows: of events, or of profiles."""

    keys: frozenset[str]

    def chunks(self, size: int) -> Iterator[list[str]]:
        """The keys in order, at most `size` at once."""
        ordered = sorted(self.keys)
        for start in range(0, len(ordered), size):
            yield ordered[start : start + size]

    def __or__(self, others: Found) -> Found:
        return Found(self.keys | others.keys)


class RowFinder:
    """Looks through the tables; the caller holds the day's lock."""

    def __init__(self, lake: RewritableLake) -> None:
        self._lake = lake

    def of_customers(self, day: str, keys: Collection[CustomerKey]) -> Found:
        """Events of customers, and events of others that name them."""
        erased = frozenset(keys)
        own = _own(erased)
        found: set[str] = set()

        def wanted(rows: pa.Table) -> pa.BooleanArray:
            return _any(own(rows), _one_of(rows["event_name"], [n for n in _names(rows) if may_name_others(n)]))

        for rows in self._lake.matching(RAW_EVENTS, day, ["org_id", "customer_id", "event_name"], wanted):
            columns = (rows[name].to_pylist() for name in ("event_key", "org_id", "customer_id", "data"))
            for event_key, org_id, customer_id, data in zip(*columns, strict=True):
                named = {int(customer_id), *customers_in(data.encode())}
                if any(CustomerKey(org_id, one) in erased for one in named):
                    found.add(event_key)
        return Found(frozenset(found))

    def profiles_of(self, day: str, keys: Collection[CustomerKey]) -> Found:
        """Profiles of customers."""
        looked_at = ["org_id", "customer_id"]
        found = self._lake.matching(XDM_PROFILES, day, looked_at, _own(frozenset(keys)))
        return Found(frozenset(one for rows in found for one in rows["id"].to_pylist()))

    def refused_profiles(self, day: str, keys: Collection[CustomerKey]) -> Found:
        """Profiles of customers that could not be made, and so are in quarantine alone."""
        places = [quarantine_place(key) for key in keys]

        def wanted(rows: pa.Table) -> pa.BooleanArray:
            return _all(_one_of(rows["stage"], [STAGE]), _one_of(rows["object"], places))

        found = self._lake.matching(QUARANTINE, day, ["stage", "object"], wanted)
        return Found(frozenset(one for rows in found for one in rows["event_key"].to_pylist()))

    def refused_lines(self, day: str, keys: Collection[CustomerKey]) -> dict[str, list[int]]:
        """Lines in quarantine whose text names customers, by the object they lie in."""
        erased = frozenset(keys)
        found: dict[str, list[int]] = {}
        of_stage = self._lake.matching(QUARANTINE, day, ["stage"], lambda rows: _one_of(rows["stage"], ["raw"]))
        for rows in of_stage:
            columns = (rows[name].to_pylist() for name in ("object", "line", "text"))
            for key, line, text in zip(*columns, strict=True):
                if is_of(text, erased):
                    found.setdefault(key, []).append(line)
        return found

    def lines(self, day: str, key: str, lines: list[int]) -> Iterator[pa.Table]:
        """Lines of an object in quarantine."""

        def wanted(rows: pa.Table) -> pa.BooleanArray:
            of_object = _one_of(rows["object"], [key])
            of_raw = _one_of(rows["stage"], ["raw"])
            return _all(_all(of_object, of_raw), _one_of(rows["line"], lines))

        return self._lake.matching(QUARANTINE, day, ["stage", "object", "line"], wanted)

    def with_values(self, table: Table, day: str, column: str, values: list[str]) -> Iterator[pa.Table]:
        """Whole rows that have one of the values in a column."""
        return self._lake.matching(table, day, [column], lambda rows: _one_of(rows[column], values))


def _own(keys: Collection[CustomerKey]) -> Mask:
    """Whether a row is of one of the customers, whose ids stand there as numbers or texts."""
    by_organisation: dict[int, list[int]] = {}
    for key in keys:
        by_organisation.setdefault(key.org_id, []).append(key.customer_id)

    def mask(rows: pa.Table) -> pa.BooleanArray:
        customers = rows["customer_id"].cast(pa.int64())
        found = pa.array([False] * rows.num_rows, pa.bool_())
        for org_id, ids in by_organisation.items():
            found = _any(found, _all(_one_of(rows["org_id"], [org_id]), _one_of(customers, ids)))
        return found

    return mask


def _names(rows: pa.Table) -> list[str]:
    return rows["event_name"].unique().to_pylist()


def _one_of(column: pa.ChunkedArray, values: list[Any]) -> pa.BooleanArray:
    options = pc.SetLookupOptions(value_set=pa.array(values, column.type), skip_nulls=True)
    return pc.call_function("is_in", [column], options).combine_chunks()


def _any(one: pa.BooleanArray, other: pa.BooleanArray) -> pa.BooleanArray:
    return pc.call_function("or", [one, other])


def _all(one: pa.BooleanArray, other: pa.BooleanArray) -> pa.BooleanArray:
    return pc.call_function("and", [one, other])
