"""Parts: many items as lists of bounded size, since a statement, a transaction or a file takes only so many.

Belongs here: the cutting. Does not belong here: how much is bearable where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")


def in_parts(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """The items in their order, at most `size` at once; `itertools.batched` of later Pythons, in lists."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
