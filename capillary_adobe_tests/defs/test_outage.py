"""AEP is down for a day: events wait, nothing is given up, and all of them arrive in order of age."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from capillary_adobe.adobe import Delivery
from capillary_adobe.adobe.delivery import INLET
from capillary_adobe.adobe.profile_delivery import ProfileDelivery
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.capillary.values import utc
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import AdobeResource
from capillary_adobe.defs.sensors import outage_words
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.microbatching import Cursor, MicroBatcher
from capillary_adobe.settings import AdobeSettings, LandingSettings, load
from capillary_adobe.state import LandedObjects, MicroBatches, Paces, State
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of
from capillary_adobe_tests.defs.test_road import sale

DAY = "2026-11-19"
MINUTE = 60.0
MIDNIGHT = datetime(2026, 11, 19, tzinfo=UTC).timestamp()
NOW = [MIDNIGHT]
"""The one clock of the simulation, moved on by the test alone."""


class AdobeByTheClock(AdobeResource):
    """Delivery that goes by the simulated clock."""

    def delivery(self, settings: AdobeSettings, state: State) -> Delivery:
        return Delivery(settings, state, shared_token(settings), clock=lambda: NOW[0])

    def profile_delivery(self, settings: AdobeSettings, state: State) -> ProfileDelivery:
        return ProfileDelivery(settings, state, shared_token(settings), clock=lambda: NOW[0])


@dataclass
class Simulated:
    """An installation whose sensor, breaker and landing store live by the simulated clock."""

    installation: Installation
    emulator: RunningEmulator
    cursor: Cursor = field(default_factory=Cursor)
    landed: list[str] = field(default_factory=list)
    runs: int = 0
    words: list[str] = field(default_factory=list)

    def land(self, number: int) -> None:
        """An object with one sale, stored now."""
        hour = datetime.fromtimestamp(NOW[0], UTC).hour
        key = f"events/{DAY}/{hour:02d}/{int(NOW[0] * 1000)}-{number}.jsonl"
        self.installation.land(key, sale(number, createdAt=int(NOW[0] * 1000)))
        os.utime(self.installation.landing_root / key, (NOW[0], NOW[0]))
        self.landed.append(utc(int(NOW[0] * 1000)))

    def tick(self) -> bool:
        """One tick of the sensor's choice, and the run it asks for; False where there is nothing to do."""
        state = self.installation.state
        register = MicroBatches(state, lambda: NOW[0])
        batcher = MicroBatcher(
            self.installation.store, LandedObjects(state), register, load(LandingSettings), date(2026, 1, 1)
        )
        held = outage_words(Paces(state).look(INLET, NOW[0]), NOW[0])
        proposal = batcher.propose("live", self.cursor.lane("live"), int(NOW[0] * 1000), held)
        self.words.append(proposal.words)
        if proposal.batch is None:
            return False
        batch = register.ask(proposal.batch)
        config = MicroBatchConfig(batch_id=batch.batch_id, after_key=batch.after_key, up_to_key=batch.up_to_key)
        self.runs += 1
        result = self.installation.run(DAY, batch=config, raise_on_error=False)
        if not result.success:
            self.words.append(failure_of(result))
        return True

    def order(self) -> list[str]:
        """The times of the sales in the order in which AEP took them."""
        return [entity["timestamp"] for entity in events(self.emulator.base_url)]


@pytest.fixture
def simulated(emulator: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    NOW[0] = MIDNIGHT
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    monkeypatch.setenv("LANDING_SETTLE_SECONDS", "0")
    installation = Installation(tmp_path / "installation", tmp_path / "landing", adobe=AdobeByTheClock())
    return Simulated(installation, emulator)


def test_a_day_without_aep_loses_nothing_and_ends_in_order_of_age(simulated: Simulated) -> None:
    simulated.land(1)
    assert simulated.tick()
    simulated.emulator.faults.add(kind="reset_before", path="/collection", times=None)
    for number in range(2, 14):
        NOW[0] += 119 * MINUTE
        simulated.land(number)
        simulated.tick()
        NOW[0] += MINUTE
        asked = simulated.tick()
        # Once the breaker is open, the one that is tried again has just been: nothing is asked for, and nothing new.
        assert not (asked and number > 6)
    outage = simulated.installation.balance(DAY)
    waiting = [row for row in simulated.installation.rows(INGESTION_STATUS, DAY) if row["status"] == "pending"]
    assert waiting
    assert all("No answer from AEP" in row["detail"] or "has not answered since" in row["detail"] for row in waiting)
    assert outage.delivery["accepted"] == 1
    assert outage.landed_lines == len(simulated.landed)
    # The breaker is open: the sensor has tried what was open, and left the rest in the landing store.
    assert any("AEP has not answered since 2026-11-19" in words for words in simulated.words)
    assert outage.unread_objects > 4
    simulated.emulator.faults.clear()
    for _ in range(200):
        if not simulated.tick():
            if len(simulated.order()) == len(simulated.landed):
                break
            NOW[0] += MINUTE
    assert simulated.order() == simulated.landed
    balance = simulated.installation.balance(DAY)
    assert balance.balanced, balance.differences
    assert balance.profile_delivery["accepted"] == balance.entities["profiles"] == 13
    assert balance.delivery == {"accepted": 13, "rejected": 0, "failed": 0, "pending": 0}


def test_a_service_that_is_down_is_not_hammered(simulated: Simulated) -> None:
    began = time.monotonic()
    simulated.emulator.faults.add(kind="status", status=503, path="/collection", times=None)
    for number in range(1, 40):
        NOW[0] += MINUTE
        simulated.land(number)
        simulated.tick()
    (fault,) = simulated.emulator.faults.overview()
    # Forty minutes of trying: the first failures, then one trial a pause of the micro-batch, which grows to 15 minutes.
    assert fault["fired"] <= 12
    assert simulated.runs <= 12
    assert time.monotonic() - began < 60


def test_what_fails_before_it_comes_to_aep_does_not_hold_the_lane_for_ever(simulated: Simulated) -> None:
    simulated.emulator.faults.add(kind="status", status=503, path="/collection", times=None)
    for number in range(1, 8):
        NOW[0] += MINUTE
        simulated.land(number)
        simulated.tick()
    simulated.emulator.faults.clear()
    # The oldest is asked for and fails by itself, so no trial ever leaves: a while later another is let through.
    lost = simulated.installation.landing_root / f"events/{DAY}/00"
    first = sorted(lost.iterdir())[0]
    first.unlink()
    for _ in range(12):
        NOW[0] += 10 * MINUTE
        while simulated.tick():
            pass
    assert len(simulated.order()) == len(simulated.landed) - 1
