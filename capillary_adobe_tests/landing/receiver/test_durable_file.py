"""Disks that are full, limited or failing: nothing half written is acknowledged, and no broken line harms a good one."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from capillary_adobe.landing import open_landing_store
from capillary_adobe.landing.receiver import durable_file
from capillary_adobe.landing.receiver.durable_file import DurableFile
from capillary_adobe.landing.receiver.outcome import NotLanded
from capillary_adobe_tests.landing.receiver.landed import (
    Watched,
    asides_in,
    committing,
    event,
    lines_in,
    numbers,
    outcome,
    take,
    today_in,
    until,
)
from capillary_adobe_tests.landing.receiver.landing_child import body_of, landing_child
from capillary_adobe_tests.services import missing


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A disk that is soon full."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        missing("no right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_refuses_and_serves_again_once_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watched()
    landed: list[int] = []

    async def fill(disk: Path) -> None:
        async with committing(disk, watch, roll_seconds=0.05) as committer:
            # A third is kept back, to be given free again.
            (disk / ".ballast").write_bytes(b"b" * 300_000)
            number = 0
            while number < 100 and await outcome(take(committer, event(number, 30_000))) == "landed":
                landed.append(number)
                number += 1
            assert committer.failing() == "No space left on device"
            for body in (event(number + 1, 30_000), b"{" * 30_000):
                assert await outcome(take(committer, body)) == "store"
            async with committer.large() as large:
                with pytest.raises(NotLanded, match="store"):
                    await large.write(b"l" * 2**20)
            (disk / ".ballast").unlink()
            # Without an event: a proxy sends none to a receiver that says that it is not ready.
            await until(lambda: committer.failing() == "")
            for number in range(1000, 1004):
                assert await outcome(take(committer, event(number, 30_000))) == "landed"
                landed.append(number)

    with small_disk(tmp_path / "disk") as disk:
        asyncio.run(fill(disk))
        store = open_landing_store(str(disk))
        assert numbers(lines_in(store)) == landed
        assert asides_in(store) == []
        assert not list((disk / ".receiving").iterdir())
    assert sum(line.startswith("A large body cannot be made durable") for line in caplog.messages) == 1
    assert landed[-1] == 1003
    assert len(landed) > 10
    assert {reason for reason, _ in watch.failed_groups} == {"store"}


def test_a_write_that_ends_in_the_middle_leaves_nothing_of_it(tmp_path: Path) -> None:
    """A limit on the size of files cuts writes short; each file ends in a whole line all the same."""
    landing, notes = tmp_path / "landing", tmp_path / "notes"
    with landing_child(landing, notes, 1, largest_file=200_000):
        store = open_landing_store(str(landing))
        deadline = time.monotonic() + 20
        while len(today_in(store)) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    acknowledged = {body_of(name) for name in notes.read_text().split()}
    found = {body for _, body in asides_in(store)}
    for key, data in today_in(store):
        if key.startswith("events/"):
            assert data.endswith(b"\n")
            found.update(data.splitlines())
    recovered = {line for file in (landing / ".receiving").glob("*.jsonl") for line in file.read_bytes().splitlines()}
    assert acknowledged <= found | recovered


def test_a_write_that_is_cut_short_is_cut_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        file = DurableFile.begin(disk / "file")
        assert file is not None
        file.append(b"kept\n")
        with pytest.raises(OSError, match="No space left"):
            file.append(b"x" * 100_000)
        assert (disk / "file").read_bytes() == b"kept\n"
        assert not file.spent
        file.append(b"again\n")
        assert (disk / "file").read_bytes() == b"kept\nagain\n"
        assert file.length == 11
        file.close()


def test_after_a_sync_that_failed_the_file_is_never_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No disk here fails on demand, so the call of the system is made to."""
    fails = [False]
    sync = durable_file._sync

    def failing_sync(descriptor: int) -> None:
        if fails[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(durable_file, "_sync", failing_sync)

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=3600) as committer:
            await take(committer, event(1))
            (first,) = (tmp_path / ".receiving").iterdir()
            written = first.read_bytes()
            fails[0] = True
            assert await outcome(take(committer, event(2))) == "store"
            assert committer.failing() == "Input/output error"
            fails[0] = False
            await take(committer, event(3))
            assert first.read_bytes() == written
            assert len(list((tmp_path / ".receiving").iterdir())) == 2

    asyncio.run(land())
    objects = [numbers(data) for _, data in today_in(open_landing_store(str(tmp_path)))]
    assert objects == [[1], [3]]


def test_a_broken_line_that_cannot_be_cut_off_stands_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the write and the cut fail, as on a disk that has gone; what is acknowledged later stands in another file."""
    fails = [False]
    write, cut = os.write, os.ftruncate

    def half(descriptor: int, data: memoryview) -> int:
        if not fails[0]:
            return write(descriptor, data)
        if len(data) > 20:
            return write(descriptor, data[: len(data) - 20])
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def no_cut(descriptor: int, length: int) -> None:
        if fails[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        cut(descriptor, length)

    monkeypatch.setattr(durable_file.os, "write", half)
    monkeypatch.setattr(durable_file.os, "ftruncate", no_cut)

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=3600) as committer:
            await take(committer, event(1))
            fails[0] = True
            assert await outcome(take(committer, event(2))) == "store"
            fails[0] = False
            await take(committer, event(3))

    asyncio.run(land())
    first, second = (data for _, data in today_in(open_landing_store(str(tmp_path))))
    assert first == event(1) + b"\n" + event(2)[:-19]
    assert numbers(second) == [3]


def test_a_file_that_failed_before_anything_was_acknowledged_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync of a file fails, then the first write and the cut: what follows stands in files of their own."""
    broken: set[str] = set()

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *rest: Any) -> Any:
            if name in broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, *rest)

        return call

    monkeypatch.setattr(durable_file, "_sync", failing("sync", durable_file._sync))
    monkeypatch.setattr(durable_file.os, "ftruncate", failing("cut", os.ftruncate))
    monkeypatch.setattr(durable_file.os, "write", failing("write", os.write))

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=3600) as committer:
            for fault in ({"sync"}, {"write", "cut"}):
                broken.update(fault)
                assert await outcome(take(committer, event(1))) == "store"
                assert not list((tmp_path / ".receiving").iterdir())
                broken.clear()
            assert await outcome(take(committer, event(2))) == "landed"

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == [2]


def test_a_name_that_is_not_durable_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of a file are on the disk, its name in the folder is not: after a loss of power it would be gone."""
    fails = [False]
    sync = os.fsync

    def failing_sync(descriptor: int) -> None:
        if fails[0] and Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(durable_file.os, "fsync", failing_sync)

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=0.02) as committer:
            await take(committer, event(0))
            await until(lambda: committer.oldest_unlanded_seconds() == 0)
            fails[0] = True
            assert await outcome(take(committer, event(1))) == "store"
            assert await outcome(take(committer, b"{")) == "store"
            async with committer.large() as large:
                await large.write(b"x")
                with pytest.raises(NotLanded, match="store"):
                    await large.land("oversize")
            fails[0] = False
            await take(committer, event(2))
            fails[0] = True
            # It is seen, yet not as good as landed until the names are durable.
            await until(lambda: len(numbers(lines_in(open_landing_store(str(tmp_path))))) == 2)
            seen = today_in(open_landing_store(str(tmp_path)))
            await until(lambda: committer.oldest_unlanded_seconds() > 0.2)
            fails[0] = False
            await until(lambda: committer.oldest_unlanded_seconds() == 0)
            # A reader may have noted its key.
            assert today_in(open_landing_store(str(tmp_path))) == seen

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == [0, 2]


def test_a_new_landing_folder_is_durable_before_anything_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(durable_file.os, "fsync", noted)

    async def land() -> None:
        async with committing(tmp_path / "new" / "landing") as committer:
            await take(committer, event(1))

    asyncio.run(land())
    assert synced[:3] == [tmp_path, tmp_path / "new", tmp_path / "new" / "landing"]


def test_what_cannot_be_moved_yet_is_moved_later(tmp_path: Path) -> None:
    """Something stands where the day's folder must be; acknowledged events wait hidden, and their age is told."""

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=0.02) as committer:
            (tmp_path / "events").rmdir()
            (tmp_path / "events").write_bytes(b"in the way")
            await take(committer, event(1))
            await until(lambda: committer.oldest_unlanded_seconds() > 0.1)
            (tmp_path / "events").unlink()
            await until(lambda: committer.oldest_unlanded_seconds() == 0)

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == [1]


def test_a_folder_that_was_tidied_away_is_made_again_but_not_its_root(tmp_path: Path) -> None:
    landing = tmp_path / "landing"

    async def land() -> None:
        async with committing(landing, roll_seconds=3600) as committer:
            (landing / ".receiving").rmdir()
            assert await outcome(take(committer, event(1))) == "landed"
            landing.rename(tmp_path / "unmounted")
            assert await outcome(take(committer, b"{")) == "store"
            assert not landing.exists()
            (tmp_path / "unmounted").rename(landing)
            await until(lambda: committer.failing() == "")

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(landing)))) == [1]
