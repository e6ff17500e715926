"""The landing store: what is listed, in which order, and how an object is written and opened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.landing import LandedObject, LandingError, open_landing_store
from capillary_adobe.landing.store import LocalLandingStore, lane_of, latest_event_ms

DAY = "2026-03-01"


@pytest.fixture
def store(tmp_path: Path) -> LocalLandingStore:
    return LocalLandingStore(tmp_path)


def keys(store: LocalLandingStore, after: str = "", lane: str = "live") -> list[str]:
    return [found.key for found in store.list(lane, DAY, after)]  # type: ignore[arg-type]


def test_objects_are_listed_with_size_and_time_in_key_order(store: LocalLandingStore, tmp_path: Path) -> None:
    store.write(f"events/{DAY}/10/b.jsonl", b"12345")
    store.write(f"events/{DAY}/09/z.jsonl", b"1")
    found = list(store.list("live", DAY))
    stored_ms = [(tmp_path / one.key).stat().st_mtime_ns // 1_000_000 for one in found]
    assert found == [
        LandedObject(f"events/{DAY}/09/z.jsonl", 1, stored_ms[0]),
        LandedObject(f"events/{DAY}/10/b.jsonl", 5, stored_ms[1]),
    ]


_NAMES = st.sampled_from(["a", "a.jsonl", "a-1", "a0", "A", "b", "10", "9", "é", "a b", "~"])


@settings(deadline=None, max_examples=60, database=None)
@given(paths=st.sets(st.lists(_NAMES, min_size=1, max_size=3).map(tuple), max_size=12), after=st.none() | _NAMES)
def test_keys_come_in_sorted_order_and_after_any_key(
    tmp_path_factory: pytest.TempPathFactory, paths: set[tuple[str, ...]], after: str | None
) -> None:
    store = LocalLandingStore(tmp_path_factory.mktemp("landing"))
    # A name is a folder or an object, never both.
    folders = {path[:end] for path in paths for end in range(1, len(path))}
    expected = sorted(f"events/{DAY}/{'/'.join(path)}" for path in paths - folders)
    for key in expected:
        store.write(key, b"x")
    assert keys(store) == expected
    for mark in [*expected, f"events/{DAY}/{after}", f"events/{DAY}/{after}/", f"events/{DAY}/a/b"]:
        assert keys(store, mark) == [key for key in expected if key > mark]


def test_objects_directly_under_their_day_sort_among_folders(store: LocalLandingStore) -> None:
    for name in ("part-1.csv", "10/x", "part-0.csv", "11.jsonl"):
        store.write(f"history/{DAY}/{name}", b"x")
    assert keys(store, lane="history") == [
        f"history/{DAY}/{name}" for name in ("10/x", "11.jsonl", "part-0.csv", "part-1.csv")
    ]
    assert keys(store) == []


def test_what_is_hidden_or_not_complete_is_not_listed(store: LocalLandingStore) -> None:
    for name in (".a.part", "_a", "a.tmp", ".hidden/a", "_temporary/a", "b.tmp/a", "10/.a", "10/_SUCCESS", "10/c.tmp"):
        store.write(f"events/{DAY}/{name}", b"x")
    store.write(f"events/{DAY}/10/a.tmp.jsonl", b"x")
    assert keys(store) == [f"events/{DAY}/10/a.tmp.jsonl"]


def test_a_store_or_day_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    store = LocalLandingStore(tmp_path / "nowhere")
    assert keys(store) == []
    assert store.days("live") == []


def test_days_are_folders_named_by_a_day_that_exists(store: LocalLandingStore) -> None:
    for name in ("2026-03-02", "2026-03-01", "2026-02-30", "20260301", "2026-W01-1", "2026-3-1", ".2026-03-03", "x"):
        store.write(f"events/{name}/10/a", b"x")
    store.write("history/2025-01-01/a", b"x")
    assert store.days("live") == ["2026-03-01", "2026-03-02"]
    assert store.days("history") == ["2025-01-01"]


def test_an_object_is_written_whole_and_leaves_nothing_beside_it(store: LocalLandingStore, tmp_path: Path) -> None:
    key = f"events/{DAY}/10/a.jsonl"
    store.write(key, b"first")
    with store.open(key) as stream:
        store.write(key, b"second, and longer")
        assert stream.read() == b"first"
    with store.open(key) as stream:
        assert stream.read() == b"second, and longer"
    assert [path.name for path in (tmp_path / key).parent.iterdir()] == ["a.jsonl"]


def test_an_object_that_is_gone_is_told_with_its_key_and_the_cure(store: LocalLandingStore) -> None:
    key = f"events/{DAY}/10/gone.jsonl"
    with pytest.raises(LandingError) as told:
        store.open(key)
    assert str(told.value) == (
        f"The landed object {key} cannot be read (No such file or directory). Landed objects must stay until their day is "
        "delivered; put it back or give the user that runs Dagster the right to read it."
    )


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LandingError, match=r"LANDING_URL=.*/file cannot be written \(Not a directory\)\. Check"):
        LocalLandingStore(tmp_path / "file").write(f"events/{DAY}/10/a", b"x")


def test_a_failed_write_leaves_nothing_behind(store: LocalLandingStore, tmp_path: Path) -> None:
    folder = tmp_path / "events" / DAY / "10"
    (folder / "taken").mkdir(parents=True)
    with pytest.raises(LandingError, match=r"cannot be written \(Is a directory\)"):
        store.write(f"events/{DAY}/10/taken", b"x")
    assert [path.name for path in folder.iterdir()] == ["taken"]


def test_the_address_of_a_store_is_a_folder(tmp_path: Path) -> None:
    assert open_landing_store(str(tmp_path)) == LocalLandingStore(tmp_path)
    with pytest.raises(LandingError, match=r"LANDING_URL=s3://bucket/landing is not supported: give the path"):
        open_landing_store("s3://bucket/landing")


@pytest.mark.parametrize(
    ("key", "lane"), [("events/2026-03-01/10/a", "live"), ("history/2026-03-01/a", "history"), ("historyx/a", "live")]
)
def test_the_lane_of_a_key_is_its_first_folder(key: str, lane: str) -> None:
    assert lane_of(key) == lane


@pytest.mark.parametrize(
    ("key", "latest"),
    [
        ("events/2026-03-01/10/a", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("events/2026-03-01/23/a", datetime(2026, 3, 2, tzinfo=UTC)),
        ("events/2026-12-31/00/2027/a", datetime(2026, 12, 31, 1, tzinfo=UTC)),
        ("events/2026-03-01/24/a", datetime(2026, 3, 2, tzinfo=UTC)),
        ("events/2026-03-01/a", datetime(2026, 3, 2, tzinfo=UTC)),
        # Dates of an export are of the organisation's zone, up to a day away from UTC.
        ("history/2026-03-01/a", datetime(2026, 3, 3, tzinfo=UTC)),
        ("history/2026-03-01/10/a", datetime(2026, 3, 3, tzinfo=UTC)),
    ],
)
def test_nothing_in_an_object_happened_after_what_its_key_names(key: str, latest: datetime) -> None:
    assert latest_event_ms(key) == int(latest.timestamp() * 1000)


@pytest.mark.parametrize("key", ["events/a", "a", "events/2026-02-30/10/a"])
def test_a_key_without_a_day_is_told(key: str) -> None:
    with pytest.raises(LandingError, match=f"The key {key} names no day"):
        latest_event_ms(key)
