"""A customer's document: one register for each field, of which the newest value stays.

Belongs here: the order of stamps, the merge, what a deletion leaves. Does not belong here: which event says what
(`facts_from_events.py`), keeping documents (`state.customers`).

The merge takes the greater register, field by field, so it is commutative, associative and idempotent: no order of
arrival, repetition or second writer can change the outcome. A deletion absorbs every other value, whatever its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import repeat
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
        return {DELETED: max(known, key=lambda register: (register.stamp, written(register.value)))}
    found = dict(one)
    for name, register in other.items():
        mine = found.get(name)
        if mine is None or _is_newer(register, mine):
            found[name] = register
    return found


def _is_newer(register: Register, mine: Register) -> bool:
    if register.stamp != mine.stamp:
        return register.stamp > mine.stamp
    # Two values under one stamp are in an order, too, or the merge would depend on who comes first.
    return written(register.value) > written(mine.value)


def written(value: Any) -> bytes:
    """A value as bytes; values are the same where their bytes are (1, 1.0 and true differ)."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class Advance(NamedTuple):
    """What merging into a packed document does: the text afterwards, and the registers that moved, before and after.

    `before` lacks the fields that are new, `after` those that are gone.
    """

    text: bytes
    before: Document
    after: Document


def advanced(text: bytes, new: Document) -> Advance:
    """Merge into the packed document, as `packed(merged(unpacked(text), new))`, without unpacking what stays as it is."""
    groups: dict[Stamp, dict[str, Any]] = {Stamp(*parts): fields for *parts, fields in orjson.loads(text)}
    stamps = {name: stamp for stamp, fields in groups.items() for name in new.keys() & fields.keys()}
    if DELETED in new or any(DELETED in fields for fields in groups.values()):
        return _advanced_whole(text, new)
    before: dict[str, Register] = {}
    after: dict[str, Register] = {}
    for name, register in new.items():
        stamp = stamps.get(name)
        if stamp is not None:
            mine = Register(stamp, groups[stamp][name])
            if not _is_newer(register, mine):
                continue
            before[name] = mine
            del groups[stamp][name]
        after[name] = register
        groups.setdefault(register.stamp, {})[name] = register.value
    return Advance(_written_groups(groups) if after else text, before, after)


def _advanced_whole(text: bytes, new: Document) -> Advance:
    old = unpacked(text)
    found = merged(old, new)
    before = {name: register for name, register in old.items() if found.get(name) is not register}
    after = {name: register for name, register in found.items() if old.get(name) is not register}
    return Advance(packed(found) if before or after else text, before, after)


def packed(document: Document) -> bytes:
    """The document as bytes, a list of [at_us, sequence, tie, {field: value}]; the same document has the same bytes.

    Fields that share a stamp share its bytes: most of a document comes from a few events and answers.
    """
    groups: dict[Stamp, dict[str, Any]] = {}
    for name, register in document.items():
        groups.setdefault(register.stamp, {})[name] = register.value
    return _written_groups(groups)


def _written_groups(groups: Mapping[Stamp, Mapping[str, Any]]) -> bytes:
    rows = [[*stamp, groups[stamp]] for stamp in sorted(groups) if groups[stamp]]
    return orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)


def unpacked(text: bytes) -> dict[str, Register]:
    """The document of bytes that `packed` made."""
    found: dict[str, Register] = {}
    for *parts, fields in orjson.loads(text):
        found.update(zip(fields, map(Register, repeat(Stamp(*parts)), fields.values()), strict=True))
    return found
