"""Asset `ingestion_status`: every entity sent once, and what AEP answered.

Belongs here: the asset, its checks and their words. Does not belong here: sending (`adobe.delivery`) and the balance
(`balance.py`).
"""

import time

import dagster as dg

from capillary_adobe.adobe import Delivery, DeliveryCounts, DeliveryError
from capillary_adobe.adobe.status import COLUMNS, outcomes
from capillary_adobe.balance import Accounts, Balance
from capillary_adobe.capillary.raw import replaced_events
from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview, slice_metadata
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import MicroBatches, Outcome, Receipts, State
from capillary_adobe.tables import INGESTION_STATUS, TABLES, XDM_EVENTS

NAME = INGESTION_STATUS.name
POOL = "adobe_inlet"
PREVIEW = ["event_name", "id", "status", "code", "detail", "attempts", "landed_ms", "answered_ms"]


def build_ingestion_status(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        deps=[XDM_EVENTS.name],
        group_name="delivery",
        kinds={"deltalake", "adobe"},
        owners=["team:data"],
        pool=POOL,
        metadata=definition_metadata(INGESTION_STATUS),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One row per entity with its outcome at AEP's streaming inlet. `accepted` and `rejected` are final; `failed` "
            "and `pending` are sent by the next run. Materialize a partition to send what is still open; what AEP has "
            "acknowledged is never sent again."
        ),
    )
    def ingestion_status(
        context: dg.AssetExecutionContext,
        config: MicroBatchConfig,
        landing: LandingResource,
        lake: LakeResource,
        state: StateResource,
    ) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            part = config.slice(context.partition_key)
            tables, database, settings = lake.open(), state.open(), load(AdobeSettings)
            with database.day_lock(part.day):
                sent, rows = _deliver(context, tables, database, part, settings)
                for table in TABLES:
                    tables.tidy(table, part.day)
            seconds = time.perf_counter() - started
            _finish(MicroBatches(database), part)
            account = Accounts(landing.open(), tables, database).balance(part.day, count_unread=False)
            return dg.MaterializeResult(
                metadata={
                    "sent": sent.sent,
                    "accepted": sent.outcomes[Outcome.ACCEPTED],
                    "rejected": sent.outcomes[Outcome.REJECTED],
                    "already_settled": sent.already_settled,
                    "requests": sent.requests,
                    "sent_bytes": sent.bytes,
                    "sent_per_second": round(sent.sent / seconds, 1),
                    **_day_numbers(account),
                    "preview": preview(tables, INGESTION_STATUS, part, PREVIEW),
                    **slice_metadata(tables, INGESTION_STATUS, part, seconds, rows),
                },
                check_results=_judged(account, Receipts(database).of_day(part.day).accepted_twice()),
            )

    return ingestion_status


def _deliver(
    context: dg.AssetExecutionContext, tables: Lake, state: State, part: Slice, settings: AdobeSettings
) -> tuple[DeliveryCounts, int]:
    """Send what is open and write the outcomes, also when delivery stopped half-way."""
    failure: DeliveryError | None = None
    sent = DeliveryCounts()
    try:
        entities = tables.read(XDM_EVENTS, part, ["id", "entity"])
        sent = Delivery(settings, state).deliver(part.day, entities, context.log.info)
    except DeliveryError as error:
        failure = error
    rows = tables.replace(INGESTION_STATUS, part, outcomes(state, part.day, tables.read(XDM_EVENTS, part, COLUMNS)))
    tables.remove_events(INGESTION_STATUS, part, replaced_events(tables, part))
    if failure is not None:
        raise failure
    return sent, rows


def _finish(batches: MicroBatches, part: Slice) -> None:
    if part.batch_id is None:
        batches.finish_day(part.day)
    else:
        batches.finish(part.batch_id)


def _day_numbers(account: Balance) -> dict[str, dg.MetadataValue | int | float]:
    numbers: dict[str, dg.MetadataValue | int | float] = {
        "day_landed_lines": account.landed_lines,
        "day_accepted": account.delivery[Outcome.ACCEPTED],
        "day_open": account.delivery[Outcome.PENDING] + account.delivery[Outcome.FAILED],
        "day_delivery": counts("outcome", account.delivery),
    }
    for name, seconds in account.latency_seconds.items():
        if seconds is not None:
            numbers[f"latency_{name}_seconds"] = seconds
    return numbers


def _claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        claim(
            NAME,
            "nothing_is_lost",
            "The day balances: lines landed = raw + duplicates + quarantined + ignored, raw = enriched, and every entity has "
            "an outcome. If not, `differences` names the stage: materialize the partition from `raw_events` on, which "
            "rebuilds the day from the landing store and sends nothing twice.",
            partitions,
        ),
        claim(
            NAME,
            "nothing_is_sent_twice",
            "AEP acknowledged every entity of the day once. If this fails, a receipt was lost or two runs sent the same "
            "entities; AEP's profile store drops the repeats by `_id`, its data lake keeps them. Look at which runs of the "
            "partition overlapped.",
            partitions,
        ),
        claim(
            NAME,
            "everything_is_delivered",
            "No entity of the day is pending, failed or rejected. Pending and failed ones go with the next run of the "
            "partition; for rejected ones read `detail` in the table.",
            partitions,
        ),
    ]


def _judged(account: Balance, twice: int) -> list[dg.AssetCheckResult]:
    undelivered = {name: n for name, n in account.delivery.items() if n and name != Outcome.ACCEPTED}
    return [
        result(
            "nothing_is_lost",
            passed=account.balanced,
            landed_lines=account.landed_lines,
            difference=account.difference,
            differences=counts("stage", account.differences),
            unread_objects=account.unread_objects,
        ),
        result("nothing_is_sent_twice", passed=twice == 0, entities=twice),
        result(
            "everything_is_delivered",
            passed=not undelivered,
            severity=dg.AssetCheckSeverity.WARN,
            undelivered=sum(undelivered.values()),
            by_outcome=counts("outcome", undelivered),
        ),
    ]
