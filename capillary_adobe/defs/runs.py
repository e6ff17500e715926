"""Which runs of Dagster's count as at work.

Belongs here: what the sensors look for before they ask for another run. Does not belong here: asking.
"""

from dagster import DagsterRunStatus

ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
