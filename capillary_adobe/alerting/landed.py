"""Landed objects as a condition: whether events arrive as they usually do, and whether what has arrived is delivered.

Belongs here: the newest landed object, what is usual, what waits. Does not belong here: choosing objects for a run
(`microbatching.py`).

Usual is what the former weeks show: nothing has landed since a moment, and in most of the last four weeks something landed
between the same moments of the week. Before there is a week to compare with, the last days count. So a quiet night is none, and
no threshold must be set for each hour.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

import orjson

from capillary_adobe.alerting.conditions import MINUTE_MS, problem, well
from capillary_adobe.alerting.words import moment
from capillary_adobe.landing.store import LandingStore, is_day
from capillary_adobe.settings import AlertSettings
from capillary_adobe.state import LandedObjects, MicroBatches, State
from capillary_adobe.state.alerts import Alert, Alerts, Problem, Well
from capillary_adobe.tables import TABLES

STORE: Final = "landing store"
SILENCE: Final = "silence"
STALE: Final = "waiting events"
_DAY_MS: Final = 86_400_000
_WEEKS: Final = 4
_DAYS: Final = 6
_ON_THEIR_WAY: Final = {"customers", *(table.name for table in TABLES)}


@dataclass(frozen=True)
class Sight:
    """What the looks remember: the newest live object, the last delivery, since when something waits; moments are epoch ms."""

    key: str = ""
    landed_ms: int | None = None
    delivered_ms: int | None = None
    waiting_since_ms: int | None = None
    certificate_ms: int = 0

    @classmethod
    def parse(cls, text: str) -> Sight:
        """A sight as it was kept; one that cannot be read begins anew."""
        try:
            return cls(**orjson.loads(text))
        except (orjson.JSONDecodeError, TypeError):
            return cls()

    def text(self) -> str:
        """For keeping."""
        return orjson.dumps(asdict(self)).decode()


def newest(store: LandingStore, state: State, sight: Sight, seconds: float) -> Sight:
    """The sight with the newest object of the live lane; lists only what sorts after the one known.

    Raises:
        LandingError: the landing store cannot be listed.
    """
    deadline = time.monotonic() + seconds
    if not sight.key and (known := LandedObjects(state).last("live")):
        sight = replace(sight, key=known.key, landed_ms=known.stored_ms)
    known_day = _day_of(sight.key)
    days = store.days("live")
    for day in [one for one in days if one >= known_day] if known_day else days[-1:]:
        for found in store.list("live", day, sight.key if day == known_day else ""):
            sight = replace(sight, key=found.key, landed_ms=max(sight.landed_ms or 0, found.stored_ms))
            if time.monotonic() > deadline:
                return sight
    return sight


def silence(state: State, sight: Sight, settings: AlertSettings, now_ms: int) -> Problem | Well | None:
    """Whether nothing has landed for longer than usual for this hour of the week; None before anything ever has."""
    if sight.landed_ms is None:
        return None
    silent_ms = now_ms - sight.landed_ms
    if silent_ms <= settings.silence_minutes * MINUTE_MS:
        return well(SILENCE, now_ms)
    usual = _usual(state, sight.landed_ms, now_ms)
    if not usual:
        return well(SILENCE, now_ms)
    return problem(
        SILENCE,
        "Nothing lands",
        f"the last event landed at {moment(sight.landed_ms)}, {silent_ms // MINUTE_MS} minutes ago; {usual}",
        "Look whether the receiver runs and is reached (its /readyz), whether the webhook at Capillary is active "
        "(`capillary-adobe doctor`), and what Capillary says it sent (`capillary-adobe reconcile`). Capillary repeats what it "
        "could not deliver for seven days. If this hour is quiet for good, raise ALERT_SILENCE_MINUTES.",
        now_ms,
        asset="landing",
    )


def stale(
    state: State, sight: Sight, delivered_ms: int | None, settings: AlertSettings, now_ms: int
) -> tuple[Sight, Problem | Well | None]:
    """Whether landed events wait and no delivery has ended for ALERT_STALE_MINUTES; `delivered_ms` is when the last one did.

    None while an alert about a step on their way stands that has failed since they wait: it says why.
    """
    ledger = LandedObjects(state)
    waits = (bool(sight.key) and not ledger.is_read(sight.key)) or bool(MicroBatches(state).unfinished("live"))
    moves = delivered_ms != sight.delivered_ms
    since_ms = (now_ms if moves or sight.waiting_since_ms is None else sight.waiting_since_ms) if waits else None
    sight = replace(sight, delivered_ms=delivered_ms, waiting_since_ms=since_ms)
    if since_ms is None or now_ms - since_ms <= settings.stale_minutes * MINUTE_MS:
        return sight, well(STALE, now_ms)
    if any(_says_why(one, since_ms) for one in Alerts(state).latest(100, standing=True)):
        return sight, None
    last = (
        f"the last delivery ended at {moment(delivered_ms)}" if delivered_ms is not None else "no delivery ever ended"
    )
    return sight, problem(
        STALE,
        "Landed events are not delivered",
        f"events have waited for {(now_ms - since_ms) // MINUTE_MS} minutes, and {last} (ALERT_STALE_MINUTES)",
        "Look at landing_sensor in the UI, under Automation: whether it is on, and what its last tick says. If a run is at "
        "work, look whether it moves; if runs wait in the queue, what fills it. docs/troubleshooting.md has more under "
        "It stands still.",
        now_ms,
        asset="ingestion_status",
    )


def _says_why(alert: Alert, since_ms: int) -> bool:
    """Whether events wait for what an alert tells; one of another asset, or of another time, would only hide them."""
    of_their_way = alert.scope.startswith("step:") and alert.asset in _ON_THEIR_WAY
    return (of_their_way or alert.scope.startswith("run::")) and alert.last_ms >= since_ms


def _usual(state: State, since_ms: int, now_ms: int) -> str:
    """In words, that something usually lands between these moments; empty if not, or if nothing is known."""
    ledger = LandedObjects(state)
    for step_ms, most, name in ((7 * _DAY_MS, _WEEKS, "weeks"), (_DAY_MS, _DAYS, "days")):
        first = ledger.first_day("live")
        known = [
            step * step_ms
            for step in range(1, most + 1)
            if first is not None and _date(since_ms - step * step_ms) >= first
        ]
        if not known:
            continue
        busy = sum(ledger.stored_between("live", since_ms - back, now_ms - back) for back in known)
        return (
            f"in {busy} of {len(known)} {name} before, events landed in these hours" if 2 * busy >= len(known) else ""
        )
    return ""


def _day_of(key: str) -> str:
    day = key.split("/")[1] if key.count("/") > 1 else ""
    return day if is_day(day) else ""


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
