"""The cells of a row as an event wants them, and what the rows of one event say together.

Belongs here: a row with its cells read by column, agreement, sums and groups of rows. Does not belong here: how a cell is read
(`cells.py`), which field a column becomes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, TypeVar

from capillary_adobe.capillary.insights import cells
from capillary_adobe.capillary.insights.model import Context, Row, RowRefused
from capillary_adobe.capillary.values import Unreadable, nothing
from capillary_adobe.capillary.values import number as json_number
from capillary_adobe.profiles.reading import is_masked

_Value = TypeVar("_Value", bound=Hashable)

# What dimensions of Insights+ hold where a row has none of their members.
_NO_MEMBER: Final = frozenset({"-", "--", "na", "n/a", "none", "nan", "not applicable", "not available", "unknown"})
_ZERO_DATE: Final = "0000-00-00"
_ZERO: Final = Decimal(0)


class Told:
    """A row of a template, its cells read by our names of the columns.

    Each method returns None where the cell says nothing, unless it says otherwise, and raises RowRefused where it cannot be
    read.
    """

    __slots__ = ("_cells", "context", "line", "template")

    def __init__(self, template: str, row: Row, context: Context) -> None:
        self.template = template
        self.context = context
        self.line = row.line
        self._cells = row.cells

    def raw(self, column: str) -> str | None:
        """The text of a cell as it stands there."""
        return self._cells.get(column)

    def text(self, column: str) -> str | None:
        """Text."""
        return cells.text(self._cells, column)

    def member(self, column: str) -> str | None:
        """The member of a dimension; what says that it has none for the row is none."""
        found = cells.text(self._cells, column)
        return None if found is None or found.casefold() in _NO_MEMBER else found

    def has(self, column: str) -> bool:
        """Whether a cell of a dimension names a member."""
        return self.member(column) not in (None, "-1", "0")

    def named(self, column: str) -> str | None:
        """An id that need be no number."""
        return cells.identifier(self._cells, column) if self.has(column) else None

    def id(self, column: str) -> int | None:
        """An id that is a whole number."""
        return cells.number_id(self._cells, column)

    def needed_id(self, column: str) -> int:
        """An id that is a whole number.

        Raises:
            RowRefused: `cell_missing`, or it cannot be read.
        """
        found = self.id(column)
        if found is None:
            raise missing(column)
        return found

    def number(self, column: str) -> Decimal | None:
        """A number, exactly as written."""
        return cells.number(self._cells, column, self.context)

    def needed_number(self, column: str) -> Decimal:
        """A number.

        Raises:
            RowRefused: `cell_missing`, or it cannot be read.
        """
        found = self.number(column)
        if found is None:
            raise missing(column)
        return found

    def whole(self, column: str) -> int | None:
        """A whole number."""
        found = self.number(column)
        if found is None:
            return None
        read = plain(found)
        if type(read) is not int:
            raise RowRefused("bad_number", f"{column} is no whole number.")
        return read

    def word(self, column: str) -> str | None:
        """Our word for what the cell says."""
        return None if self.member(column) is None else cells.word(self._cells, column, self.context)

    @property
    def names_customer(self) -> bool:
        """Whether the row is about a customer, be the number sound or not."""
        return cells.identifier(self._cells, "customer_id") is not None and self.has("customer_id")

    def customer_id(self, column: str = "customer_id") -> int:
        """The number of a customer.

        Raises:
            RowRefused: `customer_missing`, `customer_masked`, or it cannot be read.
        """
        written = self.member(column)
        if written is not None and is_masked(written, of_person=True):
            raise RowRefused(
                "customer_masked", f"{column} is masked. Let a user with the right to see identifiers make the export."
            )
        found = None if written is None else self.id(column)
        if found is None:
            raise RowRefused("customer_missing", f"{column} is empty, so the row names no customer.")
        return found

    def moment_ms(self) -> int:
        """When the event happened, epoch ms.

        Raises:
            RowRefused: `cell_missing`, or it cannot be read.
        """
        found = cells.happened(self._cells, self.context)
        if found is None:
            raise RowRefused("cell_missing", "event_moment and event_date are both empty, so the row has no time.")
        return found

    def day(self) -> str:
        """The day of the event in the organisation's zone."""
        return cells.day_of(self.moment_ms(), self.context.zone)

    def calendar_day(self, column: str) -> str | None:
        """A calendar day, `2026-01-31`."""
        found = self._day(column)
        return None if found is None else found.isoformat()

    def moment(self, column: str) -> int | None:
        """A moment, epoch ms."""
        return cells.moment(self._cells, column, self.context)

    def last_day(self, column: str, field: str, *, milliseconds: int) -> dict[str, Any]:
        """A last day under `field`, and under its twin `…InMillis` the moment at which it ends; nothing where there is none.

        `milliseconds` are those of that moment: Capillary ends days of points at 23:59:59.999, days of tiers at 23:59:59.
        """
        found = self._day(column)
        if found is None:
            return {}
        end = datetime.combine(found, time(23, 59, 59), self.context.zone)
        return {field: found.isoformat(), f"{field}InMillis": int(end.timestamp()) * 1000 + milliseconds}

    def _day(self, column: str) -> date | None:
        # What databases keep where there is no date.
        return (
            None if (self.text(column) or "").startswith(_ZERO_DATE) else cells.day(self._cells, column, self.context)
        )


def missing(column: str) -> RowRefused:
    """That a cell is empty that must not be."""
    return RowRefused("cell_missing", f"{column} is empty.")


def said(**values: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in values.items() if not nothing(value)}


def plain(value: Decimal | None) -> int | float | None:
    """A number as JSON has it.

    Raises:
        RowRefused: `bad_number`, beyond 64 bits.
    """
    try:
        return (
            None if value is None else json_number(int(value) if value == value.to_integral_value() else float(value))
        )
    except Unreadable as error:
        raise RowRefused("bad_number", "A number of the row is too large to be a figure of points or money.") from error


def agreed(rows: Sequence[Told], column: str, read: Callable[[Told, str], _Value | None]) -> _Value | None:
    """What the rows say in a column that holds for all of them; a row that says nothing does not contradict.

    Raises:
        RowRefused: `rows_disagree`, naming the column, or a cell cannot be read.
    """
    different = {row.raw(column): row for row in rows}
    return _one({read(row, column) for row in different.values()}, column)


def agreed_moment(rows: Sequence[Told]) -> int:
    """The moment that the rows tell.

    Raises:
        RowRefused: `rows_disagree`, or it is missing or cannot be read.
    """
    found = _one({row.moment_ms() for row in rows}, "event_moment or event_date")
    assert found is not None  # noqa: S101 - each row has told one
    return found


def _one(values: set[_Value | None], column: str) -> _Value | None:
    told = values - {None}
    if len(told) > 1:
        raise RowRefused("rows_disagree", f"The rows of one event tell different values of {column}.")
    return told.pop() if told else None


def repeats_left_out(rows: Sequence[Told], column: str, part: str | None = None) -> list[Told]:
    """The rows, of those that share an id in the column the last alone: exports repeat rows that have changed since.

    With `part`, a column that tells apart the rows of one id, they have to share that as well.
    """
    last: dict[tuple[int, int | None], Told] = {}
    for place, row in enumerate(rows):
        known = row.id(column)
        # Rows without the id are nobody's repeat; no id is below nought.
        last[-1 - place if known is None else known, None if part is None else row.id(part)] = row
    return list(last.values())


def points_of(rows: Iterable[Told], column: str) -> Decimal:
    """The sum of a column, whatever sign its cells have: some exports tell what was taken away below nought."""
    return sum((abs(row.number(column) or _ZERO) for row in rows), _ZERO)


def money_of(rows: Sequence[Told], column: str) -> Decimal | None:
    """The sum of a column of money; None where a row does not tell its part."""
    known = [row.number(column) for row in rows]
    return None if None in known else sum((abs(value) for value in known if value is not None), _ZERO)


def grouped(
    rows: Iterable[Told], column: str, fields_of: Callable[[Told], dict[str, Any]]
) -> list[tuple[dict[str, Any], int | float | None]]:
    """Sums of a column by what the rows have in common, in the order in which it is told first."""
    groups: dict[tuple[tuple[str, Any], ...], list[Told]] = {}
    for row in rows:
        groups.setdefault(tuple(fields_of(row).items()), []).append(row)
    return [(dict(fields), plain(points_of(some, column))) for fields, some in groups.items()]
