"""A worker: takes runs from its queues and executes them.

Belongs here: starting Celery's worker on what `dagster.yaml` says. Does not belong here: the command (`cli_work.py`), handing
runs over (`celery_launcher.py`).

dagster-celery's own command is not used. It takes a second file that must agree with `dagster.yaml`, and leaves a copy of it,
with the password of Redis in plain text, under DAGSTER_HOME at each start.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from capillary_adobe.defs.run_queues import TwoQueueRunCoordinator
from capillary_adobe.settings import SettingsError

if TYPE_CHECKING:
    from celery import Celery

_NOT_CELERY = (
    "The dagster.yaml in DAGSTER_HOME does not have runs executed by Celery. Take deploy/celery/dagster.yaml as docs/celery.md "
    "tells."
)


def work(queues: Sequence[str], runs: int, name: str) -> int:
    """Take runs from these queues, `runs` of them at a time, until a signal ends it; the exit code.

    `name` tells the worker from others on this machine; without one it is made of the queues and the process.

    Raises:
        SettingsError: DAGSTER_HOME is not set, its `dagster.yaml` cannot be used or knows nothing of Celery or of a queue, or
            dagster-celery is not installed.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise SettingsError("DAGSTER_HOME is not set: a worker reads where its queues are from the dagster.yaml there.")
    # Two of one name would answer for each other, and runs at work would be taken for lost.
    called = name or f"{'-'.join(queues)}-{os.getpid()}"
    try:
        with dg.DagsterInstance.get() as instance:
            app = _app(instance, queues)
    except dg.DagsterError as error:
        raise SettingsError(f"The dagster.yaml in DAGSTER_HOME cannot be used: {error}") from error
    options = ["--queues", ",".join(queues), "--concurrency", str(runs), "--hostname", f"{called}@%h"]
    # Neither is of use with one broker of few workers, and each costs messages all the time.
    quiet = ["--without-gossip", "--without-mingle"]
    return app.worker_main(["worker", "--loglevel", "INFO", *options, *quiet]) or 0


def _app(instance: dg.DagsterInstance, queues: Sequence[str]) -> Celery:
    coordinator = instance.run_coordinator
    if not isinstance(coordinator, TwoQueueRunCoordinator):
        raise SettingsError(_NOT_CELERY)
    try:
        from capillary_adobe.defs.celery_launcher import WatchedCeleryRunLauncher
    except ModuleNotFoundError as error:
        raise SettingsError(f"{error}.") from error
    from dagster_celery.tasks import create_execute_job_task

    launcher = instance.run_launcher
    if not isinstance(launcher, WatchedCeleryRunLauncher):
        raise SettingsError(_NOT_CELERY)
    known = (coordinator.live_queue, coordinator.history_queue)
    if unknown := [queue for queue in queues if queue not in known]:
        raise SettingsError(
            f"No run ever goes to the queue {', '.join(unknown)}: those of dagster.yaml are {' and '.join(known)}."
        )
    create_execute_job_task(launcher.celery)
    return launcher.celery
