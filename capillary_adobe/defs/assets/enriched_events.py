"""Asset `enriched_events`: raw events with the names and context that their payloads hold and that is known from elsewhere.

Belongs here: the asset, its checks and their words. Does not belong here: the derivation (`capillary.enrichment`), what is
known from elsewhere (`known_elsewhere.py`), look-ups (`looking_up.py`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow as pa

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.raw import replaced_events
from capillary_adobe.defs.assets.customers import NAME as CUSTOMERS
from capillary_adobe.defs.by_day import backfill_policy, by_day
from capillary_adobe.defs.checks import claim, result, rows_as_declared, share_result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview, slice_metadata
from capillary_adobe.known_elsewhere import Elsewhere, Rules
from capillary_adobe.known_names import known_names
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.looking_up import Asked, LookUps
from capillary_adobe.mapping_in_force import in_force
from capillary_adobe.settings import CapillarySettings, IdentitySettings, MappingSettings, Thresholds, load
from capillary_adobe.state import State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS

NAME = ENRICHED_EVENTS.name
PREVIEW = ["event_name", "created_ms", "store_name", "program_name", "tier_name", "currency", "missing"]


def build_enriched_events(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=[RAW_EVENTS.name, CUSTOMERS],
        group_name="delivery",
        kinds={"deltalake", "duckdb"},
        metadata=definition_metadata(ENRICHED_EVENTS),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One row per raw event with store, till, program and tier names, currency and zone, whose profile it belongs to, "
            "and the customer's loyalty as of the event's own time. What a payload should tell and does not, and look-ups "
            "at Capillary that were wanted and not had, are listed in `missing`; nothing is invented. Materialize again "
            "after changing CAPILLARY_ORG_TIMEZONE or CAPILLARY_CURRENCY."
        ),
    )
    def enriched_events(
        context: dg.AssetExecutionContext, config: MicroBatchConfig, lake: LakeResource, state: StateResource
    ) -> Iterator[Any]:
        def derive(day: str) -> DayShown:
            started = time.perf_counter()
            part = config.slice(day)
            tables = lake.open()
            database = state.open()
            elsewhere = _elsewhere(database)
            # Not under the day's lock: a call to Capillary must not keep others from the day.
            asked = _look_up(database, elsewhere, tables, part)
            written = _write(tables, database, part, elsewhere)
            seconds = time.perf_counter() - started
            gaps = _missing(tables, part)
            return DayShown(
                metadata={
                    "missing": counts("what payloads did not tell, and look-ups not had", gaps),
                    "missing_values": sum(gaps.values()),
                    "looked_up_in_line": asked.answered,
                    "look_ups_in_line_ended": asked.ended or "in time",
                    "waiting_for_look_ups": written.waiting,
                    "preview": preview(tables, ENRICHED_EVENTS, part, PREVIEW),
                    **slice_metadata(tables, ENRICHED_EVENTS, part, seconds, written.rows),
                },
                check_results=[
                    rows_as_declared("rows_are_as_declared", tables, ENRICHED_EVENTS, part),
                    result(
                        "every_raw_event_is_enriched",
                        passed=written.raw == written.rows,
                        raw=written.raw,
                        enriched=written.rows,
                    ),
                    share_result(
                        "enrichment_is_fresh",
                        gaps.get("customer", 0) + gaps.get("transaction", 0),
                        written.rows,
                        load(Thresholds).max_not_looked_up_share,
                        at_least=load(Thresholds).min_not_looked_up,
                        customers_not_had=gaps.get("customer", 0),
                        transactions_not_had=gaps.get("transaction", 0),
                    ),
                ],
            )

        yield from by_day(context, config, state.open, derive)

    return enriched_events


@dataclass(frozen=True)
class _Written:
    """Enriched rows written, raw rows there are, look-ups that events wait for."""

    rows: int
    raw: int
    waiting: int


def _elsewhere(state: State) -> Elsewhere:
    rules = Rules.of_environment(time.time_ns() // 1_000_000)
    catalogue = in_force(state, load(MappingSettings)).catalogue
    return Elsewhere(state, rules, load(IdentitySettings), known_names(state), catalogue)


def _look_up(state: State, elsewhere: Elsewhere, tables: Lake, part: Slice) -> Asked:
    """Put into the queue what the events want to know, and ask for what time there is."""
    look_ups = LookUps.of(state)
    if look_ups is None:
        return Asked(ended="look-ups are off")
    return look_ups.ask_now(elsewhere.want(tables.read(RAW_EVENTS, part, elsewhere.wanted_columns)))


def _write(tables: Lake, state: State, part: Slice, elsewhere: Elsewhere) -> _Written:
    """Write the rows; counted under the lock, another run may write the day after it."""
    with state.day_lock(part.day):
        raw = tables.read(RAW_EVENTS, part)
        enriched = enrich(raw, load(CapillarySettings), elsewhere.names, elsewhere.known)
        rows = tables.replace(ENRICHED_EVENTS, part, enriched)
        tables.remove_events(ENRICHED_EVENTS, part, replaced_events(tables, part))
        # After the rows: a run that dies in between is repeated anyway.
        Awaited(state).note(part.day, part.batch_id, elsewhere.waits.items())
        return _Written(rows, tables.count(RAW_EVENTS, part), len(elsewhere.waits))


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
        claim(
            NAME,
            "enrichment_is_fresh",
            "Every live event has the look-ups that it wanted: of its customer, if Capillary was not asked about the customer "
            "within CAPILLARY_LOOKUP_FRESH_HOURS, and of its bill where CAPILLARY_LOOKUP_TRANSACTIONS is on. A warning as soon "
            "as one has not, an error above CHECK_MAX_NOT_LOOKED_UP_SHARE. Delivery goes on. See the asset "
            "`customer_lookups`: the quota may be too small for so many new customers, or Capillary is down.",
            partitions,
        ),
    ]
