"""Fixtures: a road of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.capillary.road import Road


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    road = Road(tmp_path, load_rules())
    yield road
    road.state.engine.dispose()
