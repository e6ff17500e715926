"""The live feed: current times, small objects, one story without repeats."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from capillary_adobe.demo.traffic import Mix, Trickle, Written
from capillary_adobe_tests.demo.reading import flat_event, name_of, records

PATIENCE_SECONDS = 30


def feed(trickle: Trickle, landing: Path, objects: int) -> Written:
    """Run a feed until so many more objects have landed."""
    stop = threading.Event()
    written: list[Written] = []
    before = len(list(landing.rglob("*-live*.jsonl")))
    writer = threading.Thread(target=lambda: written.append(trickle.write_until(stop)))
    writer.start()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(list(landing.rglob("*-live*.jsonl"))) < before + objects and time.monotonic() < deadline:
            stop.wait(0.02)
    finally:
        stop.set()
        writer.join(PATIENCE_SECONDS)
    assert not writer.is_alive()
    return written[0]


def test_a_feed_lands_small_objects_with_current_times(tmp_path: Path) -> None:
    begun_ms = int(time.time() * 1000)
    written = feed(Trickle(tmp_path, events_per_second=150, mix=Mix.clean()), tmp_path, objects=2)
    landed = sorted(tmp_path.rglob("*.jsonl"), key=lambda path: path.name)
    assert len(landed) == written.objects >= 2
    values = [(int(path.name[:13]), value) for path in landed for value in records(path)]
    assert len(values) == written.lines == sum(written.by_event_name.values())
    for named_ms, value in values:
        assert begun_ms <= named_ms <= int(time.time() * 1000)
        assert named_ms - 30 * 60_000 < flat_event(value)[1]["createdAt"] <= named_ms
    for path in landed:
        moment = datetime.fromtimestamp(int(path.name[:13]) / 1000, UTC)
        assert path.parent == tmp_path / "events" / f"{moment:%Y-%m-%d}" / f"{moment:%H}"
    assert not list(tmp_path.rglob(".*"))


def test_a_feed_goes_on_where_the_one_before_stopped(tmp_path: Path) -> None:
    for _ in range(2):
        feed(Trickle(tmp_path, events_per_second=200, mix=Mix.clean()), tmp_path, objects=1)
    events = [flat_event(value)[1] for path in tmp_path.rglob("*.jsonl") for value in records(path)]
    added = [
        event["data"]["customerIdentifiers"]["customerId"] for event in events if name_of(event) == "customeradded"
    ]
    assert added
    assert len(set(added)) == len(added)


def test_customers_of_yesterday_come_back_today(tmp_path: Path) -> None:
    trickle = Trickle(tmp_path, events_per_second=300, mix=Mix.clean())
    yesterdays = {(datetime.now(UTC) - timedelta(days=1)).date().isoformat()}
    written = trickle.backfill_yesterday(2_000)
    yesterdays.add((datetime.now(UTC) - timedelta(days=1)).date().isoformat())
    assert written.lines == 2_000
    assert {path.name for path in (tmp_path / "events").iterdir()} <= yesterdays
    customers = _customers(tmp_path, "*.jsonl*")
    feed(trickle, tmp_path, objects=2)
    assert len(customers & _customers(tmp_path, "*-live*.jsonl")) > 3


def _customers(landing: Path, pattern: str) -> set[int]:
    events = [flat_event(value)[1] for path in landing.rglob(pattern) for value in records(path)]
    return {event["data"].get("customerIdentifiers", {}).get("customerId", 0) for event in events} - {0}


def test_a_feed_needs_a_pace(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Trickle(tmp_path, events_per_second=0)
