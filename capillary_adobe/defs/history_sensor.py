"""The sensor that finds exports of Insights+ and asks for their imports.

Belongs here: the tick: what lies at INSIGHTS_URL, what is new of it, which file is next, or in words why none. Does not belong
here: fetching and importing, which take longer than a tick may (`assets/history_files.py`).

Nothing is remembered in the cursor: what was found is a partition, what was imported is materialized, and what failed is
told by its runs.
"""

import time
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import dagster as dg

from capillary_adobe.capillary.insights.places import FoundFile, PlaceUnavailable, open_place
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.defs.assets.history_files import HISTORY_FILES, NAME, REFUSED_TAG, partition_key
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.runs import ACTIVE
from capillary_adobe.history_conditions import conditions
from capillary_adobe.history_place import changed_lately
from capillary_adobe.settings import InsightsSettings, load
from capillary_adobe.state.history_files import HistoryFiles

OFF: Final = (
    "INSIGHTS_URL is not set, so no exports are looked for. Set it to the folder, s3:// or sftp:// address where they arrive, "
    "and INSIGHTS_ORG_ID to Capillary's number of the organisation."
)
_NO_ORG: Final = (
    "INSIGHTS_ORG_ID is not set: Capillary's number of the organisation, which exports do not tell. Set it."
)
# Dagster ends a tick after 60 s and keeps nothing of it.
_BUDGET_SECONDS: Final = 40.0
_MOST_NEW: Final = 5000
# Seven failures in a row make the longest pause, an hour.
_LOOKED_AT: Final = 7
_FIRST_PAUSE_SECONDS: Final = 30.0
_LONGEST_IMPORT_SECONDS: Final = 12 * 3600


def build_history_sensor(job_name: str) -> dg.SensorDefinition:
    """The sensor that asks for runs of a job."""

    @dg.sensor(
        name="history_sensor",
        job_name=job_name,
        minimum_interval_seconds=load(InsightsSettings).poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Looks every INSIGHTS_POLL_SECONDS for exports at INSIGHTS_URL, makes each new or changed file a partition of "
            "`history_files` and asks for its import, one at a time, the oldest first. An import that failed is asked for "
            "again with growing pauses; one that failed for good only when the file, a setting or the rules file has changed; "
            "one that was terminated not at all. The last tick's reason tells what it saw. Stop the sensor to hold imports."
        ),
    )
    def history_sensor(context: dg.SensorEvaluationContext, state: StateResource) -> dg.SensorResult | dg.SkipReason:
        with told_plainly():
            settings = load(InsightsSettings)
            if settings.url is None or settings.org_id is None:
                return dg.SkipReason(OFF if settings.url is None else _NO_ORG)
            running = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE), limit=1)
            if running:
                file = running[0].tags.get("dagster/partition", "")
                return dg.SkipReason(f"run {running[0].run_id[:8]} imports {file}; the next look is when it has ended")
            try:
                seen = _look(settings, time.monotonic() + _BUDGET_SECONDS)
            except PlaceUnavailable as error:
                return dg.SkipReason(f"{error} It is tried again.")
            return _asked(context.instance, job_name, seen, HistoryFiles(state.open()))

    return history_sensor


@dataclass
class _Seen:
    """What a look at a place found: files at rest by partition, how many others, and whether it could look at all of them."""

    place: str
    at_rest: dict[str, FoundFile] = field(default_factory=dict)
    being_written: int = 0
    ignored: int = 0
    in_time: bool = True


def _look(settings: InsightsSettings, deadline: float) -> _Seen:
    place, rules = open_place(settings.url or "", settings), InsightsRules.read(settings.rules)
    seen = _Seen(str(place))
    now = time.time()
    for found in place.files():
        if changed_lately(found, settings.settle_seconds, now):
            seen.being_written += 1
        elif rules.ignores(found.name):
            seen.ignored += 1
        else:
            seen.at_rest[partition_key(found)] = found
        if time.monotonic() > deadline:
            seen.in_time = False
            break
    return seen


def _asked(instance: dg.DagsterInstance, job_name: str, seen: _Seen, files: HistoryFiles) -> dg.SensorResult:
    known = set(instance.get_dynamic_partitions(NAME))
    done = instance.get_materialized_partitions(dg.AssetKey(NAME))
    # By the command line without DAGSTER_HOME: Dagster knows nothing of it.
    elsewhere = {
        (one.name, one.size, one.changed_ms)
        for one in files.all()
        if one.done_ms is not None and one.place == seen.place
    }
    waiting = [
        key
        for key, one in seen.at_rest.items()
        if key not in done and (key in known or (one.name, one.size, one.changed_ms) not in elsewhere)
    ]
    waiting.sort(key=lambda key: (seen.at_rest[key].changed_ms, key))
    new = [key for key in waiting if key not in known][:_MOST_NEW]
    under, now = conditions(), time.time()
    words: list[str] = []
    chosen: str | None = None
    for key in waiting:
        reason = _resting(instance, job_name, key, under, now) if key in known else ""
        if not reason:
            chosen = key
            break
        words.append(f"{key} {reason}")
    return dg.SensorResult(
        run_requests=[] if chosen is None else [_request(chosen, now)],
        skip_reason=None if chosen is not None else _told(seen, words),
        dynamic_partitions_requests=[HISTORY_FILES.build_add_request(new)] if new else [],
    )


def _resting(instance: dg.DagsterInstance, job_name: str, key: str, under: str, now: float) -> str:
    """In words, why no run may import a file now; empty if one may."""
    of_file = dg.RunsFilter(job_name=job_name, tags={"dagster/partition": key})
    latest = instance.get_run_records(of_file, limit=_LOOKED_AT)
    if not latest:
        return ""
    last = latest[0].dagster_run
    if last.status is dg.DagsterRunStatus.CANCELED:
        return f"waits for you: run {last.run_id[:8]} was terminated; materialize the partition"
    failed = list(takewhile(lambda one: one.dagster_run.status is dg.DagsterRunStatus.FAILURE, latest))
    if not failed:
        return ""
    if last.tags.get(REFUSED_TAG) == under:
        return f"cannot be imported as it is: run {last.run_id[:8]} says why"
    if REFUSED_TAG in last.tags:
        return ""
    pause = _FIRST_PAUSE_SECONDS * 2 ** len(failed)
    if now < (failed[0].end_time or 0) + pause:
        return f"failed in run {last.run_id[:8]}, which says why; it is tried again"
    return ""


def _told(seen: _Seen, words: list[str]) -> str:
    told = [f"{len(seen.at_rest)} files at INSIGHTS_URL, none of them to be imported now"]
    if seen.being_written:
        told.append(f"{seen.being_written} changed within INSIGHTS_SETTLE_SECONDS and wait")
    if seen.ignored:
        told.append(f"{seen.ignored} are left alone by the rules file")
    if not seen.in_time:
        told.append(f"more than can be listed in {_BUDGET_SECONDS:.0f} s: move old files elsewhere")
    return "; ".join([*told, *words[:10], *([f"and {len(words) - 10} more"] if len(words) > 10 else [])])


def _request(key: str, now: float) -> dg.RunRequest:
    return dg.RunRequest(
        # A key is burnt with its first run, also if that fails.
        run_key=f"{key}:{int(now * 1000)}",
        partition_key=key,
        # The sensor asks again by itself.
        tags={"dagster/max_retries": "0", "dagster/max_runtime": str(_LONGEST_IMPORT_SECONDS)},
    )
