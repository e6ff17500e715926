"""Ticks that fail: of which sensors and schedules, since when, and what the last one said.

Belongs here: reading the ticks of this code location. Does not belong here: when that is told (`alerting.conditions`). A tick
that fails is no run, so no run tells of it: a schedule that cannot ask for its job leaves no other trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dagster as dg

# Private to Dagster: its public doors tell of no tick.
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from capillary_adobe.alerting.conditions import FailingTicks

_WELL: Final = (TickStatus.SUCCESS, TickStatus.SKIPPED)
# More than a day of failures of a sensor says nothing more.
_MOST: Final = 500


def failing_ticks(
    instance: dg.DagsterInstance, location: dg.RepositoryDefinition, ours: str | None = None
) -> list[FailingTicks]:
    """Of each sensor and schedule that is on, whether its last tick failed.

    `ours` is the name of the code location; those of others, and of one that was renamed, are left out.
    """
    if instance.schedule_storage is None:
        # An instance in memory keeps no ticks.
        return []
    often = {one.name: True for one in location.sensor_defs} | {one.name: False for one in location.schedule_defs}
    found: dict[str, FailingTicks] = {}
    for state in instance.all_instigator_state():
        if ours not in (None, state.selector.location_name):
            continue
        if state.is_running and state.instigator_name in often:
            found[state.instigator_name] = _of(instance, state, often=often[state.instigator_name])
    return list(found.values())


def _of(instance: dg.DagsterInstance, state: InstigatorState, *, often: bool) -> FailingTicks:
    def ticks(*statuses: TickStatus, limit: int, after: float | None = None) -> Iterator[InstigatorTick]:
        yield from instance.get_ticks(
            state.instigator_origin_id, state.selector_id, limit=limit, after=after, statuses=list(statuses)
        )

    well = next(ticks(*_WELL, limit=1), None)
    failed = list(ticks(TickStatus.FAILURE, limit=_MOST, after=well.timestamp if well is not None else None))
    name = state.instigator_name
    if not failed:
        return FailingTicks(name, often=often)
    return FailingTicks(name, often, len(failed), int(min(one.timestamp for one in failed) * 1000), _words(failed[0]))


def _words(tick: InstigatorTick) -> str:
    """What the tick said in words of this package; what an error that nobody foresaw says may hold anything."""
    error = tick.error
    while error is not None:
        if error.cls_name == dg.Failure.__name__:
            return error.message.partition(": ")[2].strip()
        error = error.cause
    return ""
