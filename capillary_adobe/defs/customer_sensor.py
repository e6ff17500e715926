"""The sensor that asks for runs of `refresh_customers`: look-ups that are due, and profiles that no micro-batch sends.

Belongs here: the tick: a few cheap questions to the state database, a run request or a reason. Does not belong here: asking
Capillary, which may take longer than a tick may (`assets/customer_lookups.py`).
"""

import time
from datetime import UTC, datetime

import dagster as dg

from capillary_adobe.defs.assets.customer_lookups import OFF
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.microbatch import BATCH_TAG, MicroBatchConfig
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.runs import ACTIVE, LONGEST_RUN_SECONDS
from capillary_adobe.environment import adobe_settings
from capillary_adobe.looking_up import LookUps
from capillary_adobe.settings import ProfileSettings, load
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe.tables import INGESTION_STATUS, XDM_PROFILES

REFRESH_JOB = "refresh_customers"
BATCH_PREFIX = "lookups-"
"""How the ids of micro-batches begin that stand for no landed objects but for customers who have changed."""
_SECONDS = 15


def build_customer_sensor() -> dg.SensorDefinition:
    """The sensor that asks for runs of the job."""

    @dg.sensor(
        name="customer_sensor",
        job_name=REFRESH_JOB,
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Asks for a run of refresh_customers when a customer or a bill is to be looked up at Capillary, or when a "
            "customer's profile has changed and no micro-batch has sent it. While Capillary is down it asks for none; events "
            "go on without, or wait, as CAPILLARY_LOOKUP_POLICY says. Stop the sensor to hold look-ups; events then hold "
            "what their payloads tell and what is known."
        ),
    )
    def customer_sensor(context: dg.SensorEvaluationContext, state: StateResource) -> dg.RunRequest | dg.SkipReason:
        with told_plainly():
            running = context.instance.get_runs(dg.RunsFilter(job_name=REFRESH_JOB, statuses=ACTIVE), limit=1)
            if running:
                return dg.SkipReason(f"run {running[0].run_id[:8]} is looking customers up")
            database, now_ms = state.open(), time.time_ns() // 1_000_000
            look_ups, words = _due_look_ups(database)
            if look_ups or _due_profiles(database, now_ms):
                return _request(now_ms)
            return dg.SkipReason(words)

    return customer_sensor


def _due_look_ups(state: State) -> tuple[int, str]:
    """How many look-ups may be made now; in words why none."""
    look_ups = LookUps.of(state)
    if look_ups is None:
        return 0, OFF
    if down := look_ups.down_words():
        return 0, down
    queue = look_ups.counts()
    return queue.due, f"nobody to look up; {queue.waiting} look-ups wait for their next try"


def _due_profiles(state: State, now_ms: int) -> bool:
    if adobe_settings(state).profiles_dataset_id is None:
        return False
    settled_before_ms = now_ms - int(load(ProfileSettings).spacing_seconds * 1000)
    return bool(Customers(state).due(None, 1, settled_before_ms))


def _request(now_ms: int) -> dg.RunRequest:
    config = MicroBatchConfig(batch_id=f"{BATCH_PREFIX}{now_ms}")
    return dg.RunRequest(
        run_key=config.batch_id,
        partition_key=datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat(),
        run_config=dg.RunConfig(ops=dict.fromkeys((XDM_PROFILES.name, INGESTION_STATUS.name), config)),
        # The sensor asks again by itself.
        tags={
            BATCH_TAG: config.batch_id,
            "dagster/max_retries": "0",
            "dagster/max_runtime": str(LONGEST_RUN_SECONDS),
        },
    )
