"""The account of a backfilled history: every day balanced, and its numbers those of the generator.

Belongs here: the comparison, read from the lake and the balances. Does not belong here: the numbers to be reached
(`history_exports.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import orjson

from bench.history_exports import Figures
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.tables import INGESTION_STATUS, XDM_EVENTS

_POINTS = frozenset({"pointsIssued", "pointsRedeemed", "pointsExpired"})
_MOST_TOLD = 20


def account(environment: dict[str, str], figures: Figures) -> tuple[dict[str, Any], list[str]]:
    """What was delivered, and where it differs from what was exported."""
    lake = Lake(environment["LAKE_URL"])
    wrong: list[str] = []
    total: Counter[str] = Counter()
    for day in sorted(figures.events):
        events, sums = _accepted(lake, day)
        total.update(events)
        for name in events | figures.events[day]:
            if events[name] != figures.events[day][name]:
                wrong.append(f"{day}: {events[name]} {name} accepted, not {figures.events[day][name]}")
            if sums[name] != figures.sums[day][name]:
                wrong.append(f"{day}: {name} accepted sum to {sums[name]}, not {figures.sums[day][name]} hundredths")
    days = _balances(environment)
    unbalanced = [day["day"] for day in days if not day["balanced"] or day["unread_objects"]]
    wrong += [f"{day} is not balanced" for day in unbalanced]
    missing = set(figures.events) - {day["day"] for day in days}
    wrong += [f"{day} has no balance" for day in sorted(missing)]
    report = {
        "days_balanced": len(days) - len(unbalanced),
        "accepted": total.total(),
        "by_event_type": dict(total),
        "duplicates": sum(day["duplicates"] for day in days),
        "quarantined": sum(sum(day["quarantined"].values()) for day in days),
        "profiles_accepted": sum(day["profile_delivery"]["accepted"] for day in days),
    }
    return report, wrong[:_MOST_TOLD]


def _accepted(lake: Lake, day: str) -> tuple[Counter[str], Counter[str]]:
    """Accepted events of a day by type, and the sums of their entities in hundredths."""
    taken = set()
    for batch in lake.read(INGESTION_STATUS, Slice(day), ["id", "kind", "status"]):
        rows = zip(*(batch.column(name).to_pylist() for name in ("id", "kind", "status")), strict=True)
        taken.update(number for number, kind, status in rows if kind == "events" and status == "accepted")
    events, sums = Counter[str](), defaultdict[str, Decimal](Decimal)
    for batch in lake.read(XDM_EVENTS, Slice(day), ["id", "event_name", "entity"]):
        rows = zip(*(batch.column(name).to_pylist() for name in ("id", "event_name", "entity")), strict=True)
        for number, name, entity in rows:
            if number in taken:
                events[name] += 1
                sums[name] += _sum_of(name, orjson.loads(entity))
    return events, Counter({name: int(total * 100) for name, total in sums.items()})


def _sum_of(name: str, entity: dict[str, Any]) -> Decimal:
    if name == "transactionAdded":
        order = entity["commerce"]["order"]
        return Decimal(str(order.get("priceTotal", order.get("refundTotal"))))
    if name in _POINTS:
        [tenant] = [value for key, value in entity.items() if key.startswith("_") and key != "_id"]
        return Decimal(str(tenant["capillary"]["points"]["total"]))
    return Decimal(0)


def _balances(environment: dict[str, str]) -> list[dict[str, Any]]:
    told = subprocess.run(
        [sys.executable, "-m", "capillary_adobe.cli", "status", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(told.stdout)
