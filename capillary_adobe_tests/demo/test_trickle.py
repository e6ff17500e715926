"""The live feed: current times, few lines at once, one story without repeats, by either outlet."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.demo.outlets import CapillaryOutlet, LandingOutlet
from capillary_adobe.demo.surroundings import DemoError
from capillary_adobe.demo.traffic import Mix, Trickle, Written
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.landing.local_store import LocalLandingStore
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
    written = feed(
        Trickle(LandingOutlet(LocalLandingStore(tmp_path), 1), events_per_second=150, mix=Mix.clean()),
        tmp_path,
        objects=2,
    )
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
        feed(
            Trickle(LandingOutlet(LocalLandingStore(tmp_path), 1), events_per_second=200, mix=Mix.clean()),
            tmp_path,
            objects=1,
        )
    events = [flat_event(value)[1] for path in tmp_path.rglob("*.jsonl") for value in records(path)]
    added = [
        event["data"]["customerIdentifiers"]["customerId"] for event in events if name_of(event) == "customeradded"
    ]
    assert added
    assert len(set(added)) == len(added)


def test_customers_of_yesterday_come_back_today(tmp_path: Path) -> None:
    trickle = Trickle(LandingOutlet(LocalLandingStore(tmp_path), 1), events_per_second=300, mix=Mix.clean())
    yesterdays = {(datetime.now(UTC) - timedelta(days=1)).date().isoformat()}
    written = trickle.backfill_yesterday(LocalLandingStore(tmp_path), 2_000)
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
        Trickle(LandingOutlet(LocalLandingStore(tmp_path), 1), events_per_second=0)


@pytest.fixture
def posted() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a webhook, and the bodies that it took."""
    bodies: list[bytes] = []

    async def take(request: Request) -> Response:
        bodies.append(await request.body())
        return Response()

    with BackgroundServer(Starlette(routes=[Route("/events", take, methods=["POST"])])) as server:
        yield f"{server.base_url}/events", bodies


def test_what_capillary_is_handed_it_posts_line_by_line_flaws_included(
    tmp_path: Path, posted: tuple[str, list[bytes]]
) -> None:
    url, bodies = posted
    with RunningCapillary(tmp_path / "capillary") as capillary:
        capillary.subscribe(webHookUrl=url, eventNames=list(shipped_catalogue().names()), maxAllowedConnections=8)
        outlet = CapillaryOutlet(capillary.base_url, tmp_path / "story.json", 1)
        trickle = Trickle(outlet, events_per_second=300, mix=Mix(broken=0.2))
        written = _turns(trickle, 2)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _open(capillary.deliveries()) and time.monotonic() < deadline:
            time.sleep(0.02)
        delivered = capillary.deliveries()["SUCCESS"]
    assert len(bodies) == delivered
    unreadable = [body for body in bodies if not _is_object(body)]
    assert len(unreadable) == sum(written.by_flaw[flaw] for flaw in ("truncated", "not_json", "scalar")) > 0
    sound = sum(written.by_event_name.values())
    # Capillary does not post an event whose name it does not know, such as one whose case has drifted.
    assert 0.97 * sound < sum(_is_object(body) for body in bodies) <= written.lines - len(unreadable)


def test_a_feed_by_capillary_goes_on_where_the_one_before_stopped(tmp_path: Path) -> None:
    started = []
    with RunningCapillary(tmp_path / "capillary") as capillary:
        for _ in range(2):
            outlet = CapillaryOutlet(capillary.base_url, tmp_path / "story.json", 1)
            started.append(outlet.started(datetime.now(UTC).date()))
            _turns(Trickle(outlet, events_per_second=200, mix=Mix.clean()), 1)
        outlet = CapillaryOutlet(capillary.base_url, tmp_path / "story.json", 1)
        started.append(outlet.started(datetime.now(UTC).date()))
        assert CapillaryOutlet(capillary.base_url, tmp_path / "story.json", 2).started(datetime.now(UTC).date()) == 0
        assert outlet.started(datetime.now(UTC).date() - timedelta(days=1)) == 0
    assert 0 == started[0] < started[1] < started[2]


@pytest.mark.parametrize("text", ["", "[]", '{"day": 1}', "{"])
def test_a_story_that_cannot_be_read_is_told_with_the_cure(tmp_path: Path, text: str) -> None:
    story = tmp_path / "story.json"
    story.write_text(text)
    with pytest.raises(DemoError, match=r"story\.json cannot be read\. Remove it"):
        CapillaryOutlet("http://127.0.0.1:9", story, 1).started(datetime.now(UTC).date())


def test_a_capillary_that_is_not_there_is_told(tmp_path: Path) -> None:
    outlet = CapillaryOutlet("http://127.0.0.1:9", tmp_path / "story.json", 1)
    with pytest.raises(DemoError, match="does not answer"):
        outlet.hand_over(0, [b"{}"], 1)
    outlet = CapillaryOutlet("http://127.0.0.1:9", tmp_path / "file" / "story.json", 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="cannot be written"):
        outlet.hand_over(0, [b"{}"], 1)


def _turns(trickle: Trickle, turns: int) -> Written:
    """Let a feed have its turn so many times."""
    return trickle.write_until(_StopAfter(turns))


class _StopAfter(threading.Event):
    """Set after so many waits."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self._turns = turns

    def wait(self, timeout: float | None = None) -> bool:
        self._turns -= 1
        if self._turns <= 0:
            self.set()
        return super().wait(timeout)


def _open(deliveries: dict[str, int]) -> int:
    return sum(count for status, count in deliveries.items() if status != "SUCCESS")


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
