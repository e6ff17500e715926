"""The sensor of the customers: it asks for look-ups that are due, and for the profiles that no micro-batch sends.

Belongs here: the tick: a few cheap questions to the state database, run requests or a reason. Does not belong here: asking
Capillary, which may take longer than a tick may (`assets/customer_lookups.py`).

Two jobs, since runs of one day wait for each other: look-ups take a minute, and nothing of a day may wait for them.
"""

import time
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import dagster as dg

from capillary_adobe.adobe.delivery import INLET
from capillary_adobe.defs.assets.customer_lookups import OFF, REFUSED_TAG
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.microbatch import BATCH_TAG, MicroBatchConfig
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.runs import ACTIVE, LONGEST_RUN_SECONDS
from capillary_adobe.environment import adobe_settings
from capillary_adobe.looking_up import LookUps
from capillary_adobe.profile_making import MOST_DUE
from capillary_adobe.settings import ProfileSettings, load
from capillary_adobe.state import Paces, State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe.tables import INGESTION_STATUS, XDM_PROFILES

LOOKUP_JOB = "look_up_customers"
REFRESH_JOB = "refresh_customers"
BATCH_PREFIX = "lookups-"
"""How the ids of micro-batches begin that stand for no landed objects but for customers who have changed."""
_SECONDS = 15
# Six failures in a row make the longest pause, a quarter of an hour.
_LOOKED_AT = 6
# The sensor asks again by itself.
_TAGS = {"dagster/max_retries": "0", "dagster/max_runtime": str(LONGEST_RUN_SECONDS)}


def build_customer_sensor(*jobs: Any) -> dg.SensorDefinition:
    """The sensor that asks for runs of these jobs."""

    @dg.sensor(
        name="customer_sensor",
        jobs=jobs,
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Asks for a run of look_up_customers when a customer or a bill is to be looked up at Capillary, and for one of "
            "refresh_customers when a customer's profile has changed and no micro-batch has sent it. While Capillary is down "
            "it asks for no look-ups; events go on without, or wait, as CAPILLARY_LOOKUP_POLICY says. Stop the sensor to hold "
            "look-ups; events then hold what their payloads tell and what is known."
        ),
    )
    def customer_sensor(context: dg.SensorEvaluationContext, state: StateResource) -> dg.SensorResult:
        with told_plainly():
            database, now_ms = state.open(), time.time_ns() // 1_000_000
            requests: list[dg.RunRequest] = []
            words = _resting(context.instance, LOOKUP_JOB, now_ms)
            look_ups, words = (False, words) if words else _due_look_ups(database)
            if look_ups:
                requests.append(dg.RunRequest(f"{LOOKUP_JOB}-{now_ms}", job_name=LOOKUP_JOB, tags=_TAGS))
            if _may_send(context.instance, database, now_ms) and _due_profiles(database, now_ms):
                requests.append(_request(now_ms))
            return dg.SensorResult(run_requests=requests, skip_reason=None if requests else words)

    return customer_sensor


def _resting(instance: dg.DagsterInstance, job: str, now_ms: int, pause_seconds: float = 0) -> str:
    """In words, why no run of a job may start; empty if one may.

    One is at work, the last ones failed, or one ended less than `pause_seconds` ago. Each failure in a row doubles the wait: a
    client without the right would else be refused every 15 s.
    """
    latest = instance.get_run_records(dg.RunsFilter(job_name=job), limit=_LOOKED_AT)
    if active := [one.dagster_run.run_id for one in latest if one.dagster_run.status in ACTIVE]:
        return f"run {active[0][:8]} of {job} is at work"
    failed = list(takewhile(_came_to_nothing, latest))
    if failed and now_ms / 1000 < (failed[0].end_time or 0) + _SECONDS * 2 ** len(failed):
        return f"run {failed[0].dagster_run.run_id[:8]} of {job} came to nothing; it says why, and the next one waits"
    if latest and now_ms / 1000 < (latest[0].end_time or 0) + pause_seconds:
        return f"run {latest[0].dagster_run.run_id[:8]} of {job} has just ended"
    return ""


def _came_to_nothing(record: dg.RunRecord) -> bool:
    run = record.dagster_run
    return run.status is dg.DagsterRunStatus.FAILURE or REFUSED_TAG in run.tags


def _may_send(instance: dg.DagsterInstance, state: State, now_ms: int) -> bool:
    """Whether a run may send profiles: delivery is not paused, AEP not known to be down, and nothing speaks against a run.

    The next one comes no sooner than PROFILE_SPACING_SECONDS after the last, unless that could not take all: most profiles that
    are due soon are of customers who have just had one, and a run of the day keeps the day's next micro-batch waiting for 8 s.
    """
    if DeliveryPause(state).find() is not None:
        return False
    inlet = Paces(state).look(INLET, now_ms / 1000)
    down = inlet is not None and inlet.next_try is not None and inlet.next_try > now_ms / 1000
    pause = 0 if Customers(state).are_due(MOST_DUE) else load(ProfileSettings).spacing_seconds
    return not down and not _resting(instance, REFRESH_JOB, now_ms, pause)


def _due_look_ups(state: State) -> tuple[bool, str]:
    """Whether look-ups may be made now; in words why none."""
    look_ups = LookUps.of(state)
    if look_ups is None:
        return False, OFF
    if down := look_ups.down_words():
        return False, down
    return look_ups.any_due(), "nobody to look up now"


def _due_profiles(state: State, now_ms: int) -> bool:
    if adobe_settings(state).profiles_dataset_id is None:
        return False
    settled_before_ms = now_ms - int(load(ProfileSettings).spacing_seconds * 1000)
    return bool(Customers(state).due(None, 1, settled_before_ms))


def _request(now_ms: int) -> dg.RunRequest:
    config = MicroBatchConfig(batch_id=f"{BATCH_PREFIX}{now_ms}")
    return dg.RunRequest(
        run_key=config.batch_id,
        job_name=REFRESH_JOB,
        partition_key=datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat(),
        run_config=dg.RunConfig(ops=dict.fromkeys((XDM_PROFILES.name, INGESTION_STATUS.name), config)),
        tags={BATCH_TAG: config.batch_id, **_TAGS},
    )
