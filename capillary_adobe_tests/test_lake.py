"""The lake: slices replaced whole, counted right, safe under several writers, flat in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.lake import ROWS_PER_GROUP, Lake, LakeError, Slice
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, SET_ASIDE, TABLES, XDM_EVENTS, Table
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.forked import FORKING

DAY, NEXT_DAY = "2026-03-04", "2026-03-05"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(f"{tmp_path}/lake")


def aside(day: str, batch_id: str, numbers: list[int] | range) -> list[pa.RecordBatch]:
    common: dict[str, Any] = {"day": day, "batch_id": batch_id, "lane": "live", "kind": "duplicate", "reason": day}
    common |= {"object": "o", "part": 0, "event_name": "e", "replaced": False}
    listed = [{**common, "line": number, "event_key": f"k{number}"} for number in numbers]
    return [pa.RecordBatch.from_pylist(listed, schema=SET_ASIDE.schema)]


def write(lake: Lake, day: str, batch_id: str, numbers: list[int] | range) -> int:
    return lake.replace(SET_ASIDE, Slice(day, batch_id), aside(day, batch_id, numbers))


def lines(lake: Lake, part: Slice) -> list[int]:
    return sorted(lake.table(SET_ASIDE, part, ["line"])["line"].to_pylist())


def sample(table: Table, day: str = DAY, batch_id: str = "b") -> dict[str, Any]:
    """A row with every column filled, texts outside ASCII."""

    def value(kind: pa.DataType) -> Any:
        if pa.types.is_list(kind):
            return ["é", "b"]
        return "é\u2028" if pa.types.is_string(kind) else kind == pa.bool_() if kind == pa.bool_() else 2**62

    return {column.name: value(column.type) for column in table.columns} | {"day": day, "batch_id": batch_id}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_gives_back_what_it_got(lake: Lake, table: Table) -> None:
    full = sample(table)
    sparse = {
        name: None if not column.required else full[name] for name, column in zip(full, table.columns, strict=True)
    }
    batch = pa.RecordBatch.from_pylist([full, sparse], schema=table.schema)
    assert lake.replace(table, Slice(DAY), [batch]) == 2
    back = lake.table(table, Slice(DAY), table.names)
    assert back.to_pylist() == [full, sparse]
    assert back.schema == table.schema
    assert lake.schema(table).names == table.names


def test_a_table_that_does_not_exist_is_empty(lake: Lake) -> None:
    assert list(lake.read(SET_ASIDE, Slice(DAY))) == []
    assert lake.table(SET_ASIDE, Slice(DAY), ["line"]).num_rows == 0
    assert (lake.count(SET_ASIDE, Slice(DAY)), lake.days(SET_ASIDE), lake.files(SET_ASIDE, Slice(DAY))) == (
        0,
        [],
        (0, 0),
    )
    lake.remove_events(SET_ASIDE, Slice(DAY, "b"), [])
    assert not Path(lake.uri(SET_ASIDE)).exists()


def test_only_the_slice_is_replaced(lake: Lake) -> None:
    write(lake, DAY, "one", [1, 2])
    write(lake, DAY, "two", [3])
    write(lake, NEXT_DAY, "one", [4])
    assert write(lake, DAY, "one", [5]) == 1
    assert lines(lake, Slice(DAY, "one")) == [5]
    assert lines(lake, Slice(DAY)) == [3, 5]
    assert lines(lake, Slice(NEXT_DAY)) == [4]
    lake.replace(SET_ASIDE, Slice(DAY), aside(DAY, "day", [6]))
    assert lines(lake, Slice(DAY)) == [6]
    assert lake.days(SET_ASIDE) == [DAY, NEXT_DAY]


def test_a_slice_replaced_by_nothing_is_empty(lake: Lake) -> None:
    assert lake.replace(SET_ASIDE, Slice(DAY, "one"), iter(())) == 0
    assert (lake.count(SET_ASIDE, Slice(DAY)), lake.days(SET_ASIDE)) == (0, [])
    write(lake, DAY, "one", [1])
    write(lake, DAY, "two", [2])
    assert write(lake, DAY, "one", []) == 0
    assert lines(lake, Slice(DAY)) == [2]
    lake.replace(SET_ASIDE, Slice(DAY), iter(()))
    assert (lake.count(SET_ASIDE, Slice(DAY)), lake.days(SET_ASIDE)) == (0, [])


def test_what_changes_nothing_is_no_commit(lake: Lake) -> None:
    write(lake, DAY, "one", [1])
    log = Path(lake.uri(SET_ASIDE)) / "_delta_log"
    before = sorted(log.iterdir())
    assert write(lake, NEXT_DAY, "one", []) == 0
    assert write(lake, DAY, "two", []) == 0
    assert lake.replace(SET_ASIDE, Slice(NEXT_DAY), iter(())) == 0
    assert sorted(log.iterdir()) == before
    assert lines(lake, Slice(DAY)) == [1]


def test_a_stage_is_a_slice_of_its_own(lake: Lake) -> None:
    for stage in ("raw", "xdm"):
        row = sample(QUARANTINE) | {"stage": stage}
        lake.replace(QUARANTINE, Slice(DAY, "b", stage), [pa.RecordBatch.from_pylist([row], QUARANTINE.schema)])
    assert lake.count(QUARANTINE, Slice(DAY)) == 2
    assert lake.count(QUARANTINE, Slice(DAY, stage="raw")) == 1
    lake.replace(QUARANTINE, Slice(DAY, "b", "raw"), iter(()))
    assert lake.table(QUARANTINE, Slice(DAY), ["stage"])["stage"].to_pylist() == ["xdm"]


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([DAY, NEXT_DAY]),
            st.sampled_from(["a", "b", "x" * 90 + "1", "x" * 90 + "2"]),
            st.integers(0, 4),
        ),
        max_size=6,
    )
)
def test_counts_and_files_agree_with_what_is_read(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    expected: dict[tuple[str, str], int] = {}
    for day, batch_id, count in steps:
        write(lake, day, batch_id, range(count))
        expected[day, batch_id] = count
    for (day, batch_id), count in expected.items():
        assert lake.count(SET_ASIDE, Slice(day, batch_id)) == count == len(lines(lake, Slice(day, batch_id)))
    for day in (DAY, NEXT_DAY):
        total = sum(count for (of, _), count in expected.items() if of == day)
        assert lake.count(SET_ASIDE, Slice(day)) == total == len(lines(lake, Slice(day)))
        number, size = lake.files(SET_ASIDE, Slice(day))
        stored = list(Path(lake.uri(SET_ASIDE)).glob(f"day={day}/*.parquet"))
        assert (number > 0, size > 0) == (total > 0, total > 0)
        assert number <= len(stored)


def test_removed_events_are_gone_from_the_other_micro_batches_only(lake: Lake) -> None:
    for batch_id in ("one", "two", "three"):
        write(lake, DAY, batch_id, [1, 2, 3])
    write(lake, NEXT_DAY, "one", [1, 2, 3])
    lake.remove_events(SET_ASIDE, Slice(DAY, "two"), ["k1", "k3", "unknown"])
    assert lines(lake, Slice(DAY, "one")) == [2]
    assert lines(lake, Slice(DAY, "two")) == [1, 2, 3]
    assert lines(lake, Slice(DAY, "three")) == [2]
    assert lines(lake, Slice(NEXT_DAY)) == [1, 2, 3]
    assert lake.count(SET_ASIDE, Slice(DAY)) == 5
    assert lake.table(SET_ASIDE, Slice(DAY, "two"), SET_ASIDE.names).schema == SET_ASIDE.schema


def test_more_events_than_one_predicate_takes(lake: Lake) -> None:
    write(lake, DAY, "one", range(1_300))
    lake.remove_events(SET_ASIDE, Slice(DAY, "two"), {f"k{number}" for number in range(1_250)})
    assert lines(lake, Slice(DAY)) == list(range(1_250, 1_300))


class OwnError(Exception):
    """A failure of whoever makes the rows."""


@pytest.mark.parametrize("good_batches", [0, 1, 40])
def test_rows_that_fail_half_way_leave_the_old_ones(lake: Lake, good_batches: int) -> None:
    write(lake, DAY, "one", [1, 2])
    error = OwnError("the very one")

    def failing() -> Iterator[pa.RecordBatch]:
        for _ in range(good_batches):
            yield from aside(DAY, "one", range(1_000))
        raise error

    before = threading.active_count()
    with pytest.raises(OwnError) as raised:
        lake.replace(SET_ASIDE, Slice(DAY, "one"), failing())
    assert raised.value is error
    assert lines(lake, Slice(DAY)) == [1, 2]
    assert threading.active_count() == before


def test_rows_may_come_from_another_table(lake: Lake) -> None:
    write(lake, DAY, "one", range(12_000))
    copied = (batch for batch in lake.read(SET_ASIDE, Slice(DAY, "one")))
    assert lake.replace(SET_ASIDE, Slice(DAY, "one"), copied) == 12_000
    assert lines(lake, Slice(DAY)) == list(range(12_000))


def _write_many(url: str, batch_id: str, day: str) -> None:
    for number in range(4):
        write(Lake(url), day, batch_id, range(number + 1))


@pytest.mark.parametrize("days", [[DAY] * 4, [DAY, NEXT_DAY, "2026-03-06", "2026-03-07"]], ids=["one-day", "days"])
def test_threads_that_write_micro_batches_at_once_all_survive(lake: Lake, days: list[str]) -> None:
    together = threading.Barrier(len(days))

    def work(number: int) -> None:
        together.wait()
        _write_many(lake.url, f"b{number}", days[number])

    with ThreadPoolExecutor(len(days)) as pool:
        list(pool.map(work, range(len(days))))
    for number, day in enumerate(days):
        assert lines(lake, Slice(day, f"b{number}")) == [0, 1, 2, 3]
    assert sum(lake.count(SET_ASIDE, Slice(day)) for day in set(days)) == 16


def test_processes_that_write_micro_batches_at_once_all_survive(lake: Lake) -> None:
    with ProcessPoolExecutor(2, mp_context=FORKING) as pool:
        writing = [pool.submit(_write_many, lake.url, f"b{number}", DAY) for number in range(4)]
        for one in writing:
            one.result(timeout=60)
    for number in range(4):
        assert lines(lake, Slice(DAY, f"b{number}")) == [0, 1, 2, 3]
    assert lake.count(SET_ASIDE, Slice(DAY)) == 16


def test_removing_events_while_another_day_is_written(lake: Lake) -> None:
    write(lake, DAY, "one", range(40))
    with ThreadPoolExecutor(2) as pool:
        removing = [
            pool.submit(lake.remove_events, SET_ASIDE, Slice(DAY, "two"), [f"k{number}"]) for number in range(6)
        ]
        writing = [pool.submit(write, lake, NEXT_DAY, f"b{number}", [number]) for number in range(6)]
        for one in [*removing, *writing]:
            one.result(timeout=60)
    assert lines(lake, Slice(DAY)) == list(range(6, 40))
    assert lines(lake, Slice(NEXT_DAY)) == list(range(6))


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/lake"])
def test_a_lake_that_cannot_be_written_is_named(place: str) -> None:
    with pytest.raises(LakeError, match=rf"set_aside under LAKE_URL={place} .*Check that the folder"):
        write(Lake(place), DAY, "one", [1])


def test_a_folder_that_is_no_table_is_named(lake: Lake) -> None:
    Path(lake.uri(SET_ASIDE)).mkdir(parents=True)
    (Path(lake.uri(SET_ASIDE)) / "letter.txt").write_text("not a table")
    with pytest.raises(LakeError, match="LAKE_URL"):
        write(lake, DAY, "one", [1])
    assert [path.name for path in Path(lake.url).iterdir()] == ["set_aside"]


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_file_that_is_lost_or_damaged_is_named(lake: Lake, harm: str) -> None:
    write(lake, DAY, "one", [1])
    (file,) = Path(lake.uri(SET_ASIDE)).glob("day=*/*.parquet")
    if harm == "lost":
        file.unlink()
    else:
        file.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(LakeError, match="set_aside under LAKE_URL"):
        lines(lake, Slice(DAY))


def test_memory_stays_flat_for_a_large_day(lake: Lake) -> None:
    rows, batch_rows = 300_000, 5_000
    process = psutil.Process()
    row = sample(XDM_EVENTS) | {"entity": '{"a": "' + "x" * 700 + '"}'}
    template = pa.RecordBatch.from_pylist([row] * batch_rows, schema=XDM_EVENTS.schema)
    most = before = process.memory_info().rss

    def made() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for number in range(rows // batch_rows):
            ids = pa.array([f"{number * batch_rows + n:064x}" for n in range(batch_rows)])
            yield template.set_column(XDM_EVENTS.names.index("id"), XDM_EVENTS.schema.field("id"), ids)
            most = max(most, process.memory_info().rss)

    assert lake.replace(XDM_EVENTS, Slice(DAY), made()) == rows
    read = 0
    for batch in lake.read(XDM_EVENTS, Slice(DAY)):
        assert batch.num_rows <= ROWS_PER_GROUP
        read += batch.num_rows
        most = max(most, process.memory_info().rss)
    assert read == rows == lake.count(XDM_EVENTS, Slice(DAY))
    assert most - before < 600 * 2**20


def test_no_statistics_of_the_rows_get_into_the_log(lake: Lake) -> None:
    row = sample(INGESTION_STATUS) | {"event_name": "a-name-for-nobody", "batch_id": "b"}
    lake.replace(INGESTION_STATUS, Slice(DAY), [pa.RecordBatch.from_pylist([row], INGESTION_STATUS.schema)])
    log = "".join(path.read_text() for path in Path(lake.uri(INGESTION_STATUS)).glob("_delta_log/*.json"))
    assert "numRecords" in log
    assert "a-name-for-nobody" not in log


def test_a_table_of_an_older_version_gets_the_new_columns_and_keeps_its_rows(lake: Lake) -> None:
    later = ("cause", "doubtful")
    older = replace(INGESTION_STATUS, columns=tuple(c for c in INGESTION_STATUS.columns if c.name not in later))
    old = {name: value for name, value in sample(INGESTION_STATUS).items() if name not in later}
    lake.replace(older, Slice(DAY), [pa.RecordBatch.from_pylist([old], schema=older.schema)])
    # Read before anything is written: the file has no such columns, and neither has the table.
    assert lake.table(INGESTION_STATUS, Slice(DAY), ["cause", "status"]).to_pylist() == [
        {"cause": None, "status": old["status"]}
    ]
    new = sample(INGESTION_STATUS, NEXT_DAY)
    lake.replace(INGESTION_STATUS, Slice(NEXT_DAY), [pa.RecordBatch.from_pylist([new], schema=INGESTION_STATUS.schema)])
    assert {field.name for field in lake.schema(INGESTION_STATUS)} == set(INGESTION_STATUS.names)
    assert lake.table(INGESTION_STATUS, Slice(DAY), INGESTION_STATUS.names).to_pylist() == [
        {**old, "cause": None, "doubtful": None}
    ]
    assert lake.table(INGESTION_STATUS, Slice(NEXT_DAY), INGESTION_STATUS.names).to_pylist() == [new]
