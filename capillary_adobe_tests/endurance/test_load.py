"""The load generator and the account of a load: they would notice what they are there to notice."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.landed import account
from bench.load import Plan
from bench.load_bodies import events
from bench.receiver_process import post_load
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.landing.local_store import LocalLandingStore

DAY = "2026-11-19"


class Moody:
    """A server that answers what it is told for its first requests, and 200 to the others."""

    def __init__(self, *first: Response | float) -> None:
        self._first = list(first)
        self.bodies: list[bytes] = []

    async def answer(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        mood = self._first.pop(0) if self._first else None
        if isinstance(mood, float):
            await asyncio.sleep(mood)
        return mood if isinstance(mood, Response) else Response()


def post(moody: Moody, notes: Path, *options: str) -> dict[str, Any]:
    server = BackgroundServer(Starlette(routes=[Route("/events", moody.answer, methods=["POST"])]))
    with server:
        return post_load(f"{server.base_url}/events", notes, "--seconds", "1", "--connections", "1", *options)


def test_a_stall_is_charged_to_all_the_events_it_delayed(tmp_path: Path) -> None:
    figures = post(Moody(0.7), tmp_path / "notes", "--rate", "100")
    # Counted from when each was written, one event of a hundred would have waited, and the median would not show it.
    assert figures["p50_ms"] > 100
    assert figures["acknowledged"] == figures["sent"]


def test_what_is_not_acknowledged_goes_again_and_is_noted_once(tmp_path: Path) -> None:
    later = Response(status_code=429, headers={"Retry-After": "1"})
    moody = Moody(later)
    figures = post(moody, tmp_path / "notes", "--rate", "20", "--retry")
    assert (figures["by_status"]["429"], figures["not_acknowledged"]) == (1, 0)
    assert figures["max_ms"] >= 1000
    assert len(moody.bodies) == figures["sent"] + 1
    assert moody.bodies.count(moody.bodies[0]) == 2
    ids = [line.split()[0] for line in (tmp_path / "notes").read_text("ascii").splitlines()]
    assert len(ids) == len(set(ids)) == figures["sent"]


def test_without_repeats_a_refusal_is_counted(tmp_path: Path) -> None:
    figures = post(Moody(Response(status_code=429)), tmp_path / "notes", "--rate", "20")
    assert figures["not_acknowledged"] == 1


def test_events_are_valid_distinct_and_of_one_size() -> None:
    made = [event for event, _ in zip(events(1500), range(200), strict=False)]
    assert {len(event.body) for event in made} == {1500}
    assert len({event.body for event in made}) == 200
    for event in made:
        assert orjson.loads(event.body)["eventId"].encode() == event.id


@pytest.mark.parametrize("url", ["http://example.com/events", "http://10.0.0.1:80/events", "http:///events"])
def test_no_other_machine_is_loaded(url: str) -> None:
    with pytest.raises(ValueError, match="not on this machine"):
        Plan(url)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Three events that were acknowledged: a, b and c."""
    path = tmp_path / "notes"
    path.write_text("".join(f"{name} {sha256(name.encode()).hexdigest()}\n" for name in "abc"))
    return path


@pytest.mark.parametrize(
    ("lines", "aside", "missing", "repeated", "beyond"),
    [
        (b"a\nb\n", b"c", [], 0, 0),
        (b"a\nb\nb\nx\n", b"c", [], 1, 1),
        (b"a\nb\n", b"c ", ["c"], 0, 1),
        (b"a\n", b"c", ["b"], 0, 0),
        (b"ab\n", b"c", ["a", "b"], 0, 1),
    ],
)
def test_the_account_notices_what_is_missing_altered_or_repeated(
    tmp_path: Path, notes: Path, lines: bytes, aside: bytes, missing: list[str], repeated: int, beyond: int
) -> None:
    store = LocalLandingStore(tmp_path / "landing")
    store.write(f"events/{DAY}/10/1.jsonl", lines)
    store.write(f"aside/{DAY}/10/1.unreadable", aside)
    found = account(notes, str(tmp_path / "landing"))
    assert (found.missing, found.repeated, found.beyond) == (missing, repeated, beyond)
