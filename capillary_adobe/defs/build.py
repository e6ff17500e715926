"""The code location, assembled.

Belongs here: gathering assets, checks, sensors, resources and the executor. Does not belong here: anything with a
behaviour of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from capillary_adobe.defs.assets import (
    build_enriched_events,
    build_ingestion_status,
    build_quarantine,
    build_raw_events,
    build_xdm_events,
    landing_spec,
)
from capillary_adobe.defs.partitions import landing_days
from capillary_adobe.defs.resources import default_resources
from capillary_adobe.defs.sensors import build_landing_sensor

JOB = "deliver_micro_batch"


def build_defs(*, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Assemble the code location; `resources` replace the default ones by key."""
    partitions = landing_days()
    road = [
        build(partitions)
        for build in (
            build_raw_events,
            build_enriched_events,
            build_xdm_events,
            build_ingestion_status,
            build_quarantine,
        )
    ]
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.groups("delivery"),
        description="One micro-batch of landed objects through the whole road; started by landing_sensor.",
    )
    return dg.Definitions(
        assets=[landing_spec(), *road],
        jobs=[job],
        sensors=[build_landing_sensor(JOB)],
        resources={**default_resources(), **(resources or {})},
        # A process a step costs 1.3 s, and a micro-batch has five steps of milliseconds each.
        executor=dg.in_process_executor,
    )
