"""Rows of a day put in the place of others, and files removed that nothing refers to; in a folder and on S3."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capillary_adobe.lake import Slice
from capillary_adobe.lake_rewriting import RewritableLake, one_of
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.s3_faults import FaultyS3, faulty_s3

DAY, NEXT_DAY = "2026-11-19", "2026-11-20"
SECRET = "zelmirabel"


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyS3]:
    with faulty_s3() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RewritableLake:
    if request.param == "folder":
        return RewritableLake(str(tmp_path / "lake"))
    running: FaultyS3 = request.getfixturevalue("running")
    running.server.use(monkeypatch)
    running.heal()
    return RewritableLake(f"s3://{running.server.bucket()}/some/lake")


def raw(keys: list[str], day: str = DAY, batch_id: str = "one", data: str = SECRET) -> pa.Table:
    def value(column: pa.Field) -> object:
        known = {"day": day, "batch_id": batch_id, "data": data}
        return known.get(column.name, 1 if pa.types.is_integer(column.type) else "x")

    rows = [{column.name: value(column) for column in RAW_EVENTS.schema} | {"event_key": key} for key in keys]
    return pa.Table.from_pylist(rows, RAW_EVENTS.schema)


def write(lake: RewritableLake, keys: list[str], day: str = DAY, batch_id: str = "one") -> None:
    lake.replace(RAW_EVENTS, Slice(day, batch_id), raw(keys, day, batch_id).to_batches())


def with_keys(keys: set[str]) -> Callable[[pa.Table], pa.BooleanArray]:
    return lambda rows: pa.array([key in keys for key in rows["event_key"].to_pylist()], pa.bool_())


def stored(lake: RewritableLake, day: str = DAY) -> dict[str, str]:
    rows = pa.Table.from_batches(lake.read(RAW_EVENTS, Slice(day)), RAW_EVENTS.schema).to_pylist()
    return {row["event_key"]: row["data"] for row in rows}


def files(lake: RewritableLake) -> int:
    return len(lake._place.written(RAW_EVENTS.name, DAY))  # pyright: ignore[reportPrivateUsage]


def test_rows_are_found_by_a_look_at_few_columns(lake: RewritableLake) -> None:
    assert list(lake.matching(RAW_EVENTS, DAY, ["event_key"], with_keys({"a"}))) == []
    write(lake, ["a", "b", "it's"])
    write(lake, ["a"], NEXT_DAY)
    looked_at: list[list[str]] = []

    def wanted(rows: pa.Table) -> pa.BooleanArray:
        looked_at.append(rows.column_names)
        return with_keys({"b"})(rows)

    [found] = lake.matching(RAW_EVENTS, DAY, ["event_key"], wanted)
    assert found.schema == RAW_EVENTS.schema
    assert [(row["event_key"], row["day"], row["data"]) for row in found.to_pylist()] == [("b", DAY, SECRET)]
    assert looked_at == [["event_key", "day"]]


def test_rows_are_put_in_the_place_of_others_and_the_rest_stays(lake: RewritableLake) -> None:
    write(lake, ["a", "b", "it's"])
    write(lake, ["c"], batch_id="two")
    write(lake, ["b"], NEXT_DAY)
    lake.put_instead(RAW_EVENTS, DAY, one_of("event_key", ["b", "it's"]), raw(["b", "it's"], data="bare"))
    assert stored(lake) == {"a": SECRET, "b": "bare", "c": SECRET, "it's": "bare"}
    assert stored(lake, NEXT_DAY) == {"b": SECRET}
    assert sum(1 for _ in lake.read(RAW_EVENTS, Slice(DAY, "two"))) == 1
    # What such a change has written is read and changed as everything else.
    lake.put_instead(RAW_EVENTS, DAY, one_of("event_key", ["a"]), raw(["a"], data="bare"))
    [found] = lake.matching(RAW_EVENTS, DAY, ["event_key"], with_keys({"a"}))
    assert found["data"].to_pylist() == ["bare"]


def test_files_of_no_version_go_and_none_that_is_read(lake: RewritableLake) -> None:
    write(lake, ["a", "b"])
    write(lake, ["z"], NEXT_DAY)
    lake.put_instead(RAW_EVENTS, DAY, one_of("event_key", ["a", "b"]), raw(["a", "b"], data="bare"))
    assert files(lake) == 2
    assert lake.sweep(RAW_EVENTS, NEXT_DAY, 0) == (0, 0)
    assert lake.sweep(RAW_EVENTS, DAY, 1) == (0, 1)
    assert lake.sweep(RAW_EVENTS, DAY, 0) == (1, 0)
    assert files(lake) == 1
    assert stored(lake) == {"a": "bare", "b": "bare"}
    # A day of which no row is left has files still.
    lake.replace(RAW_EVENTS, Slice(DAY), [])
    assert lake.days(RAW_EVENTS) == [NEXT_DAY]
    assert lake.days_with_files(RAW_EVENTS) == [DAY, NEXT_DAY]
    assert lake.sweep(RAW_EVENTS, DAY, 0) == (1, 0)
    assert files(lake) == 0


def test_what_a_dead_run_left_goes_when_it_is_old_enough(tmp_path: Path) -> None:
    lake = RewritableLake(str(tmp_path / "lake"))
    write(lake, ["a"])
    left = Path(lake.uri(RAW_EVENTS)) / f"day={DAY}" / "part-of-a-dead-run.parquet"
    pq.write_table(raw(["a"]), left)
    assert lake.sweep(RAW_EVENTS, DAY, 1) == (0, 1)
    long_ago = time.time() - 3700
    os.utime(left, (long_ago, long_ago))
    assert lake.sweep(RAW_EVENTS, DAY, 1) == (1, 0)
    assert not left.exists()


def test_days_are_told_by_when_they_were_written(lake: RewritableLake) -> None:
    write(lake, ["a"])
    time.sleep(0.01)
    moment = time.time()
    assert lake.written_since(RAW_EVENTS, 0) == {DAY}
    write(lake, ["a"], NEXT_DAY)
    assert lake.written_since(RAW_EVENTS, moment) == {NEXT_DAY}
