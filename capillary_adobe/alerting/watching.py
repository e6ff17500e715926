"""Watching: every condition looked at once, each within its time, and what was seen noted together.

Belongs here: the order, and what becomes of a look that fails. Does not belong here: the conditions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from capillary_adobe.alerting.certificate import EVERY_MS, certificate, certificate_name
from capillary_adobe.alerting.conditions import (
    BATCHES,
    CALLS,
    CREDENTIAL,
    MINUTE_MS,
    TICKS,
    FailingTicks,
    credentials,
    gone,
    problem,
    quotas,
    ticks,
    well,
)
from capillary_adobe.alerting.landed import SILENCE, STALE, STORE, Sight, newest, silence, stale
from capillary_adobe.landing import LandingError, LandingStore
from capillary_adobe.settings import AlertSettings
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts, Problem, Well

LOOK: Final = "conditions"
"""Under which name the looks are kept."""

CONDITIONS: Final = (
    STORE,
    SILENCE,
    STALE,
    BATCHES,
    CALLS,
    *(f"lag of {sensor}" for sensor in ("alert_sensor", "watch_sensor")),
)
"""Names of the conditions, but for those of credentials, certificates and ticks, which are many."""

_LISTING_SECONDS: Final = 10.0


class Watching:
    """One look at everything; when the last delivery ended (`delivered_ms`) and how ticks fare (`failing`) Dagster knows."""

    def __init__(
        self,
        state: State,
        settings: AlertSettings,
        landing: Callable[[], LandingStore],
        owners: Callable[[str], frozenset[str]],
        delivered_ms: int | None,
        clock: Callable[[], float] = time.time,
        failing: Sequence[FailingTicks] = (),
    ) -> None:
        self._state = state
        self._settings = settings
        self._landing = landing
        self._owners = owners
        self._delivered_ms = delivered_ms
        self._clock = clock
        self._failing = failing
        self._alerts = Alerts(state, clock)

    def look(self) -> str:
        """Note what is seen; returns what does not hold, in words.

        Raises:
            SettingsError: a variable is malformed.
            StateError: the state database cannot be used.
        """
        now_ms = int(self._clock() * 1000)
        known = self._alerts.look(LOOK)
        sight = Sight.parse(known.position) if known else Sight()
        sight, seen = self._landed(sight, now_ms)
        seen += quotas(self._state, self._settings, now_ms)
        seen += credentials(self._settings, now_ms)
        seen += ticks(self._failing, self._settings, now_ms)
        if now_ms - sight.certificate_ms >= EVERY_MS:
            sight = replace(sight, certificate_ms=now_ms)
            shown = certificate(self._settings, now_ms)
            seen += [shown] if shown is not None else []
        seen += gone(self._alerts, self._looked_at(), now_ms)
        seen = [
            replace(one, owners=self._owners(one.asset)) if isinstance(one, Problem) and one.asset else one
            for one in seen
        ]
        self._alerts.note(seen, self._settings.repeat_minutes * MINUTE_MS, LOOK, sight.text())
        return "; ".join(one.title for one in seen if isinstance(one, Problem)) or "all is as it should be"

    def _looked_at(self) -> list[str]:
        """Names of the conditions of which there are many."""
        names = [certificate_name(), *(f"{CREDENTIAL} {name}" for name in self._settings.expiries)]
        return [*filter(None, names), *(f"{TICKS} {one.name}" for one in self._failing)]

    def _landed(self, sight: Sight, now_ms: int) -> tuple[Sight, list[Problem | Well]]:
        """What the landing store tells; one that cannot be listed is a condition of its own."""
        try:
            sight = newest(self._landing(), self._state, sight, _LISTING_SECONDS)
        except LandingError as error:
            text = "The landing store cannot be read"
            return sight, [problem(STORE, text, str(error), "The cause tells what to mend.", now_ms, asset="landing")]
        silent = silence(self._state, sight, self._settings, now_ms)
        sight, waiting = stale(self._state, sight, self._delivered_ms, self._settings, now_ms)
        return sight, [one for one in (well(STORE, now_ms), silent, waiting) if one is not None]
