"""Asset `ingestion_status`: every entity sent once, events and profiles, and what AEP answered.

Belongs here: the asset and its words. Does not belong here: sending (`adobe.delivery`, `adobe.profile_delivery`), the
balance (`balance.py`) and the checks (`defs/delivery_checks.py`).
"""

import time
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from capillary_adobe.adobe import DeliveryCounts, DeliveryError, Work
from capillary_adobe.adobe.plan import Plan, draw
from capillary_adobe.adobe.replay import (
    moved_since,
    now_ms,
    refused_by_cause,
    reopen,
    reopen_profiles,
    standing,
)
from capillary_adobe.balance import Accounts, Balance
from capillary_adobe.defs.delivery_checks import delivery_claims, delivery_results
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import AdobeResource, LakeResource, LandingResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview, sample, slice_metadata
from capillary_adobe.environment import adobe_settings
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.mapping_in_force import InForce, in_force
from capillary_adobe.outcomes import write_outcomes
from capillary_adobe.profile_making import LOOKUPS
from capillary_adobe.settings import MappingSettings, load
from capillary_adobe.state import LandedObjects, MicroBatches, Outcome, Receipts, RuleStages, State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe.state.microbatches import whole_day_id
from capillary_adobe.tables import INGESTION_STATUS, TABLES, XDM_EVENTS, XDM_PROFILES
from capillary_adobe.xdm.language.rule_lines import RuleLines

NAME = INGESTION_STATUS.name
POOL = "adobe_inlet"
PREVIEW = ["event_name", "id", "status", "code", "detail", "cause", "attempts", "landed_ms", "answered_ms"]


@dataclass
class _Sent:
    """What a run did; a plan where it was only to show what it would do."""

    counts: DeliveryCounts
    rows: int = 0
    to_send: int = 0
    held: int = 0
    profiles: DeliveryCounts = field(default_factory=DeliveryCounts)
    plan: Plan | None = None
    reopened: int = 0
    profiles_reopened: int = 0
    others_moved: int = 0


def build_ingestion_status(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        deps=[XDM_EVENTS.name, XDM_PROFILES.name],
        group_name="delivery",
        kinds={"deltalake", "adobe"},
        owners=["team:data"],
        pool=POOL,
        metadata=definition_metadata(INGESTION_STATUS),
        code_version="3",
        check_specs=delivery_claims(partitions),
        description=(
            "One row per entity with its outcome at AEP: events by streaming or by batch ingestion, profiles by streaming. "
            "`accepted`, `rejected` and `superseded` (a newer profile of the customer was sent) are final; `failed` and "
            "`pending` are sent by the next run. Materialize a partition to send what is still open; "
            "what AEP has acknowledged is never sent again. In the launchpad, `dry_run` shows what would be sent and sends "
            "nothing; `reopen_cause` sends again what AEP refused for one cause."
        ),
    )
    def ingestion_status(
        context: dg.AssetExecutionContext,
        config: DeliveryConfig,
        landing: LandingResource,
        lake: LakeResource,
        state: StateResource,
        adobe: AdobeResource,
    ) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            part = config.slice(context.partition_key)
            tables, database = lake.open(), state.open()
            with database.day_lock(part.day):
                force = in_force(database, load(MappingSettings))
                sent = _deliver(context, tables, database, part, config, adobe, force)
                for table in TABLES:
                    tables.tidy(table, part.day)
            seconds = time.perf_counter() - started
            account = Accounts(landing.open(), tables, database).balance(part.day, count_unread=False)
            if sent.plan is None and not config.reopen_cause and not sent.to_send:
                _finish(database, part, account, force)
            causes = refused_by_cause(database, part.day)
            return dg.MaterializeResult(
                metadata={
                    **_sent_numbers(sent, seconds),
                    **_day_numbers(account),
                    "refused_by_cause": counts("cause", causes),
                    "preview": preview(tables, INGESTION_STATUS, part, PREVIEW),
                    **slice_metadata(tables, INGESTION_STATUS, part, seconds, sent.rows),
                },
                check_results=delivery_results(account, Receipts(database).of_day(part.day), causes),
            )

    return ingestion_status


def _deliver(
    context: dg.AssetExecutionContext,
    tables: Lake,
    state: State,
    part: Slice,
    config: DeliveryConfig,
    adobe: AdobeResource,
    force: InForce,
) -> _Sent:
    """Send what is open and write the outcomes, also when delivery stopped half-way."""
    settings = adobe_settings(state)
    began_ms = now_ms()
    only = None
    hold = force.hold
    held = hold.waiting(tables.reader(XDM_EVENTS, Slice(part.day)))
    profiles = tables.reader(XDM_PROFILES, part)
    reopened = 0
    if config.reopen_cause:
        chosen = standing if config.dry_run else reopen
        only = frozenset(chosen(state, part.day, config.reopen_cause, held))
        if not config.dry_run:
            every = tables.reader(XDM_PROFILES, Slice(part.day))
            reopened = reopen_profiles(state, part.day, config.reopen_cause, every)
    work = Work(
        part.day,
        hold.passing(tables.reader(XDM_EVENTS, part)),
        config.lane,
        config.chosen_route,
        only,
        hold.passing(tables.reader(XDM_EVENTS, Slice(part.day))),
        held,
    )
    sent = _Sent(DeliveryCounts(), reopened=len(only or ()), profiles_reopened=reopened)
    failures: list[DeliveryError] = []
    if config.dry_run:
        sent.plan = draw(settings, state, work, None if config.reopen_cause else profiles)
    else:
        try:
            adobe.delivery(settings, state).deliver(work, context.log.info, sent.counts)
        except DeliveryError as error:
            failures.append(error)
        if only is None:
            # What keeps events from being sent need not keep profiles.
            lane = "live" if (part.batch_id or "").startswith(LOOKUPS) else config.lane
            delivery = adobe.profile_delivery(settings, state)
            try:
                delivery.deliver(part.day, profiles, lane, context.log.info, sent.profiles)
            except DeliveryError as error:
                failures.append(error)
    written = write_outcomes(tables, state, part, hold, RuleLines(force.rules))
    sent.rows, sent.to_send, sent.held = written.rows, written.to_send, written.held
    if written.forsaken and not config.dry_run:
        MicroBatches(state).open_day(part.day, 0)
    if only is not None:
        sent.others_moved = len(moved_since(state, part.day, began_ms) - only)
    for other in failures[1:]:
        context.log.error("Nor could profiles be delivered: %s", other)
    if failures:
        raise failures[0]
    return sent


def _finish(state: State, part: Slice, account: Balance, force: InForce) -> None:
    """Nothing of the slice is left to send: note its micro-batches as done, so that the sensor asks no more.

    A run of this asset alone says nothing of a whole day whose earlier stages have died. What waits for look-ups is asked for
    when they are answered, or when it has waited long enough.
    """
    batches, awaited = MicroBatches(state), Awaited(state)
    until_ms = awaited.until(part.day, part.batch_id)
    if part.batch_id is not None and until_ms is None:
        batches.finish(part.batch_id)
    elif part.batch_id is not None:
        batches.wait(part.batch_id, until_ms or 0)
    elif account.balanced and not LandedObjects(state).half_read(part.day):
        batches.finish_day(part.day)
        if RuleStages(state).all() != force.stages:
            # A rule went live or was resumed while this run held its entities, and the day was opened for that.
            batches.open_day(part.day, 0)
        elif until_ms is not None:
            batches.open_day(part.day, 0)
            batches.wait(whole_day_id(part.day), until_ms)
    if until_ms is not None:
        # The answers may have come while this run was at work.
        awaited.let_go(now_ms())


def _sent_numbers(sent: _Sent, seconds: float) -> dict[str, Any]:
    found = sent.counts
    numbers: dict[str, Any] = {
        "sent": found.sent,
        "accepted": found.outcomes[Outcome.ACCEPTED],
        "rejected": found.outcomes[Outcome.REJECTED],
        "waiting_at_aep": found.waiting,
        "already_settled": found.already_settled,
        "held": sent.held,
        "requests": found.requests,
        "sent_bytes": found.bytes,
        "sent_per_second": round(found.sent / seconds, 1),
        "profiles_sent": sent.profiles.sent,
        "profiles_accepted": sent.profiles.outcomes[Outcome.ACCEPTED],
        "profiles_rejected": sent.profiles.outcomes[Outcome.REJECTED],
        "profiles_superseded": sent.profiles.outcomes[Outcome.SUPERSEDED],
        "profiles_too_soon": sent.profiles.outcomes[Outcome.PENDING],
    }
    if found.batches:
        numbers["aep_batches"] = dg.MetadataValue.md("\n".join(f"* `{batch}`" for batch in found.batches))
    if sent.reopened or sent.profiles_reopened:
        numbers |= {"reopened": sent.reopened, "others_moved": sent.others_moved}
        numbers["profiles_reopened"] = sent.profiles_reopened
    if sent.plan is not None:
        numbers |= _plan_numbers(sent.plan)
    return numbers


def _plan_numbers(plan: Plan) -> dict[str, Any]:
    return {
        "dry_run": True,
        "would_send": plan.to_send,
        "would_send_bytes": plan.bytes,
        "would_take_seconds": plan.estimated_seconds,
        "would_take_requests": plan.requests,
        "would_go_by": plan.route,
        "would_send_by_type": counts("eventType", plan.by_event_type),
        "would_hold": counts("event", plan.held_by_event),
        "would_send_profiles": plan.profiles_to_send,
        "would_supersede_profiles": plan.profiles_superseded,
        "would_send_first": sample(plan.sample),
    }


def _day_numbers(account: Balance) -> dict[str, dg.MetadataValue | int | float]:
    numbers: dict[str, dg.MetadataValue | int | float] = {
        "day_landed_lines": account.landed_lines,
        "day_accepted": account.delivery[Outcome.ACCEPTED],
        "day_rejected": account.delivery[Outcome.REJECTED],
        "day_open": account.delivery[Outcome.PENDING] + account.delivery[Outcome.FAILED],
        "day_open_profiles": account.profile_delivery[Outcome.PENDING] + account.profile_delivery[Outcome.FAILED],
        "day_delivery": counts("outcome", account.delivery),
        "day_profiles": counts("outcome", account.profile_delivery),
        "day_held": counts("event and why", account.held),
    }
    for name, seconds in account.latency_seconds.items():
        if seconds is not None:
            numbers[f"latency_{name}_seconds"] = seconds
    for name, seconds in account.profile_latency_seconds.items():
        if seconds is not None:
            numbers[f"profile_latency_{name}_seconds"] = seconds
    return numbers
