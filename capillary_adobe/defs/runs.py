"""Which runs of Dagster's count as at work.

Belongs here: what the sensors look for before they ask for another run. Does not belong here: asking.
"""

from dagster import DagsterRunStatus

LONGEST_RUN_SECONDS = 7200
"""A run that died together with its code server stays `started` for good; without this its sensor would wait as long."""

ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
