"""Batches, failed batches read, days to settle, and the receipts by cause: alike on both databases."""

from __future__ import annotations

from hashlib import sha256

from capillary_adobe.state import (
    DaysToSettle,
    Detail,
    Fate,
    ReadBatches,
    Receipt,
    Receipts,
    Route,
    SentBatch,
    SentBatches,
    State,
)
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY

IDS = [sha256(bytes([n])).hexdigest() for n in range(4)]


def test_a_batch_is_open_until_it_is_judged(state: State) -> None:
    register = SentBatches(state)
    first, second = SentBatch("b", DAY, "t", 2), SentBatch("a", NEXT_DAY, "t", 1)
    register.begin(first)
    register.begin(second)
    assert [batch.external_id for batch in register.open()] == ["a", "b"]
    assert register.open(DAY) == [first]
    register.update("b", aep_id="aep-b", completed_ms=5, status="loaded")
    (found,) = register.open(DAY)
    assert (found.aep_id, found.completed_ms, found.status) == ("aep-b", 5, "loaded")
    register.update("b", judged_ms=9, status="failed")
    assert register.open(DAY) == []
    assert (register.created_since(1), register.created_since(2)) == (2, 1)
    assert (register.aep_ids(0), register.aep_ids(3)) == ({"aep-b"}, set())
    assert (register.ended_as(DAY, "failed", 9), register.ended_as(DAY, "failed", 10)) == (1, 0)


def test_a_failed_batch_that_was_read_is_known(state: State) -> None:
    read = ReadBatches(state)
    read.note("one", 10, 5, 0)
    read.note("one", 10, 6, 1)
    assert (read.known(10), read.known(11)) == ({"one"}, set())


def test_a_day_that_is_marked_again_stays_marked(state: State) -> None:
    days = DaysToSettle(state)
    days.mark(DAY)
    before = days.all()[DAY]
    days.mark(DAY)
    days.settled(DAY, before)
    assert list(days.all()) == [DAY]
    days.settled(DAY, days.all()[DAY])
    assert days.all() == {}


def test_what_was_refused_for_which_cause_and_opened_when(state: State) -> None:
    receipts = Receipts(state)
    shared = dict.fromkeys(range(2), Detail(None, "w", "aep_wrong_type:/x"))
    rejected = [Fate.REJECTED] * 2
    receipts.record(
        Receipt("a", DAY, "events", IDS, [Fate.ACCEPTED] * 4, answered_ms=1),
        Receipt("v", DAY, "events", IDS[:2], rejected, route=Route.VERDICT, answered_ms=2, details=shared),
        Receipt(
            "r", DAY, "events", IDS[1:2], [Fate.PENDING], route=Route.REPLAY, answered_ms=3, details={0: shared[0]}
        ),
    )
    assert receipts.causes(DAY) == dict.fromkeys(IDS[:2], "aep_wrong_type:/x")
    assert receipts.replayed(DAY) == {IDS[1]: 3}
    assert [one.request_id for one in receipts.sent_since(DAY, 1)] == ["a"]
    assert (receipts.entities_of("a"), receipts.entities_of("nothing")) == (4, 0)
    (back,) = receipts.of_requests("v")
    assert (back.details, back.fates) == (shared, rejected)
    first, second, third, _ = receipts.of_day(DAY).known(IDS)
    assert (first and first.detail.cause, second and second.fate, third and third.fate) == (
        "aep_wrong_type:/x",
        Fate.PENDING,
        Fate.ACCEPTED,
    )


def test_a_batch_is_found_through_each_of_its_days(state: State) -> None:
    register = SentBatches(state)
    shared, other = SentBatch("shared", DAY, "t", 1), SentBatch("other", "2026-03-09", "t", 2)
    for batch in (shared, other):
        register.begin(batch)
    for day in (DAY, NEXT_DAY, NEXT_DAY):
        register.join(shared, day)
    assert register.days_of(shared) == sorted({DAY, NEXT_DAY})
    assert register.open(NEXT_DAY) == register.open(DAY) == register.unfinished(NEXT_DAY) == [shared]
    assert register.open(NEXT_DAY, "2026-03-09") == register.open() == [shared, other]
    register.update("shared", completed_ms=5)
    assert (register.unfinished(NEXT_DAY), len(register.open(NEXT_DAY))) == ([], 1)
    register.update("shared", judged_ms=7, status="failed")
    assert register.ended_as(NEXT_DAY, "failed", 7) == register.ended_as(DAY, "failed", 7) == 1
    assert register.find("shared") == SentBatch("shared", DAY, "t", 1, None, 5, 7, "failed")
    assert register.find("no such") is None
