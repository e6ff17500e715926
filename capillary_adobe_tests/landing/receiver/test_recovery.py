"""Whatever kills a receiver, and whenever: what it acknowledged is in the landing store, exactly as sent, and once."""

from __future__ import annotations

import asyncio
import fcntl
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import orjson
import pytest

from capillary_adobe.landing import open_landing_store
from capillary_adobe.landing.receiver import committer as committer_module
from capillary_adobe.landing.receiver.durable_file import DurableFile
from capillary_adobe.landing.receiver.recovery import recover
from capillary_adobe_tests.landing.receiver.landed import (
    asides_in,
    committing,
    event,
    lines_in,
    numbers,
    take,
    today_in,
    until,
)
from capillary_adobe_tests.landing.receiver.landing_child import body_of, landing_child

_ROUNDS = 15
_AT_ONCE = 2


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    landing, notes = tmp_path / "landing", tmp_path / "notes"
    dice = random.SystemRandom()
    for attempt in range(_ROUNDS):
        # Those of this round find what those of the last one left, and take it over from each other.
        with ExitStack() as stack:
            children = [
                stack.enter_context(landing_child(landing, notes, attempt * _AT_ONCE + one)) for one in range(_AT_ONCE)
            ]
            before = notes.stat().st_size if notes.exists() else 0
            _wait_for(lambda before=before: notes.exists() and notes.stat().st_size > before)
            time.sleep(dice.uniform(0, 0.06))
            for child in dice.sample(children, _AT_ONCE):
                child.kill()
                time.sleep(dice.uniform(0, 0.01))
    asyncio.run(_start_and_stop(landing))
    _assert_exactly(landing, notes)


def _assert_exactly(landing: Path, notes: Path) -> None:
    acknowledged = {body_of(name) for name in notes.read_text().split()}
    store = open_landing_store(str(landing))
    found: Counter[bytes] = Counter(body for _, body in asides_in(store))
    for key, data in today_in(store):
        if key.startswith("events/"):
            assert data.endswith(b"\n")
            found.update(data.splitlines())
    assert len(acknowledged) > _ROUNDS
    assert acknowledged <= set(found)
    assert max(found.values()) == 1
    # Nothing but whole events, each as it was sent.
    assert all(body == body_of(orjson.loads(body)["id"]) for body in found)
    assert not list((landing / ".receiving").iterdir())


async def _start_and_stop(landing: Path) -> None:
    async with committing(landing):
        pass


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_two_receivers_leave_each_others_living_files_alone(tmp_path: Path) -> None:
    async def land() -> None:
        async with committing(tmp_path, roll_seconds=3600) as one, committing(tmp_path, roll_seconds=3600) as other:
            await take(one, event(1))
            await take(other, event(2))
            living = sorted((tmp_path / ".receiving").iterdir())
            recover(tmp_path / ".receiving", lambda _: None)
            async with committing(tmp_path):
                assert sorted((tmp_path / ".receiving").iterdir()) == living
            await take(one, event(3))
            await take(other, event(4))

    asyncio.run(land())
    assert sorted(numbers(lines_in(open_landing_store(str(tmp_path))))) == [1, 2, 3, 4]


def test_what_the_dead_left_is_landed_by_whoever_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_module, "_TEND_SECONDS", 0.1)
    monkeypatch.setattr(committer_module, "_PROBE_SECONDS", 0.1)
    store, receiving = open_landing_store(str(tmp_path)), tmp_path / ".receiving"
    left = event(1) + b"\n" + event(2) + b"\n"

    async def land() -> None:
        async with committing(tmp_path):
            # What a kill left in the middle of a write, or a loss of power of its blocks, was acknowledged to nobody.
            (receiving / "1-dead-1.jsonl").write_bytes(left + event(3, 200_000)[:-1] + bytes(5000))
            (receiving / "1-dead-4.jsonl").write_bytes(event(4, 200_000)[:-1])
            (receiving / "1-dead-2.jsonl").write_bytes(b"")
            (receiving / "1-dead-3.body").write_bytes(b"half a body that nobody was told about")
            await until(lambda: not list(receiving.iterdir()))
            assert lines_in(store) == left

    asyncio.run(land())
    assert len(today_in(store)) == 1


def test_a_file_is_landed_once_though_many_see_it(tmp_path: Path) -> None:
    """Owners that begin, write and die while others look for the dead: each line is landed once, none is lost."""
    receiving, landed = tmp_path / ".receiving", tmp_path / "landed"
    for folder in (receiving, landed):
        folder.mkdir()
    owners = 4
    written: list[list[int]] = [[] for _ in range(owners)]
    done, landings = threading.Event(), count()

    def own(owner: int) -> None:
        for number in range(owner * 1000, owner * 1000 + 60):
            file = DurableFile.begin(receiving / f"{number}.jsonl")
            if file is not None:
                file.append(event(number) + b"\n")
                written[owner].append(number)
                file.close()

    def look() -> None:
        while not done.is_set():
            recover(receiving, lambda file: file.move(landed / f"{file.path.name}-{next(landings)}"))

    owning = [threading.Thread(target=own, args=(owner,)) for owner in range(owners)]
    looking = [threading.Thread(target=look) for _ in range(3)]
    for thread in (*looking, *owning):
        thread.start()
    for thread in owning:
        thread.join()
    done.set()
    for thread in looking:
        thread.join()
    recover(receiving, lambda file: file.move(landed / file.path.name))
    found = sorted(number for path in landed.iterdir() for number in numbers(path.read_bytes()))
    assert found == sorted(number for numbers_of_one in written for number in numbers_of_one)
    assert not list(receiving.iterdir())


def test_a_file_that_was_taken_between_its_making_and_its_lock_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment a kill or a busy machine can stretch: made by its owner, seen without a lock, removed as empty."""
    real = fcntl.flock
    path = tmp_path / "1.jsonl"

    def flock(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        recover(tmp_path, lambda _: None)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert DurableFile.begin(path) is None
    assert not path.exists()
    assert not [
        link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and str(path) in str(link.readlink())
    ]
