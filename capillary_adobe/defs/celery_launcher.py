"""Handing runs to Celery's workers, and finding out when the worker of a run is gone.

Belongs here: the launcher that `deploy/celery/dagster.yaml` names. Does not belong here: which queue a run goes to
(`run_queues.py`), the worker (`celery_worker.py`), what becomes of a run that is lost: Dagster's run monitoring fails it, and
`run_retries`, or the sensor that asked for it, has it done again.

dagster-celery's own launcher believes the state of the task in Redis. That says `STARTED` for ever once a worker is killed as
a whole, by the kernel for lack of memory or with its machine, since nobody is left to say otherwise: the run would hold its day
until `max_runtime_seconds`, four hours. So the workers themselves are asked.

Celery's own way, to acknowledge late and let Redis hand the task out once more, does not help: Dagster ignores a second process
for a run that has begun, and the task of that one ends as `SUCCESS`, which hides the loss.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, cast

import dagster as dg
from dagster import Field, IntSource

# Not exported by Dagster, whose documentation has launchers of one's own made of these.
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

try:
    from dagster_celery.launcher import CeleryRunLauncher
    from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG as TASK_TAG
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "dagster.yaml has runs executed by Celery, and dagster-celery is not installed: pip install -e '.[celery,postgres]'"
    ) from error

# A worker's main process does nothing but take and answer, so a second is long, even on a busy machine.
_ANSWER_SECONDS: Final = 1.0
_OVER: Final = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
_AT_WORK: Final = "STARTED"
_FORGOTTEN_SECONDS: Final = 3600.0


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """dagster-celery's launcher, whose check of a run's health asks the workers.

    In `dagster.yaml` it takes what dagster-celery's takes, and `silent_seconds`: how long the worker of a run may give no
    answer before the run counts as lost. A worker that answers and does not have the run was started anew, and the run is lost
    at once. Meant for `run_monitoring` with `poll_interval_seconds`; one thread asks at a time.
    """

    def __init__(self, *, silent_seconds: int, **celery: Any) -> None:
        super().__init__(**celery)
        self._silent_seconds = silent_seconds
        self._silent_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What `dagster.yaml` may say."""
        silent = Field(IntSource, is_required=False, default_value=60, description="Seconds; see the class.")
        return {**cast("dict[str, Any]", CeleryRunLauncher.config_type()), "silent_seconds": silent}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> WatchedCeleryRunLauncher:
        """The launcher as `dagster.yaml` describes it."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand a run over to the queue that its tag names."""
        run = context.dagster_run
        if run.tags.get(TASK_TAG):
            # A retry inherits the tags of the run that it repeats, and would be judged by the end of that one's task.
            self._instance.add_run_tags(run.run_id, {TASK_TAG: ""})
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Have a run ended, wherever it is; False where it has not been handed over."""
        run = self._instance.get_run_by_id(run_id)
        return bool(run and run.tags.get(TASK_TAG)) and super().terminate(run_id)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether somebody is at work on a run that has begun.

        Raises:
            Exception: Redis does not answer; run monitoring notes that, and judges no run by it.
        """
        task = run.tags.get(TASK_TAG)
        if not task:
            # Begun before its launcher had noted what it is called, which takes milliseconds.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        state, worker = self._told(task)
        if state in _OVER:
            return self._over(run, state)
        held = self._held(task, worker)
        if held:
            self._silent_since.pop(task, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        # It may have ended between the two questions.
        state, _ = self._told(task)
        if state in _OVER:
            return self._over(run, state)
        if held is False and worker is not None:
            return self._lost(task, f"the worker {worker} was started anew meanwhile")
        if self._silent_for(task) >= self._silent_seconds:
            who = f"the worker {worker}" if worker else "any worker"
            return self._lost(task, f"nothing was heard of it from {who} for {self._silent_seconds} s")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _told(self, task: str) -> tuple[str, str | None]:
        """The state of a task, and who began it, as Redis has it."""
        meta = self.celery.backend.get_task_meta(task)
        result = meta.get("result")
        begun = meta["status"] == _AT_WORK and isinstance(result, dict)
        return meta["status"], result.get("hostname") if begun else None

    def _over(self, run: dg.DagsterRun, state: str) -> CheckRunHealthResult:
        """A run notes its end before its task ends: one that has not was killed, or could not reach the database."""
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"The run's process ended ({state}) and did not say how.")

    def _held(self, task: str, worker: str | None) -> bool | None:
        """Whether a worker has the task; None where nobody answers. Without a name, as after a loss in Redis, all are asked."""
        asked = [worker] if worker else None
        answers = self.celery.control.inspect(destination=asked, timeout=_ANSWER_SECONDS).query_task(task)
        if not answers:
            return None
        return any(task in tasks for tasks in answers.values())

    def _silent_for(self, task: str) -> float:
        now = time.monotonic()
        since = self._silent_since.setdefault(task, now)
        self._silent_since = {
            one: begun
            for one, begun in self._silent_since.items()
            if now - begun < _FORGOTTEN_SECONDS + self._silent_seconds
        }
        return now - since

    def _lost(self, task: str, why: str) -> CheckRunHealthResult:
        self._silent_since.pop(task, None)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"The run is lost: {why}.")
