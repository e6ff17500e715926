"""Runs whose worker is gone, as Redis and the workers tell of them: real states in a real Redis, and nobody who answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test

from capillary_adobe.defs.celery_launcher import TASK_TAG, WatchedCeleryRunLauncher
from capillary_adobe_tests.services import redis_server

TASK = "a-task"
BEGUN = {"pid": 1, "hostname": "history-1@nowhere"}


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with redis_server() as address:
        yield address


class Watched:
    """An instance with the launcher and one run that has begun."""

    def __init__(self, instance: dg.DagsterInstance, launcher: WatchedCeleryRunLauncher) -> None:
        self.instance, self.launcher = instance, launcher

    def run(self, *, task: str = TASK, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
        return create_run_for_test(self.instance, job_name="a_job", tags={TASK_TAG: task}, status=status)

    def tell(self, state: str, result: Any = None) -> None:
        """Write what a worker writes of its task."""
        self.launcher.celery.backend.store_result(TASK, result, state)

    def health(self, run: dg.DagsterRun) -> tuple[WorkerStatus, str]:
        found = self.launcher.check_run_worker_health(run)
        return found.status, found.msg or ""


@pytest.fixture
def silent_seconds() -> int:
    return 0


@pytest.fixture
def watched(redis: str, silent_seconds: int) -> Iterator[Watched]:
    launcher = WatchedCeleryRunLauncher(
        silent_seconds=silent_seconds, default_queue="history", broker=redis, backend=redis
    )
    with dg.DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)
        yield Watched(instance, launcher)
    launcher.celery.AsyncResult(TASK).forget()
    launcher.celery.close()


def test_a_run_whose_worker_is_silent_for_too_long_is_lost(watched: Watched) -> None:
    watched.tell("STARTED", BEGUN)
    status, words = watched.health(watched.run())
    assert status is WorkerStatus.FAILED
    assert "nothing was heard of it from the worker history-1@nowhere" in words


@pytest.mark.parametrize("silent_seconds", [600])
def test_a_worker_may_be_silent_for_a_while(watched: Watched) -> None:
    watched.tell("STARTED", BEGUN)
    run = watched.run()
    assert [watched.health(run)[0] for _ in range(2)] == [WorkerStatus.RUNNING] * 2


@pytest.mark.parametrize("silent_seconds", [600])
def test_a_state_that_redis_has_lost_is_no_lost_run(watched: Watched) -> None:
    """dagster-celery's own launcher has such a run failed at the next look."""
    assert watched.health(watched.run()) == (WorkerStatus.RUNNING, "")


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_a_task_that_ended_before_its_run_is_told(watched: Watched, state: str) -> None:
    watched.tell(state, RuntimeError("killed") if state != "SUCCESS" else 1)
    status, words = watched.health(watched.run())
    assert (status, words) == (WorkerStatus.FAILED, f"The run's process ended ({state}) and did not say how.")


def test_a_run_that_has_noted_its_end_is_well(watched: Watched) -> None:
    watched.tell("SUCCESS", 0)
    begun = watched.run()
    watched.instance.report_run_failed(begun)
    assert watched.health(begun)[0] is WorkerStatus.SUCCESS


def test_a_run_without_a_task_yet_is_left_alone_and_cannot_be_ended(watched: Watched) -> None:
    run = watched.run(task="")
    assert watched.health(run)[0] is WorkerStatus.RUNNING
    assert watched.launcher.terminate(run.run_id) is False
