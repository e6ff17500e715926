"""Asset `customers`: what the events say of their customers, merged into one document for each.

Belongs here: the asset, its checks and their words. Does not belong here: reading events (`profiles.facts_from_events`),
merging (`customer_facts.py`, `state.customers`).
"""

import time
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from capillary_adobe.customer_facts import FactCounts, NewestWins, merge_slice, newest_wins
from capillary_adobe.defs.by_day import backfill_policy, by_day
from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import counts, state_table_metadata
from capillary_adobe.settings import CapillarySettings, ErasureSettings, IdentitySettings, ProfileSettings, load
from capillary_adobe.state import Customers, Erasures
from capillary_adobe.state.customer_table import customers as customers_table
from capillary_adobe.tables import RAW_EVENTS

NAME = "customers"

_COLUMNS = {
    "org_id": "Capillary organisation",
    "customer_id": "Capillary customer",
    "document": "What is known of the customer: each field's newest value and when it was true at its source",
    "revision": "Grows by one whenever a value of the document changes",
    "settled_revision": "The last revision whose profile AEP has acknowledged or refused",
    "merged_into": "The customer into whom this one was merged",
}


def build_customers(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=[RAW_EVENTS.name],
        group_name="delivery",
        kinds={"python", "sql"},
        metadata=state_table_metadata(customers_table, _COLUMNS),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One document per customer in the state database, into which the facts of the day's events are merged field by "
            "field: the newest by source time wins, in whatever order they come. Materialize a partition again after a "
            "change of PROFILE_FIELDS or CAPILLARY_ORG_TIMEZONE; older events never undo what newer ones said."
        ),
    )
    def customers(
        context: dg.AssetExecutionContext, config: MicroBatchConfig, lake: LakeResource, state: StateResource
    ) -> Iterator[Any]:
        def merge(day: str) -> DayShown:
            started = time.perf_counter()
            part = config.slice(day)
            tables, database = lake.open(), state.open()
            documents = Customers(database, load(IdentitySettings).max_customers)
            zone = ZoneInfo(load(CapillarySettings).org_timezone)
            settings, label = load(ProfileSettings), load(ErasureSettings).label
            with database.day_lock(day):
                found = merge_slice(tables, documents, part, settings, label, zone, context.log.info)
                Erasures(database).note(found.deleted, time.time_ns() // 1_000_000)
                seconds = time.perf_counter() - started
                proof = newest_wins(tables, documents, part, found.sample)
            return DayShown(_shown(found, seconds), _judged(found, proof))

        yield from by_day(context, config, state.open, merge)

    return customers


def _shown(found: FactCounts, seconds: float) -> dict[str, Any]:
    return {
        "events": found.events,
        "facts": found.facts,
        "documents_changed": found.changed,
        "deleted": len(found.deleted),
        "masked": sum(found.masked.values()),
        "unreadable": sum(found.unreadable.values()),
        "unreadable_by_field": counts("field", found.unreadable),
        "events_per_second": round(found.events / seconds, 1) if seconds else 0.0,
        "seconds": round(seconds, 3),
    }


def _judged(found: FactCounts, proof: NewestWins) -> list[dg.AssetCheckResult]:
    masked = sum(found.masked.values())
    return [
        result(
            "masked_data_seen",
            passed=masked == 0,
            severity=dg.AssetCheckSeverity.WARN,
            masked=masked,
            by_event_type=counts("event type", found.masked),
        ),
        result(
            "newest_wins_holds",
            passed=proof.lost + proof.older == 0,
            facts_looked_at=proof.facts,
            profiles_looked_at=proof.profiles,
            facts_lost=proof.lost,
            documents_older_than_a_profile=proof.older,
        ),
    ]


def _claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        claim(
            NAME,
            "masked_data_seen",
            "No name, contact or number came masked (`12***`, `XXXX`). Masked values are not taken, so the profiles keep what "
            "was known before. Ask Capillary to let the subscription of the events, or the API client, see sensitive data.",
            partitions,
        ),
        claim(
            NAME,
            "newest_wins_holds",
            "Each document holds the newest value of every field: merging facts of the run once more changes nothing, and no "
            "document is older than a profile made of it. `facts_lost` means that another program writes to the table "
            "`customers`; `documents_older_than_a_profile` that the state database was put back to an old copy: materialize "
            "the days since that copy from `customers` on.",
            partitions,
        ),
    ]
