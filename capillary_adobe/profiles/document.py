"""A customer's document: one register for each field, of which the newest value stays.

Belongs here: the order of stamps, the merge, what a deletion leaves. Does not belong here: which event says what
(`facts_from_events.py`), keeping documents (`state.customers`).

The merge takes the greater register, field by field, so it is commutative, associative and idempotent: no order of
arrival, repetition or second writer can change the outcome. A deletion absorbs every other value, whatever its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

DELETED: Final = "deleted"
"""Field of a customer whose personal data must be nowhere any more; a document that has it has nothing else."""
MERGED_INTO: Final = "merged_into"
"""Field of a customer who was merged into another, the survivor, whose customer id it holds."""


class Stamp(NamedTuple):
    """When a value was true at its source, as a total order.

    `at_us` is source time, epoch microseconds; `sequence` Capillary's `eventLogId`, which grows from event to event, or 0;
    `tie` a short text that depends on the fact alone.
    """

    at_us: int
    sequence: int = 0
    tie: str = ""


class Register(NamedTuple):
    """A value and its stamp; a value of None says that there is none any more."""

    stamp: Stamp
    value: Any


Document = Mapping[str, Register]


class CustomerKey(NamedTuple):
    """A customer of an organisation."""

    org_id: int
    customer_id: int


@dataclass(frozen=True)
class Facts:
    """What one event or answer says of one customer: values by field, all of one moment."""

    key: CustomerKey
    stamp: Stamp
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Register]:
        """A document that knows nothing else."""
        return {name: Register(self.stamp, value) for name, value in self.fields.items()}


def merged(one: Document, other: Document) -> dict[str, Register]:
    """The document that knows what both know."""
    if DELETED in one or DELETED in other:
        known = [document[DELETED] for document in (one, other) if DELETED in document]
        return {DELETED: max(known, key=_order)}
    found = dict(one)
    for name, register in other.items():
        mine = found.get(name)
        if mine is None or _order(register) > _order(mine):
            found[name] = register
    return found


def _order(register: Register) -> tuple[Stamp, bytes]:
    # Two values under one stamp are in an order, too, or the merge would depend on who comes first.
    return register.stamp, orjson.dumps(register.value, option=orjson.OPT_SORT_KEYS)


def packed(document: Document) -> bytes:
    """The document as bytes; the same document has the same bytes."""
    rows = {name: [*register.stamp, register.value] for name, register in document.items()}
    return orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)


def unpacked(text: bytes) -> dict[str, Register]:
    """The document of bytes that `packed` made."""
    rows: dict[str, list[Any]] = orjson.loads(text)
    return {name: Register(Stamp(*row[:3]), row[3]) for name, row in rows.items()}
