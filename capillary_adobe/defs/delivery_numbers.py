"""What is shown of a day's delivery: its account, what would be sent, what is used of a quota.

Belongs here: the names of the numbers and what each counts, the same in every run, so that they plot. Does not belong here:
drawing the account (`balance.py`) or the plan (`adobe.plan`).
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from capillary_adobe.adobe.plan import Plan
from capillary_adobe.balance import Balance
from capillary_adobe.defs.shown import counts, sample
from capillary_adobe.quotas import Quota
from capillary_adobe.state import Outcome


def plan_numbers(plan: Plan) -> dict[str, Any]:
    """What a dry run would send."""
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


def day_numbers(account: Balance) -> dict[str, dg.MetadataValue | int | float]:
    """The day's account, each number with `day_` before its name, and its latencies."""
    return {
        "day_landed_lines": account.landed_lines,
        **{f"day_{name}": n for name, n in aside_numbers(account).items()},
        "day_accepted": account.delivery[Outcome.ACCEPTED],
        "day_rejected": account.delivery[Outcome.REJECTED],
        **{f"day_{name}": n for name, n in open_numbers(account).items()},
        "day_difference": account.difference,
        "day_delivery": counts("outcome", account.delivery),
        "day_profiles": counts("outcome", account.profile_delivery),
        "day_held": counts("event and why", account.held),
        **latency_numbers(account),
    }


def aside_numbers(account: Balance) -> dict[str, int]:
    """What of the landed lines is not to be delivered."""
    return {
        "duplicates": account.duplicates,
        "quarantined": sum(account.quarantined.values()),
        "ignored": sum(account.ignored.values()),
    }


def open_numbers(account: Balance) -> dict[str, int]:
    """What the next run sends."""
    return {
        "open": account.delivery[Outcome.PENDING] + account.delivery[Outcome.FAILED],
        "open_profiles": account.profile_delivery[Outcome.PENDING] + account.profile_delivery[Outcome.FAILED],
    }


def latency_numbers(account: Balance) -> dict[str, float]:
    """Seconds from landing to AEP's acknowledgement, p50, p95 and p99; none where nothing is acknowledged, which is not 0."""
    found = {f"latency_{name}_seconds": seconds for name, seconds in account.latency_seconds.items()}
    found |= {f"profile_latency_{name}_seconds": seconds for name, seconds in account.profile_latency_seconds.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def quota_numbers(name: str, quota: Quota | None) -> dict[str, int | float]:
    """How many are used of a quota, and the part of it: 1 is all; nothing where there is none."""
    return {} if quota is None else {f"{name}_used": quota.used, f"{name}_quota_used": quota.share}
