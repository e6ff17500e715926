"""Asset `closed_days`: whether everything that landed on a day has its outcome.

Belongs here: the asset, its check and their words. Does not belong here: the verdict (`closing.py`) and when a day is closed
(`defs/close_schedule.py`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from capillary_adobe.balance import Accounts
from capillary_adobe.closing import ended_within, judge, landing_days_of
from capillary_adobe.defs.by_day import backfill_policy, beside_the_road
from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.delivery_numbers import aside_numbers, latency_numbers
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.settings import CapillarySettings, load
from capillary_adobe.state import Outcome
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE

NAME = "closed_days"
GROUP = "closing"
CHECK = "day_is_closed"
_CLOSED = "closed"


def build_closed_days(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=[INGESTION_STATUS.name, QUARANTINE.name],
        group_name=GROUP,
        kinds={"duckdb"},
        code_version="1",
        check_specs=[
            claim(
                NAME,
                CHECK,
                "Every object of the day was read, the day balances, and no event or profile is pending or failed; `told` says "
                "what is open. An error: launch the job `close_day` on the partition, which reads what is late and sends what "
                "is open; what stays unbalanced is told by `nothing_is_lost`. A warning: all that is open waits, for AEP's "
                "verdict, a look-up, or an operator who holds it.",
                partitions,
            )
        ],
        description=(
            "Whether the day is closed: read as a whole, balanced, and nothing of it left to send. The job `close_day` reads "
            "what is late, sends what is open, draws the checks of the whole day, and then this; its schedule asks for it each "
            "morning for yesterday in the organisation's zone, and for days of the last week that stayed open. Landing days "
            "are UTC days: `organisation_day` tells which of the organisation's days is over with this one. Materialize it "
            "alone to judge a day again; it only reads."
        ),
    )
    def closed_days(
        context: dg.AssetExecutionContext, landing: LandingResource, lake: LakeResource, state: StateResource
    ) -> Iterator[Any]:
        def close(day: str) -> DayShown:
            database = state.open()
            account = Accounts(landing.open(), lake.open(), database).balance(day)
            paused = DeliveryPause(database).find()
            found = judge(account, paused.words if paused else "")
            whole, of_organisation = _of_organisation(context.instance, day, closed=found.closed)
            words = f"{found.words}{of_organisation}"
            context.log.info(words)
            return DayShown(
                metadata={
                    "told": words,
                    _CLOSED: found.closed,
                    "organisation_day": whole,
                    "landed_lines": account.landed_lines,
                    "accepted": account.delivery[Outcome.ACCEPTED],
                    "rejected": account.delivery[Outcome.REJECTED],
                    **aside_numbers(account),
                    "open_events": account.delivery[Outcome.PENDING] + account.delivery[Outcome.FAILED],
                    "open_profiles": account.profile_delivery[Outcome.PENDING]
                    + account.profile_delivery[Outcome.FAILED],
                    "unread_objects": account.unread_objects,
                    "difference": account.difference,
                    "maybe_twice": account.maybe_twice,
                    **latency_numbers(account),
                },
                check_results=[
                    result(
                        CHECK,
                        passed=found.closed,
                        severity=dg.AssetCheckSeverity.ERROR if found.lossy else dg.AssetCheckSeverity.WARN,
                        told=found.words,
                    )
                ],
            )

        yield from beside_the_road(context, close)

    return closed_days


def _of_organisation(instance: dg.DagsterInstance, day: str, *, closed: bool) -> tuple[str, str]:
    """The day of the organisation that is over with a landing day, and in words whether it is closed if it is another."""
    zone = load(CapillarySettings).zone
    whole = ended_within(day, zone)
    if zone.key == "UTC":
        return whole.isoformat(), ""
    others = [one for one in landing_days_of(whole, zone) if one != day]
    still_open = [one for one in others if not was_closed(instance, one)]
    because = f": {' and '.join(still_open)} is open" if closed and still_open else ""
    verdict = "closed" if closed and not still_open else "not closed"
    return whole.isoformat(), f" {whole} in {zone.key} is {verdict}{because}."


def was_closed(instance: dg.DagsterInstance, day: str) -> bool | None:
    """Whether a day was closed when it was judged last; None if it never was."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(NAME), asset_partitions=[day])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    made = records[0].asset_materialization
    return made is not None and bool(made.metadata[_CLOSED].value)
