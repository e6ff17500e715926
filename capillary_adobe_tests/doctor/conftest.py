"""Fixtures: an environment that a test fills itself, and an emulator with an installation set up against it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capillary_adobe.doctor.findings import Finding
from capillary_adobe.doctor.order import examination
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.settings import every_class

Examine = Callable[..., dict[str, list[Finding]]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the storage in it, and no other setting in the environment."""
    heads = tuple({str(one.model_config.get("env_prefix")) for one in every_class()} - {""})
    for name in os.environ:
        if name.startswith((*heads, "DAGSTER_HOME")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, value in {"LANDING_URL": "landing", "LAKE_URL": "lake", "STATE_URL": "sqlite:///state.db"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def look(place: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examine with these settings; findings by the name of their check."""
    assert place == Path.cwd()

    def looked(*, offline: bool = False, **settings: str) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        with monkeypatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            for finding in examination(offline=offline):
                found.setdefault(finding.check, []).append(finding)
        return found

    return looked


@pytest.fixture(scope="module")
def aep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    """An emulator in which everything has been set up."""
    with RunningEmulator(tmp_path_factory.mktemp("aep")) as emulator:
        yield emulator


def told(found: dict[str, list[Finding]], check: str) -> str:
    """The outcome and words of a check, for a test to look into."""
    return "\n".join(f"{one.outcome}: {one.words} {one.cure}" for one in found[check])
