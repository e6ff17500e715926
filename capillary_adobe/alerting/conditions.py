"""Conditions: what no run can tell of, since it is the lack of one, or comes before anything fails.

Belongs here: each condition as a problem with its words, or the word that it is well. Does not belong here: when they are
looked at and what becomes of it (`watching.py`), looking at landed objects (`landed.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from capillary_adobe.doctor.findings import split_cure
from capillary_adobe.quotas import batches_of_day, calls_of_minute
from capillary_adobe.settings import AlertSettings
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts, Problem, Well
from capillary_adobe.state.lookups import LIVE, LookupQueue

BATCHES: Final = "batches of the day"
CALLS: Final = "calls at Capillary"
CERTIFICATE: Final = "certificate"
CREDENTIAL: Final = "credential"
TICKS: Final = "ticks of"
MINUTE_MS: Final = 60_000
# Live look-ups that wait longer than this make events late, or incomplete.
_LOOK_UP_WAIT_MS: Final = 5 * MINUTE_MS
_SOON_DAYS: Final = 7


def problem(
    name: str,
    title: str,
    cause: str,
    cure: str,
    at_ms: int,
    *,
    severity: str = "error",
    asset: str | None = None,
    backlog: bool = False,
) -> Problem:
    """A condition that does not hold; its name is that of the alert."""
    scope = scope_of(name)
    return Problem(
        key=scope,
        scope=scope,
        subject=scope,
        severity=severity,
        title=title,
        cause=cause,
        cure=cure,
        at_ms=at_ms,
        asset=asset,
        backlog=backlog,
    )


@dataclass(frozen=True)
class FailingTicks:
    """A sensor (`often`) or schedule, and how many of its ticks have failed since the last that did not, since when (epoch ms).

    `words` are those of the last one, empty for an error that nobody foresaw.
    """

    name: str
    often: bool
    times: int = 0
    since_ms: int = 0
    words: str = ""


def scope_of(name: str) -> str:
    """What must come out well for the alert of a condition to be over."""
    return f"condition:{name}"


def well(name: str, at_ms: int) -> Well:
    """A condition that holds."""
    return Well(scope_of(name), at_ms)


def lag(alerts: Alerts, look: str, sensor: str, settings: AlertSettings, now_ms: int) -> Problem | Well:
    """Whether a sensor of alerts keeps up: it has been through with all there was within ALERT_LAG_MINUTES."""
    known = alerts.look(look)
    behind_ms = now_ms - known.looked_ms if known is not None else 0
    name = f"lag of {sensor}"
    if behind_ms <= settings.lag_minutes * MINUTE_MS:
        return well(name, now_ms)
    return problem(
        name,
        f"{sensor} is behind",
        f"it has not seen everything for {behind_ms // MINUTE_MS} minutes (ALERT_LAG_MINUTES={settings.lag_minutes:g})",
        f"Look at the ticks of {sensor} in the UI, under Automation. If it is stopped, start it; if its ticks fail, they say "
        "why; if they last long, the machine or the database is slow. Nothing is lost: it goes on where it was.",
        now_ms,
    )


def ticks(found: Iterable[FailingTicks], settings: AlertSettings, now_ms: int) -> Iterator[Problem | Well]:
    """Whether sensors and schedules come through: a sensor may fail for ALERT_LAG_MINUTES, a schedule asks but rarely."""
    for one in found:
        name = f"{TICKS} {one.name}"
        patience_ms = settings.lag_minutes * MINUTE_MS if one.often else 0
        if not one.times or now_ms - one.since_ms < patience_ms:
            if not one.times:
                yield well(name, now_ms)
            continue
        cause, cure = split_cure(one.words)
        failed = f"{one.times} ticks in a row have failed" if one.times > 1 else "its last tick has failed"
        what = "nothing that it looks after is asked for" if one.often else "its job was not asked for"
        yield problem(
            name,
            f"The {'sensor' if one.often else 'schedule'} {one.name} fails",
            f"{failed}, and {what}: {cause or 'an unexpected error'}",
            cure
            or f"Open {one.name} in the UI, under Automation: its last tick tells the error. "
            + ("It goes on by itself once that is mended." if one.often else "Once that is mended, launch its job."),
            now_ms,
        )


def gone(alerts: Alerts, looked_at: Iterable[str], now_ms: int) -> Iterator[Well]:
    """The end of alerts about what is looked at no longer: a credential or address that is no setting any more, a sensor that
    was stopped. Nothing else would ever end them.
    """
    scopes = {scope_of(name) for name in looked_at}
    kinds = tuple(scope_of(f"{kind} ") for kind in (CERTIFICATE, CREDENTIAL, TICKS))
    for one in alerts.unsettled():
        if one.scope.startswith(kinds) and one.scope not in scopes:
            yield Well(one.scope, now_ms)


def quotas(state: State, settings: AlertSettings, now_ms: int) -> Iterator[Problem | Well]:
    """Whether quotas are nearly used up: batches of the day at AEP, calls of a minute at Capillary."""
    yield from _batches(state, settings, now_ms)
    yield from _calls(state, settings, now_ms)


def _batches(state: State, settings: AlertSettings, now_ms: int) -> Iterator[Problem | Well]:
    quota = batches_of_day(state, now_ms)
    if quota is None:
        yield well(BATCHES, now_ms)
        return
    used, limit = quota
    name = BATCHES
    if used < limit * settings.quota_share:
        yield well(name, now_ms)
        return
    yield problem(
        name,
        "The batches of the day are nearly used up" if used < limit else "The batches of the day are used up",
        f"{used} of {limit} batches were created since midnight UTC (ADOBE_BATCHES_PER_DAY)",
        "Live events go by streaming and are not affected. A backfill goes on after midnight UTC by itself; to go on today, "
        "ask Adobe for more and raise ADOBE_BATCHES_PER_DAY. More days in one run share batches: HISTORY_DAYS_PER_RUN.",
        now_ms,
        severity="warning",
        asset="ingestion_status",
    )


def _calls(state: State, settings: AlertSettings, now_ms: int) -> Iterator[Problem | Well]:
    used, limit = calls_of_minute(state, now_ms)
    name = CALLS
    # History may use up a minute's calls; that is no trouble before somebody waits.
    if used < limit * settings.quota_share or not LookupQueue(state).waits(LIVE, now_ms - _LOOK_UP_WAIT_MS, now_ms):
        yield well(name, now_ms)
        return
    yield problem(
        name,
        "Look-ups at Capillary wait for its quota",
        f"{used} of {limit} calls of a minute are in use, and look-ups of live events wait for more than "
        f"{_LOOK_UP_WAIT_MS // MINUTE_MS} minutes",
        "Events go on as CAPILLARY_LOOKUP_POLICY says. Ask Capillary for more calls a minute and raise "
        "CAPILLARY_LOOKUP_CALLS_PER_MINUTE; raise CAPILLARY_LOOKUP_FRESH_HOURS or CAPILLARY_LOOKUP_CUSTOMERS_PER_CALL to need "
        "fewer.",
        now_ms,
        severity="warning",
        asset="customer_lookups",
        backlog=True,
    )


def credentials(settings: AlertSettings, now_ms: int) -> Iterator[Problem | Well]:
    """Whether a secret of ALERT_CREDENTIALS is about to expire."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    for name, day in settings.expiries.items():
        title = f"The credential {name}"
        cure = (
            f"Make a new secret where {name} comes from, put it where the old one stands, then write its day of expiry into "
            "ALERT_CREDENTIALS. `capillary-adobe doctor` tells whether it works."
        )
        yield expiry(f"{CREDENTIAL} {name}", title, cure, (day - today).days, settings, now_ms)


def expiry(name: str, title: str, cure: str, days: int, settings: AlertSettings, now_ms: int) -> Problem | Well:
    """Whether something with so many days left is about to expire."""
    if days > settings.credential_days:
        return well(name, now_ms)
    day = (datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(days=days)).date().isoformat()
    gone = days < 0
    return problem(
        name,
        f"{title} {'has expired' if gone else 'expires soon'}",
        f"it expired on {day}" if gone else f"it expires on {day}, in {days} days (ALERT_CREDENTIAL_DAYS)",
        cure,
        now_ms,
        severity="error" if days <= _SOON_DAYS else "warning",
    )
