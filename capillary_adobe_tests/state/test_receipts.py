"""Receipts: what AEP said of each entity last, an acknowledgement for ever."""

from __future__ import annotations

from hashlib import sha256

import pytest

from capillary_adobe.state import Outcome, Receipt, Receipts, State
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY

A, R, F, P = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.FAILED, Outcome.PENDING
IDS = [sha256(bytes([n])).hexdigest() for n in range(5)]


@pytest.fixture
def receipts(state: State) -> Receipts:
    return Receipts(state)


def receipt(request: str, ids: list[str], outcomes: list[Outcome], at: int = 1, day: str = DAY, **more) -> Receipt:
    return Receipt(request, day, "events", ids, outcomes, answered_ms=at, http_status=207, **more)


def outcomes(receipts: Receipts, ids: list[str], day: str = DAY) -> list[Outcome | None]:
    return [known.outcome if known else None for known in receipts.of_day(day).known(ids)]


def test_an_unknown_entity_has_none(receipts: Receipts) -> None:
    assert receipts.of_day(DAY).known(IDS) == [None] * 5
    assert receipts.of_day(DAY).known([]) == []
    receipts.record(receipt("one", IDS[:1], [A]))
    assert outcomes(receipts, IDS[:2]) == [A, None]
    assert receipts.of_day(DAY).known([]) == []
    assert outcomes(receipts, IDS, NEXT_DAY) == [None] * 5


def test_everything_said_comes_back(receipts: Receipts) -> None:
    details: dict[int, tuple[int | None, str]] = {1: (400, 'wrong "org" é'), 3: (None, "no answer")}
    receipts.record(receipt("one", IDS[:4], [A, R, F, P], at=77, aep_id="1:2:3", details=details))
    found = receipts.of_day(DAY).known(IDS[:4])
    assert [known.outcome for known in found if known] == [A, R, F, P]
    assert [(known.code, known.detail) for known in found if known] == [
        (None, None),
        (400, 'wrong "org" é'),
        (None, None),
        (None, "no answer"),
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
    assert (first.outcome, first.attempts, first.request_id) == (R, 2, "a")
    assert second.outcome is P


def test_an_acknowledgement_stands(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:1], [P], at=1))
    receipts.record(receipt("b", IDS[:1], [A], at=2))
    receipts.record(receipt("c", IDS[:1], [R], at=3))
    (known,) = receipts.of_day(DAY).known(IDS[:1])
    assert known is not None
    assert (known.outcome, known.request_id, known.attempts) == (A, "b", 3)
    assert receipts.of_day(DAY).accepted_twice() == 0


def test_a_second_acknowledgement_is_found(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:3], [A, A, R], at=1))
    receipts.record(receipt("b", IDS[1:3], [A, A], at=2))
    assert receipts.of_day(DAY).accepted_twice() == 1
    assert len(receipts.of_day(DAY)) == 2


def test_a_receipt_can_be_amended(receipts: Receipts) -> None:
    receipts.record(receipt("a", IDS[:2], [F, F], details={0: (400, "x"), 1: (400, "x")}))
    receipts.record(receipt("a", IDS[:2], [R, R], at=9, details={0: (400, "x"), 1: (400, "x")}))
    assert len(receipts.of_day(DAY)) == 1
    assert outcomes(receipts, IDS[:2]) == [R, R]


def test_ids_alike_in_their_first_half_are_told_apart(receipts: Receipts) -> None:
    alike = ["ab" * 8 + end * 24 for end in ("00", "01", "ff")]
    receipts.record(receipt("a", alike[:2], [A, R]))
    assert outcomes(receipts, alike) == [A, R, None]


def test_ten_thousand_entities(receipts: Receipts) -> None:
    ids = [sha256(str(n).encode()).hexdigest() for n in range(10_000)]
    said = [(A, R, F, P)[n % 4] for n in range(10_000)]
    for start in range(0, 10_000, 500):
        receipts.record(receipt(f"r{start}", ids[start : start + 500], said[start : start + 500]))
    assert outcomes(receipts, ids[::-1]) == said[::-1]
