"""When a channel is told of an alert, and what.

Belongs here: the rules. Does not belong here: the words (`words.py`), the sending (`sending.py`).

| the channel knows | the alert | it is told |
| --- | --- | --- |
| nothing | stands | that it failed; a backlog once it has lasted ALERT_SETTLE_SECONDS |
| nothing | is over | that it failed and is well again; of a backlog that was gone by then, nothing |
| it failed | has become an error | that it failed |
| it failed | has failed again | how often, once ALERT_REPEAT_MINUTES have passed, then twice as long, up to a day |
| it failed | is over for ALERT_SETTLE_SECONDS | that it is well |
| it is well | fails again within ALERT_REPEAT_MINUTES | nothing before they have passed |

In the quiet hours nobody is told of warnings; what is due then waits for their end.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Final

from capillary_adobe.settings import SEVERITIES, AlertSettings
from capillary_adobe.state.alerts import Alert, Telling

_MINUTE_MS: Final = 60_000
_LONGEST_PAUSE_MS: Final = 24 * 60 * _MINUTE_MS
_MOST_DOUBLINGS: Final = 20


class Occasion(StrEnum):
    """What a message tells."""

    FAILED = "failed"
    AGAIN = "failed again"
    OVER = "failed, and is well again"
    RECOVERED = "well again"


def due(alert: Alert, known: Telling | None, settings: AlertSettings, now_ms: int) -> Occasion | None:
    """What a channel is to be told of an alert now; None for nothing."""
    if alert.severity == SEVERITIES[0] and settings.quiet(now_ms):
        return None
    settle_ms = settings.settle_seconds * 1000
    if known is None:
        return _first(alert, settle_ms, now_ms)
    if alert.recovered_ms is None:
        return _standing(alert, known, settings, now_ms)
    if _knows_the_end(alert, known) or now_ms - alert.recovered_ms < settle_ms:
        return None
    return Occasion.RECOVERED


def told(alert: Alert, channel: str, known: Telling | None, occasion: Occasion, now_ms: int) -> Telling:
    """What a channel knows of an alert after it was told."""
    if occasion is Occasion.RECOVERED and known is not None:
        return replace(known, times=alert.times, repeats=0, recovered_ms=now_ms)
    repeats = known.repeats + 1 if known is not None and occasion is Occasion.AGAIN else 0
    over_ms = now_ms if occasion is Occasion.OVER else None
    return Telling(alert.alert_id, channel, alert.severity, now_ms, alert.times, repeats, over_ms)


def finished(alert: Alert, known: Telling | None, settings: AlertSettings, now_ms: int) -> bool:
    """Whether a channel needs to hear nothing more of an alert."""
    if alert.recovered_ms is None or now_ms - alert.recovered_ms < settings.settle_seconds * 1000:
        return False
    if known is None:
        return _passed_by(alert, settings.settle_seconds * 1000, now_ms)
    return _knows_the_end(alert, known)


def _first(alert: Alert, settle_ms: float, now_ms: int) -> Occasion | None:
    if _passed_by(alert, settle_ms, now_ms):
        return None
    return Occasion.FAILED if alert.recovered_ms is None else Occasion.OVER


def _passed_by(alert: Alert, settle_ms: float, now_ms: int) -> bool:
    """Whether this is a backlog that has not lasted."""
    lasted_ms = (alert.recovered_ms if alert.recovered_ms is not None else now_ms) - alert.since_ms
    return alert.backlog and lasted_ms < settle_ms


def _standing(alert: Alert, known: Telling, settings: AlertSettings, now_ms: int) -> Occasion | None:
    if SEVERITIES.index(alert.severity) > SEVERITIES.index(known.severity):
        return Occasion.FAILED
    window_ms = settings.repeat_minutes * _MINUTE_MS
    pause_ms = min(window_ms * 2 ** min(known.repeats, _MOST_DOUBLINGS), max(window_ms, _LONGEST_PAUSE_MS))
    return Occasion.AGAIN if alert.times > known.times and now_ms - known.failed_ms >= pause_ms else None


def _knows_the_end(alert: Alert, known: Telling) -> bool:
    # Told well, failed once more within the window and well again: the channel never heard of the second time.
    return known.recovered_ms is not None and alert.recovered_ms is not None
