"""Fixtures: a folder with settings of its own, the command line in it, and a day that has gone the whole road."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from capillary_adobe.cli import main
from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.demo.traffic import Written, write_day
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.landing.local_store import LocalLandingStore

OURS = (
    "ADOBE_",
    "ALERT_",
    "AWS_",
    "CAPILLARY_",
    "CHECK_",
    "HISTORY_",
    "LAKE_",
    "LANDING_",
    "MAPPING_",
    "RECEIVE_",
    "REPORT_",
    "STATE_",
)
Call = Callable[..., Result]


@dataclass(frozen=True)
class DeliveredDay:
    """A day that was landed and delivered, and the variables of the installation that did it."""

    day: date
    written: Written
    settings: dict[str, str]


def storage(folder: Path) -> dict[str, str]:
    return {
        "LANDING_URL": str(folder / "landing"),
        "LAKE_URL": str(folder / "lake"),
        "STATE_URL": f"sqlite:///{folder / 'state.db'}",
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no setting in the environment."""
    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(place: Path) -> Call:
    """Call `capillary-adobe` with arguments and settings."""
    assert place == Path.cwd()

    def called(*arguments: str, **settings: str) -> Result:
        return CliRunner().invoke(main, arguments, env=settings)

    return called


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeliveredDay]:
    folder = tmp_path_factory.mktemp("delivered")
    # One day for ever: on some a repeat is of a group's event, which is ignored before it is known for a repeat.
    day = date(2026, 11, 19)
    written = write_day(LocalLandingStore(folder / "landing"), day, 600)
    with RunningEmulator(folder / "aep") as emulator, pytest.MonkeyPatch.context() as environment:
        settings = {**emulator.environment, **storage(folder), "CAPILLARY_CURRENCY": "INR"}
        for name, value in settings.items():
            environment.setenv(name, value)
        with dg.DagsterInstance.ephemeral() as instance:
            job = build_defs().resolve_job_def(JOB)
            assert job.execute_in_process(partition_key=day.isoformat(), instance=instance).success
        yield DeliveredDay(day, written, settings)
