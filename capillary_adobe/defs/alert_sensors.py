"""The sensors of alerts: one reads finished runs, the other looks at what no run can tell; both send what is due.

Belongs here: their ticks. Does not belong here: what is read (`run_reading.py`), the conditions (`alerting.conditions`) and the
sending (`alerting.sending`).

Each tells of the other when it falls behind. A channel that takes no message fails the tick, which then names it; what is due
stays due, and every tick tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from capillary_adobe.alerting.conditions import lag
from capillary_adobe.alerting.sending import Sender
from capillary_adobe.alerting.watching import LOOK as WATCH
from capillary_adobe.alerting.watching import Watching
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LandingResource, StateResource
from capillary_adobe.defs.run_reading import LOOK as RUNS
from capillary_adobe.defs.run_reading import RunReading
from capillary_adobe.defs.tick_reading import failing_ticks
from capillary_adobe.settings import AlertSettings, load
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts, Problem
from capillary_adobe.tables import INGESTION_STATUS

_RUNS_SECONDS = 15
_WATCH_SECONDS = 60
_READING_BUDGET_SECONDS = 20.0
_MINUTE_MS = 60_000


def build_alert_sensor() -> dg.SensorDefinition:
    """The sensor that reads finished runs."""

    @dg.sensor(
        name="alert_sensor",
        minimum_interval_seconds=_RUNS_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Reads every finished run for failed checks and failed steps, and sends what is due to the channels of "
            "ALERT_CHANNELS: one alert for each distinct failure, a count of its repeats, a message when it is well again. A "
            "tick that fails names the channel that took no message; nothing is lost by that, the next tick tries again. "
            "`capillary-adobe alerts list` shows what stands."
        ),
    )
    def alert_sensor(context: dg.SensorEvaluationContext, state: StateResource) -> dg.SkipReason:
        with told_plainly():
            database, settings = state.open(), load(AlertSettings)
            location = context.repository_def
            if location is None:
                raise dg.DagsterInvariantViolationError("alert_sensor needs the code location it is part of")
            reading = RunReading(context.instance, location, database, settings.repeat_minutes * _MINUTE_MS)
            origin = context.code_location_origin
            read = reading.read(_READING_BUDGET_SECONDS, origin.location_name if origin is not None else None)
            _look_after(database, settings, RUNS, WATCH, "watch_sensor")
            return dg.SkipReason(f"{read} runs read, {Sender(database, settings).send()} messages sent")

    return alert_sensor


def build_watch_sensor() -> dg.SensorDefinition:
    """The sensor that looks at conditions."""

    @dg.sensor(
        name="watch_sensor",
        minimum_interval_seconds=_WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Looks at what no run can tell and has alerts sent: nothing lands at an hour when events are usual, landed events "
            "are not delivered, the batches or calls of a quota are nearly used up, a credential expires, ticks of a sensor or "
            "schedule fail, alert_sensor is behind. What one look cannot see hides no other. docs/alerts.md lists them with "
            "their cures."
        ),
    )
    def watch_sensor(
        context: dg.SensorEvaluationContext, state: StateResource, landing: LandingResource
    ) -> dg.SkipReason:
        with told_plainly():
            database, settings = state.open(), load(AlertSettings)
            location, origin = context.repository_def, context.code_location_origin
            ours = origin.location_name if origin is not None else None
            look = Watching(
                database,
                settings,
                landing.open,
                _owners(context),
                _delivered_ms(context.instance),
                failing=failing_ticks(context.instance, location, ours) if location is not None else (),
            ).look()
            _look_after(database, settings, WATCH, RUNS, "alert_sensor")
            return dg.SkipReason(f"{look}; {Sender(database, settings).send()} messages sent")

    return watch_sensor


def _look_after(state: State, settings: AlertSettings, me: str, other: str, sensor: str) -> None:
    """Tell if the other sensor is behind."""
    alerts, now_ms = Alerts(state), int(time.time() * 1000)
    alerts.expect(other)
    seen = lag(alerts, other, sensor, settings, now_ms)
    if isinstance(seen, Problem) or any(one.scope == seen.scope for one in alerts.unsettled()):
        alerts.note([seen], settings.repeat_minutes * _MINUTE_MS, me)


def _owners(context: dg.SensorEvaluationContext) -> Callable[[str], frozenset[str]]:
    """Who owns an asset of this code location."""
    graph = context.repository_def.asset_graph if context.repository_def is not None else None

    def of(asset: str) -> frozenset[str]:
        key = dg.AssetKey(asset)
        return frozenset(graph.get(key).owners) if graph is not None and graph.has(key) else frozenset()

    return of


def _delivered_ms(instance: dg.DagsterInstance) -> int | None:
    """When the last delivery of any day ended."""
    last = instance.get_latest_materialization_event(dg.AssetKey(INGESTION_STATUS.name))
    return int(last.timestamp * 1000) if last is not None else None
