"""Fixtures: an empty sandbox and an installation beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.setup.place import Place


@pytest.fixture
def place(tmp_path: Path, state: State) -> Iterator[Place]:
    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        yield Place(emulator, state)
