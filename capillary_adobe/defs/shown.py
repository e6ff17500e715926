"""How tables and counts are shown in the UI.

Belongs here: column schemas, plots, small tables and previews as metadata. Does not belong here: personal data; a
preview shows no column that could hold any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import sqlalchemy as sa
from tabulate import tabulate

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.tables import Table
from capillary_adobe.xdm.faults import Fault

PREVIEW_ROWS = 8
CAUSES = 50
"""Causes that one table shows."""

_CAUSE_COLUMNS = ("count", "event", "pointer", "category", "value type", "rule", "cure")


def definition_metadata(table: Table) -> dict[str, Any]:
    """Column schema and name of a table, for the asset's definition."""
    columns = [
        dg.TableColumn(
            column.name,
            type=str(column.type),
            description=column.meaning,
            constraints=dg.TableColumnConstraints(nullable=not column.required),
        )
        for column in table.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": table.name}


def state_table_metadata(table: sa.Table, meanings: Mapping[str, str]) -> dict[str, Any]:
    """Column schema and name of a table of the state database: of those columns of which a meaning is given."""
    columns = [
        dg.TableColumn(
            name,
            type=str(table.columns[name].type).lower(),
            description=meaning,
            constraints=dg.TableColumnConstraints(nullable=bool(table.columns[name].nullable)),
        )
        for name, meaning in meanings.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": table.name}


def slice_metadata(lake: Lake, table: Table, part: Slice, seconds: float, rows: int) -> dict[str, Any]:
    """Numbers that plot for what a run wrote, and the day's size."""
    files, size = lake.files(table, Slice(part.day))
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds, 1) if seconds else 0.0,
        "seconds": round(seconds, 3),
        "dagster/partition_row_count": lake.count(table, Slice(part.day)),
        "day_files": files,
        "day_bytes": size,
        "dagster/uri": lake.uri(table),
    }


def counts(title: str, values: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """A small table of counts, largest first."""
    if not values:
        return dg.MetadataValue.md("none")
    lines = [f"| {title} | count |", "| --- | ---: |"]
    lines += [f"| `{name}` | {n:,} |" for name, n in sorted(values.items(), key=lambda item: (-item[1], item[0]))]
    return dg.MetadataValue.md("\n".join(lines))


def by_cause(faults: Mapping[Fault, int], not_listed: int = 0) -> dg.MarkdownMetadataValue:
    """Faults by cause, most frequent first: where, of which kind, by which line of the mapping, and what to do."""
    if not faults:
        return dg.MetadataValue.md("none")
    ordered = sorted(faults.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        (f"{n:,}", *map(_literal, (*one[:2], one.category, one.value_type, one.rule)), one.cure)
        for one, n in ordered[:CAUSES]
    ]
    lines = [f"| {' | '.join(_CAUSE_COLUMNS)} |", "| ---: |" + " --- |" * (len(_CAUSE_COLUMNS) - 1)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in shown]
    left_out = not_listed + sum(n for _, n in ordered[CAUSES:])
    return dg.MetadataValue.md("\n".join(lines) + (f"\n\nand {left_out:,} of other causes" if left_out else ""))


def _literal(text: str) -> str:
    return f"`{text}`" if text else ""


def sample(rows: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """A few rows of plain values; the caller sees to it that none is personal."""
    if not rows:
        return dg.MetadataValue.md("none")
    return dg.MetadataValue.md(tabulate(rows, headers="keys", tablefmt="github"))


def preview(lake: Lake, table: Table, part: Slice, columns: list[str]) -> dg.MarkdownMetadataValue:
    """The first rows of a slice, in columns that hold nothing personal."""
    # Not at the top: pandas costs 0.4 s and the sensors' process never previews.
    import pandas as pd

    rows = next((batch for batch in lake.read(table, part, columns) if batch.num_rows), None)
    if rows is None:
        return dg.MetadataValue.md("no rows")
    frame: pd.DataFrame = rows.slice(0, PREVIEW_ROWS).to_pandas()
    for name in frame.columns:
        if name.endswith("_ms"):
            frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True).dt.strftime("%Y-%m-%d %H:%M:%S")
        if name in ("event_key", "id"):
            frame[name] = frame[name].str[:12]
        if name == "object":
            # A profile lies in no landed object; its customer stands there instead.
            frame[name] = frame[name].str.replace(r"^customers/.*", "customers", regex=True)
    return dg.MetadataValue.md(frame.to_markdown(index=False))
