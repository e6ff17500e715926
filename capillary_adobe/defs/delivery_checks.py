"""The checks of a day's delivery, judged from its balance and its receipts.

Belongs here: their specs, words and results, for the run that delivers and for the one that reads AEP's verdict. Does not
belong here: the balance itself (`balance.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from capillary_adobe.balance import Balance
from capillary_adobe.defs.checks import claim, evaluations, result
from capillary_adobe.defs.shown import counts
from capillary_adobe.state import DayReceipts, Outcome
from capillary_adobe.tables import INGESTION_STATUS

_NAME = INGESTION_STATUS.name


def delivery_claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The claims that `ingestion_status` makes of a day."""
    return [
        claim(
            _NAME,
            "nothing_is_lost",
            "The day balances: lines landed = raw + duplicates + quarantined + ignored, raw = enriched, and every event and "
            "profile has an outcome. If not, `differences` names the stage: materialize the partition from `raw_events` on, "
            "which rebuilds the day from the landing store and sends nothing twice.",
            partitions,
        ),
        claim(
            _NAME,
            "nothing_is_sent_twice",
            "AEP acknowledged every entity of the day once. If this fails, a receipt was lost or two runs sent the same "
            "entities; AEP's profile store drops the repeats by `_id`, its data lake keeps them. Look at which runs of the "
            "partition overlapped. `maybe_twice` counts entities that were sent again because an answer was lost: AEP may "
            "hold them twice, under one `_id`; that is no failure.",
            partitions,
        ),
        claim(
            _NAME,
            "everything_is_delivered",
            "No event or profile of the day is pending, failed or rejected; a superseded profile is delivered by a newer "
            "one. Pending and failed ones go with the next run of the "
            "partition; `held` tells which of them wait for a draft to be published or a paused rule to be resumed. "
            "Rejected ones stand in `quarantine` under stage `aep`: mend the mapping, then send them again with "
            "`capillary-adobe replay --cause <cause>` or the job `replay_cause`.",
            partitions,
        ),
    ]


def delivery_results(account: Balance, receipts: DayReceipts, causes: Mapping[str, int]) -> list[dg.AssetCheckResult]:
    """What the claims come to for a day."""
    undelivered = {name: n for name, n in account.delivery.items() if n and name != Outcome.ACCEPTED}
    delivered = (Outcome.ACCEPTED, Outcome.SUPERSEDED)
    profiles = {name: n for name, n in account.profile_delivery.items() if n and name not in delivered}
    twice = receipts.accepted_twice()
    return [
        result(
            "nothing_is_lost",
            passed=account.balanced,
            landed_lines=account.landed_lines,
            difference=account.difference,
            differences=counts("stage", account.differences),
            unread_objects=account.unread_objects,
        ),
        result("nothing_is_sent_twice", passed=twice == 0, entities=twice, maybe_twice=receipts.maybe_twice()),
        result(
            "everything_is_delivered",
            passed=not undelivered and not profiles,
            severity=dg.AssetCheckSeverity.WARN,
            undelivered=sum(undelivered.values()),
            by_outcome=counts("outcome", undelivered),
            undelivered_profiles=sum(profiles.values()),
            profiles_by_outcome=counts("outcome", profiles),
            held=counts("event type and why", account.held),
            refused_by_cause=counts("cause", causes),
        ),
    ]


def delivery_evaluations(
    day: str, account: Balance, receipts: DayReceipts, causes: Mapping[str, int]
) -> list[dg.AssetCheckEvaluation]:
    """The same, for a day that no run of `ingestion_status` is at work on."""
    return evaluations(_NAME, day, delivery_results(account, receipts, causes))
