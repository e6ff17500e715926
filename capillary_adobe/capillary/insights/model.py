"""The words of an export: a row, where it belongs, and what becomes of it.

Belongs here: plain values that the steps of an import hand to one another. Does not belong here: any step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo


class Row(NamedTuple):
    """A row of a CSV file that could be read.

    `line` is the line of the file on which it begins, from 1, the header being the first. `cells` are the texts by our own
    names of the columns, without those that are empty; a column that no template knows keeps the file's name.
    """

    line: int
    cells: Mapping[str, str]


class BadRow(NamedTuple):
    """A row that could not be read: where, its text as far as it is known, and why; `code` is a reason code."""

    line: int
    text: str
    code: str
    detail: str


class Placed(NamedTuple):
    """Where a row belongs: day of the event in the organisation's zone, and the key that rows of one event share."""

    day: str
    key: str


class RowRefused(ValueError):
    """A row that no event can be made of: a reason code, and plain words without values."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class RowIgnored(Exception):
    """A row that is deliberately no event; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Exported:
    """An event that rows of an export tell, in the form of its webhook twin.

    `data` has the shape of the webhook's `data`. `key` names the happening in the export, unique within its organisation, for
    events that share no natural key with their twin. `totals` are what the rows sum to, by measure, such as `amount`.
    `rows` are the rows it is made of, by their lines.
    """

    event_name: str
    created_ms: int
    data: dict[str, Any]
    key: str
    lines: tuple[int, ...]
    event_log_id: int | None = None
    totals: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What is the same for every row of an import: organisation, zone, currency, and the organisation's own ways.

    `words` has our word for each of the organisation's, as in `alike`, by column. `dates` and `decimal` are those of `Form`.
    `custom_fields` and `extended_fields` name the cells that are such fields, by template.
    """

    org_id: int
    zone: ZoneInfo
    currency: str | None = None
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dates: tuple[str, ...] = ()
    decimal: str = "."
    custom_fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    extended_fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
