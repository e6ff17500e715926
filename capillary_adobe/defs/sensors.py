"""Sensors: the one that turns landed objects into runs.

Belongs here: run requests, cursor, observations and skip reasons. Does not belong here: choosing the objects
(`microbatching.py`).
"""

import time

import dagster as dg

from capillary_adobe.adobe.delivery import INLET
from capillary_adobe.defs.assets.customers import NAME as CUSTOMERS
from capillary_adobe.defs.assets.landing import LANDING
from capillary_adobe.defs.customer_sensor import REFRESH_JOB
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.history_note import let_go_of_the_dead
from capillary_adobe.defs.microbatch import BATCH_TAG, LANE_TAG, MicroBatchConfig
from capillary_adobe.defs.resources import LandingResource, StateResource
from capillary_adobe.defs.runs import ACTIVE, LONGEST_RUN_SECONDS, at_work_on
from capillary_adobe.history_waiting import waiting_words
from capillary_adobe.landing.store import LANE_FOLDERS
from capillary_adobe.microbatching import Cursor, MicroBatcher, out_of_range
from capillary_adobe.pacing import not_answering
from capillary_adobe.settings import HistorySettings, LandingSettings, Lane, load
from capillary_adobe.state import LandedObjects, MicroBatch, MicroBatches, Paces, PaceView
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe.tables import ENRICHED_EVENTS, INGESTION_STATUS, RAW_EVENTS, XDM_EVENTS, XDM_PROFILES

_STEPS = (
    RAW_EVENTS.name,
    CUSTOMERS,
    ENRICHED_EVENTS.name,
    XDM_EVENTS.name,
    XDM_PROFILES.name,
    INGESTION_STATUS.name,
)


# Longer than the longest pause of a micro-batch that has failed.
_TRIED_AT_LEAST_EVERY_SECONDS = 1200.0


def build_landing_sensor(job_name: str) -> dg.SensorDefinition:
    """The sensor that polls the landing store and asks for runs of a job."""

    @dg.sensor(
        name="landing_sensor",
        job_name=job_name,
        minimum_interval_seconds=load(LandingSettings).poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Polls the landing store and asks for one micro-batch a lane at a time; what lands meanwhile goes into the "
            "next. A micro-batch that failed is asked for again, with growing pauses. The last tick's reason tells what "
            "it saw. To hold delivery use the job pause_delivery; stop the sensor to hold reading, too. While AEP is down, "
            "only what has failed is tried again; the rest waits in the landing store and follows in order of age. Days of "
            "history wait for a backfill, unless HISTORY_LAUNCH is `micro_batches`."
        ),
    )
    def landing_sensor(
        context: dg.SensorEvaluationContext, landing: LandingResource, state: StateResource
    ) -> dg.SensorResult:
        with told_plainly():
            return _tick(context, landing, state)

    return landing_sensor


def _tick(context: dg.SensorEvaluationContext, landing: LandingResource, state: StateResource) -> dg.SensorResult:
    store, database = landing.open(), state.open()
    register = MicroBatches(database)
    history = load(HistorySettings)
    first_day = history.start
    days = {lane: store.days(lane) for lane in LANE_FOLDERS}
    left: dict[Lane, str] = {}
    if history.launch == "backfill":
        let_go_of_the_dead(context.instance, database)
        left["history"] = waiting_words(database, days["history"])
    batcher = MicroBatcher(store, LandedObjects(database), register, load(LandingSettings), first_day, left)
    cursor = Cursor.parse(context.cursor)
    now_ms = time.time_ns() // 1_000_000
    held = outage_words(Paces(database).look(INLET, now_ms / 1000), now_ms / 1000)
    asked: list[MicroBatch] = []
    words: list[str] = []
    if paused := DeliveryPause(database).find():
        words.append(f"{paused.words}, what lands is read and mapped, and waits")
    for lane in LANE_FOLDERS:
        running = _running(context.instance, lane)
        if running:
            waiting = batcher.waiting(lane, cursor.lane(lane))
            words.append(f"{lane}: run {running[:8]} is at work, {waiting} objects wait for the next micro-batch")
            continue
        proposal = batcher.propose(lane, cursor.lane(lane), now_ms, held)
        if (
            proposal.batch is not None
            and proposal.batch.whole_day
            and _day_running(context.instance, proposal.batch.day)
        ):
            words.append(f"{lane}: the run over the whole {proposal.batch.day} is still at work")
            continue
        words.append(f"{lane}: {proposal.words}")
        if proposal.batch is not None:
            asked.append(register.ask(proposal.batch))
        words += [f"{lane}: {told}" for told in out_of_range(days[lane], first_day, now_ms)]
    return dg.SensorResult(
        run_requests=[_request(batch) for batch in asked],
        skip_reason=None if asked else "; ".join(words),
        cursor=cursor.text(),
        asset_events=[_observation(batch) for batch in asked],
    )


def outage_words(view: PaceView | None, now: float) -> str:
    """Since when AEP is down, in words; empty where it answers, or where nobody has tried it for a long while.

    What is tried again during an outage may fail before it comes to AEP; then another has to find out.
    """
    if view is None or view.down_since is None or view.next_try is None:
        return ""
    if now > view.next_try + _TRIED_AT_LEAST_EVERY_SECONDS:
        return ""
    return not_answering(INLET, view.down_since, view.words, view.next_try)


def _running(instance: dg.DagsterInstance, lane: Lane) -> str | None:
    runs = instance.get_runs(dg.RunsFilter(tags={LANE_TAG: lane}, statuses=ACTIVE), limit=1)
    return runs[0].run_id if runs else None


def _day_running(instance: dg.DagsterInstance, day: str) -> bool:
    # Look-ups touch no event of the day, and one run of them follows the other.
    return any(run.job_name != REFRESH_JOB for run in at_work_on(instance, day))


def _request(batch: MicroBatch) -> dg.RunRequest:
    config = (
        MicroBatchConfig()
        if batch.whole_day
        else MicroBatchConfig(batch_id=batch.batch_id, after_key=batch.after_key, up_to_key=batch.up_to_key)
    )
    return dg.RunRequest(
        run_key=f"{batch.batch_id}:{batch.asked_ms}",
        partition_key=batch.day,
        run_config=dg.RunConfig(ops=dict.fromkeys(_STEPS, config)),
        # The sensor asks again by itself; a second layer of retries would multiply the runs.
        tags={
            LANE_TAG: batch.lane,
            BATCH_TAG: batch.batch_id,
            # Of the runs that wait for one day, one goes at a time; live events come before profiles and verdicts.
            **({"dagster/priority": "1"} if batch.lane == "live" else {}),
            "dagster/max_retries": "0",
            "dagster/max_runtime": str(LONGEST_RUN_SECONDS),
        },
    )


def _observation(batch: MicroBatch) -> dg.AssetObservation:
    return dg.AssetObservation(
        LANDING,
        partition=batch.day,
        metadata={
            "objects": batch.objects,
            "bytes": batch.bytes,
            "lane": batch.lane,
            "up_to_key": batch.up_to_key,
            "attempt": batch.attempts,
        },
    )
