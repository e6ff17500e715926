"""The judgement of a day: every event of the log in one class, by what landed, by what Capillary says of it, by time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.api.delivery_log import Fate, Sending
from capillary_adobe.sent_and_landed import LANDED, Judged, Judgement
from capillary_adobe_tests.examples import examples

START_MS = 1_772_323_200_000  # 2026-03-01T00:00Z
END_MS = START_MS + 86_400_000
NOW_MS = END_MS + 4 * 3_600_000
SETTLED_MS = NOW_MS - 900_000


class Record(NamedTuple):
    """What landed, as far as the judgement looks at it."""

    event_id: str | None
    event_name: str | None = "pointsIssued"
    lane: str = "live"
    created_ms: int | None = START_MS + 10
    request_id: str | None = None
    ref_id: str | None = None


def sent(
    event_id: str, fate: Fate = Fate.DELIVERED, at: int = START_MS, attempt: int = 0, status: int = 200
) -> Sending:
    request = f"request-{event_id[-1:]}"
    return Sending(event_id, "pointsIssued", request, "1_2", at, at + 1 + attempt, fate, status)


def batch(records: Iterable[Record]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([record._asdict() for record in records], schema=LANDED)


def judged(log: Iterable[Sending], landed: Iterable[Record]) -> dict[str, str]:
    """Every event of the day by its class, as the account lists them."""
    with Judgement(START_MS, END_MS, SETTLED_MS) as judgement:
        rows, records = list(log), list(landed)
        # In two parts each; a call to the database costs 5 ms.
        judgement.sent([rows[:2], rows[2:]])
        judgement.landed([batch(records[:2]), batch(records[2:])])
        judgement.judge()
        found = {event.event_id: str(one) for one in Judged for event in judgement.events(one)}
        totals = sum(sum(counts.values()) for counts in judgement.by_type().values())
        assert totals == sum(1 for one in Judged for _ in judgement.events(one)) == len(found)
        return found


def test_every_class_has_its_case() -> None:
    moment = SETTLED_MS + 1
    log = [
        sent("arrived"),
        sent("missing"),
        sent("just_sent", at=END_MS - 1, attempt=moment - END_MS),
        sent("answer_lost", Fate.RETRYING, status=504),
        sent("retrying", Fate.PENDING),
        sent("failed", Fate.FAILED, status=400),
    ]
    assert judged(log, [Record("arrived"), Record("answer_lost")]) == {str(one): str(one) for one in Judged}


def test_a_day_ends_before_midnight_and_begins_with_it() -> None:
    edges = {START_MS - 1: None, START_MS: "missing", END_MS - 1: "missing", END_MS: None}
    for at, expected in edges.items():
        assert judged([sent("a", at=at)], []).get("a") == expected


def test_a_sending_that_was_repeated_into_the_next_day_belongs_to_the_day_it_was_taken_in() -> None:
    late = Sending("a", "pointsIssued", "", "", START_MS, END_MS + 3_600_000, Fate.DELIVERED, 200)
    assert judged([sent("a", Fate.RETRYING, status=503), late], [Record("a")]) == {"a": "arrived"}


def test_the_last_attempt_tells_whether_it_was_given_up() -> None:
    log = [sent("a", Fate.FAILED, attempt=2, status=503), sent("a", Fate.RETRYING, attempt=1, status=429)]
    with Judgement(START_MS, END_MS, SETTLED_MS) as judgement:
        judgement.sent([log])
        judgement.judge()
        assert judgement.by_status() == {"failed": {"503": 1}}
        [event] = judgement.events(Judged.FAILED)
    assert (event.attempts, event.http_status, event.attempted_ms) == (2, 503, START_MS + 3)


def test_the_same_row_twice_is_one_attempt() -> None:
    with Judgement(START_MS, END_MS, SETTLED_MS) as judgement:
        judgement.sent([[sent("a")], [sent("a")]])
        judgement.judge()
        [event] = judgement.events(Judged.MISSING)
    assert event.attempts == 1


def test_what_landed_and_is_not_in_the_log_is_counted_by_type_and_lane() -> None:
    landed = [
        Record("a"),
        Record("b"),
        Record("c", lane="history"),
        Record("early", created_ms=START_MS - 1),
        Record("late", created_ms=END_MS),
        Record(None),
        Record("aside", None, created_ms=None),
    ]
    with Judgement(START_MS, END_MS, SETTLED_MS) as judgement:
        # `b` was created in the last moment and taken in after midnight.
        judgement.sent([[sent("a"), sent("b", at=END_MS + 5)]])
        judgement.landed([batch(landed)])
        judgement.judge()
        assert judgement.not_in_log() == {"pointsIssued": {"history": 1}}


def test_events_without_an_id_are_told_by_their_request_one_for_one() -> None:
    log = [sent(name) for name in ("1a", "2a", "3a", "1b")]
    nameless = Record(None, "POINTSISSUED", request_id="request-a", ref_id="1_2")
    assert judged(log, [nameless, nameless, Record("3a")]) == {
        "1a": "arrived",
        "2a": "arrived",
        "3a": "arrived",
        "1b": "missing",
    }
    assert judged(log[:2], [nameless]) == {"1a": "arrived", "2a": "missing"}
    assert judged(log[:1], [nameless._replace(ref_id="1_3")]) == {"1a": "missing"}
    assert judged([sent("x")._replace(request_id="")], [nameless._replace(request_id=None)]) == {"x": "missing"}


IDS = st.sampled_from([f"{number}{letter}" for number in range(4) for letter in "abc"])
LOG = st.lists(
    st.builds(
        sent,
        IDS,
        st.sampled_from(list(Fate)),
        at=st.sampled_from([START_MS - 1, START_MS, START_MS + 5, END_MS - 1, END_MS]),
        # One of them after the moment before which everything must have landed.
        attempt=st.sampled_from([0, 50_000, 100_000_000]),
    ),
    # Two rows of one event at one moment that say different things mean nothing.
    unique_by=lambda row: (row.event_id, row.attempted_ms),
    max_size=20,
)
RECORDS = st.lists(
    st.tuples(st.none() | IDS, st.sampled_from(["request-a", "request-b", None]), st.sampled_from(["1_2", "1_3"])).map(
        lambda told: Record(told[0], request_id=told[1], ref_id=told[2])
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=examples(40))
@given(log=LOG, landed=RECORDS)
def test_every_event_of_the_day_is_in_one_class_and_in_the_right_one(log: list[Sending], landed: list[Record]) -> None:
    assert judged(log, landed) == expected(log, landed)


def expected(log: list[Sending], landed: list[Record]) -> dict[str, str]:
    """The classes, by the rule as it is told."""
    rows: dict[str, list[Sending]] = defaultdict(list)
    for row in log:
        rows[row.event_id].append(row)
    nameless: dict[tuple[str, str], int] = defaultdict(int)
    for record in landed:
        if record.event_id is None and record.request_id:
            nameless[record.request_id, record.ref_id or ""] += 1
    ids = {record.event_id for record in landed}
    of_day = [(min(row.ingested_ms for row in found), name) for name, found in rows.items()]
    found: dict[str, str] = {}
    for ingested_ms, name in sorted(of_day):
        if not START_MS <= ingested_ms < END_MS:
            continue
        there = name in ids
        last = max(rows[name], key=lambda row: row.attempted_ms or 0)
        if not there and nameless[last.request_id, last.ref_id]:
            nameless[last.request_id, last.ref_id] -= 1
            there = True
        if any(row.fate is Fate.DELIVERED for row in rows[name]):
            fresh = (last.attempted_ms or 0) >= SETTLED_MS
            found[name] = "arrived" if there else "just_sent" if fresh else "missing"
        elif there:
            found[name] = "answer_lost"
        else:
            found[name] = "failed" if last.fate is Fate.FAILED else "retrying"
    return found
