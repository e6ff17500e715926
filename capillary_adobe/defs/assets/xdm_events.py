"""Asset `xdm_events`: XDM entities, valid and ready to send.

Belongs here: the asset, its checks and their words. Does not belong here: mapping and validation (`xdm`).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import dagster as dg

from capillary_adobe.capillary.raw import replaced_events
from capillary_adobe.defs.by_day import backfill_policy, by_day
from capillary_adobe.defs.checks import claim, result, share_result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.draft_trial import drafts_shown, trial_claim, trial_of, trial_result
from capillary_adobe.defs.identity_guard import identity_claim, identity_result
from capillary_adobe.defs.mapping_soundness import soundness_claim, soundness_result
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import AdobeResource, LakeResource, StateResource
from capillary_adobe.defs.schema_guard import guard_claim, guard_in_force, guard_result
from capillary_adobe.defs.shown import by_cause, counts, definition_metadata, preview, slice_metadata
from capillary_adobe.environment import tenant_settings
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.mapping_in_force import InForce, in_force
from capillary_adobe.schema_in_force import Guard
from capillary_adobe.settings import CapillarySettings, MappingSettings, TenantSettings, Thresholds, load
from capillary_adobe.spool import Spool
from capillary_adobe.state import RuleEvidence, State
from capillary_adobe.tables import ENRICHED_EVENTS, QUARANTINE, XDM_EVENTS
from capillary_adobe.xdm.entities import EntityCounts, EntityStage
from capillary_adobe.xdm.language.rule_model import MappingError, Rules
from capillary_adobe.xdm.sampling import make_again, read_back
from capillary_adobe.xdm.trying.drafts import Trial

NAME = XDM_EVENTS.name
PREVIEW = ["event_type", "event_name", "id", "size", "lane", "unreadable"]


def build_xdm_events(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=[ENRICHED_EVENTS.name],
        group_name="delivery",
        kinds={"deltalake", "python", "json"},
        metadata=definition_metadata(XDM_EVENTS),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One row per XDM ExperienceEvent, its JSON valid against the tenant's schema and AEP's rules; what fails goes to "
            "`quarantine` with place, kind of fault, mapping line, cure. Materialize again after a change of the mapping; what "
            "AEP has acknowledged is not sent again by that. Drafts of the mapping are tried here and never sent; `drafts` "
            "tells how they fare."
        ),
    )
    def xdm_events(
        context: dg.AssetExecutionContext,
        config: MicroBatchConfig,
        lake: LakeResource,
        state: StateResource,
        adobe: AdobeResource,
    ) -> Iterator[Any]:
        mapping = cache(lambda: _mapping(lake.open(), state.open(), adobe))
        yield from by_day(context, config, state.open, lambda day: _mapped(mapping(), config.slice(day)))

    return xdm_events


@dataclass(frozen=True)
class _Mapping:
    """What a run maps with: the rules in force as it begins, and the schema that judges."""

    tables: Lake
    state: State
    tenant: TenantSettings
    settings: CapillarySettings
    force: InForce
    judge: Guard
    stage: EntityStage
    soundness: dg.AssetCheckResult
    guard_for: Callable[[Rules], Guard]


def _mapping(tables: Lake, state: State, adobe: AdobeResource) -> _Mapping:
    settings, tenant = load(CapillarySettings), tenant_settings(state)
    force = in_force(state, load(MappingSettings))
    judge = _judge(state, adobe, force, tenant)
    stage = EntityStage(
        force.rules, tenant, settings, force.catalogue, judge.schema, force.made_by, judge.identity_fields
    )

    def guard_for(rules: Rules) -> Guard:
        return guard_in_force(state, adobe, rules, tenant.tenant_id)

    soundness = soundness_result(force, tenant.tenant_id, judge, guard_for)
    return _Mapping(tables, state, tenant, settings, force, judge, stage, soundness, guard_for)


def _mapped(mapping: _Mapping, part: Slice) -> DayShown:
    """Write a day's entities, and what is shown of them."""
    started = time.perf_counter()
    tables, state, stage = mapping.tables, mapping.state, mapping.stage
    trial = trial_of(mapping.force, mapping.tenant, mapping.settings, mapping.guard_for)
    with state.day_lock(part.day):
        found = _write(tables, part, stage, trial)
        RuleEvidence(state).record(part.day, part.batch_id, trial.found)
        seconds = time.perf_counter() - started
        back = read_back(tables, part, stage)
        again = make_again(tables, part, stage, mapping.settings)
    return DayShown(
        metadata={
            "entity_bytes": found.bytes,
            "over_advised_size": found.over_advised,
            "quarantined": sum(found.quarantined.values()),
            "unreadable": sum(found.unreadable.values()),
            "quarantined_by_code": counts("code", found.quarantined),
            "quarantined_by_cause": by_cause(found.faults.by_cause, found.faults.not_listed),
            "entities_by_type": counts("eventType", found.by_event_type),
            "drafts": drafts_shown(trial),
            "unreadable_fields": counts("source field", found.unreadable),
            "preview": preview(tables, XDM_EVENTS, part, PREVIEW),
            **slice_metadata(tables, XDM_EVENTS, part, seconds, found.entities),
        },
        check_results=[
            result(
                "stored_entities_conform",
                passed=not back.faults and back.rows == found.entities,
                rows=back.rows,
                looked_at=back.looked_at,
                faults=counts("fault", back.faults),
                first_fault=back.first,
            ),
            result(
                "same_input_same_output",
                passed=again.differing == 0,
                made_again=again.made_again,
                differing=again.differing,
            ),
            share_result(
                "few_entities_quarantined",
                sum(found.quarantined.values()),
                found.entities + sum(found.quarantined.values()),
                load(Thresholds).max_quarantined_share,
                at_least=load(Thresholds).min_quarantined,
                by_code=counts("code", found.quarantined),
                by_cause=by_cause(found.faults.by_cause, found.faults.not_listed),
            ),
            identity_result(tables, state, XDM_EVENTS, part),
            guard_result(mapping.judge),
            trial_result(trial, mapping.force),
            mapping.soundness,
        ],
    )


def _judge(state: State, adobe: AdobeResource, force: InForce, tenant: TenantSettings) -> Guard:
    """The schema that judges; drafts whose fields cannot stand beside those of what is sent are left to fail on it."""
    try:
        return guard_in_force(state, adobe, force.rules, tenant.tenant_id)
    except MappingError:
        return guard_in_force(state, adobe, force.sent_rules, tenant.tenant_id)


def _write(tables: Lake, part: Slice, stage: EntityStage, trial: Trial) -> EntityCounts:
    """Write the entities and what was refused; the caller holds the day's lock."""
    found = EntityCounts()
    with Spool(QUARANTINE) as refused:
        enriched = tables.read(ENRICHED_EVENTS, part)
        tables.replace(XDM_EVENTS, part, stage.transform(enriched, refused, found, trial.observe))
        tables.replace(QUARANTINE, replace(part, stage="xdm"), refused.batches())
        given_way = replaced_events(tables, part)
        tables.remove_events(XDM_EVENTS, part, given_way)
        tables.remove_events(QUARANTINE, part, given_way)
    return found


def _claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        claim(
            NAME,
            "stored_entities_conform",
            "A sample of every stored batch is read back and judged by the schema and AEP's rules, and no id occurs twice. "
            "Blocks delivery: AEP would refuse the entities later and elsewhere. Look at the first fault, mend the mapping, "
            "materialize the partition from `xdm_events` on.",
            partitions,
            blocking=True,
        ),
        claim(
            NAME,
            "same_input_same_output",
            "A sample of entities, made again from the raw events, has the same bytes. If this fails, the mapping or a "
            "setting changed between the stages: materialize the partition from `enriched_events` on.",
            partitions,
        ),
        claim(
            NAME,
            "few_entities_quarantined",
            "A warning as soon as an entity of the run is in quarantine, an error above CHECK_MAX_QUARANTINED_SHARE. "
            "`by_cause` names each fault with the line of the mapping and the cure; docs/troubleshooting.md says how to read "
            "it.",
            partitions,
        ),
        identity_claim(NAME, partitions),
        guard_claim(partitions),
        trial_claim(partitions),
        soundness_claim(partitions),
    ]
