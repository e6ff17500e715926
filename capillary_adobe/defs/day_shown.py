"""What the UI shows of a stage's work on a day, in a run over several days.

Belongs here: writing it into Dagster's log and reading it back from the log of another run. Does not belong here: the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg
from dagster import DagsterEventType

BACKFILL_TAG: Final = "dagster/backfill"


@dataclass(frozen=True)
class DayShown:
    """Metadata and results of checks of one stage and day."""

    metadata: Mapping[str, Any]
    check_results: Sequence[dg.AssetCheckResult]

    def blocked_by(self, assets_def: dg.AssetsDefinition) -> str | None:
        """The check that keeps the day from the later stages, as Dagster has it in a run over one day."""
        blocking = {spec.name for spec in assets_def.check_specs if spec.blocking}
        severe = (one for one in self.check_results if not one.passed and one.severity is dg.AssetCheckSeverity.ERROR)
        return next((one.check_name for one in severe if one.check_name in blocking), None)

    def report(self, context: dg.AssetExecutionContext, day: str) -> None:
        """Log it as the day's materialization and evaluations; a step's own results are for all of its days alike."""
        backfill = context.run.tags.get(BACKFILL_TAG)
        context.log_event(
            dg.AssetMaterialization(
                context.asset_key,
                partition=day,
                metadata=self.metadata,
                tags={BACKFILL_TAG: backfill} if backfill else None,
            )
        )
        for one in self.check_results:
            evaluation = dg.AssetCheckEvaluation(
                asset_key=context.asset_key,
                check_name=one.check_name or "",
                passed=one.passed,
                severity=one.severity,
                metadata=one.metadata,
                partition=day,
            )
            context.log_event(evaluation)  # pyright: ignore[reportArgumentType] - it takes them, its signature does not say so


def shown_by(context: dg.AssetExecutionContext, run_id: str) -> dict[str, tuple[float, DayShown]]:
    """What a run has shown of this stage: by day when (epoch seconds) and what."""
    found: dict[str, tuple[float, Mapping[str, Any]]] = {}
    results: dict[str, list[dg.AssetCheckResult]] = {}
    kinds = {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_CHECK_EVALUATION}
    for entry in context.instance.all_logs(run_id, of_type=kinds):
        event = entry.get_dagster_event()
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            if materialization.asset_key == context.asset_key and materialization.partition:
                found[materialization.partition] = (entry.timestamp, materialization.metadata)
                results[materialization.partition] = []
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.asset_key == context.asset_key and evaluation.partition:
            results.setdefault(evaluation.partition, []).append(
                dg.AssetCheckResult(
                    check_name=evaluation.check_name,
                    passed=evaluation.passed,
                    severity=evaluation.severity,
                    metadata=evaluation.metadata,
                )
            )
    return {day: (moment, DayShown(metadata, results[day])) for day, (moment, metadata) in found.items()}
