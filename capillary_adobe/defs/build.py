"""The code location, assembled.

Belongs here: gathering assets, checks, sensors, resources and the executor. Does not belong here: anything with a
behaviour of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from capillary_adobe.defs.alert_sensors import build_alert_sensor, build_watch_sensor
from capillary_adobe.defs.assets import (
    build_aep_verdict,
    build_closed_days,
    build_customer_lookups,
    build_customers,
    build_delivery_report,
    build_enriched_events,
    build_history_files,
    build_ingestion_status,
    build_quarantine,
    build_raw_events,
    build_xdm_events,
    build_xdm_profiles,
    landing_spec,
)
from capillary_adobe.defs.assets.aep_verdict import GROUP
from capillary_adobe.defs.assets.customer_lookups import NAME as LOOKUPS
from capillary_adobe.defs.assets.history_files import NAME as HISTORY_FILES
from capillary_adobe.defs.catalog import catalogued
from capillary_adobe.defs.close_schedule import build_close_job, build_close_schedule
from capillary_adobe.defs.compact_job import build_compact_job, build_compact_schedule
from capillary_adobe.defs.customer_sensor import LOOKUP_JOB, REFRESH_JOB, build_customer_sensor
from capillary_adobe.defs.delivery_log import GROUP as SOURCE_GROUP
from capillary_adobe.defs.delivery_log import build_capillary_delivery_log
from capillary_adobe.defs.erasure import build_erased_customers, build_erasure_job, build_erasure_schedule
from capillary_adobe.defs.history_backfill import build_history_backfill_job
from capillary_adobe.defs.history_sensor import build_history_sensor
from capillary_adobe.defs.on_purpose import build_resend_day_job
from capillary_adobe.defs.partitions import landing_days
from capillary_adobe.defs.pause_jobs import build_pause_job, build_resume_job
from capillary_adobe.defs.purge_job import build_purge_job, build_purge_schedule
from capillary_adobe.defs.reconcile_schedule import build_reconcile_schedule
from capillary_adobe.defs.references import (
    build_programs,
    build_reference_job,
    build_reference_schedule,
    build_stores,
)
from capillary_adobe.defs.report_schedule import build_report_job, build_report_schedule
from capillary_adobe.defs.resend_job import build_resend_job
from capillary_adobe.defs.resources import closed_to_runs, default_resources
from capillary_adobe.defs.schema_sensor import build_schema_sensor
from capillary_adobe.defs.schema_watch import GROUP as SCHEMA_GROUP
from capillary_adobe.defs.schema_watch import build_schema_conformance
from capillary_adobe.defs.sensors import build_landing_sensor
from capillary_adobe.defs.setup_job import GROUP as ENVIRONMENT_GROUP
from capillary_adobe.defs.setup_job import build_adobe_environment
from capillary_adobe.defs.stage_job import build_stage_job
from capillary_adobe.defs.verdict_sensor import build_verdict_sensor

JOB = "deliver_micro_batch"
VERDICT_JOB = "read_verdict"
SCHEMA_JOB = "revalidate_sample"
REPLAY_JOB = "replay_cause"
SETUP_JOB = "adobe_setup"
RECONCILE_JOB = "reconcile_day"
IMPORT_JOB = "import_history"
REFRESHED = ("xdm_profiles", "ingestion_status")
REPLAYED = ("xdm_events", "ingestion_status", "quarantine")


def build_defs(*, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Assemble the code location; `resources` replace the default ones by key."""
    partitions = landing_days()
    road = _road(partitions)
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.groups("delivery"),
        description="One micro-batch of landed objects through the whole road; started by landing_sensor.",
    )
    verdict = dg.define_asset_job(
        VERDICT_JOB,
        selection=dg.AssetSelection.groups(GROUP),
        description="Read what AEP refused after it had taken it; started by verdict_sensor.",
    )
    revalidate = dg.define_asset_job(
        SCHEMA_JOB,
        selection=dg.AssetSelection.groups(SCHEMA_GROUP),
        description="Try recent entities on the schema that AEP holds now; started by schema_sensor.",
    )
    replay = dg.define_asset_job(
        REPLAY_JOB,
        selection=dg.AssetSelection.assets(*REPLAYED),
        description=(
            "Send again what AEP refused for one cause, after the mapping is mended. Choose the partition and set "
            "`ops.ingestion_status.config.reopen_cause` to the cause as the asset `quarantine` shows it."
        ),
    )
    refresh = dg.define_asset_job(
        REFRESH_JOB,
        selection=dg.AssetSelection.assets(*REFRESHED),
        description=(
            "Send the profiles that changed, by whatever, and that no micro-batch sends; started by customer_sensor for "
            "today's partition."
        ),
    )
    look_up = dg.define_asset_job(
        LOOKUP_JOB,
        selection=dg.AssetSelection.assets(LOOKUPS),
        description="Look customers and bills up at Capillary; started by customer_sensor.",
    )
    environment = dg.define_asset_job(
        SETUP_JOB,
        selection=dg.AssetSelection.groups(ENVIRONMENT_GROUP),
        description=(
            "Set up AEP. As it stands it shows the plan and changes nothing. Set `ops.adobe_environment.config.apply` to "
            "true in the launchpad to make what is missing; a second run changes nothing. Afterwards wait about 5 minutes, "
            "until AEP's inlet knows the new dataflows. The command is `capillary-adobe setup`."
        ),
    )
    reconciliation = dg.define_asset_job(
        RECONCILE_JOB,
        selection=dg.AssetSelection.groups(SOURCE_GROUP),
        description=(
            "Hold what Capillary says it sent on a day against what landed; started by reconcile_yesterday. It only reads."
        ),
    )
    imports = dg.define_asset_job(
        IMPORT_JOB,
        selection=dg.AssetSelection.assets(HISTORY_FILES),
        description=(
            "Import one export of Insights+ into the landing store; started by history_sensor. Afterwards backfill its days."
        ),
    )
    return dg.Definitions(
        assets=catalogued(
            [
                build_history_files(),
                landing_spec(),
                build_capillary_delivery_log(partitions),
                *road,
                build_customer_lookups(),
                build_aep_verdict(),
                build_schema_conformance(),
                build_adobe_environment(),
                build_stores(),
                build_programs(),
                build_erased_customers(),
                *_built(partitions, build_closed_days),
                build_delivery_report(),
            ]
        ),
        jobs=[
            build_reference_job(),
            job,
            verdict,
            revalidate,
            replay,
            refresh,
            look_up,
            build_stage_job(),
            build_resend_job(),
            build_history_backfill_job(road),
            environment,
            reconciliation,
            imports,
            build_erasure_job(),
            build_purge_job(),
            build_compact_job(),
            build_close_job(),
            build_resend_day_job(),
            build_pause_job(),
            build_resume_job(),
            build_report_job(),
        ],
        schedules=[
            build_reference_schedule(),
            build_reconcile_schedule(RECONCILE_JOB, partitions),
            build_erasure_schedule(),
            build_purge_schedule(),
            build_compact_schedule(),
            build_close_schedule(partitions),
            build_report_schedule(),
        ],
        sensors=[
            build_landing_sensor(JOB),
            build_verdict_sensor(VERDICT_JOB),
            build_schema_sensor(SCHEMA_JOB),
            build_customer_sensor(look_up, refresh),
            build_history_sensor(IMPORT_JOB),
            build_alert_sensor(),
            build_watch_sensor(),
        ],
        resources=closed_to_runs({**default_resources(), **(resources or {})}),
        # A process a step costs 1.3 s, and a micro-batch has five steps of milliseconds each.
        executor=dg.in_process_executor,
    )


def _road(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    return _built(
        partitions,
        build_raw_events,
        build_customers,
        build_enriched_events,
        build_xdm_events,
        build_xdm_profiles,
        build_ingestion_status,
        build_quarantine,
    )


def _built(
    partitions: dg.PartitionsDefinition, *builders: Callable[[dg.PartitionsDefinition], dg.AssetsDefinition]
) -> list[dg.AssetsDefinition]:
    with warnings.catch_warnings():
        # Backfill policies carry a warning that they are in beta; without one, a year is a run a day.
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        return [build(partitions) for build in builders]
