"""Landing stores of every kind: what is listed, in which order, and how an object is written and opened."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.landing import LandingError
from capillary_adobe.landing.store import LANE_FOLDERS, landed_key, lane_of, latest_event_ms
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.landing.conftest import KINDS, Place, place_of

DAY = "2026-03-01"


def keys(place: Place, after: str = "", lane: str = "live", day: str = DAY) -> list[str]:
    return [found.key for found in place.store.list(lane, day, after)]  # type: ignore[arg-type]


def test_objects_are_listed_with_size_and_time_in_key_order(place: Place) -> None:
    before_ms = time.time_ns() // 1_000_000
    place.store.write(f"events/{DAY}/10/b.jsonl", b"12345")
    place.store.write(f"events/{DAY}/09/z.jsonl", b"1")
    place.store.write(f"aside/{DAY}/11/a.unreadable", b"")
    found = list(place.store.list("live", DAY))
    assert [(one.key, one.size) for one in found] == [
        (f"aside/{DAY}/11/a.unreadable", 0),
        (f"events/{DAY}/09/z.jsonl", 1),
        (f"events/{DAY}/10/b.jsonl", 5),
    ]
    # Times of S3 are of whole seconds.
    assert all(before_ms - 1_000 <= one.stored_ms <= time.time_ns() // 1_000_000 for one in found)


_NAMES = st.sampled_from(
    ["a", "a.jsonl", "a-1", "a0", "A", "b", "10", "9", "é", "a b", "~", "a+b", "%41", "😀", "\uffee"]
)
_FOLDERS = st.sampled_from(["events", "aside", "history"])
_ELSEWHERE = st.sampled_from(["aside", "events/2026-02-28/a", "events/2026-04", "z"])
_PATHS = st.tuples(_FOLDERS, st.sampled_from([DAY, "2026-03-02"]), st.lists(_NAMES, min_size=1, max_size=3).map(tuple))


@settings(
    deadline=None,
    max_examples=examples(15),
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(paths=st.sets(_PATHS, max_size=12), after=_NAMES, elsewhere=_ELSEWHERE)
def test_every_kind_lists_the_same_behind_any_key(
    request: pytest.FixtureRequest, paths: set[tuple[str, str, tuple[str, ...]]], after: str, elsewhere: str
) -> None:
    # A name is a folder or an object, never both.
    folders = {(lane, day, path[:end]) for lane, day, path in paths for end in range(1, len(path))}
    expected = sorted(f"{lane}/{day}/{'/'.join(path)}" for lane, day, path in paths - folders)
    for kind in KINDS:
        place = place_of(kind, request)
        for key in expected:
            place.put(key)
        for lane, names in LANE_FOLDERS.items():
            mine = [key for key in expected if key.split("/")[0] in names]
            assert place.store.days(lane) == sorted({key.split("/")[1] for key in mine}), kind
            mine = [key for key in mine if f"/{DAY}/" in key]
            assert keys(place, lane=lane) == mine, kind
            marks = [*mine[::3], *(f"{name}/{DAY}/{end}" for name in names for end in (after, f"{after}/"))]
            for mark in [*marks, elsewhere]:
                assert keys(place, mark, lane) == [key for key in mine if key > mark], (kind, mark)


def test_objects_directly_under_their_day_sort_among_folders(place: Place) -> None:
    for name in ("part-1.csv", "10/x", "part-0.csv", "11.jsonl"):
        place.store.write(f"history/{DAY}/{name}", b"x")
    assert keys(place, lane="history") == [
        f"history/{DAY}/{name}" for name in ("10/x", "11.jsonl", "part-0.csv", "part-1.csv")
    ]
    assert keys(place) == []


def test_what_is_hidden_or_not_complete_is_not_listed(place: Place) -> None:
    for name in (".a.part", "_a", "a.tmp", ".hidden/a", "_temporary/a", "b.tmp/a", "10/.a", "10/_SUCCESS", "10/c.tmp"):
        place.put(f"events/{DAY}/{name}")
    place.put(f"events/{DAY}/12/", b"")
    place.put(f".receiving/events/{DAY}/10/a")
    place.store.write(f"events/{DAY}/10/a.tmp.jsonl", b"x")
    assert keys(place) == [f"events/{DAY}/10/a.tmp.jsonl"]


def test_a_store_or_day_where_nothing_is_lists_as_empty(place: Place) -> None:
    assert keys(place) == []
    assert place.store.days("live") == []


def test_days_are_folders_named_by_a_day_that_exists(place: Place) -> None:
    for name in ("2026-03-02", "2026-03-01", "2026-02-30", "20260301", "2026-W01-1", "2026-3-1", ".2026-03-03", "x"):
        place.put(f"events/{name}/10/a")
    place.put("aside/2026-03-01/10/a")
    place.put("aside/2026-03-03/10/a")
    place.put("history/2025-01-01/a")
    assert place.store.days("live") == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert place.store.days("history") == ["2025-01-01"]


def test_an_object_is_written_whole_and_alone(place: Place) -> None:
    key = f"events/{DAY}/10/a.jsonl"
    data = bytes(range(256)) * 3_000
    place.store.write(key, data)
    with place.store.open(key) as stream:
        assert (stream.read(2), stream.read(1), stream.read()) == (data[:2], data[2:3], data[3:])
        assert stream.read() == b""
    assert keys(place) == [key]


def test_an_object_with_the_same_bytes_may_be_there_already(place: Place) -> None:
    key = f"events/{DAY}/10/a.jsonl"
    for _ in range(2):
        place.store.write(key, b"the same")
    with place.store.open(key) as stream:
        assert stream.read() == b"the same"


@pytest.mark.parametrize("kind", ["folder", "moto"])
@pytest.mark.parametrize("other", [b"other", b"the", b"the first and more", b""])
def test_an_object_is_never_replaced(kind: str, other: bytes, request: pytest.FixtureRequest) -> None:
    place = place_of(kind, request)
    key = f"events/{DAY}/10/a.jsonl"
    place.store.write(key, b"the first")
    with pytest.raises(LandingError, match=rf"LANDING_URL=.* holds another object under {key}, .*another name"):
        place.store.write(key, other)
    with place.store.open(key) as stream:
        assert stream.read() == b"the first"
    assert keys(place) == [key]


def test_a_store_that_cannot_refuse_keeps_the_last(request: pytest.FixtureRequest) -> None:
    place = place_of("gateway", request)
    for data in (b"first", b"second"):
        place.store.write(f"events/{DAY}/10/a.jsonl", data)
    with place.store.open(f"events/{DAY}/10/a.jsonl") as stream:
        assert stream.read() == b"second"


def test_many_objects_are_opened_in_the_order_given(place: Place) -> None:
    written = {f"events/{DAY}/10/{number:03}": b"%d" % number * number for number in range(40)}
    for key, data in written.items():
        place.put(key, data)
    order = [*reversed(written), *list(written)[:3]]
    read = [(key, stream, stream.read()) for key, stream in place.store.staged(iter(order))]
    assert [(key, data) for key, _, data in read] == [(key, written[key]) for key in order]
    assert all(stream.closed for _, stream, _ in read)
    assert list(place.store.staged([])) == []


def test_one_that_is_gone_is_told_when_its_turn_comes(place: Place) -> None:
    here, gone = [f"events/{DAY}/10/{number}" for number in range(3)], f"events/{DAY}/10/gone"
    for key in here:
        place.put(key, key.encode())
    opened = place.store.staged([*here[:2], gone, here[2]])
    assert [next(opened)[1].read() for _ in range(2)] == [key.encode() for key in here[:2]]
    with pytest.raises(LandingError, match=rf"The landed object {gone} .*cannot be read.* put it back"):
        next(opened)


def test_whoever_stops_half_way_leaves_nothing_open(place: Place) -> None:
    for number in range(20):
        place.put(f"events/{DAY}/10/{number:02}")
    opened = place.store.staged(keys(place))
    _, stream = next(opened)
    opened.close()  # type: ignore[attr-defined]
    assert stream.closed


@pytest.mark.parametrize(
    ("key", "lane"),
    [
        ("events/2026-03-01/10/a", "live"),
        ("aside/2026-03-01/10/a", "live"),
        ("history/2026-03-01/a", "history"),
        ("historyx/a", "live"),
    ],
)
def test_the_lane_of_a_key_is_its_first_folder(key: str, lane: str) -> None:
    assert lane_of(key) == lane


def test_the_key_of_an_object_names_the_hour_in_which_it_becomes_visible() -> None:
    moment_ms = int(datetime(2026, 11, 26, 2, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)
    assert landed_key("events", moment_ms, "a.jsonl") == "events/2026-11-26/02/a.jsonl"
    assert landed_key("aside", moment_ms + 1, "a.oversize") == "aside/2026-11-26/03/a.oversize"


@pytest.mark.parametrize(
    ("key", "latest"),
    [
        ("events/2026-03-01/10/a", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("events/2026-03-01/23/a", datetime(2026, 3, 2, tzinfo=UTC)),
        ("events/2026-12-31/00/2027/a", datetime(2026, 12, 31, 1, tzinfo=UTC)),
        ("aside/2026-03-01/10/a", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("events/2026-03-01/24/a", datetime(2026, 3, 2, tzinfo=UTC)),
        ("events/2026-03-01/a", datetime(2026, 3, 2, tzinfo=UTC)),
        # Dates of an export are of the organisation's zone, up to a day away from UTC.
        ("history/2026-03-01/a", datetime(2026, 3, 3, tzinfo=UTC)),
        ("history/2026-03-01/10/a", datetime(2026, 3, 3, tzinfo=UTC)),
    ],
)
def test_nothing_in_an_object_happened_after_what_its_key_names(key: str, latest: datetime) -> None:
    assert latest_event_ms(key) == int(latest.timestamp() * 1000)


@pytest.mark.parametrize("key", ["events/a", "a", "aside/a", "events/2026-02-30/10/a"])
def test_a_key_without_a_day_is_told(key: str) -> None:
    with pytest.raises(LandingError, match=f"The key {key} names no day"):
        latest_event_ms(key)
