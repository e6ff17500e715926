"""Launching a run of one day from the command line, in this process.

Belongs here: running a job over a partition and what came of it, in plain values. Does not belong here: what the job does
and what is printed (`cli_delivery.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster import DagsterError

from capillary_adobe.defs.build import JOB, REPLAY_JOB, build_defs
from capillary_adobe.defs.delivery_config import DeliveryConfig, RouteChoice
from capillary_adobe.defs.partitions import landing_days
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE


class RunFailed(Exception):
    """A run failed; the text is the one that an operator reads in the UI."""


@dataclass(frozen=True)
class Ran:
    """A run that succeeded: its id and the numbers of `ingestion_status`."""

    run_id: str
    numbers: dict[str, Any]


def deliver_day(day: str, route: RouteChoice) -> Ran:
    """Send what is open of a day.

    Raises:
        RunFailed: delivery stopped.
    """
    return _run(JOB, day, DeliveryConfig(route=route), [INGESTION_STATUS.name, QUARANTINE.name])


def replay_day(day: str, cause: str) -> Ran:
    """Make the entities of a day anew and send those again that AEP refused for a cause.

    Raises:
        RunFailed: a stage failed; what was opened stays open, and the next replay of the cause goes on.
    """
    return _run(REPLAY_JOB, day, DeliveryConfig(reopen_cause=cause))


def _run(job: str, day: str, config: DeliveryConfig, selection: list[str] | None = None) -> Ran:
    if not landing_days().has_partition_key(day):
        raise RunFailed(f"{day} is no partition: days go from HISTORY_START to today, UTC.")
    try:
        result = _executed(job, day, config, selection)
    except DagsterError as error:
        raise RunFailed(f"Dagster cannot run the job ({error}). Check DAGSTER_HOME.") from error
    if not result.success:
        raise RunFailed(_words(result))
    return Ran(result.run_id, _numbers(result))


def _executed(job: str, day: str, config: DeliveryConfig, selection: list[str] | None) -> dg.ExecuteInProcessResult:
    # With DAGSTER_HOME the run stands in the UI like any other; without it nothing of it is kept but its work.
    home = os.environ.get("DAGSTER_HOME")
    with dg.DagsterInstance.get() if home else dg.DagsterInstance.ephemeral() as instance:
        return (
            build_defs()
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                partition_key=day,
                run_config=dg.RunConfig(ops={INGESTION_STATUS.name: config}, loggers=_quiet()),
                asset_selection=[dg.AssetKey(name) for name in selection] if selection else None,
                raise_on_error=False,
            )
        )


def _quiet() -> dict[str, Any]:
    return {"console": {"config": {"log_level": "CRITICAL"}}}


def _numbers(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    for event in result.get_asset_materialization_events():
        found = event.step_materialization_data.materialization
        if found.asset_key == dg.AssetKey(INGESTION_STATUS.name):
            return {name: value.value for name, value in found.metadata.items()}
    return {}


def _words(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                return data.user_failure_data.description
    return f"Run {result.run_id} failed; with DAGSTER_HOME set, the UI shows its events."
