"""The days of a run: one, or those of a backfill's chunk, worked on one after another by the same function.

Belongs here: what a stage does for each day, and going on past one that fails. Does not belong here: which days have failed
(`failed_days.py`), what a retry need not repeat (`finished_days.py`), and the work itself.

A run over several days has one step a stage. A day's rows, materialization and checks stand as soon as the stage is through
with it. A day that fails is left out of the later stages, and the last stage fails the run and names it. So one bad day holds
up no other, and a kill in the middle costs the day at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

# Private to Dagster: an output with this key logs no materialization. There is no other way to let a step over several
# partitions end well for some of them; without it Dagster would call those that failed materialized as well.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION as TOLD_BY_DAY

from capillary_adobe.defs import road
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.failed_days import FailedDays
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.finished_days import FinishedDays
from capillary_adobe.defs.giving_way import give_way
from capillary_adobe.defs.history_note import HistoryNote
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.runs import FIRST_DAY_TAG
from capillary_adobe.settings import HistorySettings, load
from capillary_adobe.state import State
from capillary_adobe.tables import INGESTION_STATUS

DayWork = Callable[[str], DayShown]
Before = Callable[[Sequence[str]], None]


def backfill_policy() -> dg.BackfillPolicy:
    """How many days a run of a backfill works on; the same for every stage, or each stage would get runs of its own."""
    return dg.BackfillPolicy.multi_run(load(HistorySettings).days_per_run)


def over_several_days(context: dg.AssetExecutionContext) -> bool:
    """Whether this is a run of a backfill's chunk, be it of one day."""
    return FIRST_DAY_TAG in context.run.tags


def by_day(
    context: dg.AssetExecutionContext,
    config: MicroBatchConfig,
    state: Callable[[], State],
    work: DayWork,
    before: Before = lambda _: None,
    *,
    try_all: bool = False,
) -> Iterator[Any]:
    """Do a stage's work for each day of the run and show it; `before` is called once, with the days that will be worked on.

    Two days that fail alike, one after the other, end the stage, as the rest would fail so, too; not if it is to `try_all`.

    Raises:
        dg.Failure: the day failed; or days of a run over several did, and no later stage is there to say so.
    """
    note = HistoryNote(state, config)
    with note.of_stop(context.run.run_id):
        if over_several_days(context):
            yield from _several(context, config, note, _Stage(work, before, try_all))
        else:
            yield _one(context, note, _Stage(work, before, try_all))


def beside_the_road(context: dg.AssetExecutionContext, work: DayWork) -> Iterator[Any]:
    """Do the same for each day of the run and show it, for an asset that only looks at days: the first that fails ends it.

    Raises:
        dg.Failure: a day failed.
    """
    with told_plainly():
        if not over_several_days(context):
            shown = work(context.partition_key)
            yield dg.MaterializeResult(metadata=shown.metadata, check_results=shown.check_results)
            return
        for day in context.partition_keys:
            work(day).report(context, day)
    yield from _told_by_day(context)


def _told_by_day(context: dg.AssetExecutionContext) -> Iterator[Any]:
    for spec in context.assets_def.check_specs:
        # Of the step as a whole nothing is claimed; each day has its own evaluations.
        yield dg.Output(None, output_name=spec.get_python_identifier())
    yield dg.MaterializeResult(metadata={TOLD_BY_DAY: True})


@dataclass(frozen=True)
class _Stage:
    """What a stage does for the days of a run, and for each."""

    work: DayWork
    before: Before
    try_all: bool


def _one(context: dg.AssetExecutionContext, note: HistoryNote, stage: _Stage) -> dg.MaterializeResult:
    day = context.partition_key
    with note.of_failure(day), told_plainly():
        _go_on(context, note, [day])
        stage.before([day])
        shown = stage.work(day)
    return dg.MaterializeResult(metadata=shown.metadata, check_results=shown.check_results)


def _several(
    context: dg.AssetExecutionContext, config: MicroBatchConfig, note: HistoryNote, stage: _Stage
) -> Iterator[Any]:
    if config.batch_id:
        raise dg.Failure(
            "The run's config names a micro-batch, and a run over several days works on whole days. Take `batch_id`, "
            "`after_key` and `up_to_key` out of the config.",
            allow_retries=False,
        )
    give_way()
    days = list(context.partition_keys)
    failed, finished = FailedDays(context, note), FinishedDays(context, note, days)
    to_do: list[str] = []
    for day in days:
        if failed.earlier(day):
            continue
        if (shown := finished.shown(day)) is not None:
            shown.report(context, day)
        elif len(days) > 1 and day >= datetime.now(UTC).date().isoformat():
            failed.refuse(day, f"{day} is still filling, and its live events would wait. Materialize it by itself.")
        else:
            to_do.append(day)
    try:
        _each(context, note, failed, to_do, stage)
    finally:
        failed.keep()
    failed.raise_if_last(days)
    yield from _told_by_day(context)


def _go_on(context: dg.AssetExecutionContext, note: HistoryNote, days: Sequence[str]) -> None:
    """Note that the run has the days in hand, until it has sent them."""
    if INGESTION_STATUS.name not in road.before(context.asset_key.to_user_string()):
        for day in days:
            note.go_on(day, context.run.run_id)


def _each(
    context: dg.AssetExecutionContext, note: HistoryNote, failed: FailedDays, days: list[str], stage: _Stage
) -> None:
    prepared = False
    with failed.noting(days), told_plainly():
        _go_on(context, note, days)
        stage.before(days)
        prepared = True
    if not prepared:
        return
    for place, day in enumerate(days):
        if failed.hopeless and not stage.try_all:
            failed.leave(days[place:])
            return
        with failed.noting([day]), told_plainly():
            shown = stage.work(day)
            shown.report(context, day)
            if (check := shown.blocked_by(context.assets_def)) is not None:
                raise dg.Failure(f"The check {check} failed, which blocks delivery.", allow_retries=False)
        context.log.info("%s is through, day %d of %d", day, place + 1, len(days))
