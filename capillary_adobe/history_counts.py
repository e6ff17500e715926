"""What became of an export's rows, counted template by template and day by day.

Belongs here: the counters of one import. Does not belong here: keeping them (`state.history_files`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from capillary_adobe.capillary.insights.model import Exported
from capillary_adobe.state import FileDay

NO_DAY = ""
"""Day of what belongs to none."""


class Counts:
    """The counters of one version of a file."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._days: dict[tuple[str, str], FileDay] = {}

    def ignored(self, template: str, day: str, reason: str, rows: int = 1) -> None:
        """Count rows that are deliberately no event."""
        _add(self._of(template, day).ignored, reason, rows)

    def refused(self, template: str, day: str, code: str, rows: int = 1) -> None:
        """Count rows of which no event could be made, told in one line."""
        of_day = self._of(template, day)
        _add(of_day.quarantined, code, rows)
        of_day.lines += 1

    def events(self, template: str, day: str, events: Iterable[Exported]) -> None:
        """Count the events of one group of rows; a row that two of them tell of counts once."""
        of_day = self._of(template, day)
        rows: set[int] = set()
        for event in events:
            rows.update(event.lines)
            of_day.events += 1
            of_day.lines += 1
            _add(of_day.by_event_type, event.event_name, 1)
            for measure, total in event.totals.items():
                name = f"{event.event_name}.{measure}"
                of_day.totals[name] = of_day.totals.get(name, Decimal(0)) + total
        of_day.event_rows += len(rows)

    def days(self) -> list[FileDay]:
        """The counters, by day and template."""
        return sorted(self._days.values(), key=lambda of_day: (of_day.day, of_day.template))

    def event_types(self) -> set[str]:
        """Event types of which there is at least one event."""
        return {name for of_day in self._days.values() for name in of_day.by_event_type}

    def _of(self, template: str, day: str) -> FileDay:
        found = self._days.get((template, day))
        if found is None:
            found = self._days[(template, day)] = FileDay(self._version, template, day)
        return found


def summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counters of several days as one, the most frequent first."""
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _add(counter: dict[str, int], name: str, number: int) -> None:
    counter[name] = counter.get(name, 0) + number
