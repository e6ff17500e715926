"""Fixtures: a state database and scripted inlets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capillary_adobe.state import State
from capillary_adobe_tests.adobe.scripted import Answer, ScriptedInlet
from capillary_adobe_tests.services import postgres_database

StartInlet = Callable[..., ScriptedInlet]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="session")
def inlet() -> Iterator[ScriptedInlet]:
    with ScriptedInlet() as running:
        yield running


@pytest.fixture
def scripted(inlet: ScriptedInlet) -> StartInlet:
    """Give the inlet a script; it has forgotten what other tests did to it."""

    def started(*script: Answer, otherwise: Answer | None = None) -> ScriptedInlet:
        inlet.follow(*script, otherwise=otherwise)
        return inlet

    return started


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_database() as url:
        yield url


@pytest.fixture
def empty_postgres() -> Iterator[str]:
    with postgres_database() as url:
        yield url
