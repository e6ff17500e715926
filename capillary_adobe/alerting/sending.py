"""Sending: what is due goes out, channel by channel, and each is noted the moment its channel has taken it.

Belongs here: the order, the time budget, what follows a refusal. Does not belong here: what is due (`due.py`).

A message leaves before it is noted, so a process killed in between sends it once more: of the two ways to err, this one
loses no alert. One process sends at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from capillary_adobe.alerting.channels import AlertError, Channel, open_channels
from capillary_adobe.alerting.due import Occasion, due, finished, told
from capillary_adobe.alerting.words import message
from capillary_adobe.settings import AlertSettings
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alert, Alerts, Telling

BUDGET_SECONDS: Final = 25.0
"""Time for the messages of one tick; Dagster ends a tick after 60 s. What is left follows in the next."""

_LOCK: Final = "alerts-sending"
_DAY_MS: Final = 86_400_000


class Sender:
    """Sends what is due by the settings."""

    def __init__(self, state: State, settings: AlertSettings, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._settings = settings
        self._clock = clock
        self._alerts = Alerts(state, clock)

    def send(self) -> int:
        """Send what is due; returns how many messages were taken, 0 where another process is sending.

        Raises:
            AlertError: a channel cannot be used or took no message; the others have what is due to them.
            StateError: the state database cannot be used.
        """
        with self._state.lock_if_free(_LOCK) as held:
            return self._send() if held else 0

    def _send(self) -> int:
        rows = self._alerts.unsettled()
        if not rows:
            return 0
        known = self._alerts.tellings(rows)
        deadline = time.monotonic() + BUDGET_SECONDS
        sent = 0
        waiting = self._waiting(rows, known)
        channels, broken = open_channels(self._settings) if waiting else ([], [])
        errors = [str(error) for error in broken]
        for channel in channels:
            try:
                sent += self._to(channel, waiting.get(channel.name, {}), known, deadline)
            except AlertError as error:
                self._alerts.refused(channel.name, str(error))
                errors.append(str(error))
        self._settle(rows, known)
        if errors:
            raise AlertError("\n".join(errors))
        return sent

    def _waiting(
        self, rows: list[Alert], known: dict[tuple[int, str], Telling]
    ) -> dict[str, dict[tuple[str, Occasion], list[Alert]]]:
        """By channel and message, the alerts that it tells of, oldest first."""
        now_ms = self._now_ms()
        found: dict[str, dict[tuple[str, Occasion], list[Alert]]] = {}
        for channel in self._settings.addresses:
            route = self._settings.route(channel)
            for row in rows:
                telling = known.get((row.alert_id, channel))
                # Whoever was told of an error hears its end, whatever it has become since.
                if telling is None and not route.takes(row.severity, row.owned_by):
                    continue
                occasion = due(row, telling, self._settings, now_ms)
                if occasion is not None:
                    found.setdefault(channel, {}).setdefault((row.subject, occasion), []).append(row)
        return found

    def _to(
        self,
        channel: Channel,
        messages: dict[tuple[str, Occasion], list[Alert]],
        known: dict[tuple[int, str], Telling],
        deadline: float,
    ) -> int:
        for count, ((_, occasion), rows) in enumerate(messages.items()):
            if time.monotonic() > deadline:
                return count
            text = message(rows, occasion, self._settings.ui_url)
            channel.send(text.title, text.body, text.kind)
            now_ms = self._now_ms()
            tellings = [
                told(row, channel.name, known.get((row.alert_id, channel.name)), occasion, now_ms) for row in rows
            ]
            self._alerts.took(channel.name, tellings)
            known.update({(one.alert_id, one.channel): one for one in tellings})
        return len(messages)

    def _settle(self, rows: list[Alert], known: dict[tuple[int, str], Telling]) -> None:
        now_ms, settings = self._now_ms(), self._settings
        over = [
            row
            for row in rows
            if row.recovered_ms is not None
            and now_ms - row.recovered_ms >= settings.settle_seconds * 1000
            and all(
                finished(row, known.get((row.alert_id, channel)), settings, now_ms)
                for channel in settings.addresses
                if (row.alert_id, channel) in known or settings.route(channel).takes(row.severity, row.owned_by)
            )
        ]
        if over:
            self._alerts.settle(over)
            # The list grows by what is settled and by nothing else.
            self._alerts.forget(now_ms - settings.keep_days * _DAY_MS)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
