"""A batch under kill -9 at each of its stages: the next run takes it up, and AEP gets every entity once.

The process is held where a stage has been reached, by an answer that does not come or by entities that do not, so that
the kill hits that stage for certain.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.adobe import Delivery
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.state import Receipt, Receipts, SentBatch, SentBatches, State
from capillary_adobe_tests.adobe.arrivals import (
    Arrivals,
    Ledger,
    assert_nothing_lost,
    assert_one_batch,
    conformant_from,
    taken_so_far,
)
from capillary_adobe_tests.adobe.sending import DAY, settings_for, work
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.platform_client import Platform, eventually
from capillary_adobe_tests.forked import Forked

FILE_BYTES = 10_000
LINE_BYTES = conformant_from(0, 1).column("entity")[0].as_buffer().size + 1
PER_FILE = -(-FILE_BYTES // LINE_BYTES)
ENTITIES = 4 * PER_FILE
# Longer than any test; what still waits when the emulator stops is dropped.
NEVER = 600
IMPORT = "/data/foundation/import/batches"
CATALOG = "/data/foundation/catalog/batches"
IN_PARTS = {"batch_put_bytes": 4_000, "batch_part_bytes": 3_000}

DELIVERING = "from capillary_adobe_tests.adobe.delivering_batches import main; main()"

_numbers = itertools.count(1_000_000, step=ENTITIES)


@dataclass(frozen=True)
class Seen:
    """What a test can see of a batch while its process stands still."""

    sent: list[SentBatch]
    files: list[Receipt]
    status: str | None
    """AEP's word for the batch, None before it has one."""
    held: bool
    """Whether the answer that does not come has been asked for."""

    @property
    def uploaded(self) -> int:
        """Files that AEP acknowledged."""
        return sum(file.http_status is not None for file in self.files)

    @property
    def in_doubt(self) -> int:
        """Files on their way."""
        return len(self.files) - self.uploaded


@dataclass(frozen=True)
class Stage:
    """How the process is held, and what is to be seen then."""

    name: str
    reached: Callable[[Seen], bool]
    fault: dict[str, Any] | None = None
    silent_after: int = -1
    settings: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def unanswered(method: str, path: str, skip: int = 0) -> dict[str, Any]:
    """A call that AEP carries out and does not answer."""
    return {"kind": "delay", "method": method, "path": path, "skip": skip, "seconds": NEVER}


STAGES = (
    Stage(
        "noted, not yet asked for",
        lambda seen: seen.sent[0].aep_id is None and seen.status is None,
        unanswered("GET", CATALOG),
    ),
    Stage(
        "created, not told",
        lambda seen: seen.sent[0].aep_id is None and seen.status == "loading",
        unanswered("POST", IMPORT),
    ),
    Stage(
        "created and told",
        lambda seen: seen.sent[0].aep_id is not None and not seen.files,
        unanswered("GET", f"{CATALOG}/"),
    ),
    Stage(
        "the first file on its way",
        lambda seen: (seen.uploaded, seen.in_doubt) == (0, 1),
        unanswered("PUT", f"{IMPORT}/"),
    ),
    Stage(
        "a later file on its way",
        lambda seen: (seen.uploaded, seen.in_doubt) == (2, 1),
        unanswered("PUT", f"{IMPORT}/", 2),
    ),
    Stage(
        "half a file at AEP",
        lambda seen: (seen.uploaded, seen.in_doubt) == (1, 1),
        # A file has four parts.
        unanswered("PATCH", f"{IMPORT}/", 5),
        settings=IN_PARTS,
    ),
    Stage(
        "a file in parts, closed and not told",
        lambda seen: (seen.uploaded, seen.in_doubt) == (1, 1),
        unanswered("POST", f"{IMPORT}/", 3),
        settings=IN_PARTS,
    ),
    Stage("between two files", lambda seen: (seen.uploaded, seen.in_doubt) == (2, 0), silent_after=2 * PER_FILE),
    Stage(
        "while a file is filled",
        lambda seen: (seen.uploaded, seen.in_doubt) == (2, 0),
        silent_after=2 * PER_FILE + PER_FILE // 2,
    ),
    Stage("after the last file", lambda seen: (seen.uploaded, seen.in_doubt) == (4, 0), silent_after=ENTITIES),
    Stage(
        "completed, not told",
        lambda seen: seen.sent[0].completed_ms is None and seen.status not in (None, "loading"),
        unanswered("POST", f"{IMPORT}/"),
    ),
    Stage(
        "completed, not looked at",
        lambda seen: seen.sent[0].completed_ms is not None,
        unanswered("GET", f"{CATALOG}/", 1),
    ),
    Stage(
        "looked at again",
        lambda seen: seen.sent[0].completed_ms is not None and seen.sent[0].status != "",
        unanswered("GET", f"{CATALOG}/", 2),
    ),
)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    # So long that a run looks at least twice before the verdict.
    behaviour = Behaviour(batch_seconds=0.45, validate=False)
    with RunningEmulator(tmp_path_factory.mktemp("aep"), behaviour=behaviour) as running:
        yield running


@pytest.fixture
def platform(emulator: RunningEmulator) -> Iterator[Platform]:
    emulator.faults.clear()
    with requests.Session() as session:
        yield Platform(Client(emulator, session))


def look(emulator: RunningEmulator, platform: Platform, state: State) -> Seen:
    sent = SentBatches(state).open(DAY)
    status = None
    # The calls of this look are no concern of the fault once it has been met.
    held = all(fault["fired"] for fault in emulator.faults.overview())
    if sent and held:
        found = platform.get("catalog/batches", externalId=sent[0].external_id).json()
        status = next((batch["status"] for batch in found.values()), None)
    files = Receipts(state).of_requests(f"{sent[0].external_id}/") if sent else []
    return Seen(sent, files, status, held)


def kill_at(stage: Stage, emulator: RunningEmulator, platform: Platform, state: State, start: int) -> None:
    if stage.fault is not None:
        emulator.faults.add(**stage.fault)
    settings = {"batch_file_bytes": FILE_BYTES, **stage.settings}
    environment = {
        **os.environ,
        **emulator.environment,
        # What a killed process has spooled stays; here it goes with the test's own folder.
        "TMPDIR": str(Path(state.engine.url.database or "").parent),
        **{f"ADOBE_{name.upper()}": str(value) for name, value in settings.items()},
    }
    arguments = state.engine.url.render_as_string(), str(start), str(ENTITIES), str(stage.silent_after)
    with Forked(DELIVERING, *arguments, environment=environment) as process:

        def stands() -> bool:
            assert process.poll() is None, f"delivery ended with {process.poll()} before it could be killed"
            seen = look(emulator, platform, state)
            return seen.held and bool(seen.sent) and stage.reached(seen)

        eventually(stands, stage.name)


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_killed_at_any_stage_the_batch_is_taken_up(
    emulator: RunningEmulator, platform: Platform, state: State, tmp_path: Path, stage: Stage
) -> None:
    start = next(_numbers)
    before = taken_so_far(emulator.base_url)
    kill_at(stage, emulator, platform, state, start)
    emulator.faults.clear()
    batch = conformant_from(start, ENTITIES)
    settings = settings_for(emulator.environment, batch_file_bytes=FILE_BYTES, batch_wait_seconds=20, **stage.settings)
    counts = Delivery(settings, state).deliver(work(batch, lane="history", route="batch"), lambda _: None)
    assert counts.waiting == 0
    assert_arrived_once(emulator, platform, state, batch, before)


def test_killed_at_one_stage_after_another_the_batch_is_still_the_same(
    emulator: RunningEmulator, platform: Platform, state: State
) -> None:
    start = next(_numbers)
    before = taken_so_far(emulator.base_url)
    held = {stage.name: stage for stage in STAGES}
    for name in ("created, not told", "created and told", "the first file on its way", "completed, not told"):
        emulator.faults.clear()
        kill_at(held[name], emulator, platform, state, start)
    emulator.faults.clear()
    batch = conformant_from(start, ENTITIES)
    settings = settings_for(emulator.environment, batch_file_bytes=FILE_BYTES, batch_wait_seconds=20)
    Delivery(settings, state).deliver(work(batch, lane="history", route="batch"), lambda _: None)
    assert_arrived_once(emulator, platform, state, batch, before)


def assert_arrived_once(emulator: RunningEmulator, platform: Platform, state: State, batch: Any, before: int) -> None:
    ledger = Ledger.of(state, batch)
    arrivals = Arrivals.since(emulator.base_url, before, batch)
    assert_nothing_lost(ledger, arrivals, batch)
    assert ledger.doubtful == set()
    assert ledger.maybe_twice == 0
    sent = SentBatches(state)
    assert sent.created_since(0) == 1
    assert sent.open() == []
    assert_one_batch(platform, sent.aep_ids(0), arrivals)
