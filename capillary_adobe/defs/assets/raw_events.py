"""Asset `raw_events`: every landed line sorted, the distinct events kept.

Belongs here: the asset, its checks and their words. Does not belong here: the sorting (`capillary.raw`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Any

import dagster as dg

from capillary_adobe.capillary.raw import RawCounts, RawStage
from capillary_adobe.defs.assets.landing import LANDING
from capillary_adobe.defs.by_day import backfill_policy, by_day, over_several_days
from capillary_adobe.defs.checks import claim, result, rows_as_declared, share_result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.history_note import HistoryNote
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview, slice_metadata
from capillary_adobe.defs.whole_days import note_whole_day
from capillary_adobe.environment import adobe_settings
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.store import LANE_FOLDERS, lane_of
from capillary_adobe.mapping_in_force import in_force
from capillary_adobe.settings import (
    CapillarySettings,
    ErasureSettings,
    IdentitySettings,
    MappingSettings,
    ProfileSettings,
    StorageSettings,
    Thresholds,
    load,
    load_all,
)
from capillary_adobe.state import LandedObjects, ReadObject, State
from capillary_adobe.tables import RAW_EVENTS

NAME = RAW_EVENTS.name
PREVIEW = ["event_name", "created_ms", "envelope", "lane", "event_key", "object", "line"]


def build_raw_events(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=[LANDING],
        group_name="delivery",
        kinds={"deltalake", "python"},
        metadata=definition_metadata(RAW_EVENTS),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One row per distinct event of the landing day: envelope unwrapped, idempotency key, where it came from. "
            "Lines that are no event go to `quarantine`, repeats and events that are not delivered to the table "
            "`set_aside`. Materialize a partition to read its landed objects again; nothing is sent twice by that."
        ),
    )
    def raw_events(
        context: dg.AssetExecutionContext,
        config: MicroBatchConfig,
        landing: LandingResource,
        lake: LakeResource,
        state: StateResource,
    ) -> Iterator[Any]:
        stage = cache(lambda: _stage(landing.open(), lake.open(), state.open()))

        def read(day: str) -> DayShown:
            HistoryNote(state.open, config).begin(day, context.run.run_id)
            return _read(context, config, stage(), day)

        yield from by_day(context, config, state.open, read)

    return raw_events


@dataclass(frozen=True)
class _Reading:
    """What a run reads with."""

    store: LandingStore
    tables: Lake
    state: State
    thresholds: Thresholds
    stage: RawStage


def _stage(store: LandingStore, tables: Lake, state: State) -> _Reading:
    # Here and for the whole road, so that an operator mends them at one go and not stage by stage.
    load_all(
        StorageSettings,
        CapillarySettings,
        Thresholds,
        MappingSettings,
        IdentitySettings,
        ProfileSettings,
        ErasureSettings,
        lambda: adobe_settings(state),
    )
    thresholds, settings = load(Thresholds), load(CapillarySettings)
    force = in_force(state, load(MappingSettings))
    stage = RawStage(store, tables, state, settings, thresholds, set(force.rules), force.catalogue)
    stage.insist_on_memory()
    return _Reading(store, tables, state, thresholds, stage)


def _read(context: dg.AssetExecutionContext, config: MicroBatchConfig, reading: _Reading, day: str) -> DayShown:
    started = time.perf_counter()
    part, tables = config.slice(day), reading.tables
    with reading.state.day_lock(day):
        taken = _taken(LandedObjects(reading.state), reading.store, config, part)
        if part.batch_id is None:
            note_whole_day(reading.state, day, [one.lane for one in taken], in_chunk=over_several_days(context))
        found = reading.stage.write(part, taken, context.log.info)
    if not taken:
        context.log.warning(
            "Nothing has landed on %s. If something should have, check LANDING_URL and its writer.", day
        )
    seconds = time.perf_counter() - started
    return DayShown(
        metadata={
            "landed_lines": found.lines,
            "objects": found.objects,
            "landed_bytes": sum(one.size for one in taken),
            "duplicates": found.duplicates,
            "quarantined": sum(found.quarantined.values()),
            "ignored": sum(found.ignored.values()),
            "without_event_id": found.without_event_id,
            "quarantined_by_code": counts("code", found.quarantined),
            "ignored_by_reason": counts("reason", found.ignored),
            "events_by_type": counts("event type", found.by_event_type),
            "preview": preview(tables, RAW_EVENTS, part, PREVIEW),
            **slice_metadata(tables, RAW_EVENTS, part, seconds, found.raw),
        },
        check_results=[
            rows_as_declared("rows_are_as_declared", tables, RAW_EVENTS, part),
            *_judged(found, reading.thresholds),
        ],
    )


def _taken(ledger: LandedObjects, store: LandingStore, config: MicroBatchConfig, part: Slice) -> list[ReadObject]:
    """The objects of the run: those of its key range that no other micro-batch has, or all of the day."""
    if part.batch_id is None:
        return ledger.take_day(part.day, (found for lane in LANE_FOLDERS for found in store.list(lane, part.day)))
    lane = lane_of(config.up_to_key)
    in_range = takewhile(lambda found: found.key <= config.up_to_key, store.list(lane, part.day, config.after_key))
    return ledger.take(part.day, part.batch_id, in_range)


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
            "few_lines_quarantined",
            "A warning as soon as a line of the run is in quarantine, an error above CHECK_MAX_QUARANTINED_SHARE. Open the "
            "asset `quarantine`, look the code up in docs/troubleshooting.md, mend the source, materialize the partition.",
            partitions,
        ),
        claim(
            NAME,
            "event_types_are_known",
            "Every event type is in the catalogue. Capillary adds types without notice; the events wait in quarantine "
            "under `event_unknown`. Declare the type in `events.yaml` of your mapping folder, then materialize the "
            "partition again.",
            partitions,
        ),
        claim(
            NAME,
            "event_types_are_spelled_as_documented",
            "Event types are spelled as the catalogue spells them. Drift of case is read all the same; it shows that the "
            "sender changed.",
            partitions,
        ),
        claim(
            NAME,
            "events_are_fresh",
            "Events landed within CHECK_MAX_EVENT_AGE_HOURS of their creation. Old events mean a queue that was held up at "
            "Capillary, or an export dropped into the live folder. Delivery goes on; tell whoever relies on fresh data.",
            partitions,
        ),
    ]


def _judged(found: RawCounts, thresholds: Thresholds) -> list[dg.AssetCheckResult]:
    unknown = sum(found.unknown_events.values())
    respelled = sum(found.respelled_events.values())
    warn = dg.AssetCheckSeverity.WARN
    return [
        share_result(
            "few_lines_quarantined",
            sum(found.quarantined.values()),
            found.lines,
            thresholds.max_quarantined_share,
            at_least=thresholds.min_quarantined,
            by_code=counts("code", found.quarantined),
        ),
        result(
            "event_types_are_known",
            passed=unknown == 0,
            severity=warn,
            events=unknown,
            by_name=counts("event type", found.unknown_events),
        ),
        result(
            "event_types_are_spelled_as_documented",
            passed=respelled == 0,
            severity=warn,
            events=respelled,
            by_name=counts("event type", found.respelled_events),
        ),
        share_result("events_are_fresh", found.skewed, found.raw, thresholds.max_skewed_share),
    ]
