"""Asset `enriched_events`: raw events with the names and context their payloads hold.

Belongs here: the asset, its checks and their words. Does not belong here: the derivation (`capillary.enrichment`).
"""

import time

import dagster as dg
import pyarrow as pa

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.raw import replaced_events
from capillary_adobe.defs.checks import claim, result, rows_as_declared
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview, slice_metadata
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.settings import CapillarySettings, load
from capillary_adobe.state import State
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS

NAME = ENRICHED_EVENTS.name
PREVIEW = ["event_name", "created_ms", "store_name", "program_name", "tier_name", "currency", "missing"]


def build_enriched_events(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        deps=[RAW_EVENTS.name],
        group_name="delivery",
        kinds={"deltalake", "duckdb"},
        owners=["team:data"],
        metadata=definition_metadata(ENRICHED_EVENTS),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One row per raw event with store, till, program and tier names, currency and zone. What a payload should "
            "tell and does not is listed in `missing`, never invented. Materialize again after changing "
            "CAPILLARY_ORG_TIMEZONE or CAPILLARY_CURRENCY."
        ),
    )
    def enriched_events(
        context: dg.AssetExecutionContext, config: MicroBatchConfig, lake: LakeResource, state: StateResource
    ) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            part = config.slice(context.partition_key)
            tables = lake.open()
            rows, raw = _write(tables, state.open(), part)
            seconds = time.perf_counter() - started
            return dg.MaterializeResult(
                metadata={
                    "missing": counts("what payloads did not tell", _missing(tables, part)),
                    "preview": preview(tables, ENRICHED_EVENTS, part, PREVIEW),
                    **slice_metadata(tables, ENRICHED_EVENTS, part, seconds, rows),
                },
                check_results=[
                    rows_as_declared("rows_are_as_declared", tables, ENRICHED_EVENTS, part),
                    result("every_raw_event_is_enriched", passed=raw == rows, raw=raw, enriched=rows),
                ],
            )

    return enriched_events


def _write(tables: Lake, state: State, part: Slice) -> tuple[int, int]:
    """Enriched rows written and raw rows there are; counted under the lock, another run may write the day after it."""
    with state.day_lock(part.day):
        rows = tables.replace(ENRICHED_EVENTS, part, enrich(tables.read(RAW_EVENTS, part), load(CapillarySettings)))
        tables.remove_events(ENRICHED_EVENTS, part, replaced_events(tables, part))
        raw = tables.count(RAW_EVENTS, part)
    return rows, raw


def _missing(tables: Lake, part: Slice) -> dict[str, int]:
    found: dict[str, int] = {}
    for batch in tables.read(ENRICHED_EVENTS, part, ["missing"]):
        gaps = pa.chunked_array([batch.column("missing").flatten()]).value_counts()
        for gap in gaps.to_pylist():
            found[gap["values"]] = found.get(gap["values"], 0) + gap["counts"]
    return found


def _claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        claim(
            NAME,
            "rows_are_as_declared",
            "The stored rows have the declared columns and every value that must be there. If this fails, another program "
            "writes to the table, or an upgrade changed it: materialize the partition again.",
            partitions,
        ),
        claim(
            NAME,
            "every_raw_event_is_enriched",
            "As many enriched as raw events. A difference means that a run died half-way: materialize the partition from "
            "`raw_events` on.",
            partitions,
        ),
    ]
