"""Several days to deliver, and a process that delivers them by batches, for a test that kills it.

Arguments: state address, number of the first entity, entities of each day, how many days.

Belongs here: the days' entities and one run over them, settings from the environment. Does not belong here: any expectation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import pyarrow as pa

from capillary_adobe.adobe import Delivery, DeliveryCounts, DeliveryError, Work
from capillary_adobe.adobe.delivery import ChosenRoute
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.arrivals import conformant_from

FIRST = date(2026, 3, 1)
Days = Mapping[str, pa.RecordBatch]


def days_from(start: int, each: int, number: int) -> Days:
    """So many days in a row with so many entities each, no two alike, from the n-th entity on."""
    return {
        (FIRST + timedelta(days=place)).isoformat(): conformant_from(start + place * each, each)
        for place in range(number)
    }


def work_of(days: Days, route: ChosenRoute = "batch") -> Callable[[str], Work | None]:
    """The work of each of these days, as a run of history has it."""

    def work(day: str) -> Work | None:
        if day not in days:
            return None
        return Work(day, lambda columns: [days[day].select(columns)], "history", route)

    return work


def deliver_days(
    settings: AdobeSettings,
    state: State,
    days: Days,
    some: Sequence[str] | None = None,
    route: ChosenRoute = "batch",
    counts: dict[str, DeliveryCounts] | None = None,
) -> dict[str, DeliveryError]:
    """One run over some of the days, or over all; the others can be read by it."""
    found = work_of(days, route)
    works = [work for day in some or days if (work := found(day)) is not None]
    return Delivery(settings, state).deliver_days(works, lambda _: None, {} if counts is None else counts, found)


def main() -> None:
    """Deliver all days in one run."""
    url, start, each, number = sys.argv[1], *map(int, sys.argv[2:5])
    deliver_days(load(AdobeSettings), State(url), days_from(start, each, number))
