"""Job `history_backfill`: one button that backfills the days of history that are not through.

Belongs here: which days are launched, the backfill as Dagster's own, and the words. Does not belong here: working on days
(`by_day.py`), how they stand (`backfill_progress.py`).

It launches what the UI launches when an operator selects the partitions: the same chunks, the same limits, to be watched and
cancelled in the same place. Pressing it again goes on where a backfill was left.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

import dagster as dg

# Private to Dagster, which has no other door to a backfill but the webserver's, and a run knows of no webserver.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id
from pydantic import Field

from capillary_adobe.backfill_progress import standings
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.history_note import let_go_of_the_dead
from capillary_adobe.defs.resources import LandingResource, StateResource, default_resources
from capillary_adobe.defs.road import ROAD
from capillary_adobe.landing import LandingStore
from capillary_adobe.settings import HistorySettings, load
from capillary_adobe.state import LandedObjects, State
from capillary_adobe.state.history_days import HistoryDays

BACKFILL_JOB: Final = "history_backfill"
# A job and an op of one name do not load together.
BACKFILL_OP: Final = "launch_history_backfill"
HISTORY_TAG: Final = "capillary_adobe/backfill"
_TAGS: Final = {
    HISTORY_TAG: "history",
    # A run that crashed, or that failed for a reason that may pass; it repeats nothing that is through.
    "dagster/max_retries": "2",
    # Behind every other run that waits.
    "dagster/priority": "-1",
}
_AT_WORK: Final = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)


class BackfillConfig(dg.Config):
    """Leave empty for every day of history that is not through."""

    first_day: str = Field(default="", description="First day, as 2025-01-31; empty for the first that there is.")
    last_day: str = Field(default="", description="Last day; empty for the last that there is.")


@dataclass
class Left:
    """Days of history that are not through: new ones, those that failed, and those that no backfill may take, with why."""

    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_now: dict[str, str] = field(default_factory=dict)


def days_left(state: State, store: LandingStore, today: date) -> Left:
    """What there is to launch; days that somebody has put into the landing store by hand are among it until they are read.

    Raises:
        StateError: the state database cannot be read.
        LandingError: the landing store cannot be listed.
    """
    first = load(HistorySettings).start.isoformat()
    stand = standings(state, HistoryDays(state).all())
    unread = set(store.days("history")) - set(LandedObjects(state).days("history"))
    left = Left()
    for day in sorted(unread | set(stand)):
        how = stand.get(day, "waiting")
        if how in ("done", "at_aep"):
            continue
        if day < first:
            left.not_now[day] = "lies before HISTORY_START"
        elif day >= today.isoformat():
            left.not_now[day] = "is still filling with live events; launch again when it is over"
        elif how == "failed":
            left.failed.append(day)
        else:
            left.waiting.append(day)
    return left


def _launch(
    context: dg.OpExecutionContext,
    config: BackfillConfig,
    store: LandingStore,
    state: State,
    road: Sequence[dg.AssetsDefinition],
) -> None:
    span = _span(config)
    # Two who press at the same time would both find nothing at work.
    with state.day_lock(BACKFILL_JOB):
        at_work = _at_work(context.instance)
        if at_work:
            _tell(context, f"Nothing is launched: the backfill {at_work} is at work. {_where(at_work)}", {})
            return
        let_go_of_the_dead(context.instance, state)
        left = days_left(state, store, datetime.now(UTC).date())
        # Those that have failed come last and by themselves: what fails again costs the others no time.
        groups = {"days that wait": left.waiting, "days that failed before": left.failed}
        launched = {
            _add(context.instance, road, title, chosen): chosen
            for title, days in groups.items()
            if (chosen := [day for day in days if span[0] <= day <= span[1]])
        }
    _tell(context, _words(launched, left), launched)


def _span(config: BackfillConfig) -> tuple[str, str]:
    span: list[str] = []
    for name, text in (("first_day", config.first_day or "0001-01-01"), ("last_day", config.last_day or "9999-12-31")):
        try:
            # Other forms that are understood would not sort among the days.
            span.append(date.fromisoformat(text).isoformat())
        except ValueError as error:
            raise dg.Failure(
                f"{name} in the run's config is no day; write it as 2025-01-31.", allow_retries=False
            ) from error
    return span[0], span[1]


def _at_work(instance: dg.DagsterInstance) -> str | None:
    """The backfill of the road that is at work, whoever launched it."""
    found = instance.get_backfills(filters=BulkActionsFilter(statuses=_AT_WORK))
    road = {dg.AssetKey(stage) for stage in ROAD}
    return next((one.backfill_id for one in found if road & set(one.asset_selection or ())), None)


def _add(instance: dg.DagsterInstance, road: Sequence[dg.AssetsDefinition], title: str, days: Sequence[str]) -> str:
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=dg.Definitions(road, resources=default_resources()).resolve_asset_graph(),
        partition_names=days,
        asset_selection=[dg.AssetKey(stage) for stage in ROAD],
        backfill_timestamp=time.time(),
        tags=_TAGS,
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=f"History: {title}",
        description=f"{len(days)} days from {days[0]} to {days[-1]}, launched by {BACKFILL_JOB}",
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def _where(backfill_id: str) -> str:
    return (
        f"Watch or cancel it in the UI under Runs, Backfills, {backfill_id}; `capillary-adobe status --backfill` tells how far "
        "it is."
    )


def _words(launched: dict[str, list[str]], left: Left) -> str:
    told = [
        f"Launched {len(days)} day{'s' if len(days) > 1 else ''} from {days[0]} to {days[-1]}. {_where(backfill_id)}"
        for backfill_id, days in launched.items()
    ] or ["Nothing is launched: every day of history in question is through, or waits for AEP's verdict."]
    by_reason: dict[str, list[str]] = {}
    for day, why in left.not_now.items():
        by_reason.setdefault(why, []).append(day)
    for why, days in by_reason.items():
        more = f", and each of the {len(days) - 1} days that follow it to {days[-1]}," if len(days) > 1 else ""
        told.append(f"{days[0]}{more} {why}.")
    return "\n".join(told)


def _tell(context: dg.OpExecutionContext, words: str, launched: dict[str, list[str]]) -> None:
    context.log.info(words)
    days = sum(map(len, launched.values()))
    context.add_output_metadata({"told": words, "days": days, "backfills": ", ".join(launched) or "none"})


def build_history_backfill_job(road: Sequence[dg.AssetsDefinition]) -> dg.JobDefinition:
    """The job, which launches backfills of these assets."""

    @dg.op(name=BACKFILL_OP)
    def launch(
        context: dg.OpExecutionContext, config: BackfillConfig, landing: LandingResource, state: StateResource
    ) -> None:
        with told_plainly():
            _launch(context, config, landing.open(), state.open(), road)

    @dg.job(
        name=BACKFILL_JOB,
        description=(
            "Backfill every day of history that is not through: launches one backfill over the days that wait, and one over "
            "those that failed. Nothing needs to be set; `first_day` and `last_day` bound it. Does nothing while a backfill is "
            "at work. To stop, cancel the backfill under Runs, Backfills; to go on, launch this job again."
        ),
    )
    def history_backfill() -> None:
        launch()

    return history_backfill
