"""Newest wins at AEP: updates within a millisecond, shuffled, split, retried, by two writers, over answers that get lost."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.profiles.document import CustomerKey, Facts
from capillary_adobe.settings import AdobeSettings, Lane
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe_tests.adobe.sending import settings_for
from capillary_adobe_tests.adobe.sending_profiles import (
    DAY,
    OTHER_DAY,
    arrived,
    at_aep,
    deliver,
    due_records,
    fact,
    key,
)

TRIALS = 1000
UPDATES = 4
BATCHES = 6
MOMENT_US = 1_772_600_000_000_000
REORDER_SECONDS = 0.15
SPACING_SECONDS = 0.4
LOST = 0.25


class Writer:
    """One run after another over micro-batches of a day: what was made is sent later, often more than once, in any order."""

    def __init__(self, settings: AdobeSettings, url: str, day: str, lane: Lane, chance: random.Random) -> None:
        self._settings = settings
        self._state = State(url)
        self._day = day
        self._lane: Lane = lane
        self._chance = chance
        self._made: list[pa.RecordBatch] = []

    def work(self, batches: list[list[Facts]]) -> None:
        """Merge and make each, and send some of those made so far; whatever does not get through stays for the end."""
        for facts in batches:
            Customers(self._state).merge(facts)
            self._made.append(self.make({one.key for one in facts}))
            for rows in self._chance.choices(self._made, k=3):
                self.send(rows)

    def make(self, keys: set[CustomerKey] | None) -> pa.RecordBatch:
        """Make the records of those who are due."""
        return due_records(self._state, keys, self._day, SPACING_SECONDS, lane=self._lane)

    def send(self, rows: pa.RecordBatch) -> None:
        """Send records as far as AEP answers."""
        with suppress(TransientDeliveryError):
            deliver(self._settings, self._state, rows, day=self._day, lane=self._lane, spacing_seconds=SPACING_SECONDS)


def shuffled(chance: random.Random) -> tuple[list[list[list[Facts]]], dict[int, str]]:
    """For each of two writers its micro-batches, some twice; and the newest value of each customer."""
    split: list[list[list[Facts]]] = [[[] for _ in range(BATCHES)] for _ in range(2)]
    newest: dict[int, str] = {}
    for number in range(1, TRIALS + 1):
        moments = sorted(chance.sample(range(1000), UPDATES))
        updates = [fact(number, MOMENT_US + at, f"{number}@{at}") for at in moments]
        newest[number] = f"{number}@{moments[-1]}"
        chance.shuffle(updates)
        for update in updates:
            chance.choice(chance.choice(split)).append(update)
    for batches in split:
        for facts in batches:
            chance.shuffle(facts)
        batches += chance.sample(batches, 3)
        chance.shuffle(batches)
    return split, newest


def test_in_a_thousand_trials_the_last_profile_in_aep_is_the_newest(tmp_path: Path, url: str) -> None:
    chance = random.Random()  # noqa: S311
    split, newest = shuffled(chance)
    behaviour = Behaviour(validate=False, profile_reorder_seconds=REORDER_SECONDS)
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator:
        emulator.faults.add(
            kind="reset_after", share=LOST, times=None, path="/collection/", seed=chance.randrange(10**6)
        )
        more = {"retry_budget_seconds": 0, "max_request_bytes": 20_000, "timeout_seconds": 5}
        settings = settings_for(emulator.environment, **more)
        writers = [
            Writer(settings, url, DAY, "live", chance),
            Writer(settings, url, OTHER_DAY, "history", chance),
        ]
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(one.work, batches) for one, batches in zip(writers, split, strict=True)]:
                done.result()
        emulator.faults.clear()
        assert_never_older(arrived(emulator.base_url))
        deadline = time.monotonic() + 30
        state = State(url)
        while Customers(state).counts().due:
            assert time.monotonic() < deadline
            writers[0].send(writers[0].make(None))
            time.sleep(SPACING_SECONDS / 8)
        assert at_aep(emulator.base_url) == newest
        assert_never_older(arrived(emulator.base_url))
    assert sorted(key(number) for number in newest) == sorted(Customers(state).documents(map(key, newest)))
    state.engine.dispose()


def assert_never_older(sent: list[tuple[int, int]]) -> None:
    """No record follows a newer one of its customer."""
    revisions: defaultdict[int, list[int]] = defaultdict(list)
    for customer, revision in sent:
        revisions[customer].append(revision)
    assert sent
    for customer, found in revisions.items():
        assert found == sorted(found), f"{customer} had {found}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    return request.getfixturevalue("postgres")
