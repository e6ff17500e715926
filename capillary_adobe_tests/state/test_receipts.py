"""Receipts: what AEP said of each entity last, an acknowledgement for ever."""

from __future__ import annotations

from hashlib import sha256

import pytest

from capillary_adobe.state import Detail, Fate, Receipt, Receipts, Route, State
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY

A, R, F, P, U = Fate.ACCEPTED, Fate.REJECTED, Fate.FAILED, Fate.PENDING, Fate.UNKNOWN
IDS = [sha256(bytes([n])).hexdigest() for n in range(5)]


@pytest.fixture
def receipts(state: State) -> Receipts:
    return Receipts(state)


def receipt(request: str, ids: list[str], fates: list[Fate], at: int = 1, day: str = DAY, **more) -> Receipt:
    return Receipt(request, day, "events", ids, fates, answered_ms=at, http_status=207, **more)


def fates(receipts: Receipts, ids: list[str], day: str = DAY) -> list[Fate | None]:
    return [known.fate if known else None for known in receipts.of_day(day).known(ids)]


def test_an_unknown_entity_has_none(receipts: Receipts) -> None:
    assert receipts.of_day(DAY).known(IDS) == [None] * 5
    assert receipts.of_day(DAY).known([]) == []
    receipts.record(receipt("one", IDS[:1], [A]))
    assert fates(receipts, IDS[:2]) == [A, None]
    assert receipts.of_day(DAY).known([]) == []
    assert fates(receipts, IDS, NEXT_DAY) == [None] * 5


def test_everything_said_comes_back(receipts: Receipts) -> None:
    details = {1: Detail(400, 'wrong "org" é', "aep_refused:400"), 3: Detail(None, "no answer")}
    receipts.record(receipt("one", IDS[:4], [A, R, F, P], at=77, aep_id="1:2:3", details=details))
    found = receipts.of_day(DAY).known(IDS[:4])
    assert [known.fate for known in found if known] == [A, R, F, P]
    assert [known.detail for known in found if known] == [
        (None, None, None),
        (400, 'wrong "org" é', "aep_refused:400"),
        (None, None, None),
        (None, "no answer", None),
    ]
    assert {(known.request_id, known.answered_ms, known.aep_id, known.attempts) for known in found if known} == {
        ("one", 77, "1:2:3", 1)
    }


def test_the_last_word_counts(receipts: Receipts) -> None:
    receipts.record(receipt("b", IDS[:2], [P, F], at=1))
    receipts.record(receipt("a", IDS[:2], [R, P], at=2))
    first, second = receipts.of_day(DAY).known(IDS[:2])
    assert first is not None
    assert second is not None
    assert (first.fate, first.attempts, first.request_id) == (R, 2, "a")
    assert second.fate is P


def test_an_acknowledgement_stands(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:1], [P], at=1))
    receipts.record(receipt("b", IDS[:1], [A], at=2))
    receipts.record(receipt("c", IDS[:1], [R], at=3))
    (known,) = receipts.of_day(DAY).known(IDS[:1])
    assert known is not None
    assert (known.fate, known.request_id, known.attempts) == (A, "b", 3)
    assert receipts.of_day(DAY).accepted_twice() == 0


def test_a_second_acknowledgement_is_found(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:3], [A, A, R], at=1))
    receipts.record(receipt("b", IDS[1:3], [A, A], at=2))
    assert receipts.of_day(DAY).accepted_twice() == 1
    assert len(receipts.of_day(DAY)) == 2


def test_a_receipt_can_be_amended(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:2], [F, F], details={0: Detail(400, "x"), 1: Detail(400, "x")}))
    receipts.record(receipt("a", IDS[:2], [R, R], at=9, details={0: Detail(400, "x"), 1: Detail(400, "x")}))
    assert len(receipts.of_day(DAY)) == 1
    assert fates(receipts, IDS[:2]) == [R, R]


def test_ids_alike_in_their_first_half_are_told_apart(receipts: Receipts) -> None:
    alike = ["ab" * 8 + end * 24 for end in ("00", "01", "ff")]
    receipts.record(receipt("a", alike[:2], [A, R]))
    assert fates(receipts, alike) == [A, R, None]


def test_ten_thousand_entities(receipts: Receipts) -> None:
    ids = [sha256(str(n).encode()).hexdigest() for n in range(10_000)]
    said = [(A, R, F, P)[n % 4] for n in range(10_000)]
    for start in range(0, 10_000, 500):
        receipts.record(receipt(f"r{start}", ids[start : start + 500], said[start : start + 500]))
    assert fates(receipts, ids[::-1]) == said[::-1]


def test_what_is_on_its_way_is_known_to_be_in_doubt(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:2], [U, U], at=1))
    first, _ = receipts.of_day(DAY).known(IDS[:2])
    assert first is not None
    assert (first.fate, first.outcome, first.settled, first.doubtful) == (U, "pending", False, 1)
    receipts.record(receipt("a", IDS[:2], [A, R], at=2))
    assert [known and (known.settled, known.doubtful) for known in receipts.of_day(DAY).known(IDS[:2])] == [
        (True, 0),
        (True, 0),
    ]
    assert receipts.of_day(DAY).maybe_twice() == 0


def test_entities_that_aep_may_hold_twice_are_counted(receipts: Receipts) -> None:
    # A lost answer and its repeat; a killed process and the next run; a request answered in part; and one never repeated.
    receipts.record(receipt("a", IDS[:2], [A, R], at=1, lost=1))
    receipts.record(receipt("b", IDS[2:3], [U], at=2), receipt("c", IDS[2:3], [A], at=3))
    receipts.record(receipt("d", IDS[3:], [A, U], at=4))
    assert receipts.of_day(DAY).maybe_twice() == 2
    assert [known and known.doubtful for known in receipts.of_day(DAY).known(IDS)] == [1, 1, 1, 0, 1]


def test_a_verdict_moves_an_acknowledgement_and_a_replay_opens_it_again(receipts: Receipts) -> None:
    moves = [
        receipt("sent", IDS[:2], [A, A], at=1),
        receipt(
            "verdict/1", IDS[:1], [R], at=2, route=Route.VERDICT, details={0: Detail(None, "w", "aep_wrong_type:/x")}
        ),
        receipt("replay/1", IDS[:1], [P], at=3, route=Route.REPLAY),
        receipt("sent again", IDS[:1], [A], at=4),
    ]
    seen = []
    for move in moves:
        receipts.record(move)
        seen.append([known and (known.fate, known.settled) for known in receipts.of_day(DAY).known(IDS[:2])])
    assert [first for first, _ in seen] == [(A, True), (R, True), (P, False), (A, True)]
    assert {second for _, second in seen} == {(A, True)}
    day = receipts.of_day(DAY)
    assert (day.accepted_twice(), day.maybe_twice()) == (0, 0)
    (known,) = day.known(IDS[:1])
    assert known is not None
    assert (known.attempts, known.request_id) == (2, "sent again")


def test_an_entity_in_a_batch_waits_and_is_not_to_be_sent(receipts: Receipts) -> None:
    receipts.record(receipt("b/00000.json", IDS[:2], [P, P], route=Route.BATCH))
    assert [known and (known.settled, known.waits_at_aep) for known in receipts.of_day(DAY).known(IDS[:2])] == [
        (True, True),
        (True, True),
    ]
    receipts.record(receipt("b/00000.json", IDS[:2], [A, F], route=Route.BATCH, at=2))
    assert [known and known.settled for known in receipts.of_day(DAY).known(IDS[:2])] == [True, False]


def test_the_receipts_of_a_batch_come_back_whole(receipts: Receipts) -> None:
    kept = [
        receipt(f"b_1/{n}", IDS[n : n + 2], [R, U], route=Route.BATCH, lost=n, details={0: Detail(413, "large")})
        for n in range(2)
    ]
    receipts.record(*kept, receipt("bx1/0", IDS[:1], [A]))
    assert receipts.of_requests("b_1/") == kept
    assert receipts.days() == [DAY]
