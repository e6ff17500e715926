"""The sensor that asks for a run of `aep_verdict` when AEP has decided something.

Belongs here: the tick: two cheap look-ups, a run request or a reason. Does not belong here: reading the verdict, which may
take longer than a tick may (`assets/aep_verdict.py`).
"""

import time

import dagster as dg

from capillary_adobe.adobe.catalog import Catalog, Stage
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import AdobeResource, StateResource
from capillary_adobe.defs.runs import ACTIVE, LONGEST_RUN_SECONDS
from capillary_adobe.environment import adobe_settings
from capillary_adobe.settings import AdobeSettings, VerdictSettings, load
from capillary_adobe.state import DaysToSettle, SentBatches, State

_DECIDED = (Stage.GOOD, Stage.BAD, Stage.GONE)
# Time for one tick's questions; Dagster ends a tick after 60 s and keeps nothing of it.
_BUDGET_SECONDS = 20.0


def build_verdict_sensor(job_name: str) -> dg.SensorDefinition:
    """The sensor that asks for runs of a job."""

    @dg.sensor(
        name="verdict_sensor",
        job_name=job_name,
        minimum_interval_seconds=load(VerdictSettings).seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Asks AEP every ADOBE_VERDICT_SECONDS whether it has failed batches that were not read yet, or has judged a "
            "batch of ours, and has `aep_verdict` read them. A tick that fails names the right or the setting that is "
            "missing; nothing is lost by that, the verdict is read when it is mended."
        ),
    )
    def verdict_sensor(
        context: dg.SensorEvaluationContext, state: StateResource, adobe: AdobeResource
    ) -> dg.RunRequest | dg.SkipReason:
        with told_plainly():
            running = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE), limit=1)
            if running:
                return dg.SkipReason(f"run {running[0].run_id[:8]} is reading AEP's verdict")
            database = state.open()
            news = _news(_impatient(adobe_settings(database)), database, adobe)
            if news is None:
                return dg.SkipReason("AEP has decided nothing new")
            return dg.RunRequest(
                run_key=f"verdict-{time.time_ns() // 1_000_000}",
                tags={"capillary_adobe/news": news, "dagster/max_runtime": str(LONGEST_RUN_SECONDS)},
            )

    return verdict_sensor


def _impatient(settings: AdobeSettings) -> AdobeSettings:
    """Settings under which a look-up ends well before the tick would; the next tick asks again."""
    timeout = min(settings.timeout_seconds, _BUDGET_SECONDS / 2)
    return settings.model_copy(update={"retry_budget_seconds": _BUDGET_SECONDS / 2, "timeout_seconds": timeout})


def _news(settings: AdobeSettings, state: State, adobe: AdobeResource) -> str | None:
    if DaysToSettle(state).all():
        return "days to settle"
    if any(next(reader.unread(), None) is not None for reader in adobe.verdict_readers(settings, state)):
        return "failed batches"
    return "our own batches" if _own_decided(adobe.catalog(settings), state) else None


def _own_decided(catalog: Catalog, state: State) -> bool:
    deadline = time.monotonic() + _BUDGET_SECONDS
    for batch in SentBatches(state).open():
        if batch.completed_ms is None or batch.aep_id is None:
            continue
        found = catalog.batch(batch.aep_id)
        if found is None:
            continue
        # That one is stuck is news once; then only Adobe moves it.
        newly_stuck = found.stage is Stage.STUCK and found.status != batch.status
        if found.stage in _DECIDED or newly_stuck:
            return True
        if time.monotonic() > deadline:
            return False
    return False
