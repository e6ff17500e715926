"""The landing store on S3 where S3 has its own ways: pages, parts, failures in plain words, connections that break."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import pytest

from capillary_adobe.landing import LandingError, LandingUnavailable, open_landing_store, s3_staging, s3_store
from capillary_adobe.object_store import s3_client
from capillary_adobe_tests.landing.conftest import Place, in_bucket, place_of
from capillary_adobe_tests.landing.flaky_front import Fault, Front, flaky_front
from capillary_adobe_tests.s3_servers import S3Server

DAY = "2026-03-01"
KEY = f"events/{DAY}/10/a.jsonl"
DATA = bytes(range(256)) * 8_000
ON_S3 = pytest.mark.parametrize("kind", ["moto", "gateway"])


def impatient(server: S3Server, attempts: int = 3) -> Any:
    with pytest.MonkeyPatch.context() as environment:
        server.use(environment)
        return s3_client(connect_seconds=1, read_seconds=2, attempts=attempts)


@pytest.fixture
def flaky(moto: tuple[S3Server, str]) -> Iterator[tuple[Front, Place, Place]]:
    """The front, the store seen through it, and the same store seen directly."""
    with behind_front(*moto) as seen:
        yield seen


@contextmanager
def behind_front(server: S3Server, bucket: str) -> Iterator[tuple[Front, Place, Place]]:
    direct = in_bucket(server, bucket)
    with flaky_front(server) as front:
        client = impatient(front.server)
        with closing(client):
            yield front, Place(open_landing_store(direct.url, client), direct.url, direct.client), direct


@ON_S3
def test_every_page_of_a_listing_is_read(kind: str, request: pytest.FixtureRequest) -> None:
    place = place_of(kind, request)
    client = impatient(request.getfixturevalue(kind)[0])
    asked: list[dict[str, Any]] = []

    def small_pages(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        asked.append(params)
        return params | {"MaxKeys": 2}

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", small_pages)
    names = [f"events/{DAY}/{hour:02}/{part}" for hour in range(3) for part in ("a", ".b", "c")]
    for name in [*names, "events/2026-03-02/00/a", "events/2026-03-03/00/a"]:
        place.put(name)
    store = open_landing_store(place.url, client)
    shown = [name for name in names if not name.endswith(".b")]
    assert [found.key for found in store.list("live", DAY)] == shown
    assert [found.key for found in store.list("live", DAY, names[3])] == shown[3:]
    assert store.days("live") == [DAY, "2026-03-02", "2026-03-03"]
    # Only as many pages as are looked at.
    asked.clear()
    assert len(list(islice(store.list("live", DAY, f"events/{DAY}/"), 1))) == 1
    assert len(asked) == 1


@ON_S3
def test_a_whole_bucket_is_a_store(kind: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(kind)[0]
    store = open_landing_store(f"s3://{server.bucket()}", impatient(server))
    store.write(KEY, b"x")
    assert [found.key for found in store.list("live", DAY)] == [KEY]
    assert store.days("live") == [DAY]


@ON_S3
def test_a_large_object_goes_in_parts_and_a_taken_key_stays(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * 2**20)
    place = place_of(kind, request)
    data = bytes(range(256)) * 4 * 11_000
    place.store.write(KEY, data)
    place.store.write(KEY, data)
    with place.store.open(KEY) as stream:
        assert stream.read() == data
    if kind == "moto":
        with pytest.raises(LandingError, match="holds another object"):
            place.store.write(KEY, data[:-1] + b"!")
    _, _, bucket, _ = place.url.split("/", 3)
    assert "Uploads" not in place.client.list_multipart_uploads(Bucket=bucket)


@ON_S3
def test_objects_of_every_size_are_staged(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_staging, "IN_MEMORY_BYTES", 1_000)
    monkeypatch.setattr(s3_staging, "STAGED_BYTES", 100_000)
    place = place_of(kind, request)
    written = {
        f"events/{DAY}/10/{size:06}": DATA[:size] for size in (0, 1, 999, 1_001, 99_999, 100_000, 100_001, 300_000)
    }
    for key, data in written.items():
        place.put(key, data)
    assert {key: stream.read() for key, stream in place.store.staged(written)} == written


def test_no_more_is_fetched_ahead_than_there_is_room_for(moto: tuple[S3Server, str]) -> None:
    place = in_bucket(*moto)
    for number in range(60):
        place.put(f"events/{DAY}/10/{number:02}")
    asked: list[str] = []

    def keys() -> Iterator[str]:
        for number in range(60):
            asked.append(f"events/{DAY}/10/{number:02}")
            yield asked[-1]

    opened = place.store.staged(keys())
    for _ in range(5):
        next(opened)
    assert len(asked) == 4 + s3_staging.AHEAD


def test_a_bucket_that_is_not_there_is_told_with_the_cure(moto: tuple[S3Server, str]) -> None:
    store = open_landing_store("s3://no-such-bucket/landing", impatient(moto[0]))
    said = r"LANDING_URL=s3://no-such-bucket/landing cannot be {} \(NoSuchBucket, status 404\)\. Make the bucket"
    with pytest.raises(LandingError, match=said.format("listed")):
        list(store.list("live", DAY))
    with pytest.raises(LandingError, match=said.format("listed")):
        store.days("live")
    with pytest.raises(LandingError, match=said.format("written")):
        store.write(KEY, b"x")
    with pytest.raises(LandingError, match=r"The landed object .* cannot be read \(NoSuchBucket.*Make the bucket"):
        store.open(KEY)


def test_a_wrong_secret_is_told_without_it(gateway: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch) -> None:
    server, bucket = gateway
    server.use(monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mistyped-secret-key")
    store = open_landing_store(f"s3://{bucket}/landing")
    with pytest.raises(LandingError, match=r"status 403\)\. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as told:
        list(store.list("live", DAY))
    assert not isinstance(told.value, LandingUnavailable)
    assert "mistyped" not in str(told.value)
    assert server.environment["AWS_ACCESS_KEY_ID"] not in str(told.value)


def test_a_store_that_does_not_answer_is_told_as_passing(moto: tuple[S3Server, str]) -> None:
    with flaky_front(moto[0]) as front:
        client = impatient(front.server, attempts=1)
    store = open_landing_store("s3://bucket/landing", client)
    with pytest.raises(
        LandingUnavailable, match=r"cannot be listed \(EndpointConnectionError\)\. Check AWS_ENDPOINT_URL"
    ):
        store.days("live")
    with pytest.raises(LandingUnavailable, match=r"cannot be written \(EndpointConnectionError\)"):
        store.write(KEY, b"x")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", r"LANDING_URL=s3:// is no address of S3: give s3://<bucket>/<prefix>"),
        ("gs://bucket/a", r"LANDING_URL=gs://bucket/a is not supported: give the path of a local folder, or s3://"),
    ],
)
def test_an_address_of_nothing_is_told(url: str, said: str) -> None:
    with pytest.raises(LandingError, match=said):
        open_landing_store(url)


def test_a_profile_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(LandingError, match=r"S3 cannot be used .*nobody.*Check the AWS_"):
        open_landing_store("s3://bucket/landing")


def test_a_busy_store_is_asked_again(flaky: tuple[Front, Place, Place]) -> None:
    front, place, direct = flaky
    front.faults = {"PUT": ["busy"], "GET": ["busy"]}
    place.store.write(KEY, b"x")
    assert [found.key for found in place.store.list("live", DAY)] == [KEY]
    assert [found.key for found in direct.store.list("live", DAY)] == [KEY]


def test_a_store_that_stays_busy_is_told_as_passing(flaky: tuple[Front, Place, Place]) -> None:
    front, place, _ = flaky
    front.faults = {"GET": ["busy"] * 3}
    with pytest.raises(LandingUnavailable, match=r"cannot be listed \(SlowDown, status 503\)"):
        place.store.days("live")


@pytest.mark.parametrize("size", [1, len(DATA)])
def test_a_write_whose_answer_is_lost_is_written(size: int, flaky: tuple[Front, Place, Place]) -> None:
    front, place, direct = flaky
    front.faults = {"PUT": ["unanswered"]}
    place.store.write(KEY, DATA[:size])
    assert front.asked["PUT"] == 2
    with direct.store.open(KEY) as stream:
        assert stream.read() == DATA[:size]


@ON_S3
def test_parts_whose_last_answer_is_lost_are_written(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * 2**20)
    data = bytes(6 * 2**20)
    with behind_front(*request.getfixturevalue(kind)) as (front, place, direct):
        front.faults = {"POST": [None, "unanswered"]}
        place.store.write(KEY, data)
        with direct.store.open(KEY) as stream:
            assert stream.read() == data


def test_parts_that_cannot_be_taken_away_do_not_hide_why_they_failed(
    flaky: tuple[Front, Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * 2**20)
    front, place, _ = flaky
    front.faults = {"PUT": ["busy"] * 6, "DELETE": ["unanswered"] * 6}
    with pytest.raises(LandingUnavailable, match="SlowDown, status 503"):
        place.store.write(KEY, bytes(6 * 2**20))


def test_parts_of_a_write_that_failed_are_taken_away(
    flaky: tuple[Front, Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * 2**20)
    front, place, direct = flaky
    front.faults = {"PUT": ["busy"] * 6}
    with pytest.raises(LandingUnavailable, match="cannot be written"):
        place.store.write(KEY, bytes(6 * 2**20))
    _, _, bucket, _ = place.url.split("/", 3)
    assert "Uploads" not in direct.client.list_multipart_uploads(Bucket=bucket)
    assert list(direct.store.list("live", DAY)) == []


def test_a_stream_that_breaks_goes_on_where_it_broke(flaky: tuple[Front, Place, Place]) -> None:
    front, place, direct = flaky
    direct.put(KEY, DATA)
    front.faults = {"GET": ["cut", "cut", "busy", "cut"]}
    with place.store.open(KEY) as stream:
        assert stream.read(10) + stream.read() == DATA
    assert len(front.ranges) >= 3
    assert front.ranges[0] != "bytes=0-"
    front.faults = {"GET": ["cut"] * 5}
    assert [stream.read() for _, stream in place.store.staged([KEY] * 3)] == [DATA] * 3


def test_a_stream_that_breaks_for_good_is_told(flaky: tuple[Front, Place, Place]) -> None:
    front, place, direct = flaky
    direct.put(KEY, DATA)
    lost: list[Fault] = ["unanswered"]
    front.faults = {"GET": ["cut", *lost * 20]}
    with (
        place.store.open(KEY) as stream,
        pytest.raises(
            LandingUnavailable, match=rf"The landed object {KEY} of .* cannot be read \(.*Check AWS_ENDPOINT_URL"
        ),
    ):
        stream.read()


def test_an_object_that_is_replaced_meanwhile_is_told_and_not_mixed(flaky: tuple[Front, Place, Place]) -> None:
    front, place, direct = flaky
    direct.put(KEY, DATA)
    front.faults = {"GET": ["cut"]}
    front.before_range = lambda: direct.put(KEY, DATA[::-1])
    with (
        place.store.open(KEY) as stream,
        pytest.raises(LandingError, match=r"it was replaced while it was read.*must stay as they are"),
    ):
        stream.read()


def test_a_store_that_gives_the_whole_instead_of_the_rest_is_told(flaky: tuple[Front, Place, Place]) -> None:
    front, place, direct = flaky
    direct.put(KEY, DATA)
    front.faults = {"GET": ["cut", "whole"]}
    with place.store.open(KEY) as stream, pytest.raises(LandingError, match="does not give the rest"):
        stream.read()


def test_a_store_that_lists_out_of_order_is_told(moto: tuple[S3Server, str]) -> None:
    place = in_bucket(*moto)
    client = impatient(moto[0])

    def backwards(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Contents"] = parsed.get("Contents", [])[::-1]

    # As directory buckets do: docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html.
    client.meta.events.register("after-call.s3.ListObjectsV2", backwards)
    for name in "ab":
        place.put(f"events/{DAY}/10/{name}")
    with pytest.raises(LandingError, match=r"does not list in the order of its keys.*general purpose"):
        list(open_landing_store(place.url, client).list("live", DAY))
