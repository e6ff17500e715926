"""Checks: how a stage's claims are declared and how their results are shown.

Belongs here: the specs with the words for the operator, and the checks that hold for any table. Does not belong here:
computing the figures; they are at hand in the asset that reports them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.tables import Table


def claim(
    asset: str, name: str, description: str, partitions: dg.PartitionsDefinition, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    """A partitioned check of an asset, reported by the asset itself."""
    with warnings.catch_warnings():
        # Partitioned checks carry a preview warning in 1.13; without partitions one light would stand for all days and
        # the last run would win.
        warnings.filterwarnings("ignore", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=partitions
        )


def result(
    name: str, *, passed: bool, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR, **metadata: Any
) -> dg.AssetCheckResult:
    """The result of a claim."""
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=severity, metadata=metadata)


def evaluations(asset: str, day: str, results: Iterable[dg.AssetCheckResult]) -> list[dg.AssetCheckEvaluation]:
    """The same results, for a day that no run of the asset is at work on."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset),
            check_name=found.check_name or "",
            passed=found.passed,
            metadata=found.metadata,
            severity=found.severity,
            partition=day,
        )
        for found in results
    ]


def share_result(
    name: str, count: int, total: int, threshold: float, *, at_least: int = 1, **metadata: Any
) -> dg.AssetCheckResult:
    """A claim that something does not occur: a warning at first, an error above the threshold and from a number on."""
    share = count / total if total else 0.0
    severe = share > threshold and count >= at_least
    severity = dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN
    return result(
        name,
        passed=count == 0,
        severity=severity,
        count=count,
        total=total,
        share=round(share, 6),
        threshold=threshold,
        **metadata,
    )


def rows_as_declared(name: str, lake: Lake, table: Table, part: Slice) -> dg.AssetCheckResult:
    """Compare what is stored with the declaration in `tables.py`: columns, types, values that must be there."""
    missing: dict[str, int] = {}
    rows = 0
    columns = [column.name for column in table.columns if column.name not in table.bulk]
    for batch in lake.read(table, part, columns):
        rows += batch.num_rows
        for column in table.columns:
            if column.required and column.name in columns and (gaps := _gaps(batch, column.name)):
                missing[column.name] = missing.get(column.name, 0) + gaps
    wrong = _wrong_columns(lake.schema(table), table)
    return result(
        name,
        passed=not missing and not wrong,
        rows=rows,
        columns_that_differ=", ".join(wrong) or "none",
        columns_with_gaps=", ".join(f"{column} ({n})" for column, n in missing.items()) or "none",
    )


def _gaps(batch: pa.RecordBatch, name: str) -> int:
    gap = pc.field(name).is_null()
    if pa.types.is_string(batch.schema.field(name).type):
        gap = gap | (pc.field(name) == "")
    return pa.Table.from_batches([batch]).filter(gap).num_rows


def _wrong_columns(stored: pa.Schema, table: Table) -> list[str]:
    declared = {column.name: column.type for column in table.columns}
    found = {field.name: field.type for field in stored}
    differing = [name for name, kind in declared.items() if name in found and not _alike(found[name], kind)]
    return sorted(set(declared) ^ set(found)) + differing


def _alike(stored: Any, declared: Any) -> bool:
    # The reader may hand out the large or view variants of text and list types.
    def plain(kind: Any) -> str:
        return str(kind).replace("large_", "").replace("_view", "").replace("item:", "element:")

    return plain(stored) == plain(declared)
