"""Ticks that fail, as Dagster's storage has them: of which sensors and schedules, since when, with which words."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import SensorExecutionError, user_code_error_boundary
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from capillary_adobe.alerting.conditions import FailingTicks
from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.tick_reading import failing_ticks
from capillary_adobe.landing import LandingError

NOW = float(int(time.time()))
ORIGIN = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("127.0.0.1", 4266, location_name="ours"), "__repository__")
ANOTHER = RemoteRepositoryOrigin(
    GrpcServerCodeLocationOrigin("127.0.0.1", 4267, location_name="another"), "__repository__"
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def error_of(raised: Exception) -> SerializableErrorInfo:
    """What the daemon keeps of an error of a tick."""
    try:
        with user_code_error_boundary(SensorExecutionError, lambda: "The sensor met an error"), told_plainly():
            raise raised
    except SensorExecutionError:
        return serializable_error_info_from_exc_info(sys.exc_info())


class Instigator:
    """A sensor or schedule whose ticks the daemon has kept."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        name: str,
        kind: InstigatorType,
        *,
        on: bool = True,
        origin: RemoteRepositoryOrigin = ORIGIN,
    ) -> None:
        status = InstigatorStatus.DECLARED_IN_CODE if on else InstigatorStatus.STOPPED
        data = ScheduleInstigatorData("30 4 * * *") if kind is InstigatorType.SCHEDULE else None
        self._state = InstigatorState(RemoteInstigatorOrigin(origin, name), kind, status, data)
        self._instance = instance
        instance.add_instigator_state(self._state)

    def tick(self, status: TickStatus, ago: float, raised: Exception | None = None) -> None:
        self._instance.create_tick(
            TickData(
                self._state.instigator_origin_id,
                self._state.instigator_name,
                self._state.instigator_type,
                status,
                NOW - ago,
                run_ids=[],
                run_keys=[],
                selector_id=self._state.selector_id,
                error=error_of(raised) if raised else None,
            )
        )


def test_what_fails_is_told_since_its_last_good_tick_and_in_our_own_words_alone(instance: dg.DagsterInstance) -> None:
    failing = Instigator(instance, "landing_sensor", InstigatorType.SENSOR)
    failing.tick(TickStatus.FAILURE, 100, LandingError("Long mended."))
    failing.tick(TickStatus.SKIPPED, 90)
    failing.tick(TickStatus.FAILURE, 80, LandingError("The folder is gone. Make it."))
    failing.tick(TickStatus.FAILURE, 70, LandingError("The folder: it is gone. Make it again."))
    # One that is under way says nothing yet.
    failing.tick(TickStatus.STARTED, 60)
    unforeseen = Instigator(instance, "close_day", InstigatorType.SCHEDULE)
    unforeseen.tick(TickStatus.FAILURE, 50, ValueError("asha@example.com"))
    well = Instigator(instance, "verdict_sensor", InstigatorType.SENSOR)
    well.tick(TickStatus.FAILURE, 40, LandingError("Gone."))
    well.tick(TickStatus.SUCCESS, 30)
    Instigator(instance, "history_sensor", InstigatorType.SENSOR, on=False).tick(
        TickStatus.FAILURE, 20, ValueError("x")
    )
    Instigator(instance, "of_somebody_else", InstigatorType.SENSOR).tick(TickStatus.FAILURE, 10, ValueError("x"))

    # A second installation of the same name in one Dagster.
    Instigator(instance, "verdict_sensor", InstigatorType.SENSOR, origin=ANOTHER).tick(
        TickStatus.FAILURE, 10, LandingError("Gone.")
    )

    found = {one.name: one for one in failing_ticks(instance, build_defs().get_repository_def(), "ours")}

    assert found == {
        "landing_sensor": FailingTicks(
            "landing_sensor", True, 2, int((NOW - 80) * 1000), "The folder: it is gone. Make it again."
        ),
        "close_day": FailingTicks("close_day", False, 1, int((NOW - 50) * 1000), ""),
        "verdict_sensor": FailingTicks("verdict_sensor", True),
    }
