"""The lake on S3: the same tables, safe under several processes, refused where it would not be, plain when S3 fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, cast

import orjson
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from capillary_adobe.lake import Lake, LakeError, LakeUnavailable, Slice
from capillary_adobe.object_store import storage_options
from capillary_adobe.tables import INGESTION_STATUS, RAW_EVENTS, SET_ASIDE, TABLES
from capillary_adobe_tests.forked import FORKING
from capillary_adobe_tests.s3_faults import FaultyS3, Request, faulty_s3
from capillary_adobe_tests.s3_servers import juicefs_gateway
from capillary_adobe_tests.test_lake import DAY, NEXT_DAY, OwnError, aside, lines, sample, write

REFUSED = (
    403,
    '<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA1</AWSAccessKeyId></Error>',
)
OVERLOADED = (503, "<Error><Code>SlowDown</Code></Error>")
ALWAYS = 10**6


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyS3]:
    with faulty_s3() as server:
        yield server


@pytest.fixture
def s3(running: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    running.server.use(monkeypatch)
    running.heal()
    return running


@pytest.fixture
def lake(s3: FaultyS3) -> Lake:
    return Lake(f"s3://{s3.server.bucket()}/some/lake")


def keys(s3: FaultyS3, lake: Lake, ending: str = "") -> list[str]:
    bucket = lake.url.split("/")[2]
    pages = s3.server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [found["Key"] for page in pages for found in page.get("Contents", []) if found["Key"].endswith(ending)]


def test_every_table_gives_back_what_it_got(lake: Lake) -> None:
    for table in TABLES:
        full = sample(table)
        assert lake.replace(table, Slice(DAY), [pa.RecordBatch.from_pylist([full], schema=table.schema)]) == 1
        back = lake.table(table, Slice(DAY), table.names)
        assert back.to_pylist() == [full]
        assert back.schema == table.schema


def test_a_table_that_does_not_exist_is_empty_and_looking_writes_nothing(s3: FaultyS3, lake: Lake) -> None:
    assert list(lake.read(SET_ASIDE, Slice(DAY))) == []
    assert (lake.count(SET_ASIDE, Slice(DAY)), lake.days(SET_ASIDE), lake.files(SET_ASIDE, Slice(DAY))) == (
        0,
        [],
        (0, 0),
    )
    assert lake.schema(SET_ASIDE).names == []
    assert {request.method for request in s3.requests if "/some/" in request.path} == {"GET"}
    assert keys(s3, lake) == []


def test_slices_are_replaced_removed_counted_and_joined(
    s3: FaultyS3, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capillary_adobe.lake.FILES_A_DAY", 3)
    write(lake, DAY, "one", [1, 2])
    write(lake, NEXT_DAY, "one", [9])
    write(lake, DAY, "two", [2, 6])
    write(lake, DAY, "three", [4, 7])
    assert write(lake, DAY, "one", [3, 4, 5]) == 3
    lake.remove_events(SET_ASIDE, Slice(DAY, "three"), ["k4", "k7"])
    assert lines(lake, Slice(DAY, "one")) == [3, 5]
    assert lines(lake, Slice(DAY, "three")) == [4, 7]
    assert (lake.count(SET_ASIDE, Slice(DAY)), lake.files(SET_ASIDE, Slice(DAY))[0]) == (6, 3)
    lake.tidy(SET_ASIDE, DAY)
    number, size = lake.files(SET_ASIDE, Slice(DAY))
    assert (number, size > 0) == (1, True)
    assert lines(lake, Slice(DAY)) == [2, 3, 4, 5, 6, 7]
    assert lake.days(SET_ASIDE) == [DAY, NEXT_DAY]
    assert not [key for key in keys(s3, lake) if ".probe" in key]


def test_of_a_table_that_is_known_only_what_is_new_is_fetched(s3: FaultyS3, lake: Lake) -> None:
    for number in range(4):
        write(lake, DAY, f"b{number}", [number])
    write(Lake(lake.url), DAY, "of-another", [9])
    s3.requests.clear()
    assert lake.count(SET_ASIDE, Slice(DAY)) == 5
    assert {request.path[-9:] for request in s3.requests if "_delta_log/0" in request.path} == {"0005.json"}
    # Where that fails, the table is read anew.
    write(Lake(lake.url), DAY, "of-another", [8, 9])
    s3.times(1, REFUSED, "GET", "_last_checkpoint")
    assert lines(lake, Slice(DAY)) == [0, 1, 2, 3, 8, 9]


def test_new_columns_come_to_a_table_of_an_older_version(lake: Lake) -> None:
    older = replace(INGESTION_STATUS, columns=tuple(c for c in INGESTION_STATUS.columns if c.name != "cause"))
    old = {name: value for name, value in sample(INGESTION_STATUS).items() if name != "cause"}
    lake.replace(older, Slice(DAY), [pa.RecordBatch.from_pylist([old], schema=older.schema)])
    new = sample(INGESTION_STATUS, NEXT_DAY)
    lake.replace(INGESTION_STATUS, Slice(NEXT_DAY), [pa.RecordBatch.from_pylist([new], schema=INGESTION_STATUS.schema)])
    assert lake.table(INGESTION_STATUS, Slice(DAY), ["cause"]).to_pylist() == [{"cause": None}]
    assert lake.table(INGESTION_STATUS, Slice(NEXT_DAY), INGESTION_STATUS.names).to_pylist() == [new]


def test_rows_that_fail_half_way_leave_the_old_ones(lake: Lake) -> None:
    write(lake, DAY, "one", [1, 2])

    def failing() -> Iterator[pa.RecordBatch]:
        yield from aside(DAY, "one", range(1_000))
        raise OwnError

    with pytest.raises(OwnError):
        lake.replace(SET_ASIDE, Slice(DAY, "one"), failing())
    assert lines(lake, Slice(DAY)) == [1, 2]


def _write_in_turn(url: str, together: Barrier, number: int, settings: dict[str, str]) -> None:
    # The one that it was forked from began with settings of its own.
    os.environ.update(settings)
    together.wait(60)
    for turn in range(3):
        write(Lake(url), DAY if number < 2 else NEXT_DAY, f"b{number}", range(turn + 1))


def test_processes_that_make_and_write_a_table_at_once_lose_nothing(s3: FaultyS3, lake: Lake) -> None:
    together = FORKING.Barrier(3)
    writers = [
        FORKING.Process(target=_write_in_turn, args=(lake.url, together, number, s3.server.environment))
        for number in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 3
    for number in range(3):
        assert lines(lake, Slice(DAY if number < 2 else NEXT_DAY, f"b{number}")) == list(range(3))
    assert DeltaTable(lake.uri(SET_ASIDE), storage_options=storage_options()).version() == 9
    bucket = lake.url.split("/")[2]
    log = keys(s3, lake, ".json")
    assert [key.rsplit("/", 1)[1] for key in log] == [f"{version:020}.json" for version in range(10)]
    commits = [s3.server.client().get_object(Bucket=bucket, Key=key)["Body"].read() for key in log]
    actions = [orjson.loads(line) for commit in commits for line in commit.splitlines()]
    assert len([action for action in actions if "metaData" in action]) == 1


def test_a_table_that_another_writer_makes_meanwhile_is_his(s3: FaultyS3, lake: Lake) -> None:
    first: list[bytes] = []

    def log_begins() -> bytes:
        (key,) = keys(s3, lake, f"{0:020}.json")
        return s3.server.client().get_object(Bucket=lake.url.split("/")[2], Key=key)["Body"].read()

    def another_is_first(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith(f"{0:020}.json"):
            s3.fault = lambda _: None
            write(Lake(lake.url), DAY, "two", [2])
            first.append(log_begins())

    s3.fault = another_is_first
    write(lake, DAY, "one", [1])
    assert first == [log_begins()]
    assert lines(lake, Slice(DAY)) == [1, 2]


def test_a_store_without_conditional_writes_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with juicefs_gateway() as gateway:
        gateway.use(monkeypatch)
        bucket = gateway.bucket()
        lake = Lake(f"s3://{bucket}/lake")
        assert lake.count(SET_ASIDE, Slice(DAY)) == 0
        for change in (
            lambda: write(lake, DAY, "one", [1]),
            lambda: lake.remove_events(SET_ASIDE, Slice(DAY, "one"), ["k1"]),
        ):
            with pytest.raises(
                LakeError, match=r"LAKE_URL=s3://\S+/lake is refused: .*If-None-Match.* Name a store with"
            ):
                change()
        found = gateway.client().list_objects_v2(Bucket=bucket).get("Contents", [])
        assert [one["Key"] for one in found if not one["Key"].endswith("/")] == []


def test_a_store_is_tried_once_however_many_threads_begin_to_write(s3: FaultyS3, lake: Lake) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(Lake(lake.url), DAY, f"b{number}", [number]), range(4)))
    assert lines(lake, Slice(DAY)) == [0, 1, 2, 3]
    assert len([request for request in s3.requests if request.method == "PUT" and ".probe-" in request.path]) == 2


@pytest.mark.parametrize("part", ["/_delta_log/", ".parquet"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_s3_refuses_is_told_without_what_it_tells_back(s3: FaultyS3, lake: Lake, method: str, part: str) -> None:
    write(lake, DAY, "one", [1])
    s3.times(ALWAYS, REFUSED, method, part)
    with pytest.raises(
        LakeError, match=r"set_aside under LAKE_URL=.*SignatureDoesNotMatch, status 403.*AWS_SECRET_ACCESS"
    ) as told:
        _ = write(lake, DAY, "one", [2]), lines(lake, Slice(DAY))
    assert not isinstance(told.value, LakeUnavailable)
    for hidden in ("AKIA1", "http://", "\x1b", "\n", s3.server.environment["AWS_SECRET_ACCESS_KEY"]):
        assert hidden not in str(told.value)
    s3.heal()
    assert lines(lake, Slice(DAY)) == [1]


@pytest.mark.parametrize("fault", [OVERLOADED, "lost", "cut"], ids=["overloaded", "lost", "cut"])
@pytest.mark.parametrize(("method", "part"), [("PUT", ".json"), ("PUT", ".parquet"), ("GET", ".parquet")])
def test_what_fails_once_is_done_again(s3: FaultyS3, lake: Lake, fault: Any, method: str, part: str) -> None:
    """A lost answer to a commit is the hard one: it is sent again, and collides with itself."""
    write(lake, DAY, "one", [1])
    write(lake, DAY, "two", [7])
    s3.times(1, fault, method, part)
    assert write(lake, DAY, "one", [2, 3]) == 2
    assert lines(lake, Slice(DAY, "one")) == [2, 3]
    assert lines(lake, Slice(DAY)) == [2, 3, 7]


def test_a_read_that_breaks_off_is_done_again(s3: FaultyS3, lake: Lake) -> None:
    write(lake, DAY, "one", [1, 2])
    s3.times(1, "cut", "GET", ".parquet")
    assert lines(lake, Slice(DAY)) == [1, 2]


def test_a_store_that_stays_overloaded_is_told_as_one_to_come_back_to(s3: FaultyS3, lake: Lake) -> None:
    write(lake, DAY, "one", [1])
    s3.times(ALWAYS, OVERLOADED, "GET", "/_delta_log/")
    with pytest.raises(LakeUnavailable, match=r"SlowDown, status 503.* done by the next run"):
        lines(lake, Slice(DAY))


def test_removals_do_not_go_on_against_a_store_that_is_down(s3: FaultyS3, lake: Lake) -> None:
    write(lake, DAY, "one", [1])
    s3.times(ALWAYS, REFUSED, "PUT", ".json")
    s3.requests.clear()
    with pytest.raises(LakeError, match="SignatureDoesNotMatch"):
        lake.remove_events(SET_ASIDE, Slice(DAY, "two"), ["k1"])
    assert len([request for request in s3.requests if request.path.endswith(".json") and request.method == "PUT"]) == 1


@pytest.mark.parametrize(
    ("variables", "url", "words"),
    [
        ({}, "s3://no-such-bucket/lake", r"NoSuchBucket.*Make the bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://bucket/lake", r"connection failed.*AWS_ENDPOINT_URL"),
        ({"AWS_PROFILE": "of-nobody"}, "s3://bucket/lake", r"of-nobody.*AWS_"),
        ({}, "s3://Bucket/lake", r"LAKE_URL=s3://Bucket/lake is no address of S3"),
        ({}, "gs://bucket/lake", r"LAKE_URL=gs://bucket/lake is not supported"),
    ],
    ids=["bucket", "endpoint", "profile", "address", "scheme"],
)
def test_what_is_wrong_is_told_with_its_cure(
    s3: FaultyS3, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for use in (lambda: lines(Lake(url), Slice(DAY)), lambda: write(Lake(url), DAY, "one", [1])):
        with pytest.raises(LakeError, match=words) as told:
            use()
        assert s3.server.environment["AWS_SECRET_ACCESS_KEY"] not in str(told.value)


def test_a_key_in_the_settings_file_is_found(
    s3: FaultyS3, lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS tools know no `.env`; whoever writes the address there writes the key beside it."""
    credentials = {name: s3.server.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    for name in credentials:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in credentials.items()))
    write(lake, DAY, "one", [1])
    assert lines(lake, Slice(DAY)) == [1]


def test_the_shared_file_of_aws_tools_is_found(
    s3: FaultyS3, lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    shared = tmp_path / "credentials"
    shared.write_text("[team]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_PROFILE", "team")
    write(lake, DAY, "one", [1])
    assert lines(lake, Slice(DAY)) == [1]


@pytest.mark.parametrize("harm", ["lost", "damaged", "short"])
def test_a_file_that_is_lost_or_damaged_is_named(s3: FaultyS3, lake: Lake, harm: str) -> None:
    write(lake, DAY, "one", [1])
    place = {"Bucket": lake.url.split("/")[2], "Key": keys(s3, lake, ".parquet")[0]}
    client = s3.server.client()
    if harm == "lost":
        client.delete_object(**place)
    else:
        size = client.head_object(**place)["ContentLength"] if harm == "damaged" else 100
        client.put_object(**place, Body=b"PAR1" + bytes(size - 8) + b"PAR1")
    with pytest.raises(LakeError, match=r"set_aside under LAKE_URL=.*materialize its days from raw_events"):
        lines(lake, Slice(DAY))


def raw(rows: int) -> list[pa.RecordBatch]:
    row = sample(RAW_EVENTS)
    made = [{**row, "line": number, "data": os.urandom(350).hex()} for number in range(rows)]
    return [pa.RecordBatch.from_pylist(made, schema=RAW_EVENTS.schema)]


def test_a_large_file_is_read_row_group_by_row_group_and_only_the_columns_wanted(s3: FaultyS3, lake: Lake) -> None:
    lake.replace(RAW_EVENTS, Slice(DAY), raw(12_000))
    _, size = lake.files(RAW_EVENTS, Slice(DAY))

    def read(columns: list[str]) -> tuple[list[Any], list[int]]:
        s3.requests.clear()
        rows = [value for batch in lake.read(RAW_EVENTS, Slice(DAY), columns) for value in batch["line"].to_pylist()]
        return rows, [asked(request) for request in s3.requests if ".parquet" in request.path]

    def asked(request: Request) -> int:
        start, stop = request.ranged.removeprefix("bytes=").split("-")
        return int(stop) - int(start) + 1

    rows, ranges = read(["line", "data"])
    assert rows == list(range(12_000))
    # Its end, and once each of the three row groups.
    assert len(ranges) == 1 + 3
    assert max(ranges) < size / 2
    rows, ranges = read(["line"])
    assert rows == list(range(12_000))
    assert sum(ranges) < size / 4


def test_a_reader_that_stops_early_leaves_no_thread_and_asks_no_more(s3: FaultyS3, lake: Lake) -> None:
    lake.replace(RAW_EVENTS, Slice(DAY), raw(12_000))
    list(lake.read(RAW_EVENTS, Slice(DAY), ["line"]))
    before = threading.active_count()
    reading = cast("Generator[pa.RecordBatch]", lake.read(RAW_EVENTS, Slice(DAY)))
    assert next(reading).num_rows == 5_000
    asked = len(s3.requests)
    reading.close()
    assert len(s3.requests) == asked
    assert threading.active_count() <= before
