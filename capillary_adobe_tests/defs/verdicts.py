"""What the tests of AEP's verdict do alike: ticks of its sensor, runs of its jobs, and what came of them.

Belongs here: doors to Dagster. Does not belong here: any expectation.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from capillary_adobe.defs.build import REPLAY_JOB, VERDICT_JOB
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_road import DAY
from capillary_adobe_tests.emulators.platform_client import eventually


def validated(emulator: RunningEmulator) -> None:
    """Wait until AEP has validated what it took."""
    eventually(lambda: summary(emulator.base_url)["awaiting_validation"] == 0)


def tick(installation: Installation) -> list[dg.RunRequest] | str:
    """A tick of the sensor: what it asks for, or why nothing."""
    definitions = installation.definitions
    with dg.build_sensor_context(
        instance=installation.instance,
        resources=installation.resources,
        repository_def=definitions.get_repository_def(),
    ) as context:
        result = definitions.resolve_sensor_def("verdict_sensor").evaluate_tick(context)
    return list(result.run_requests or []) or (result.skip_message or "")


def read_verdict(installation: Installation, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    job = installation.definitions.resolve_job_def(VERDICT_JOB)
    return job.execute_in_process(instance=installation.instance, raise_on_error=raise_on_error)


def replay(installation: Installation, cause: str, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    job = installation.definitions.resolve_job_def(REPLAY_JOB)
    config = dg.RunConfig(ops={INGESTION_STATUS.name: DeliveryConfig(reopen_cause=cause)})
    return job.execute_in_process(
        instance=installation.instance, partition_key=DAY, run_config=config, raise_on_error=raise_on_error
    )


def numbers(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def check_of(installation: Installation, name: str) -> dg.AssetCheckEvaluation:
    """The last word of a check on the day."""
    key = dg.AssetCheckKey(dg.AssetKey(INGESTION_STATUS.name), name)
    record = installation.instance.get_latest_asset_check_evaluation_record(key)
    assert record is not None
    found = record.event.dagster_event.event_specific_data  # pyright: ignore[reportOptionalMemberAccess]
    assert isinstance(found, dg.AssetCheckEvaluation)
    assert found.partition == DAY
    return found


def outcomes(installation: Installation) -> dict[str, tuple[str, str | None]]:
    return {row["id"]: (row["status"], row["cause"]) for row in installation.rows(INGESTION_STATUS, DAY)}
