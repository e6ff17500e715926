"""A state database of its own before an emulator, over several days.

Belongs here: what tests of several days see of both. Does not belong here: any test.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from capillary_adobe.adobe.batch_lane import BatchLane
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.status import COLUMNS, outcomes
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import SentBatches, State
from capillary_adobe_tests.adobe.arrivals import lines_from, taken_so_far
from capillary_adobe_tests.adobe.delivering_days import Days, days_from, deliver_days
from capillary_adobe_tests.adobe.sending import settings_for

EACH = 30
NUMBERS = itertools.count(5_000_000, step=100_000)
"""Places of the first entity of tests that share an emulator."""


class Road:
    """A state database of its own before an emulator that is shared, and what has arrived there since."""

    def __init__(self, emulator: RunningEmulator, state: State) -> None:
        self.emulator = emulator
        self.state = state
        self.register = SentBatches(state)
        self.settings = settings_for(
            emulator.environment, batch_file_bytes=20_000, batch_wait_seconds=20, retry_budget_seconds=3
        )
        self.before = taken_so_far(emulator.base_url)

    def days(self, number: int, each: int = EACH) -> Days:
        """New days."""
        return days_from(next(NUMBERS), each, number)

    def impatient(self, **more: Any) -> AdobeSettings:
        """Settings under which a call that fails is given up at once."""
        return self.settings.model_copy(update={"retry_budget_seconds": 0.1, **more})

    def deliver(self, days: Days, **more: Any) -> None:
        """A run over all the days, which goes well."""
        settings = self.settings.model_copy(update=more)
        assert deliver_days(settings, self.state, days) == {}

    def tally(self, days: Days) -> dict[str, dict[str, int]]:
        """How many entities of each day have which outcome."""
        return {day: dict(Counter(row["status"] for row in self.rows(days, day))) for day in days}

    def rows(self, days: Days, day: str) -> list[dict[str, Any]]:
        """The rows that `ingestion_status` gets for a day."""
        return [row for found in outcomes(self.state, day, [days[day].select(COLUMNS)]) for row in found.to_pylist()]

    def assert_arrived_once(self, days: Days) -> None:
        """Every entity of the days is at AEP, and once."""
        wanted = sorted(id_ for batch in days.values() for id_ in batch.column("id").to_pylist())
        assert sorted(line["entity"]["_id"] for line in lines_from(self.emulator.base_url, self.before)) == wanted
        assert self.tally(days) == {day: {"accepted": batch.num_rows} for day, batch in days.items()}
        assert self.register.open() == []

    @property
    def begun(self) -> int:
        """Batches of ours."""
        return self.register.created_since(0)

    def lane(self, **more: Any) -> BatchLane:
        """The batch lane, as whoever reads verdicts has it."""
        settings = self.settings.model_copy(update=more)
        return BatchLane(settings, self.state, Platform(settings, AccessToken(settings)))


class UnhurriedRoad(Road):
    """A road to an emulator of its own that judges no batch unless it is asked to.

    A batch that is judged within a fraction of a second may be judged before a run on a busy machine has its first look.
    """

    def __init__(self, store: Path, state: State) -> None:
        self._store = store
        super().__init__(self._started(_NEVER_SECONDS), state)

    def judges(self) -> None:
        """Have every batch judged, those that wait and those to come."""
        self._restart(0)

    def rests(self) -> None:
        """Have no batch judged from now on."""
        self._restart(_NEVER_SECONDS)

    def close(self) -> None:
        """Stop the emulator."""
        self.emulator.__exit__(None, None, None)

    def _restart(self, batch_seconds: float) -> None:
        self.close()
        self.emulator = self._started(batch_seconds, urlsplit(self.emulator.base_url).port or 0)

    def _started(self, batch_seconds: float, port: int = 0) -> RunningEmulator:
        return RunningEmulator(self._store, behaviour=Behaviour(batch_seconds=batch_seconds), port=port).__enter__()


_NEVER_SECONDS = 3600.0
