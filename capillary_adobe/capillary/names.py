"""Names of the organisation's stores, tills, programs and tiers, where payloads have only their numbers.

Belongs here: their form, as the enrichment joins them. Does not belong here: where they come from (`state.references`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

_TEXT, _NUMBER = pa.string(), pa.int64()
_TABLES: Final = {
    "known_tills": {"id": _NUMBER, "code": _TEXT, "name": _TEXT, "store_code": _TEXT},
    "known_stores": {"code": _TEXT, "name": _TEXT, "external_id": _TEXT},
    "known_programs": {"id": _NUMBER, "name": _TEXT},
    "known_tiers": {"program_id": _NUMBER, "number": _NUMBER, "name": _TEXT},
}
_KEYS: Final = {"known_tills": 1, "known_stores": 1, "known_programs": 1, "known_tiers": 2}

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Names:
    """Rows in the order of the columns above; the first of several with the same key counts."""

    tills: Sequence[Row] = ()
    stores: Sequence[Row] = ()
    programs: Sequence[Row] = ()
    tiers: Sequence[Row] = ()

    def tables(self) -> dict[str, pa.Table]:
        """The tables by the names under which the enrichment knows them; a key is in one row of each."""
        rows = {
            "known_tills": self.tills,
            "known_stores": self.stores,
            "known_programs": self.programs,
            "known_tiers": self.tiers,
        }
        return {name: _table(name, rows[name]) for name in _TABLES}

    @cached_property
    def tier_names(self) -> dict[tuple[int, int], str]:
        """Names of tiers by program and number."""
        return {(program, number): name for program, number, name in reversed(self.tiers) if name}


def _table(name: str, rows: Iterable[Row]) -> pa.Table:
    columns, key = _TABLES[name], _KEYS[name]
    # A key in two rows would make two events of one.
    first: dict[Row, Row] = {}
    for row in rows:
        if None not in row[:key]:
            first.setdefault(row[:key], row)
    listed = list(first.values())
    arrays = {
        column: pa.array([row[place] for row in listed], kind) for place, (column, kind) in enumerate(columns.items())
    }
    return pa.table(arrays)


NO_NAMES: Final = Names()
