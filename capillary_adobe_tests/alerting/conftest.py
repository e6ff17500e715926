"""Fixtures: a mailbox and a webhook as channels, a state database, and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from capillary_adobe.alerting.sending import Sender
from capillary_adobe.settings import AlertSettings, load
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts, Problem, Well
from capillary_adobe_tests.alerting.receivers import Receiver, mail, webhook
from capillary_adobe_tests.services import postgres_database

NOON = 1_795_694_400.0
"""2026-11-26 12:00 UTC."""


@dataclass
class Desk:
    """Notes failures by a clock and sends what is due, as the sensors do."""

    state: State
    mail: Receiver
    hook: Receiver
    now: float = NOON
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def alerts(self) -> Alerts:
        return Alerts(self.state, lambda: self.now)

    def fail(self, name: str = "sound", day: str = "2026-11-26", severity: str = "error", **more: object) -> None:
        """A check fails now."""
        scope = f"check:xdm_events:{name}:{day}"
        values: dict[str, object] = {
            "key": scope,
            "scope": scope,
            "subject": f"check:xdm_events:{name}",
            "severity": severity,
            "title": f"The check {name} of xdm_events failed",
            "cause": "it found 3",
            "cure": "mend it",
            "at_ms": int(self.now * 1000),
            "owners": frozenset({"team:data"}),
            "asset": "xdm_events",
            "partition": day,
            "run_id": "run-1",
        }
        self._note(Problem(**(values | more)))  # pyright: ignore[reportArgumentType]

    def well(self, name: str = "sound", day: str = "2026-11-26") -> None:
        """It passes now."""
        self._note(Well(f"check:xdm_events:{name}:{day}", int(self.now * 1000), "run-2"))

    def send(self, **settings: object) -> int:
        """Send what is due."""
        channels = f"mail={self.mail.url} hook={self.hook.url}"
        return Sender(self.state, load(AlertSettings, **({"channels": channels} | settings)), lambda: self.now).send()

    def _note(self, one: Problem | Well) -> None:
        self.alerts.note([one], 3_600_000, "test", "")


@pytest.fixture(scope="session")
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    with mail() as box, webhook() as hook:
        yield box, hook


@pytest.fixture
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    """SQLite, or the database that a test asks for."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield State(f"sqlite:///{tmp_path / 'state.db'}")
        return
    with postgres_database() as url:
        state = State(url)
        yield state
        state.engine.dispose()


@pytest.fixture
def desk(state: State, receivers: tuple[Receiver, Receiver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Desk:
    monkeypatch.chdir(tmp_path)
    for receiver in receivers:
        receiver.taken.clear()
        receiver.refusing, receiver.refused = False, 0
    return Desk(state, *receivers)
