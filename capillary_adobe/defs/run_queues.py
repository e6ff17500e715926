"""Which queue of the workers a run goes to, where runs are shared out among workers.

Belongs here: the rule, and the coordinator that `deploy/celery/dagster.yaml` names, which applies it. Does not belong here:
handing runs over (`celery_launcher.py`), taking them (`celery_worker.py`).

Every run is submitted through the coordinator: those of sensors, schedules, backfills and retries, and what people launch in
the UI. A tag that each of them had to set would be missing on what is launched by hand, and the limits of `dagster.yaml`, which
count runs by this tag, would not see it. Without Celery there is no such coordinator, and no run has the tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import dagster as dg
from dagster import Field, StringSource

# Dagster's documentation derives own coordinators from this class; it is exported from nowhere else.
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from capillary_adobe.defs.microbatch import LANE_TAG
from capillary_adobe.defs.runs import FIRST_DAY_TAG

QUEUE_TAG: Final = "dagster-celery/queue"
"""The tag that dagster-celery reads; spelled out, since nothing but its launcher and worker needs dagster-celery."""

LONG_JOBS: Final = frozenset({"import_history", "compact_tables", "erase_deleted_customers"})
"""Jobs that may take long, and for which nobody waits."""
_BACKFILL_TAG: Final = "dagster/backfill"


def is_history(run: dg.DagsterRun) -> bool:
    """Whether a run works on history or may take as long; all else is wanted soon and is short.

    Look-ups at Capillary are wanted soon: live events may wait for them.
    """
    tags = run.tags
    return (
        _BACKFILL_TAG in tags or FIRST_DAY_TAG in tags or tags.get(LANE_TAG) == "history" or run.job_name in LONG_JOBS
    )


class TwoQueueRunCoordinator(QueuedRunCoordinator):
    """Dagster's own run queue, which tags each run with the queue of the workers that are to execute it.

    In `dagster.yaml` it takes what `run_queue` takes, and the two names. A run that has the tag keeps it.
    """

    def __init__(self, *, live_queue: str, history_queue: str, **run_queue: Any) -> None:
        super().__init__(**run_queue)
        self.live_queue = live_queue
        self.history_queue = history_queue

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What `dagster.yaml` may say."""
        return {
            **cast("dict[str, Any]", QueuedRunCoordinator.config_type()),
            "live_queue": Field(StringSource, is_required=False, default_value="live"),
            "history_queue": Field(StringSource, is_required=False, default_value="history"),
        }

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> TwoQueueRunCoordinator:
        """The coordinator as `dagster.yaml` describes it."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run, and queue it."""
        run = context.dagster_run
        if QUEUE_TAG not in run.tags:
            queue = self.history_queue if is_history(run) else self.live_queue
            self._instance.add_run_tags(run.run_id, {QUEUE_TAG: queue})
        return super().submit_run(context)
