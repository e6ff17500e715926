"""Which queue each run gets as it is submitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.test_utils import create_run_for_test

from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.defs.microbatch import LANE_TAG
from capillary_adobe.defs.run_queues import LONG_JOBS, QUEUE_TAG, TwoQueueRunCoordinator
from capillary_adobe.defs.runs import DAY_TAG, FIRST_DAY_TAG

LOCATION = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("capillary_adobe"), "__repository__")


@pytest.fixture(scope="module")
def coordinator() -> Iterator[TwoQueueRunCoordinator]:
    with dg.DagsterInstance.ephemeral() as instance:
        found = TwoQueueRunCoordinator(live_queue="soon", history_queue="history")
        found.register_instance(instance)
        yield found


@pytest.mark.parametrize(
    ("job", "tags", "queue"),
    [
        (JOB, {LANE_TAG: "live", DAY_TAG: "2026-11-20"}, "soon"),
        (JOB, {LANE_TAG: "history", DAY_TAG: "2026-11-20"}, "history"),
        ("__ASSET_JOB", {"dagster/backfill": "abc", DAY_TAG: "2026-11-20"}, "history"),
        ("__ASSET_JOB", {FIRST_DAY_TAG: "2026-11-20"}, "history"),
        # Launched by hand.
        ("__ASSET_JOB", {DAY_TAG: "2026-11-20"}, "soon"),
        ("look_up_customers", {}, "soon"),
        ("import_history", {}, "history"),
        (JOB, {LANE_TAG: "live", QUEUE_TAG: "history"}, "history"),
    ],
)
def test_each_run_gets_its_queue_as_it_is_submitted(
    coordinator: TwoQueueRunCoordinator, job: str, tags: dict[str, Any], queue: str
) -> None:
    run = create_run_for_test(
        coordinator._instance, job_name=job, tags=tags, remote_job_origin=RemoteJobOrigin(LOCATION, job)
    )
    submitted = coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
    assert submitted.tags[QUEUE_TAG] == queue
    assert submitted.status is dg.DagsterRunStatus.QUEUED


def test_the_jobs_that_take_long_are_there() -> None:
    assert {job.name for job in build_defs().resolve_all_job_defs()} >= LONG_JOBS
