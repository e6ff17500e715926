"""Asset `customer_lookups`: what is asked of Capillary's API about customers and bills, and merged.

Belongs here: the asset, its check and their words. Does not belong here: asking (`looking_up.py`), the queue
(`state.lookups`), asking for runs (`defs/customer_sensor.py`).
"""

import time
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from capillary_adobe.defs.checks import result
from capillary_adobe.defs.delivery_numbers import quota_numbers
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.shown import counts, state_table_metadata
from capillary_adobe.forgetting import forget_outdated
from capillary_adobe.looking_up import Asked, LookUps
from capillary_adobe.quotas import calls_of_minute
from capillary_adobe.settings import LookupSettings, ProfileSettings, load
from capillary_adobe.state.lookups import LookupCounts, lookups

NAME = "customer_lookups"
GROUP = "customers"
OFF = (
    "Look-ups are off: set CAPILLARY_API_URL, CAPILLARY_API_KEY and CAPILLARY_API_SECRET, and leave CAPILLARY_LOOKUP_CUSTOMERS "
    "on."
)
REFUSED_TAG = "capillary_adobe/refused"


_COLUMNS = {
    "kind": "Whether a customer or a bill is to be looked up",
    "org_id": "Capillary organisation",
    "key": "The customer's id, or type and id of the bill",
    "customer_id": "Whom it is about",
    "urgency": "0 for live events, which come first; 1 for others",
    "wanted_ms": "When it was first asked for",
    "due_ms": "Not asked before this moment: a pause after a failure, or another run is at it",
    "attempts": "How often it came to nothing",
}


def build_customer_lookups() -> dg.AssetsDefinition:
    """The asset; without partitions, so that no micro-batch of a day ever waits for a run of it."""

    @dg.asset(
        name=NAME,
        group_name=GROUP,
        kinds={"python", "sql"},
        metadata=state_table_metadata(lookups, _COLUMNS),
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                "look_ups_are_answered",
                asset=NAME,
                description=(
                    "Capillary answers what is asked about customers. `ended` tells why a run stopped before its time: "
                    "Capillary is down, which passes by itself; the quota of CAPILLARY_LOOKUP_CALLS_PER_MINUTE is used up; "
                    "or it refuses the API client, which is an error and stays one until the client gets the rights. Nothing "
                    "waits for look-ups longer than CAPILLARY_LOOKUP_HOLD_MINUTES."
                ),
            )
        ],
        description=(
            "Asks Capillary about customers who have events and are not fresh, and about bills where that is switched on; the "
            "answers are merged into the customers' documents. One run takes CAPILLARY_LOOKUP_RUN_SECONDS at most and keeps to "
            "CAPILLARY_LOOKUP_CALLS_PER_MINUTE together with all others; customers of live events come first. Started by "
            "customer_sensor; the profiles that change follow by runs of refresh_customers. Press Materialize to ask at once."
        ),
    )
    def customer_lookups(context: dg.AssetExecutionContext, state: StateResource) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            database = state.open()
            look_ups = LookUps.of(database)
            if look_ups is None:
                context.log.info(OFF)
                return dg.MaterializeResult(metadata={"ended": OFF}, check_results=[_judged(Asked(), None)])
            if _is_first_of_day(context):
                # Once a day: it reads every customer's states.
                forget_outdated(database, load(ProfileSettings).history_days, int(time.time() * 1000))
            asked, queue = look_ups.drain(), look_ups.counts()
            if asked.refused:
                # The run succeeds, so that its check can tell why; by this the sensor knows that another would be refused, too.
                context.instance.add_run_tags(context.run.run_id, {REFUSED_TAG: "true"})
            return dg.MaterializeResult(
                metadata={
                    **_numbers(asked),
                    **_queue_numbers(queue),
                    **quota_numbers("calls_of_minute", calls_of_minute(database, time.time_ns() // 1_000_000)),
                    "seconds": round(time.perf_counter() - started, 3),
                },
                check_results=[_judged(asked, queue)],
            )

    return customer_lookups


def _is_first_of_day(context: dg.AssetExecutionContext) -> bool:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    earlier = dg.AssetRecordsFilter(context.asset_key, after_timestamp=midnight.timestamp())
    return not context.instance.fetch_materializations(earlier, limit=1).records


def _numbers(asked: Asked) -> dict[str, Any]:
    return {
        "calls": asked.calls,
        "found": asked.found,
        "unknown_to_capillary": asked.unknown,
        "merged": asked.merged,
        "deleted": asked.deleted,
        "transactions": asked.transactions,
        "answers_without_points": asked.partial,
        "masked_values": asked.masked,
        "unreadable_values": asked.unreadable,
        "failed": asked.failed,
        "failed_by_cause": counts("cause", asked.causes),
        "given_up": asked.given_up,
        "ended": asked.ended or "in time",
    }


def _queue_numbers(queue: LookupCounts) -> dict[str, Any]:
    waited = 0.0 if queue.oldest_ms is None else time.time() - queue.oldest_ms / 1000
    return {
        "customers_waiting": queue.customers,
        "transactions_waiting": queue.transactions,
        "due_now": queue.due,
        "failing": queue.failing,
        "longest_wait_seconds": round(waited, 1),
    }


def _judged(asked: Asked, queue: LookupCounts | None) -> dg.AssetCheckResult:
    late = False
    if queue is not None and queue.oldest_ms is not None:
        late = time.time() - queue.oldest_ms / 1000 > load(LookupSettings).fresh_hours * 3600
    severity = dg.AssetCheckSeverity.ERROR if asked.refused else dg.AssetCheckSeverity.WARN
    return result(
        "look_ups_are_answered",
        passed=not (asked.refused or asked.given_up or late),
        severity=severity,
        ended=asked.ended or "in time",
        given_up=asked.given_up,
        waiting_longer_than_fresh=late,
    )
