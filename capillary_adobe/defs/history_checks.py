"""The checks of history: of an imported file, and of a day that holds imported events.

Belongs here: their specs, words and results. Does not belong here: counting (`history_checks.py`, `history_totals.py`,
`history_coverage.py` of the package).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg

# Private to Dagster: the public doors to evaluations tell of no single partition.
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.defs.checks import claim, evaluations, result, share_result
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.shown import counts, sample
from capillary_adobe.environment import tenant_settings
from capillary_adobe.history_checks import FileAccount, holds_history, landed_of_day, unfinished_versions
from capillary_adobe.history_coverage import (
    Coverage,
    Overlap,
    coverage,
    coverage_by_type,
    days_with_events,
    overlap_of_day,
)
from capillary_adobe.history_totals import DayTotals, Sums, totals_of_day
from capillary_adobe.lake import Lake
from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.store import lane_of
from capillary_adobe.settings import CapillarySettings, InsightsSettings, Thresholds, load
from capillary_adobe.state import LandedObjects, State
from capillary_adobe.state.history_files import FileDay, HistoryFiles
from capillary_adobe.tables import INGESTION_STATUS

_DAY_NAME = INGESTION_STATUS.name
_OF_DAY = ("history_has_landed", "history_totals_hold", "overlap_with_live")
_WARN, _ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
_NAMED = 40
_A_DAY_HOURS = 24.0


def file_claims(asset: str, files: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The claims that an import makes of its file."""
    return [
        claim(
            asset,
            "rows_are_accounted_for",
            "Rows that the reader counted = rows that became events + quarantined + ignored, and the lines of the file, by "
            "template and day, stand in the landing store, counted there again. If not, `differences` names template and day: "
            "somebody has changed or removed objects under `history/`, or the import has a defect. Put the file back and "
            "materialize the partition again; lines that are there already are not written twice.",
            files,
        ),
        claim(
            asset,
            "few_rows_quarantined",
            "A warning as soon as a row of the file could not be read or could not become an event, an error above "
            "CHECK_MAX_QUARANTINED_SHARE. The rows stand in `quarantine` of their day with file and line. Look the code up in "
            "docs/troubleshooting.md; if many rows are refused for one code, mend the rules file or have the export made anew.",
            files,
        ),
        claim(
            asset,
            "no_days_missing",
            "Between the first and the last day there is no day without an event: of this file, and of all files together by "
            "event type, for types that happen on most days. A missing day may be a day without business. If it is not, an "
            "export is missing or was cut short: have it made for those days, and import it as well.",
            files,
        ),
    ]


def file_results(account: FileAccount, days: list[FileDay], every: list[FileDay]) -> list[dg.AssetCheckResult]:
    """What the claims come to for a file: `days` is what became of its rows, `every` of those of all files."""
    quarantined = _summed(one.quarantined for one in days)
    limits = load(Thresholds)
    own, types = coverage(days_with_events(days)), coverage_by_type(every)
    gaps = {name: found for name, found in types.items() if found.daily and found.missing}
    return [
        result(
            "rows_are_accounted_for",
            passed=not account.differences,
            rows=account.rows,
            rows_accounted_for=account.accounted,
            lines_written=account.lines,
            lines_in_the_landing_store=account.landed,
            objects=account.objects,
            differences=_listed(account.differences),
        ),
        share_result(
            "few_rows_quarantined",
            sum(quarantined.values()),
            account.rows,
            limits.max_quarantined_share,
            at_least=limits.min_quarantined,
            by_code=counts("code", quarantined),
        ),
        result(
            "no_days_missing",
            passed=not own.missing and not gaps,
            severity=_WARN,
            first_day=own.first or "none",
            last_day=own.last or "none",
            days_with_events=own.days,
            missing_days=_listed(own.missing),
            # In words too: an alert tells figures and words, and no table.
            missing_days_by_event_type=_listed([f"{name} {_listed(one.missing, 3)}" for name, one in gaps.items()]),
            missing_by_event_type_in_all_files=_gaps(gaps),
        ),
    ]


def history_claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The claims that `ingestion_status` makes of the history of a day."""
    landed, totals, overlap = _OF_DAY
    return [
        claim(
            _DAY_NAME,
            landed,
            "The lines of exports that runs have read of this day are those that imports wrote there, version by version. A "
            "warning means that more was imported since, or that an import has not ended: materialize the day again, once it "
            "has. An error means that objects under `history/` were changed or removed: import the file again, then "
            "materialize the day.",
            partitions,
        ),
        claim(
            _DAY_NAME,
            totals,
            "Amounts and points of the exports' lines, each event once, equal those of the entities that AEP accepted for "
            "these events, whichever lane and day delivered them. What is open, refused or quarantined stands apart: deliver "
            "it, and this turns green. An error names events that AEP holds with another value, or that have become no "
            "entity: look at the mapping of their type, and materialize the day from `raw_events` on. A warning may also mean "
            "that webhook and export tell one event differently (ask Capillary which is right), or that a mapping of your own "
            "leaves the field out, so that there is nothing to compare.",
            partitions,
        ),
        claim(
            _DAY_NAME,
            overlap,
            "Webhooks and exports tell no event twice: by a key that both share, or cut by the watermark `live_from`. An error "
            "means that both deliver a type on one side of the watermark, mostly because it was moved: materialize the "
            "neighbouring days from `raw_events` on; AEP may hold these events twice. A warning means that more than a day "
            "lies between the last event of history and the first of the webhook: import what is missing, or move the "
            "watermark.",
            partitions,
        ),
    ]


def history_results(
    instance: dg.DagsterInstance,
    config: MicroBatchConfig,
    day: str,
    store: LandingStore,
    lake: Lake,
    state: State,
) -> list[dg.AssetCheckResult]:
    """What the claims come to for a day of a run.

    In a live micro-batch, which changes nothing of the day's history and must not wait for its sums, they are told as they
    were found last.
    """
    files = HistoryFiles(state)
    if not holds_history(day, files):
        return [result(name, passed=True, history="none on this day") for name in _OF_DAY]
    live = bool(config.batch_id) and lane_of(config.up_to_key) == "live"
    if live and (known := _as_found_last(instance, day)):
        return known
    return _found(day, store, lake, state)


def history_evaluations(day: str, store: LandingStore, lake: Lake, state: State) -> list[dg.AssetCheckEvaluation]:
    """The same, for a day that no run of `ingestion_status` is at work on; none for a day without history."""
    if not holds_history(day, HistoryFiles(state)):
        return []
    return evaluations(_DAY_NAME, day, _found(day, store, lake, state))


def _found(day: str, store: LandingStore, lake: Lake, state: State) -> list[dg.AssetCheckResult]:
    files = HistoryFiles(state)
    settings = load(InsightsSettings)
    rules, zone = InsightsRules.read(settings.rules), load(CapillarySettings).zone
    tenant = tenant_settings(state).tenant_id
    return [
        _landed(day, store, files, LandedObjects(state)),
        _totals(totals_of_day(day, store, lake, tenant, files.days(day=day), unfinished_versions(files))),
        _overlap(overlap_of_day(day, lake, files, rules.watermark, zone)),
    ]


def _as_found_last(instance: dg.DagsterInstance, day: str) -> list[dg.AssetCheckResult]:
    """The day's last evaluations, or none unless all are there."""
    found: list[dg.AssetCheckResult] = []
    for name in _OF_DAY:
        records = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(_DAY_NAME), name),
            limit=1,
            status={AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED},
            partition_filter=PartitionKeyFilter(key=day),
        )
        event = records[0].event if records else None
        if event is None or event.dagster_event is None:
            return []
        was = event.dagster_event.asset_check_evaluation_data
        found.append(result(name, passed=was.passed, severity=was.severity, **was.metadata))
    return found


def _landed(day: str, store: LandingStore, files: HistoryFiles, objects: LandedObjects) -> dg.AssetCheckResult:
    account = landed_of_day(day, store, files, objects)
    explained = account.unread or account.unfinished
    return result(
        _OF_DAY[0],
        passed=not account.differing and not explained,
        severity=_WARN if explained else _ERROR,
        lines_imported=account.imported,
        lines_read=account.read,
        objects_not_read=account.unread,
        objects_of_unfinished_imports=account.unfinished,
        objects_of_others=account.others,
        versions_that_differ=_listed(account.differing),
    )


def _totals(totals: DayTotals) -> dg.AssetCheckResult:
    lost, not_there = totals.events("lost"), totals.events("open", "refused", "quarantined", "unread")
    severe = bool(lost or totals.differing or totals.not_as_counted)
    return result(
        _OF_DAY[1],
        passed=not (severe or not_there or totals.by_webhook or totals.without_value),
        severity=_ERROR if severe else _WARN,
        events=totals.events("accepted", "lost", "open", "refused", "quarantined", "ignored", "unread"),
        accepted=totals.events("accepted"),
        open=totals.events("open", "unread"),
        refused=totals.events("refused"),
        quarantined=totals.events("quarantined"),
        ignored=totals.events("ignored"),
        lost=lost,
        differing=totals.differing,
        told_otherwise_by_the_webhook=totals.by_webhook,
        not_comparable=totals.without_value,
        sums=sample([_shown(one) for one in totals.sums]),
        differing_event_keys=_listed(totals.examples),
        not_as_counted=_listed(totals.not_as_counted),
    )


def _shown(one: Sums) -> dict[str, Any]:
    delivered = one.fate == "accepted" and one.measure
    return {
        "event type": one.event_name,
        "fate": one.fate,
        "events": one.events,
        "measure": one.measure,
        "in the export": _plain(one.exported) if one.measure else "",
        "at AEP": _plain(one.delivered) if delivered else "",
        "differing": one.differing or "",
        "not comparable": one.without_value or "",
    }


def _overlap(found: dict[str, Overlap]) -> dg.AssetCheckResult:
    both = sum(one.both_deliver for one in found.values())
    wide = [name for name, one in found.items() if one.gap_hours is not None and one.gap_hours > _A_DAY_HOURS]
    return result(
        _OF_DAY[2],
        passed=not both and not wide,
        severity=_ERROR if both else _WARN,
        both_deliver=both,
        history_ignored_because_live_covers=sum(one.history_ignored for one in found.values()),
        live_ignored_because_history_covers=sum(one.live_ignored for one in found.values()),
        duplicates_between_lanes=sum(one.history_repeats_live + one.live_repeats_history for one in found.values()),
        gap_at_the_watermark=_listed(wide),
        by_event_type=sample(
            [
                {
                    "event type": name,
                    "history ignored": one.history_ignored,
                    "live ignored": one.live_ignored,
                    "history repeats live": one.history_repeats_live,
                    "live repeats history": one.live_repeats_history,
                    "both deliver": one.both_deliver,
                    "gap in hours": "" if one.gap_hours is None else one.gap_hours,
                }
                for name, one in found.items()
            ]
        ),
    )


def _gaps(found: dict[str, Coverage]) -> dg.MarkdownMetadataValue:
    return sample(
        [
            {
                "event type": name,
                "from": one.first,
                "to": one.last,
                "missing": len(one.missing),
                "days": _listed(one.missing),
            }
            for name, one in found.items()
        ]
    )


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _summed(found: Iterable[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in found:
        for name, count in one.items():
            sums[name] = sums.get(name, 0) + count
    return sums
