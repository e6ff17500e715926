"""What a finished run tells of failures: its failed checks and steps, day by day, and what came out well.

Belongs here: reading one run's events. Does not belong here: which runs are read and when (`run_reading.py`), and what becomes
of it (`state.alerts`).

| event | an alert stands or falls of |
| --- | --- |
| evaluation of a check | this check of this asset and partition |
| failure or success of a step | this step and partition |
| in a run over several days: a day noted as failed, a materialization | this asset and day |
| end of a run in which no step failed | this partition, or this job where there is none |

A step that failed for its blocking check is told by the check, and a run that will be tried again by itself is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg
from dagster import DagsterEventType, EventLogEntry

# Not exported by Dagster: what an end of a run tells, where it is more than a message.
from dagster._core.events import JobFailureData

from capillary_adobe.defs.failed_days import FAILED_BECAUSE
from capillary_adobe.defs.runs import DAY_TAG, FIRST_DAY_TAG, LAST_DAY_TAG
from capillary_adobe.doctor.findings import split_cure
from capillary_adobe.state.alerts import Problem, Well

READ: Final = {
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_SUCCESS,
}
"""Kinds of events that are read."""

BACKLOG: Final = {"everything_is_delivered"}
"""Checks that judge a day as it stands, while other micro-batches of it may still be on their way."""

WILL_RETRY_TAG: Final = "dagster/will_retry"
_BLOCKED: Final = "DagsterAssetCheckFailedError"
_LOOK: Final = "Open the run: its log tells more. What was landed is safe; materialize again once the cause is mended."
_LONGEST: Final = 1000
_LONGEST_FIGURE: Final = 300
_MOST_DAYS: Final = 400
_FIGURES = (dg.IntMetadataValue, dg.FloatMetadataValue, dg.TextMetadataValue, dg.BoolMetadataValue)


class RunProblems:
    """What one run tells; the code location knows the words and owners of assets and checks."""

    def __init__(self, run: dg.DagsterRun, location: dg.RepositoryDefinition) -> None:
        self._run = run
        self._graph = location.asset_graph
        self._several = FIRST_DAY_TAG in run.tags
        self._days = _days(run)
        self._step_failed = False

    def told(self, entries: Iterable[EventLogEntry]) -> list[Problem | Well]:
        """Failures and what came out well, in the order of the run."""
        events = list(entries)
        # A run over several days sums up in a step's failure what it has noted day by day.
        summed_up = any(_because(entry) for entry in events)
        found: list[Problem | Well] = []
        for entry in events:
            found += self._of(entry, summed_up=summed_up)
        return found

    def unread(self, error: Exception, at_ms: int) -> Problem:
        """The run itself, where what it tells could not be made out."""
        return Problem(
            key=f"unread:{self._run.run_id}",
            scope=f"unread:{self._run.run_id}",
            subject="unread",
            severity="error",
            title=f"A run of {self._run.job_name} could not be read for alerts",
            cause=f"An unexpected {type(error).__name__}.",
            cure="Open the run and see for yourself whether it failed; report this message. Other runs are read all the same.",
            at_ms=at_ms,
            partition=self._run.tags.get(DAY_TAG),
            run_id=self._run.run_id,
        )

    def _of(self, entry: EventLogEntry, *, summed_up: bool) -> Iterator[Problem | Well]:
        at_ms, event = int(entry.timestamp * 1000), entry.get_dagster_event()
        match event.event_type:
            case DagsterEventType.ASSET_CHECK_EVALUATION:
                yield self._check(event.asset_check_evaluation_data, at_ms)
            case DagsterEventType.ASSET_MATERIALIZATION if self._several and event.partition:
                yield self._well(f"step:{_name(event)}:{event.partition}", at_ms)
            case DagsterEventType.ASSET_OBSERVATION if cause := _because(entry):
                day = event.asset_observation_data.asset_observation.partition
                yield self._step(_name(event), "day", day, cause, at_ms)
            case DagsterEventType.STEP_SUCCESS if not self._several:
                yield from (self._well(f"step:{event.step_key}:{day or ''}", at_ms) for day in self._days)
            case DagsterEventType.STEP_FAILURE:
                self._step_failed = True
                if not summed_up:
                    yield from self._failed_step(event, at_ms)
            case DagsterEventType.RUN_SUCCESS:
                yield from (self._well(self._scope_of_run(day), at_ms) for day in self._days)
            case DagsterEventType.RUN_FAILURE if not self._step_failed:
                yield from self._ended(event, at_ms)
            case _:
                pass

    def _check(self, seen: Any, at_ms: int) -> Problem | Well:
        asset, check, day = seen.asset_key.to_user_string(), seen.check_name, seen.partition
        scope = f"check:{asset}:{check}:{day or ''}"
        if seen.passed:
            return self._well(scope, at_ms)
        key = dg.AssetCheckKey(seen.asset_key, check)
        known = key in self._graph.asset_check_keys
        description = self._graph.get_check_spec(key).description if known else None
        figures = [
            " ".join(f"{name}: {value.value}".split())[:_LONGEST_FIGURE]
            for name, value in seen.metadata.items()
            if isinstance(value, _FIGURES) and value.value is not None and "/" not in name
        ]
        return Problem(
            key=scope,
            scope=scope,
            subject=f"check:{asset}:{check}",
            severity="error" if seen.severity is dg.AssetCheckSeverity.ERROR else "warning",
            title=f"The check {check} of {asset} failed",
            cause=("the check found " + "; ".join(figures))[:_LONGEST] if figures else "the run shows what it found",
            cure=description or _LOOK,
            at_ms=at_ms,
            owners=self._owners(seen.asset_key),
            asset=asset,
            partition=day,
            run_id=self._run.run_id,
            backlog=check in BACKLOG,
        )

    def _failed_step(self, event: dg.DagsterEvent, at_ms: int) -> Iterator[Problem]:
        data = event.step_failure_data
        error = data.error
        kind = (error.cause or error).cls_name or "error" if error is not None else "error"
        if _BLOCKED in (kind, error.cls_name if error is not None else ""):
            return
        # Words of an error that nobody foresaw may hold anything.
        told = data.user_failure_data.description if data.user_failure_data is not None else None
        cause = told or f"An unexpected {kind}."
        for day in self._days:
            yield self._step(event.step_key or self._run.job_name, kind, day, cause, at_ms)

    def _step(self, step: str, kind: str, day: str | None, told: str, at_ms: int) -> Problem:
        asset = dg.AssetKey(step)
        is_asset = self._graph.has(asset)
        cause, cure = split_cure(told)
        return Problem(
            key=f"step:{step}:{day or ''}:{kind}",
            scope=f"step:{step}:{day or ''}",
            subject=f"step:{step}:{kind}",
            severity="error",
            title=f"{step} failed" if is_asset else f"{step}, a step of the job {self._run.job_name}, failed",
            cause=cause[:_LONGEST],
            cure=cure[:_LONGEST] or _LOOK,
            at_ms=at_ms,
            owners=self._owners(asset) if is_asset else frozenset(),
            asset=step if is_asset else None,
            partition=day,
            run_id=self._run.run_id,
        )

    def _ended(self, event: dg.DagsterEvent, at_ms: int) -> Iterator[Problem]:
        """A run that ended without any step's failure: killed, timed out, or never begun."""
        if self._run.tags.get(WILL_RETRY_TAG, "").lower() == "true":
            return
        data = event.event_specific_data
        error = data.error if isinstance(data, JobFailureData) else None
        kind = f" ({error.cls_name})" if error is not None and error.cls_name else ""
        for day in self._days:
            yield Problem(
                key=self._scope_of_run(day),
                scope=self._scope_of_run(day),
                subject=f"run:{self._run.job_name}",
                severity="error",
                title=f"A run of {self._run.job_name} ended without its work being done",
                cause=f"No step of it failed{kind}: its process was killed, ran too long, or could not begin.",
                cure=(
                    "Open the run: its last lines name which. Look for a lack of memory or disk, a restart of the machine or a "
                    "missing setting. Micro-batches are asked for again by themselves; launch anything else again."
                ),
                at_ms=at_ms,
                partition=day,
                run_id=self._run.run_id,
            )

    def _scope_of_run(self, day: str | None) -> str:
        return f"run::{day}" if day else f"run:{self._run.job_name}:"

    def _well(self, scope: str, at_ms: int) -> Well:
        return Well(scope, at_ms, self._run.run_id)

    def _owners(self, asset: dg.AssetKey) -> frozenset[str]:
        return frozenset(self._graph.get(asset).owners) if self._graph.has(asset) else frozenset()


def _name(event: dg.DagsterEvent) -> str:
    return event.asset_key.to_user_string() if event.asset_key is not None else ""


def _because(entry: EventLogEntry) -> str:
    """Why a day failed in a run over several, where an event notes that."""
    event = entry.get_dagster_event()
    if event.event_type is not DagsterEventType.ASSET_OBSERVATION:
        return ""
    value = event.asset_observation_data.asset_observation.metadata.get(FAILED_BECAUSE)
    return str(value.value) if value is not None else ""


def _days(run: dg.DagsterRun) -> list[str | None]:
    """The partitions of a run; None alone for one without."""
    first, last = run.tags.get(FIRST_DAY_TAG), run.tags.get(LAST_DAY_TAG)
    if first is None or last is None:
        return [run.tags.get(DAY_TAG)]
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return [first, last]
    return [(begin + timedelta(days=n)).isoformat() for n in range(min((end - begin).days + 1, _MOST_DAYS))]
