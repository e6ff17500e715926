"""Plans: what a delivery would send, by which lane and for how long, without sending anything.

Belongs here: counting, and the arithmetic of the quotas. Does not belong here: the choice itself (`delivery.py`) and
showing a plan (`cli.py`, `defs`).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from capillary_adobe.adobe.delivery import INLET, Route, Work, route_of
from capillary_adobe.adobe.hold import Entities
from capillary_adobe.adobe.messages import Envelope
from capillary_adobe.adobe.profile_delivery import foreseen
from capillary_adobe.pacing import Limits, Pacer
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Paces, Receipts, SentBatches, State

SAMPLE = 5
COLUMNS = ["id", "event_type", "size"]
# AEP's published throughput of batch ingestion into the data lake: 20 GB an hour
# (experienceleague.adobe.com/docs/experience-platform/ingestion/guardrails.html).
_BATCH_BYTES_PER_SECOND = 20e9 / 3600


@dataclass
class Plan:
    """What would be sent; `sample` names entities by id, event type and size, never by what they hold."""

    day: str
    route: Route
    entities: int = 0
    already_settled: int = 0
    to_send: int = 0
    held: int = 0
    bytes: int = 0
    largest_bytes: int = 0
    requests: int = 0
    batches: int = 0
    batches_left_today: int | None = None
    records_per_second: float | None = None
    estimated_seconds: float = 0.0
    aep_down_since: str | None = None
    by_event_type: dict[str, int] = field(default_factory=dict)
    held_by_event: dict[str, int] = field(default_factory=dict)
    sample: list[dict[str, Any]] = field(default_factory=list)
    profiles: int = 0
    profiles_to_send: int = 0
    profiles_superseded: int = 0
    """Records of whose customer a newer one has been sent, or is among these."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def draw(settings: AdobeSettings, state: State, work: Work, profiles: Entities | None = None) -> Plan:
    """The plan for a piece of work and for rows of `xdm_profiles`, at the pace that AEP allows at the moment."""
    plan = Plan(work.day, route_of(settings, state, work))
    _count(plan, state, work)
    if profiles is not None and Envelope.of_profiles(settings) is not None:
        found = foreseen(state, work.day, profiles)
        plan.profiles, plan.profiles_to_send, plan.profiles_superseded = found
    if plan.route == "batch":
        _estimate_batches(plan, settings, state)
    else:
        _estimate_streaming(plan, settings, state, work)
    return plan


def _count(plan: Plan, state: State, work: Work) -> None:
    known = Receipts(state).of_day(work.day)
    by_type: Counter[str] = Counter()
    for batch in work.entities(COLUMNS):
        plan.entities += batch.num_rows
        for row in _open(work, known.known(batch.column("id").to_pylist()), batch):
            plan.to_send += 1
            plan.bytes += row["size"]
            plan.largest_bytes = max(plan.largest_bytes, row["size"])
            by_type[row["event_type"]] += 1
            if len(plan.sample) < SAMPLE:
                plan.sample.append(row)
    plan.already_settled = plan.entities - plan.to_send
    held: Counter[str] = Counter()
    for batch in work.held(["id", "event_name"]):
        states = known.known(batch.column("id").to_pylist())
        names = batch.column("event_name").to_pylist()
        held.update(name for name, one in zip(names, states, strict=True) if one is None or not one.settled)
    plan.held, plan.held_by_event = held.total(), dict(sorted(held.items()))
    plan.by_event_type = dict(sorted(by_type.items(), key=lambda item: (-item[1], item[0])))


def _open(work: Work, states: Iterable[Any], batch: pa.RecordBatch) -> Iterable[dict[str, Any]]:
    for row, known in zip(batch.to_pylist(), states, strict=True):
        # What a replay is about stands refused until it is opened again.
        wanted = known is None or not known.settled if work.only is None else row["id"] in work.only
        if wanted:
            yield row


def _estimate_streaming(plan: Plan, settings: AdobeSettings, state: State, work: Work) -> None:
    pacer = Pacer(state, INLET, Limits(settings.max_requests_per_second, settings.max_records_per_second), work.lane)
    envelope = Envelope.of_events(settings)
    by_size = math.ceil((plan.bytes + plan.to_send * envelope.overhead) / settings.max_request_bytes)
    by_count = math.ceil(plan.to_send / (pacer.records_per_request or plan.to_send or 1))
    plan.requests = max(by_size, by_count)
    view = Paces(state).look(INLET, time.time())
    factor = view.factor if view is not None else 1.0
    if view is not None and view.down_since is not None:
        plan.aep_down_since = datetime.fromtimestamp(view.down_since, UTC).isoformat(timespec="seconds")
    seconds = [0.0]
    if settings.max_records_per_second:
        plan.records_per_second = round(settings.max_records_per_second * factor, 1)
        seconds.append(plan.to_send / (settings.max_records_per_second * factor))
    if settings.max_requests_per_second:
        seconds.append(plan.requests / (settings.max_requests_per_second * factor))
    plan.estimated_seconds = round(max(seconds), 1)


def _estimate_batches(plan: Plan, settings: AdobeSettings, state: State) -> None:
    plan.requests = math.ceil(plan.bytes / settings.batch_file_bytes)
    by_bytes = math.ceil(plan.bytes / settings.batch_max_bytes)
    plan.batches = max(by_bytes, math.ceil(plan.requests / settings.batch_max_files))
    if settings.batches_per_day:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        used = SentBatches(state).created_since(int(midnight.timestamp() * 1000))
        plan.batches_left_today = max(0, settings.batches_per_day - used)
    plan.estimated_seconds = round(plan.bytes / _BATCH_BYTES_PER_SECOND, 1)
