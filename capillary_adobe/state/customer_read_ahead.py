"""Reading ahead: the pages that a large merge is going to need, fetched by many readers at once.

Belongs here: waiting for the disk in parallel. Does not belong here: what is done with the rows (`customer_merge.py`).

Random customers of a large table lie on a page each. SQLite waits for one page after another, and the writer holds the
lock meanwhile; a disk answers several readers in the time of one. PostgreSQL asks for many pages at once by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

import sqlalchemy as sa

from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state.customer_table import CUSTOMERS_AT_ONCE, customers, slices, these
from capillary_adobe.state.database import State
from capillary_adobe.state.loyalty_history import loyalty_history

_READERS: Final = 8
_CUSTOMERS_EACH: Final = 250
# So many customers are read in 5 ms from memory and in 70 ms from a disk; what memory holds need not be read twice.
_FROM_MEMORY_SECONDS: Final = 0.02


class ReadAhead:
    """Has the operating system hold the pages of customers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def fetch(self, keys: Iterable[CustomerKey]) -> None:
        """Read the pages of these customers and drop them; a few customers are read by whoever needs them."""
        wanted = set(keys)
        if not self._state.is_sqlite or len(wanted) <= CUSTOMERS_AT_ONCE:
            return
        parts = slices(wanted, _CUSTOMERS_EACH)
        began = time.monotonic()
        self._touch(next(parts))
        if time.monotonic() - began < _FROM_MEMORY_SECONDS:
            return
        with ThreadPoolExecutor(_READERS) as pool:
            for _ in pool.map(self._touch, parts):
                pass

    def _touch(self, part: tuple[int, list[int]]) -> None:
        c, h = customers.c, loyalty_history.c
        documents = sa.select(sa.func.sum(sa.func.length(c.document))).where(these(self._state, customers, *part))
        histories = sa.select(sa.func.max(h.at_us)).where(these(self._state, loyalty_history, *part))
        with self._engine.connect() as connection:
            connection.execute(documents.union_all(histories)).all()

    @cached_property
    def _engine(self) -> sa.Engine:
        # Not the pool of the state: its connections keep 128 MB of pages each, and these need none.
        return sa.create_engine(self._state.engine.url, poolclass=sa.NullPool)
