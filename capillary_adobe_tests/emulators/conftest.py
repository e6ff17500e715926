"""Fixtures: emulators on a free port, and clients of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator, Tenant
from capillary_adobe_tests.emulators.client import Client, StartEmulator
from capillary_adobe_tests.emulators.platform_client import Platform, running
from capillary_adobe_tests.emulators.registry_client import Registry, set_up


@pytest.fixture
def tenant() -> Tenant:
    return Tenant.demo()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "aep"


@pytest.fixture
def start(store: Path) -> Iterator[StartEmulator]:
    """Start an emulator that behaves as asked and give its client; all of them stop with the test."""
    with ExitStack() as stack:

        def started(**behaviour: object) -> Client:
            emulator = stack.enter_context(RunningEmulator(store, behaviour=Behaviour(**behaviour)))  # pyright: ignore[reportArgumentType]
            return Client(emulator, stack.enter_context(requests.Session()))

        yield started


@pytest.fixture(scope="session")
def shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path_factory.mktemp("shared-aep")) as emulator:
        yield emulator


@pytest.fixture
def client(shared_emulator: RunningEmulator) -> Iterator[Client]:
    """A client of an emulator that other tests use too: it knows what has changed since it began."""
    with requests.Session() as session:
        yield Client(shared_emulator, session)


@pytest.fixture
def alone(start: StartEmulator) -> Client:
    """The only client of an emulator with nothing in it."""
    return start()


@pytest.fixture
def platform(client: Client) -> Platform:
    """The Platform API of an emulator that other tests use too."""
    return Platform(client)


@pytest.fixture
def swift(store: Path) -> Iterator[Callable[..., Platform]]:
    """Start an emulator of one's own that loses no time, and give its Platform API."""
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(running(store, **behaviour))


@pytest.fixture
def registry(store: Path) -> Iterator[Registry]:
    """The set-up services of an emulator of one's own with nothing in it."""
    with set_up(store) as running_registry:
        yield running_registry


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The set-up services of an emulator that other tests use too, with nothing in it; only what is refused is tried."""
    with set_up(tmp_path_factory.mktemp("untouched-aep")) as running_registry:
        yield running_registry


@pytest.fixture
def seeded(client: Client) -> Registry:
    """The set-up services of an emulator that other tests use too, with the demo's objects; change nothing there."""
    return Registry(client)
