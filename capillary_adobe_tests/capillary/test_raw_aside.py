"""The raw stage and what landed aside: a body that is an event goes on, any other is in quarantine with its text."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.balance import Accounts
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS
from capillary_adobe_tests.capillary.events import DAY, event
from capillary_adobe_tests.capillary.road import Road
from capillary_adobe_tests.examples import examples

FIRST, SECOND, THIRD = (event(eventId=name) for name in ("first", "second", "third"))


def differences(road: Road) -> dict[str, int]:
    found = Accounts(road.store, road.lake, road.state).balance(DAY)
    return {name: n for name, n in found.differences.items() if name == "lines"}


def test_a_body_that_is_an_event_goes_on_however_it_is_written(road: Road) -> None:
    keys = [
        road.land("10/1.unreadable", json.dumps(FIRST, indent=2).encode(), lane="aside"),
        road.land("10/2.headers", gzip.compress(json.dumps(SECOND, indent=2).encode()), lane="aside"),
        road.land("10/3.oversize", orjson.dumps([THIRD, FIRST]), lane="aside"),
        road.land("10/4.jsonl", [SECOND]),
    ]
    counts = road.run()
    assert road.rows(RAW_EVENTS, "object", "part", "event_id") == [
        (keys[0], 0, "first"),
        (keys[1], 0, "second"),
        (keys[2], 0, "third"),
    ]
    assert (counts.lines, counts.raw, counts.duplicates, counts.objects) == (5, 3, 2, 4)
    assert {row["lane"] for row in road.rows(RAW_EVENTS)} == {"live"}
    assert differences(road) == {}


def test_any_other_body_is_in_quarantine_with_its_text_and_place(road: Road) -> None:
    several = orjson.dumps(FIRST) + b"\n" + orjson.dumps(SECOND) + b"\n"
    bodies = {
        "1.unreadable": (b"<html>\n  502\n</html>\n", "not_json"),
        "2.unreadable": (several, "not_json"),
        "3.unreadable": (b'{"a": "\xe9"}', "not_utf8"),
        "4.unreadable": (b"", "not_json"),
        "5.unreadable": (b"17", "not_an_object"),
        "6.oversize": (b'{"text": "' + b"x" * 2**21 + b'"}', "envelope_unknown"),
    }
    keys = [road.land(f"10/{name}", body, lane="aside") for name, (body, _) in bodies.items()]
    counts = road.run()
    assert road.rows(QUARANTINE, "object", "line", "part", "code") == [
        (key, 1, 0, code) for key, (_, code) in zip(keys, bodies.values(), strict=True)
    ]
    assert road.rows(QUARANTINE, "text") == [body[: 2**20].decode("utf-8", "replace") for body, _ in bodies.values()]
    assert counts.lines == len(bodies)
    assert differences(road) == {}


def test_unread_bodies_count_as_landed(road: Road) -> None:
    road.land("10/1.unreadable", orjson.dumps(FIRST) + b"\n" + orjson.dumps(SECOND), lane="aside")
    road.land("10/2.jsonl", [FIRST, SECOND])
    found = Accounts(road.store, road.lake, road.state).balance(DAY)
    assert (found.unread_objects, found.landed_lines, found.differences["lines"]) == (2, 3, 3)


@settings(deadline=None, max_examples=examples(6), database=None)
@given(
    bodies=st.lists(
        st.binary(max_size=40)
        | st.sampled_from([FIRST, SECOND]).map(lambda one: json.dumps(one, indent=1).encode())
        | st.sampled_from([b"[]", b"[1,2]", b"{}", b"\x1f\x8b", b'{"a":"\\ud800"}', gzip.compress(b"[{}]"), b"\n"]),
        max_size=24,
    )
)
def test_a_day_of_any_bodies_balances(bodies: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        road = Road(Path(folder), ["pointsExpired"])
        for number, body in enumerate(bodies):
            road.land(f"10/{number:02}.unreadable", body, lane="aside")
        counts = road.run()
        landed = sum(counts.quarantined.values()) + counts.raw + counts.duplicates + sum(counts.ignored.values())
        assert counts.lines == landed >= len(bodies) - bodies.count(b"[]")
        assert differences(road) == {}
        road.state.engine.dispose()
