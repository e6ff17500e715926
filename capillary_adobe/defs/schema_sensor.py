"""The sensor that notices a change of the tenant's schema in AEP.

Belongs here: the tick: one look-up, a run request or a reason. Does not belong here: judging stored entities, which may
take longer than a tick may (`defs/schema_watch.py`).
"""

import time

import dagster as dg

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import AdobeResource, StateResource
from capillary_adobe.defs.runs import ACTIVE, LONGEST_RUN_SECONDS
from capillary_adobe.environment import adobe_settings
from capillary_adobe.schema_in_force import NOT_SET_UP, refreshed
from capillary_adobe.settings import SchemaSettings, SettingsError, load

NAME = "schema_sensor"
_LEAST_SECONDS = 30


def build_schema_sensor(job_name: str) -> dg.SensorDefinition:
    """The sensor that asks for runs of a job."""

    @dg.sensor(
        name=NAME,
        job_name=job_name,
        minimum_interval_seconds=max(_LEAST_SECONDS, load(SchemaSettings).seconds),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Fetches the schema of the events every ADOBE_SCHEMA_SECONDS and, when it has changed, has `schema_conformance` "
            "try recent entities on it. A tick that skips says what keeps it from looking; delivery goes on by the last schema "
            "fetched."
        ),
    )
    def schema_sensor(
        context: dg.SensorEvaluationContext, state: StateResource, adobe: AdobeResource
    ) -> dg.RunRequest | dg.SkipReason:
        with told_plainly():
            running = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE), limit=1)
            if running:
                return dg.SkipReason(f"run {running[0].run_id[:8]} is trying recent entities on the schema")
            database = state.open()
            try:
                settings = adobe_settings(database)
            except SettingsError as error:
                return dg.SkipReason(f"{NOT_SET_UP} {error}")
            known = refreshed(database, settings, adobe.schema_registry(settings), 0)
            if known is None or known.words:
                return dg.SkipReason(known.words if known else NOT_SET_UP)
            if known.sha == known.checked_sha:
                return dg.SkipReason(f"version {known.version or 'unknown'} of the schema is known")
            return dg.RunRequest(
                run_key=f"schema-{time.time_ns() // 1_000_000}",
                tags={
                    "capillary_adobe/schema_version": known.version or "unknown",
                    "dagster/max_runtime": str(LONGEST_RUN_SECONDS),
                },
            )

    return schema_sensor
