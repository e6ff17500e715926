"""On S3 an event is acknowledged after its PUT, through lost answers, busy stores and stores that hang."""

from __future__ import annotations

import asyncio
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.landing import LandingError, LandingStore, open_landing_store
from capillary_adobe.landing.receiver.committer import open_committer
from capillary_adobe.landing.receiver.outcome import NotLanded
from capillary_adobe.s3_address import ObjectStoreError
from capillary_adobe.settings import ReceiverSettings
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
from capillary_adobe_tests.landing.receiver.test_durable_file import small_disk
from capillary_adobe_tests.s3_faults import FaultyS3, Request, faulty_s3
from capillary_adobe_tests.s3_servers import S3Server

_BUSY = (503, "<Error><Code>SlowDown</Code></Error>")
LONG = 300.0
"""Seconds that no machine is too slow for; half of what a store may take for an answer."""


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyS3]:
    with faulty_s3() as s3:
        yield s3


@pytest.fixture
def s3(running: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    running.heal()
    running.server.use(monkeypatch)
    return running


@pytest.fixture
def url(s3: FaultyS3) -> str:
    return f"s3://{s3.server.bucket()}/some/where"


@pytest.fixture
def store(url: str) -> LandingStore:
    return open_landing_store(url)


def test_a_group_is_an_object_in_order_and_a_large_body_one_of_its_own(url: str, store: LandingStore) -> None:
    watch = Watched()

    async def land() -> None:
        async with committing(url, watch, group_events=1000, group_seconds=0.05) as committer:
            futures = [take(committer, event(number)) for number in range(100)] + [take(committer, b"[1,")]
            assert await outcomes(futures) == ["landed"] * 101
            async with committer.large() as body:
                for _ in range(150):
                    await body.write(b"z" * 65536)
                await body.land("oversize")
            async with committer.large() as cut_off:
                await cut_off.write(b"never finished")
            assert committer.oldest_unlanded_seconds() == 0

    asyncio.run(land())
    assert numbers(lines_in(store)) == list(range(100))
    assert asides_in(store) == [("unreadable", b"[1,"), ("oversize", b"z" * 150 * 65536)]
    keys = [key for key, _ in today_in(store)]
    assert re.fullmatch(r"events/\d{4}-\d\d-\d\d/\d\d/\d{13}-[0-9a-f]{8}-\d{6}\.jsonl", keys[-1])
    assert (100, 6000) in watch.committed_groups


def test_enough_events_go_at_once_and_few_wait_for_others(url: str, store: LandingStore) -> None:
    async def land() -> None:
        async with committing(url, group_events=10, group_seconds=LONG / 2, commit_seconds=LONG) as committer:
            few = [take(committer, event(number)) for number in range(9)]
            await asyncio.sleep(0.05)
            assert committer.oldest_unlanded_seconds() >= 0.05
            assert not any(future.done() for future in few)
            # The tenth makes them enough, long before they have waited.
            enough = outcomes([*few, take(committer, event(9))])
            assert await asyncio.wait_for(enough, LONG / 4) == ["landed"] * 10
        async with committing(url, group_events=10, group_seconds=1, commit_seconds=LONG) as committer:
            assert await outcomes([take(committer, event(number)) for number in (10, 11)]) == ["landed"] * 2

    asyncio.run(land())
    assert [numbers(data) for _, data in today_in(store)] == [list(range(10)), [10, 11]]


def test_groups_grow_while_every_put_is_busy(s3: FaultyS3, url: str, store: LandingStore) -> None:
    go_on = threading.Event()

    def hold(_: Request) -> None:
        go_on.wait(LONG)

    async def land() -> None:
        async with committing(
            url, group_events=1, group_seconds=0, commits_at_once=2, commit_seconds=LONG
        ) as committer:
            s3.fault = hold
            futures = []
            for number in range(40):
                futures.append(take(committer, event(number)))
                await asyncio.sleep(0.002)
            go_on.set()
            assert await outcomes(futures) == ["landed"] * 40

    asyncio.run(land())
    objects = [numbers(data) for _, data in today_in(store)]
    assert len(objects) == 3
    assert sorted(number for numbers_of_one in objects for number in numbers_of_one) == list(range(40))


def test_a_busy_store_and_a_lost_answer_are_tried_again_and_land_once(
    s3: FaultyS3, url: str, store: LandingStore
) -> None:
    async def land() -> None:
        async with committing(url, group_seconds=0, commit_seconds=LONG) as committer:
            s3.times(2, _BUSY, "PUT", "/events/")
            assert await outcome(take(committer, event(1))) == "landed"
            s3.times(1, "lost", "PUT", "/events/")
            assert await outcome(take(committer, event(2))) == "landed"
            s3.times(1, "lost", "PUT", "/aside/")
            assert await outcome(take(committer, b"{")) == "landed"

    asyncio.run(land())
    assert numbers(lines_in(store)) == [1, 2]
    assert asides_in(store) == [("unreadable", b"{")]


def test_a_store_that_fails_is_answered_in_time_and_found_again_without_an_event(
    s3: FaultyS3, url: str, store: LandingStore
) -> None:
    watch = Watched()

    async def land() -> None:
        async with committing(url, watch, group_seconds=0, commit_seconds=2) as committer:
            s3.requests.clear()
            s3.fault = lambda _: _BUSY
            refused = [take(committer, event(1)), take(committer, b"{")]
            # The store is busy still: whoever waited for it to be well would wait for ever.
            assert await outcomes(refused) == ["store", "store"]
            assert min(Counter(request.path for request in s3.requests).values()) > 1, "each was tried again"
            assert committer.failing() == "SlowDown, status 503"
            s3.heal()
            await until(lambda: committer.failing() == "")
            assert await outcome(take(committer, event(2))) == "landed"

    asyncio.run(land())
    assert numbers(lines_in(store)) == [2]
    assert asides_in(store) == []
    assert watch.failed_groups == [("store", 1), ("store", 1)]


def test_a_store_that_hangs_is_answered_in_time(s3: FaultyS3, url: str, store: LandingStore) -> None:
    go_on = threading.Event()

    def hang(request: Request) -> None:
        if request.method == "PUT":
            go_on.wait(LONG)

    async def land() -> None:
        async with committing(url, group_seconds=0, commit_seconds=2, commits_at_once=1) as committer:
            s3.fault = hang
            first = take(committer, event(1))
            await asyncio.sleep(0.05)
            behind = take(committer, event(2))
            # Meanwhile the store hangs.
            assert await outcomes([first, behind]) == ["store", "store"]
            go_on.set()
            await until(lambda: committer.waiting_events == 0)
            assert await outcome(take(committer, event(3))) == "landed"

    asyncio.run(land())
    # What hung may have been stored all the same, which is a duplicate once it is sent again.
    landed = numbers(lines_in(store))
    assert 3 in landed
    assert len(landed) == len(set(landed))


def test_a_stop_does_not_wait_for_a_large_body_that_hangs(s3: FaultyS3, url: str) -> None:
    go_on, asked, was_long = threading.Event(), threading.Event(), threading.Event()

    def hang(request: Request) -> None:
        if "/aside/" in request.path:
            asked.set()
            if not go_on.wait(60):
                was_long.set()

    async def land() -> None:
        committer = open_committer(ReceiverSettings(commit_seconds=LONG), url, Watched())
        await committer.start()

        async def send() -> None:
            async with committer.large() as body:
                await body.write(b"z")
                await body.land("oversize")

        s3.fault = hang
        sending = asyncio.create_task(send())
        await until(asked.is_set)
        await committer.stop()
        sending.cancel()
        await asyncio.wait({sending})
        assert not was_long.is_set()
        go_on.set()

    asyncio.run(land())


def test_a_full_disk_for_large_bodies_is_named(
    url: str, store: LandingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def land(disk: Path) -> None:
        async with committing(url, group_seconds=0) as committer:
            async with committer.large() as large:
                # More than the disk has, and less than a file keeps in memory before it writes.
                await large.write(b"l" * 4096)
                with pytest.raises(NotLanded, match="store"):
                    await large.write(b"l" * 100)
            assert committer.failing() == f"No space left on device in {disk}"
            assert await outcome(take(committer, event(1))) == "landed"

    with small_disk(tmp_path / "disk", "4k") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        asyncio.run(land(disk))
    assert numbers(lines_in(store)) == [1]


def test_a_store_that_refuses_for_good_is_not_tried_again(s3: FaultyS3, url: str) -> None:
    async def land() -> None:
        async with committing(url, group_seconds=0) as committer:
            s3.requests.clear()
            s3.fault = lambda _: (403, "<Error><Code>AccessDenied</Code></Error>")
            assert await outcome(take(committer, event(1))) == "store"
            assert [request.method for request in s3.requests] == ["PUT"]
            assert committer.failing() == "AccessDenied, status 403"

    asyncio.run(land())


def test_a_bucket_that_is_not_there_is_told_before_anything_is_taken(s3: FaultyS3) -> None:
    async def start(url: str) -> None:
        async with committing(url):
            pytest.fail("it started")

    with pytest.raises(ObjectStoreError, match="NoSuchBucket"):
        asyncio.run(start("s3://nowhere-at-all/x"))
    with pytest.raises(ObjectStoreError, match="LANDING_URL=s3:// is no address"):
        asyncio.run(start("s3://"))


def test_no_folder_for_large_bodies_is_told_before_anything_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose file system is read-only."""

    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", none)

    async def start() -> None:
        async with committing(url):
            pytest.fail("it started")

    with pytest.raises(LandingError, match="Set TMPDIR"):
        asyncio.run(start())


def test_a_store_that_would_replace_keeps_every_object_too(
    gateway: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bucket = gateway
    server.use(monkeypatch)
    url = f"s3://{bucket}/received"

    async def land() -> None:
        async with committing(url, group_events=4, group_seconds=0) as one, committing(url, group_seconds=0.01) as two:
            futures = [take(one if number % 2 else two, event(number)) for number in range(60)]
            assert await outcomes(futures) == ["landed"] * 60

    asyncio.run(land())
    assert sorted(numbers(lines_in(open_landing_store(url)))) == list(range(60))
