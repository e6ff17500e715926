"""Bodies become durable together, exactly as they came and in their order, and limits refuse at once."""

from __future__ import annotations

import asyncio
import re
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.landing import LandingError, open_landing_store
from capillary_adobe.landing.receiver.committer import open_committer
from capillary_adobe.landing.receiver.group_commit import GroupCommit
from capillary_adobe.landing.receiver.in_folder import FolderPlace
from capillary_adobe.landing.receiver.lines import stands_as_line
from capillary_adobe.landing.receiver.outcome import NotLanded, Rhythm
from capillary_adobe.settings import ReceiverSettings
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.landing.receiver.bodies import bodies
from capillary_adobe_tests.landing.receiver.landed import (
    Watched,
    asides_in,
    committing,
    event,
    lines_in,
    numbers,
    outcome,
    outcomes,
    take,
    today_in,
    until,
)


def test_concurrent_events_share_a_commit_and_keep_their_order(tmp_path: Path) -> None:
    watch = Watched()

    async def land() -> None:
        async with committing(tmp_path, watch) as committer:
            assert await outcomes([take(committer, event(number)) for number in range(1000)]) == ["landed"] * 1000
            assert (committer.waiting_events, committer.waiting_bytes) == (0, 0)

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == list(range(1000))
    assert watch.committed_groups == [(1000, 60 * 1000)]


def test_an_event_is_on_disk_when_it_is_acknowledged_and_seen_when_it_is_old_enough(tmp_path: Path) -> None:
    store = open_landing_store(str(tmp_path))

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=0.2) as committer:
            await take(committer, event(1))
            hidden = list((tmp_path / ".receiving").iterdir())
            assert [numbers(file.read_bytes()) for file in hidden] == [[1]]
            assert not today_in(store)
            assert 0 < committer.oldest_unlanded_seconds() < 10
            await until(lambda: today_in(store))
            assert not list((tmp_path / ".receiving").iterdir())
            await until(lambda: committer.oldest_unlanded_seconds() == 0)

    asyncio.run(land())
    ((key, _),) = today_in(store)
    assert re.fullmatch(r"events/\d{4}-\d\d-\d\d/\d\d/\d{13}-[0-9a-f]{8}-\d{6}\.jsonl", key)
    named, stored = int(key.split("/")[-1][:13]), (tmp_path / key).stat().st_mtime_ns // 10**6
    # Named when it moved, not when it was begun.
    assert named >= stored + 100


def test_a_file_is_moved_as_soon_as_it_is_large(tmp_path: Path) -> None:
    store = open_landing_store(str(tmp_path))

    async def land() -> None:
        async with committing(tmp_path, roll_seconds=3600, roll_bytes=500) as committer:
            for number in range(20):
                await take(committer, event(number, 100))
            await until(lambda: len(today_in(store)) == 4)

    asyncio.run(land())
    assert [numbers(data) for _, data in today_in(store)] == [list(range(at, at + 5)) for at in range(0, 20, 5)]


@given(st.lists(bodies(), max_size=12), st.lists(st.integers(1, 5), min_size=1, max_size=4))
@settings(max_examples=examples(40), deadline=None)
def test_any_bodies_land_exactly_as_sent(sent: list[bytes], steps: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:

        async def land() -> None:
            async with committing(folder, roll_bytes=150) as committer:
                place = turn = 0
                while place < len(sent):
                    step = steps[turn % len(steps)]
                    group = [take(committer, body) for body in sent[place : place + step]]
                    assert await outcomes(group) == ["landed"] * len(group)
                    place, turn = place + step, turn + 1

        asyncio.run(land())
        store = open_landing_store(folder)
        assert lines_in(store) == b"".join(body + b"\n" for body in sent if stands_as_line(body))
        asides = [("unreadable", body) for body in sent if not stands_as_line(body)]
        assert sorted(asides_in(store)) == sorted(asides)
        assert not list((Path(folder) / ".receiving").iterdir())


def test_what_cannot_be_a_line_is_an_object_of_its_own(tmp_path: Path) -> None:
    async def land() -> None:
        async with committing(tmp_path) as committer:
            await committer.land_aside(b'{"big":1}', "headers")
            await take(committer, b"\x00\n\xff")
            async with committer.large() as body:
                for _ in range(64):
                    await body.write(b"z" * 65536)
                await body.land("oversize")
            async with committer.large() as cut_off:
                await cut_off.write(b"never finished")
            assert committer.oldest_unlanded_seconds() == 0

    asyncio.run(land())
    expected = [("headers", b'{"big":1}'), ("unreadable", b"\x00\n\xff"), ("oversize", b"z" * 64 * 65536)]
    assert asides_in(open_landing_store(str(tmp_path))) == expected
    assert not list((tmp_path / ".receiving").iterdir())


def test_asides_do_not_hold_up_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait until every line has landed, and the lines do not wait for them."""
    go_on = threading.Event()
    write = FolderPlace.write_asides

    def held_up(place: FolderPlace, bodies: list[tuple[bytes, str]], deadline: float) -> None:
        assert go_on.wait(20)
        write(place, bodies, deadline)

    monkeypatch.setattr(FolderPlace, "write_asides", held_up)

    async def land() -> None:
        async with committing(tmp_path) as committer:
            asides = [take(committer, b"{broken") for _ in range(300)]
            await asyncio.sleep(0)
            for number in range(5):
                assert await outcome(take(committer, event(number))) == "landed"
            assert not any(future.done() for future in asides)
            go_on.set()
            assert await outcomes(asides) == ["landed"] * 300

    asyncio.run(land())
    assert len(asides_in(open_landing_store(str(tmp_path)))) == 300


def test_more_than_may_wait_is_refused_at_once_and_the_rest_lands(tmp_path: Path) -> None:
    watch = Watched()

    async def land() -> None:
        async with committing(tmp_path, watch, queue_events=8, queue_bytes=1024, max_body_bytes=1024) as committer:
            by_count = [take(committer, event(number)) for number in range(10)]
            assert [future.done() for future in by_count] == [False] * 8 + [True] * 2
            assert await outcomes(by_count) == ["landed"] * 8 + ["overload"] * 2
            by_size = [take(committer, event(number, 400)) for number in range(10, 14)]
            assert await outcomes(by_size) == ["landed"] * 2 + ["overload"] * 2
            # Larger than all that may wait, it would be refused for ever.
            assert await outcome(take(committer, event(14, 5000))) == "landed"
            asides = [take(committer, b"{") for _ in range(4)]
            assert await outcomes(asides) == ["landed"] * 2 + ["overload"] * 2
            assert committer.failing() == ""

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == [*range(8), 10, 11, 14]
    assert watch.failed_groups == []


def test_a_stopping_committer_lands_what_it_took_and_takes_nothing_more(tmp_path: Path) -> None:
    async def land() -> None:
        committer = open_committer(ReceiverSettings(roll_seconds=3600), str(tmp_path), Watched())
        await committer.start()
        large = committer.large()
        taken = [take(committer, event(number)) for number in range(50)] + [take(committer, b"{")]
        stopping = asyncio.create_task(committer.stop())
        await asyncio.sleep(0)
        assert await outcome(take(committer, event(99))) == "stopping"
        assert await outcome(committer.land_aside(b"", "headers")) == "stopping"
        with pytest.raises(NotLanded, match="stopping"):
            await large.write(b"x")
        with pytest.raises(NotLanded, match="stopping"):
            committer.large()
        assert await outcomes(taken) == ["landed"] * 51
        await stopping

    asyncio.run(land())
    store = open_landing_store(str(tmp_path))
    assert numbers(lines_in(store)) == list(range(50))
    assert asides_in(store) == [("unreadable", b"{")]
    assert not list((tmp_path / ".receiving").iterdir())


def test_a_sender_that_gives_up_takes_nobody_along(tmp_path: Path) -> None:
    async def land() -> None:
        async with committing(tmp_path) as committer:
            futures = [take(committer, event(number)) for number in range(3)]
            futures[1].cancel()
            assert await outcomes([futures[0], futures[2]]) == ["landed"] * 2

    asyncio.run(land())
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == [0, 1, 2]


def test_keys_of_one_receiver_sort_as_their_lines_were_acknowledged(tmp_path: Path) -> None:
    async def land() -> None:
        async with committing(tmp_path, roll_bytes=1) as committer:
            for number in range(60):
                await take(committer, event(number))

    asyncio.run(land())
    store = open_landing_store(str(tmp_path))
    assert len(today_in(store)) == 60
    assert numbers(lines_in(store)) == list(range(60))


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    async def start(url: str) -> None:
        async with committing(url):
            pytest.fail("it started")

    with pytest.raises(LandingError, match=r"LANDING_URL=.*file/landing cannot be written \(Not a directory\)"):
        asyncio.run(start(str(tmp_path / "file" / "landing")))
    # What is acknowledged could never be seen.
    (tmp_path / "events").write_bytes(b"in the way")
    with pytest.raises(LandingError, match=r"cannot be written \(Not a directory\)"):
        asyncio.run(start(str(tmp_path)))
    assert not list((tmp_path / ".receiving").iterdir())
    with pytest.raises(LandingError, match="LANDING_URL=ftp://x is not supported"):
        asyncio.run(start("ftp://x"))


def test_a_store_that_hangs_is_answered_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk that does not answer would do; no file system here hangs on demand."""
    from capillary_adobe.landing.receiver import durable_file

    watch, slow = Watched(), [0.0]
    sync = durable_file._sync
    monkeypatch.setattr(durable_file, "_sync", lambda descriptor: (time.sleep(slow[0]), sync(descriptor)))

    async def land() -> None:
        async with committing(tmp_path, watch, commit_seconds=1) as committer:
            slow[0] = 2.5
            begun = time.monotonic()
            hangs = take(committer, event(1))
            await asyncio.sleep(0.05)
            behind = take(committer, event(2))
            assert await outcome(hangs) == "store"
            assert time.monotonic() - begun < 2
            assert committer.failing() == "no answer within 1 s"
            assert await outcome(behind) == "store"
            slow[0] = 0.0
            await until(lambda: committer.waiting_events == 0)
            assert await outcome(take(committer, event(3))) == "landed"
            assert committer.failing() == ""

    asyncio.run(land())
    # The first was written all the same, which is a duplicate once it is sent again; the one behind it never was.
    assert numbers(lines_in(open_landing_store(str(tmp_path)))) == [1, 3]
    assert watch.failed_groups == [("store", 1), ("store", 1)]


def test_more_than_the_store_can_take_in_time_is_overload_and_no_failure() -> None:
    watch = Watched()

    def write(_bodies: list[int], _deadline: float, /) -> None:
        time.sleep(0.25)

    async def land() -> None:
        with ThreadPoolExecutor(1) as executor:
            queue: GroupCommit[int] = GroupCommit(
                write,
                Rhythm(at_once=1, events=1, seconds=0.0, most=1),
                executor=executor,
                watch=watch,
                commit_seconds=1.2,
                most_events=100,
                most_bytes=100,
            )
            results = await outcomes([queue.put(number, 1) for number in range(12)])
            assert queue.failing == ""
            assert results == sorted(results)
            assert set(results) == {"landed", "overload"}
            await until(lambda: (queue.waiting_events, queue.waiting_bytes) == (0, 0))

    asyncio.run(land())
    assert {reason for reason, _ in watch.failed_groups} == {"overload"}
