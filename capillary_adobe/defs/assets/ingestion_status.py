"""Asset `ingestion_status`: every entity sent once, events and profiles, and what AEP answered.

Belongs here: the asset and its words. Does not belong here: sending (`adobe.delivery`, `adobe.profile_delivery`), the
balance (`balance.py`) and the checks (`defs/delivery_checks.py`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from capillary_adobe.adobe import DeliveryCounts, DeliveryError, TransientDeliveryError, Work
from capillary_adobe.adobe.hold import Entities
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
from capillary_adobe.defs.by_day import backfill_policy, by_day, over_several_days
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.delivery_checks import delivery_claims, delivery_results
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.defs.delivery_numbers import day_numbers, plan_numbers, quota_numbers
from capillary_adobe.defs.history_checks import history_claims, history_results
from capillary_adobe.defs.history_note import HistoryNote
from capillary_adobe.defs.history_shown import backfill_numbers, come_through
from capillary_adobe.defs.on_purpose import opened_on_purpose
from capillary_adobe.defs.resources import AdobeResource, LakeResource, LandingResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview, slice_metadata
from capillary_adobe.environment import adobe_settings
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.mapping_in_force import InForce, in_force
from capillary_adobe.outcomes import write_outcomes
from capillary_adobe.profile_making import LOOKUPS
from capillary_adobe.quotas import batches_of_day
from capillary_adobe.settings import AdobeSettings, Lane, MappingSettings, load
from capillary_adobe.state import LandedObjects, MicroBatches, Outcome, Receipts, RuleStages, SentBatches, State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe.state.delivery_pause import DeliveryPause, Paused
from capillary_adobe.state.microbatches import whole_day_id
from capillary_adobe.tables import INGESTION_STATUS, TABLES, XDM_EVENTS, XDM_PROFILES
from capillary_adobe.xdm.language.rule_lines import RuleLines

NAME = INGESTION_STATUS.name
POOL = "adobe_inlet"
_FEW_PROFILES = 500
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
        backfill_policy=backfill_policy(),
        deps=[XDM_EVENTS.name, XDM_PROFILES.name],
        group_name="delivery",
        kinds={"deltalake", "adobe"},
        pool=POOL,
        metadata=definition_metadata(INGESTION_STATUS),
        code_version="3",
        check_specs=[*delivery_claims(partitions), *history_claims(partitions)],
        description=(
            "One row per entity with its outcome at AEP: events by streaming or by batch ingestion, profiles by streaming. "
            "`accepted`, `rejected` and `superseded` (a newer profile of the customer was sent) are final; `failed` and "
            "`pending` are sent by the next run. Materialize a partition to send what is still open; "
            "what AEP has acknowledged is never sent again. In the launchpad, `dry_run` shows what would be sent and sends "
            "nothing; `reopen_cause` sends again what AEP refused for one cause. While delivery is paused (job "
            "pause_delivery), `delivery_paused` says so, entities stay `pending`, and go after resume_delivery."
        ),
    )
    def ingestion_status(
        context: dg.AssetExecutionContext,
        config: DeliveryConfig,
        landing: LandingResource,
        lake: LakeResource,
        state: StateResource,
        adobe: AdobeResource,
    ) -> Iterator[Any]:
        run = _Run(context, config, lake, state, adobe)

        def deliver(day: str) -> DayShown:
            started = time.perf_counter()
            part, tables, database = config.slice(day), run.tables, run.state
            with database.day_lock(day):
                paused = run.paused()
                sent = _deliver(run, part, paused)
                if paused is not None and sent.to_send and not config.dry_run:
                    # Not asked for again meanwhile: each try would only find the same.
                    DeliveryPause(database).hold(part.batch_id or whole_day_id(day))
                for table in TABLES:
                    tables.tidy(table, day)
            seconds = time.perf_counter() - started
            store, note = landing.open(), HistoryNote(state.open, config)
            # Before the account is drawn: who reads AEP's verdict in between sees to what this run no longer does.
            note.leave(day, context.run.run_id)
            account = Accounts(store, tables, database).balance(day, count_unread=False)
            sent_all = sent.plan is None and not config.reopen_cause and not sent.to_send
            if sent_all and _finish(run, part, account) and come_through(database, store, day, account):
                note.finish(day)
            causes = refused_by_cause(database, day)
            return DayShown(
                metadata={
                    **({"delivery_paused": paused.words} if paused is not None else {}),
                    **_sent_numbers(sent, run.rate(sent, seconds)),
                    **day_numbers(account),
                    **quota_numbers("aep_batches", batches_of_day(database, now_ms())),
                    "refused_by_cause": counts("cause", causes),
                    **backfill_numbers(database, day),
                    "preview": preview(tables, INGESTION_STATUS, part, PREVIEW),
                    **slice_metadata(tables, INGESTION_STATUS, part, seconds, sent.rows),
                },
                check_results=[
                    *delivery_results(account, Receipts(database).of_day(day), causes),
                    *history_results(context.instance, config, day, store, tables, database),
                ],
            )

        yield from by_day(context, config, state.open, deliver, run.send_ahead, try_all=True)

    return ingestion_status


class _Run:
    """What the days of a run share: the rules in force, the way to AEP, and the batches of several days."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        config: DeliveryConfig,
        lake: LakeResource,
        state: StateResource,
        adobe: AdobeResource,
    ) -> None:
        self.context, self.config, self.adobe = context, config, adobe
        self._lake, self._state = lake, state
        self.several = over_several_days(context)
        self.sent: dict[str, DeliveryCounts] = {}
        self.failures: dict[str, DeliveryError] = {}
        self.seconds_ahead = 0.0
        self.away: TransientDeliveryError | None = None
        """Why no further profile is tried: AEP has just been asked for as long as the retry budget allows."""

    @cached_property
    def tables(self) -> Lake:
        """The tables."""
        return self._lake.open()

    @cached_property
    def state(self) -> State:
        """The state database."""
        return self._state.open()

    @cached_property
    def settings(self) -> AdobeSettings:
        """The tenant's."""
        return adobe_settings(self.state)

    @cached_property
    def force(self) -> InForce:
        """The rules in force as the run began to deliver."""
        return in_force(self.state, load(MappingSettings))

    def paused(self) -> Paused | None:
        """The pause of delivery, looked for anew: it may begin while a run over several days is at work."""
        return DeliveryPause(self.state).find()

    @property
    def lane(self) -> Lane:
        """In which lane the sensor asks for a day that is left open: the live one must not wait for days of a backfill."""
        return "history" if self.several else "live"

    def profile_lane(self, part: Slice) -> Lane:
        """Whose place in the quota profiles take: those of a few customers who have changed go as live events do."""
        if not (part.batch_id or "").startswith(LOOKUPS):
            return self.config.lane
        # So many change at once when members are imported or days of history worked on; live events come before them.
        return "live" if self.tables.count(XDM_PROFILES, part) <= _FEW_PROFILES else "history"

    def held(self, day: str) -> Entities:
        """The entities of a day that wait for an operator."""
        return self.force.hold.waiting(self.tables.reader(XDM_EVENTS, Slice(day)))

    def work(self, part: Slice, only: frozenset[str] | None = None) -> Work:
        """What there is to send of a slice."""
        hold, tables, config = self.force.hold, self.tables, self.config
        return Work(
            part.day,
            hold.passing(tables.reader(XDM_EVENTS, part)),
            config.lane,
            config.chosen_route,
            only,
            hold.passing(tables.reader(XDM_EVENTS, Slice(part.day))),
            self.held(part.day),
        )

    def send_ahead(self, days: Sequence[str]) -> None:
        """Send the events of several days, which share batches; the days' locks are taken as they are read."""
        if not self.several or self.config.dry_run or self.config.reopen_cause or self.paused() is not None:
            return
        works = [self.work(Slice(day)) for day in days]
        delivery = self.adobe.delivery(self.settings, self.state)
        started = time.perf_counter()
        self.failures = dict(delivery.deliver_days(works, self.context.log.info, self.sent, self.other))
        self.seconds_ahead = time.perf_counter() - started

    def rate(self, sent: _Sent, seconds: float) -> float:
        """Entities sent a second, over all days that were sent together."""
        if self.sent:
            return round(sum(one.sent for one in self.sent.values()) / self.seconds_ahead, 1)
        return round(sent.counts.sent / seconds, 1)

    def other(self, day: str) -> Work | None:
        """The work of a day that a batch of earlier runs holds files of."""
        return self.work(Slice(day))


def _deliver(run: _Run, part: Slice, paused: Paused | None) -> _Sent:
    """Send what is open and write the outcomes, also when delivery stopped half-way; while it is paused, only the outcomes."""
    config, tables, state = run.config, run.tables, run.state
    began_ms = now_ms()
    only = None
    every = tables.reader(XDM_PROFILES, Slice(part.day))
    again = opened_on_purpose(run.context, config, state, part.day, run.work(part).entities, every)
    if again.events:
        # A run that is killed from here on leaves a day that is not shown as delivered.
        write_outcomes(tables, state, part, run.force.hold, RuleLines(run.force.rules))
    reopened = again.profiles
    if config.reopen_cause:
        chosen = standing if config.dry_run else reopen
        only = frozenset(chosen(state, part.day, config.reopen_cause, run.held(part.day)))
        if not config.dry_run:
            reopened = reopen_profiles(state, part.day, config.reopen_cause, every)
    sent = _Sent(DeliveryCounts(), reopened=len(only or ()) + again.events, profiles_reopened=reopened)
    failures: list[DeliveryError] = []
    if config.dry_run:
        profiles = tables.reader(XDM_PROFILES, part)
        sent.plan = draw(run.settings, state, run.work(part, only), None if config.reopen_cause else profiles)
    elif paused is None or part.day in run.sent:
        failures += _send_events(run, part, only, sent)
        if only is None and paused is None:
            # What keeps events from being sent need not keep profiles.
            failures += _send_profiles(run, part, sent)
    written = write_outcomes(tables, state, part, run.force.hold, RuleLines(run.force.rules))
    sent.rows, sent.to_send, sent.held = written.rows, written.to_send, written.held
    if written.forsaken and not config.dry_run:
        MicroBatches(state).open_day(part.day, 0, run.lane)
    if only is not None:
        sent.others_moved = len(moved_since(state, part.day, began_ms) - only)
    for other in failures[1:]:
        run.context.log.error("Nor could profiles be delivered: %s", other)
    if failures:
        raise failures[0]
    return sent


def _send_events(run: _Run, part: Slice, only: frozenset[str] | None, sent: _Sent) -> list[DeliveryError]:
    if part.day in run.sent:
        sent.counts = run.sent[part.day]
        return [run.failures[part.day]] if part.day in run.failures else []
    delivery = run.adobe.delivery(run.settings, run.state)
    try:
        delivery.deliver(run.work(part, only), run.context.log.info, sent.counts, run.other)
    except DeliveryError as error:
        return [error]
    return []


def _send_profiles(run: _Run, part: Slice, sent: _Sent) -> list[DeliveryError]:
    if run.away is not None:
        return [run.away]
    delivery = run.adobe.profile_delivery(run.settings, run.state)
    try:
        profiles = run.tables.reader(XDM_PROFILES, part)
        delivery.deliver(part.day, profiles, run.profile_lane(part), run.context.log.info, sent.profiles)
    except TransientDeliveryError as error:
        run.away = error
        return [error]
    except DeliveryError as error:
        return [error]
    return []


def _finish(run: _Run, part: Slice, account: Balance) -> bool:
    """Nothing of the slice is left to send: note its micro-batches as done, so that the sensor asks no more.

    Whether the day balances and waits for nobody. A run of this asset alone says nothing of a whole day whose earlier stages
    have died. What waits for look-ups is asked for when they are answered, or when it has waited long enough.
    """
    state = run.state
    batches, awaited = MicroBatches(state), Awaited(state)
    until_ms = awaited.until(part.day, part.batch_id)
    through = account.balanced and until_ms is None
    if part.batch_id is not None and until_ms is None:
        batches.finish(part.batch_id)
    elif part.batch_id is not None:
        batches.wait(part.batch_id, until_ms or 0)
    elif SentBatches(state).unfinished(part.day):
        # Another run is filling it. If that one dies, what it holds of the day would be nobody's.
        through = False
    elif account.balanced and not LandedObjects(state).half_read(part.day):
        batches.finish_day(part.day)
        if RuleStages(state).all() != run.force.stages:
            # A rule went live or was resumed while this run held its entities, and the day was opened for that.
            batches.open_day(part.day, 0, run.lane)
        elif until_ms is not None:
            batches.open_day(part.day, 0, run.lane)
            batches.wait(whole_day_id(part.day), until_ms)
    else:
        through = False
    if until_ms is not None:
        # The answers may have come while this run was at work.
        awaited.let_go(now_ms())
    return through


def _sent_numbers(sent: _Sent, per_second: float) -> dict[str, Any]:
    found = sent.counts
    numbers: dict[str, Any] = {
        "sent": found.sent,
        "accepted": found.outcomes[Outcome.ACCEPTED],
        "rejected": found.outcomes[Outcome.REJECTED],
        "failed": found.outcomes[Outcome.FAILED],
        "waiting_at_aep": found.waiting,
        "already_settled": found.already_settled,
        "held": sent.held,
        "requests": found.requests,
        "sent_bytes": found.bytes,
        "sent_per_second": per_second,
        "profiles_sent": sent.profiles.sent,
        "profiles_accepted": sent.profiles.outcomes[Outcome.ACCEPTED],
        "profiles_rejected": sent.profiles.outcomes[Outcome.REJECTED],
        "profiles_failed": sent.profiles.outcomes[Outcome.FAILED],
        "profiles_superseded": sent.profiles.outcomes[Outcome.SUPERSEDED],
        "profiles_too_soon": sent.profiles.outcomes[Outcome.PENDING],
    }
    if found.batches:
        numbers["aep_batches"] = dg.MetadataValue.md("\n".join(f"* `{batch}`" for batch in found.batches))
    if sent.reopened or sent.profiles_reopened:
        numbers |= {"reopened": sent.reopened, "others_moved": sent.others_moved}
        numbers["profiles_reopened"] = sent.profiles_reopened
    if sent.plan is not None:
        numbers |= plan_numbers(sent.plan)
    return numbers
