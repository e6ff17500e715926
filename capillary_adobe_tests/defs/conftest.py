"""Fixtures of the code location's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe_tests.defs.installation import Installation


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    """An emulator whose tenant is the environment's."""
    with RunningEmulator(tmp_path / "emulator") as running:
        settings = {
            **running.environment,
            "ADOBE_MAX_RECORDS_PER_SECOND": "0",
            "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
            "CAPILLARY_CURRENCY": "INR",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield running


@pytest.fixture
def installation(emulator: RunningEmulator, tmp_path: Path) -> Installation:
    """An empty installation beside the emulator."""
    return Installation(tmp_path / "installation", tmp_path / "landing")
