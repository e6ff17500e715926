"""Asset `aep_verdict`: what AEP made of the entities after it had taken them.

Belongs here: the asset and its words. Does not belong here: reading the verdict (`adobe.verdict`), asking for it
(`defs/verdict_sensor.py`).
"""

import time
from collections import Counter
from dataclasses import dataclass, field

import dagster as dg

from capillary_adobe.adobe import DeliveryError
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.replay import refused_by_cause
from capillary_adobe.adobe.verdict import Reading
from capillary_adobe.balance import Accounts
from capillary_adobe.defs.delivery_checks import delivery_evaluations
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.history_checks import history_evaluations
from capillary_adobe.defs.history_shown import come_through
from capillary_adobe.defs.resources import AdobeResource, LakeResource, LandingResource, StateResource
from capillary_adobe.defs.shown import counts, state_table_metadata
from capillary_adobe.environment import adobe_settings
from capillary_adobe.lake import Lake, LakeError, Slice
from capillary_adobe.landing import LandingStore
from capillary_adobe.mapping_in_force import in_force
from capillary_adobe.outcomes import write_outcomes
from capillary_adobe.settings import AdobeSettings, MappingSettings, load
from capillary_adobe.state import DaysToSettle, HistoryDays, MicroBatches, Receipts, SentBatches, State
from capillary_adobe.state.batches import read_batches
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe.xdm.language.rule_lines import RuleLines

NAME = "aep_verdict"
GROUP = "verdict"


@dataclass
class _Moved:
    """What one look at AEP has moved."""

    reading: Reading = field(default_factory=Reading)
    batches: DeliveryCounts = field(default_factory=DeliveryCounts)
    problem: DeliveryError | LakeError | None = None


_COLUMNS = {
    "aep_id": "Id of a failed batch at AEP",
    "created_ms": "When AEP made it",
    "read_ms": "When its records were read",
    "records": "Records that failed in it",
    "unmatched": "Those of them that are none of ours",
}


def build_aep_verdict() -> dg.AssetsDefinition:
    """The asset; without partitions, since AEP's failed batches know nothing of landing days."""

    @dg.asset(
        name=NAME,
        deps=[INGESTION_STATUS.name],
        group_name=GROUP,
        kinds={"adobe"},
        metadata=state_table_metadata(read_batches, _COLUMNS),
        code_version="2",
        description=(
            "AEP answers before it validates. This reads its failed batches and the fate of our own batches, marks the "
            "entities as `rejected` with AEP's words, puts them in `quarantine` under stage `aep`, and draws the balance of "
            "their days anew. `verdict_sensor` asks for it when AEP has news; press Materialize to look at once. Refused "
            "entities: mend the mapping, then `capillary-adobe replay --cause <cause>`."
        ),
    )
    def aep_verdict(
        context: dg.AssetExecutionContext,
        landing: LandingResource,
        lake: LakeResource,
        state: StateResource,
        adobe: AdobeResource,
    ) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            tables, database, store = lake.open(), state.open(), landing.open()
            settings = adobe_settings(database)
            moved = _look(context, settings, database, adobe)
            for day in DaysToSettle(database).all():
                try:
                    _settle(context, day, tables, database, store)
                except LakeError as error:
                    # The day stays noted; the others are written all the same.
                    moved.problem = moved.problem or error
            if moved.problem is not None:
                raise moved.problem
            reading = moved.reading
            return dg.MaterializeResult(
                metadata={
                    "seconds": round(time.perf_counter() - started, 3),
                    "failed_batches": len(reading.batches),
                    "failed_records": reading.records,
                    "refused_entities": sum(reading.by_day.values()),
                    "records_not_ours": reading.unmatched,
                    "records_not_given": reading.missing,
                    "own_batches_judged": sum(moved.batches.outcomes.values()),
                    "by_cause": counts("cause", reading.by_cause),
                    "by_day": counts("landing day", reading.by_day),
                    "own_batches": counts("outcome", Counter(moved.batches.outcomes)),
                }
            )

    return aep_verdict


def _look(context: dg.AssetExecutionContext, settings: AdobeSettings, state: State, adobe: AdobeResource) -> _Moved:
    """Read what AEP has decided; what was read before a failure stays read."""
    moved = _Moved()
    for reader in adobe.verdict_readers(settings, state):
        try:
            reader.read(moved.reading)
        except DeliveryError as error:
            moved.problem = moved.problem or error
    lane = adobe.batch_lane(settings, state, wait_seconds=0)
    for day in sorted({batch.day for batch in SentBatches(state).open() if batch.completed_ms is not None}):
        with state.day_lock(day):
            try:
                lane.judge_open(day, moved.batches, context.log.info)
            except DeliveryError as error:
                moved.problem = moved.problem or error
    return moved


def _settle(context: dg.AssetExecutionContext, day: str, tables: Lake, state: State, store: LandingStore) -> None:
    """Write a day's outcomes anew and let its checks say so, as a run of the day would."""
    force = in_force(state, load(MappingSettings))
    with state.day_lock(day):
        written = write_outcomes(tables, state, Slice(day), force.hold, RuleLines(force.rules))
    if written.forsaken:
        # The runs that had sent them are done; the sensor asks for the day as a whole.
        # History waits in its own lane, or live events would wait for it.
        MicroBatches(state).open_day(day, 0, "live" if HistoryDays(state).find(day) is None else "history")
    account = Accounts(store, tables, state).balance(day, count_unread=False)
    if not written.to_send and _is_left(context.instance, state, day) and come_through(state, store, day, account):
        HistoryDays(state).finish(day)
    causes = refused_by_cause(state, day)
    delivered = delivery_evaluations(day, account, Receipts(state).of_day(day), causes)
    for evaluation in [*delivered, *history_evaluations(day, store, tables, state)]:
        # Not runless: Dagster keeps one runless evaluation of a check and partition for ever, a second one fails.
        context.log_event(evaluation)  # pyright: ignore[reportArgumentType] - it takes them, its signature does not say so
    context.log.info("%s: events %s, profiles %s", day, account.delivery, account.profile_delivery)


def _is_left(instance: dg.DagsterInstance, state: State, day: str) -> bool:
    """Whether a day of history was begun by a run that has done what it could and did not wait for AEP's verdict."""
    known = HistoryDays(state).find(day)
    if known is None or known.standing not in ("running", "waiting"):
        return False
    run = instance.get_run_by_id(known.run_id) if known.run_id is not None else None
    return run is None or run.is_finished
