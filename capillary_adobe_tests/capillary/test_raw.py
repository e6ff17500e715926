"""The raw stage: every landed record ends as a raw event, a duplicate, ignored, or in quarantine with its reason."""

from __future__ import annotations

import gzip
import random
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from capillary_adobe.demo.traffic import Broken, broken_line, day_of_events, write_day
from capillary_adobe.lake import Slice
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.landing.records import CHUNK_BYTES, MAX_RECORD_BYTES
from capillary_adobe.reasons import IGNORED_REASONS, RAW_REASONS
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, DAY, ORG, event, key_of, shapes
from capillary_adobe_tests.capillary.road import Road

NEXT_DAY = "2026-03-02"
FIRST, SECOND, THIRD = (event(eventId=name) for name in ("first", "second", "third"))


def test_an_event_becomes_a_row_that_tells_where_it_came_from(road: Road) -> None:
    flat = event("POINTSEXPIRED", {"pointsExpired": 7.0}, loyaltyEventId="l-1", eventLogId=7)
    key = road.land("10/a.jsonl", [shapes(flat)["C"]])
    stored = next(road.store.list("live", DAY)).stored_ms
    counts = road.run("b-1", [key])
    [row] = road.rows(RAW_EVENTS)
    assert orjson.loads(row.pop("data")) == flat["data"]
    assert row == {
        "day": DAY,
        "batch_id": "b-1",
        "lane": "live",
        "object": key,
        "line": 1,
        "part": 0,
        "landed_ms": stored,
        "event_key": key_of(flat),
        "event_name": "pointsExpired",
        "event_id": flat["eventId"],
        "org_id": ORG,
        "created_ms": CREATED_MS,
        "ref_id": f"{ORG}_1",
        "api_request_id": "request-1",
        "loyalty_event_id": "l-1",
        "event_log_id": 7,
        "customer_id": str(CUSTOMER),
        "envelope": "C",
    }
    assert dict(counts.respelled_events) == {"POINTSEXPIRED": 1}
    assert dict(counts.by_event_type) == {"pointsExpired": 1}


def test_counts_tell_what_became_of_every_line(road: Road) -> None:
    lines: list[Any] = [FIRST, event(eventId=None), FIRST, b"no json", event("somethingNew"), event("groupCreated")]
    road.land("10/a.jsonl", lines)
    road.land("10/b.jsonl", [SECOND, event("CouponRedeem")])
    counts = road.run()
    assert (counts.objects, counts.lines, counts.raw, counts.duplicates) == (2, 8, 3, 1)
    assert dict(counts.quarantined) == {"not_json": 1, "event_unknown": 1}
    assert dict(counts.unknown_events) == {"somethingNew": 1}
    assert dict(counts.ignored) == {"group": 1, "no_mapping": 1}
    assert counts.without_event_id == 1
    assert counts.lines == road.ledger.lines(DAY)


BROKEN = {
    Broken.TRUNCATED: {"not_json"},
    Broken.NOT_JSON: {"not_json", "not_utf8"},
    Broken.SCALAR: {"not_an_object"},
    Broken.NO_EVENT_NAME: {"envelope_unknown"},
    Broken.NO_ORG: {"org_missing"},
    Broken.TIME_OUT_OF_BOUNDS: {"time_unreadable"},
    Broken.MASKED_CUSTOMER: {"customer_masked"},
    Broken.UNKNOWN_EVENT: {"event_unknown"},
    Broken.NO_CUSTOMER: {"customer_missing"},
}


def test_every_broken_line_is_in_quarantine_with_its_code_and_text(road: Road) -> None:
    dice = random.Random(7)  # noqa: S311 - the demo is made of dice
    lines = [(kind, broken_line(kind, dice, CREATED_MS)) for kind in Broken for _ in range(5)]
    # A good line between every two, which must come through.
    good = [event(eventId=str(number)) for number in range(len(lines))]
    road.land("10/a.jsonl", [one for pair in zip((line for _, line in lines), good, strict=True) for one in pair])
    road.run()
    rows = road.rows(QUARANTINE)
    assert [row["line"] for row in rows] == [1 + 2 * number for number in range(len(lines))]
    for (kind, line), row in zip(lines, rows, strict=True):
        assert row["code"] in BROKEN[kind]
        assert row["text"] == line.decode("utf-8", "replace").rstrip("\0")
        assert (row["stage"], row["day"], row["batch_id"], row["event_key"]) == ("raw", DAY, "day", None)
        assert row["event_name"] == (
            "somethingNew"
            if kind is Broken.UNKNOWN_EVENT
            else "pointsExpired"
            if kind in (Broken.NO_ORG, Broken.TIME_OUT_OF_BOUNDS, Broken.MASKED_CUSTOMER, Broken.NO_CUSTOMER)
            else None
        )
    assert set(BROKEN) == set(Broken)
    assert road.rows(RAW_EVENTS, "event_id") == [one["eventId"] for one in good]


DEEP: Any = 1
for _ in range(400):
    DEEP = [DEEP]
LARGE = b'{"eventName":"' + b"x" * (MAX_RECORD_BYTES + 2 * CHUNK_BYTES) + b'"}'


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"broken":', "not_json"),
        (b'{"broken":"\xff"}', "not_utf8"),
        (LARGE, "record_too_large"),
        (b"5", "not_an_object"),
        (b"{}", "envelope_unknown"),
        (event("new"), "event_unknown"),
        (event(orgId=None), "org_missing"),
        (event(createdAt=None), "time_missing"),
        (event(createdAt=5), "time_unreadable"),
        (event(createdAt=CREATED_MS + 7_200_000), "time_in_future"),
        (event() | {"data": {}}, "customer_missing"),
        (event(data={"customerIdentifiers": {"customerId": "5***"}}), "customer_masked"),
        (orjson.dumps(event()).replace(b'"data":{', b'"data":{"deep":' + str(DEEP).encode() + b","), "not_storable"),
    ],
)
def test_every_reason_occurs_and_stops_no_other_line(road: Road, line: Any, code: str) -> None:
    road.land("10/a.jsonl", [FIRST, line, SECOND])
    counts = road.run()
    assert set(counts.quarantined) <= {code, "not_json"}
    assert counts.quarantined[code] == 1
    assert code in road.rows(QUARANTINE, "code")
    assert road.rows(RAW_EVENTS, "event_id") == ["first", "second"]
    assert code in RAW_REASONS
    assert all(row["detail"] and len(row["text"]) <= 2**20 for row in road.rows(QUARANTINE))


def test_lines_before_the_damage_of_an_object_are_kept(road: Road) -> None:
    road.land("10/a.jsonl.gz", gzip.compress(orjson.dumps(FIRST) + b"\n")[:-4])
    road.land("10/b.jsonl", [SECOND])
    assert dict(road.run().quarantined) == {"object_damaged": 1}
    assert road.rows(RAW_EVENTS, "event_id") == ["first", "second"]


@pytest.mark.parametrize(
    ("flat", "reason"),
    [
        (event("promotionCreated"), "no_person"),
        (event("groupCreated"), "group"),
        (
            event("CouponIssue", {"coupons": [{"customerIdentifiers": {"customerId": n}} for n in (1, 2)]}),
            "several_persons",
        ),
        (event("CouponRedeem"), "no_mapping"),
    ],
)
def test_what_is_not_delivered_is_set_aside_with_its_reason(road: Road, flat: Any, reason: str) -> None:
    key = road.land("10/a.jsonl", [FIRST, flat])
    road.run("b-1", [key])
    assert road.rows(SET_ASIDE) == [
        {
            "day": DAY,
            "batch_id": "b-1",
            "lane": "live",
            "kind": "ignored",
            "reason": reason,
            "object": key,
            "line": 2,
            "part": 0,
            "event_name": flat["eventName"],
            "event_key": None,
            "event_id": flat["eventId"],
            "replaced": False,
        }
    ]
    assert reason in IGNORED_REASONS


def test_an_ignored_event_is_noted_in_the_catalogues_spelling(road: Road) -> None:
    road.land("10/a.jsonl", [event("PROMOTIONCREATED"), event("couponredeem")])
    road.run()
    assert road.rows(SET_ASIDE, "event_name") == ["promotionCreated", "CouponRedeem"]


def test_other_events_are_kept_where_the_organisation_wants_them(tmp_path: Path) -> None:
    road = Road(tmp_path, ["pointsExpired"], deliver_other_events=True)
    road.land("10/a.jsonl", [event("CouponRedeem"), event("groupCreated")])
    counts = road.run()
    assert (counts.raw, dict(counts.ignored)) == (1, {"group": 1})
    road.state.engine.dispose()


def test_the_allowed_skew_moves_the_edge_of_the_future(tmp_path: Path) -> None:
    hour_ends = CREATED_MS - CREATED_MS % 3_600_000 + 3_600_000
    road = Road(tmp_path, ["pointsExpired"], clock_skew_seconds=60)
    road.land("10/a.jsonl", [event(createdAt=hour_ends + 60_000), event(createdAt=hour_ends + 60_001, eventId="b")])
    counts = road.run()
    assert (counts.raw, dict(counts.quarantined)) == (1, {"time_in_future": 1})
    road.state.engine.dispose()


# Duplicates.


def duplicates(road: Road, day: str = DAY) -> list[Any]:
    return [
        (row["object"].rpartition("/")[2], row["line"], row["reason"], row["replaced"])
        for row in road.rows(SET_ASIDE, day=day)
        if row["kind"] == "duplicate"
    ]


def test_the_first_of_a_run_counts_whatever_its_envelope(road: Road) -> None:
    road.land("10/a.jsonl", [FIRST, *shapes(FIRST).values()])
    counts = road.run()
    assert (counts.raw, counts.duplicates) == (1, len(shapes(FIRST)))
    assert road.rows(RAW_EVENTS, "line") == [1]
    assert [row["event_key"] for row in road.rows(SET_ASIDE)] == [key_of(FIRST)] * len(shapes(FIRST))


def test_a_later_micro_batch_finds_what_an_earlier_one_took(road: Road) -> None:
    road.run("b-1", [road.land("10/a.jsonl", [FIRST])])
    counts = road.run("b-2", [road.land("10/b.jsonl", [SECOND, FIRST])])
    assert (counts.raw, counts.duplicates) == (1, 1)
    assert duplicates(road) == [("b.jsonl", 2, DAY, False)]


def test_between_days_the_first_to_be_read_counts(road: Road) -> None:
    road.land("10/a.jsonl", [FIRST], day=NEXT_DAY)
    road.land("10/a.jsonl", [FIRST, SECOND])
    road.run(day=NEXT_DAY)
    counts = road.run()
    assert (counts.raw, counts.duplicates) == (1, 1)
    assert duplicates(road) == [("a.jsonl", 1, NEXT_DAY, False)]
    assert road.rows(RAW_EVENTS, "event_id", day=NEXT_DAY) == ["first"]


def test_an_export_of_the_same_events_is_found_to_be_known(road: Road) -> None:
    road.run("b-1", [road.land("10/a.jsonl", [FIRST, SECOND])])
    road.run("h-1", [road.land("export.jsonl", [SECOND, THIRD], lane="history")])
    assert sorted(road.rows(RAW_EVENTS, "event_id", "lane")) == [
        ("first", "live"),
        ("second", "live"),
        ("third", "history"),
    ]


def test_a_line_that_sorts_first_takes_the_place_of_a_later_one(road: Road) -> None:
    late = road.land("10/b.jsonl", [FIRST, SECOND])
    road.run("b-1", [late])
    early = road.land("10/a.jsonl", [THIRD, FIRST])
    counts = road.run("b-2", [early])
    assert (counts.raw, counts.duplicates, counts.replaced_keys) == (2, 0, {key_of(FIRST)})
    assert road.rows(RAW_EVENTS, "object", "line", "batch_id") == [
        (early, 1, "b-2"),
        (early, 2, "b-2"),
        (late, 2, "b-1"),
    ]
    assert road.rows(SET_ASIDE, "object", "line", "batch_id", "kind", "replaced") == [
        (late, 1, "b-2", "duplicate", True)
    ]


def test_the_order_of_micro_batches_leaves_no_trace(road: Road, tmp_path: Path) -> None:
    other = Road(tmp_path / "other", ["pointsExpired"])
    for one in (road, other):
        for name, lines in {"a": [FIRST, THIRD], "b": [FIRST, SECOND], "c": [SECOND, FIRST]}.items():
            one.land(f"10/{name}.jsonl", lines)
    keys = [found.key for found in road.store.list("live", DAY)]
    for number, key in enumerate(reversed(keys)):
        road.run(f"b-{number}", [key])
    other.run()
    places = ("event_key", "object", "line")
    assert road.rows(RAW_EVENTS, *places) == other.rows(RAW_EVENTS, *places)
    assert road.rows(SET_ASIDE, *places) == other.rows(SET_ASIDE, *places)
    other.state.engine.dispose()


# Running again.


def test_a_micro_batch_that_is_run_again_changes_nothing(road: Road) -> None:
    late = road.land("10/b.jsonl", [FIRST, SECOND, b"broken", event("groupCreated"), SECOND])
    road.run("b-1", [late])
    early = road.land("10/a.jsonl", [THIRD, FIRST])
    first_counts = road.run("b-2", [early])
    before = road.tables()
    again = road.run("b-2", [early])
    assert road.tables() == before
    assert again == first_counts


def test_a_micro_batch_whose_line_gave_way_is_run_again_and_every_line_is_counted_once(road: Road) -> None:
    late = road.land("10/b.jsonl", [FIRST, SECOND])
    road.run("b-1", [late])
    road.run("b-2", [road.land("10/a.jsonl", [FIRST])])
    before = {(row["object"], row["line"]) for table in road.tables().values() for row in table}
    road.run("b-1", [late])
    after = [(row["object"], row["line"]) for table in road.tables().values() for row in table]
    assert sorted(after) == sorted(before)


def test_a_chain_of_lines_that_gave_way_survives_repeating_any_micro_batch(road: Road) -> None:
    keys = [road.land(f"10/{name}.jsonl", [FIRST]) for name in "cba"]
    for number, key in enumerate(keys):
        road.run(f"b-{number}", [key])
    before = road.tables()
    assert [len(rows) for rows in before.values()] == [1, 0, 2]
    for number, key in enumerate(keys):
        road.run(f"b-{number}", [key])
        assert road.tables() == before


def test_a_whole_day_replaces_what_micro_batches_wrote(road: Road) -> None:
    late = road.land("10/b.jsonl", [FIRST, SECOND, b"broken", FIRST])
    road.run("b-1", [late])
    road.run("b-2", [road.land("10/a.jsonl", [THIRD, FIRST])])
    counts = road.run()
    assert (counts.lines, counts.raw, counts.duplicates, sum(counts.quarantined.values())) == (6, 3, 2, 1)
    assert {row["batch_id"] for table in road.tables().values() for row in table} == {"day"}
    before = road.tables()
    assert road.run() == counts
    assert road.tables() == before
    assert duplicates(road) == [("b.jsonl", 1, DAY, False), ("b.jsonl", 4, DAY, False)]


def test_a_day_is_rebuilt_without_touching_another(road: Road) -> None:
    road.land("10/a.jsonl", [FIRST])
    road.land("10/a.jsonl", [SECOND], day=NEXT_DAY)
    road.run()
    road.run(day=NEXT_DAY)
    before = road.tables(NEXT_DAY)
    road.run()
    assert road.tables(NEXT_DAY) == before


def test_a_micro_batch_without_objects_writes_nothing(road: Road) -> None:
    counts = road.run("b-1", [])
    assert (counts.objects, counts.lines, counts.raw) == (0, 0, 0)
    assert road.lake.count(RAW_EVENTS, Slice(DAY)) == 0


def test_a_demo_day_balances_and_keeps_what_the_demo_made(road: Road, tmp_path: Path) -> None:
    written = write_day(LocalLandingStore(tmp_path / "landing"), date.fromisoformat(DAY), 3000, seed=3)
    counts = road.run()
    assert counts.objects == written.objects
    assert counts.lines == written.lines == 3000
    refused, ignored = sum(counts.quarantined.values()), sum(counts.ignored.values())
    assert counts.lines == counts.raw + counts.duplicates + refused + ignored
    assert refused == written.broken
    assert counts.duplicates <= written.duplicates
    assert len(road.rows(RAW_EVENTS)) == counts.raw == len(set(road.rows(RAW_EVENTS, "event_key")))
    assert len(road.rows(QUARANTINE)) == refused
    assert len(road.rows(SET_ASIDE)) == counts.duplicates + ignored
    lines = {line for _, line in day_of_events(date.fromisoformat(DAY), 3000, seed=3)}
    texts = {row["text"] for row in road.rows(QUARANTINE)}
    assert texts <= {line.decode("utf-8", "replace").rstrip("\0") for line in lines}
