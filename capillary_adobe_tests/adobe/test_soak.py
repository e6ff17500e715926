"""The soak in small: it keeps its promises, and it would notice if one was broken."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.soak import DAY, Plan, soak
from bench.soak_account import account, in_flight
from capillary_adobe.state import Fate, Receipt, Receipts, State
from capillary_adobe_tests.adobe.sending import entity_id


def test_six_thousand_events_through_faults_and_kills(tmp_path: Path) -> None:
    report = soak(tmp_path, Plan(events=6_000, kills=3, fault_share=0.04, request_bytes=20_000))
    assert report["broken"] == []
    assert report["distinct"] + report["rejected_by_their_own_400"] == 6_000
    assert report["runs"]["killed"] == 3
    assert report["faults"] > 0


@pytest.fixture
def ids() -> list[str]:
    return [entity_id(number) for number in range(4)]


def note(state: State, request_id: str, ids: list[str], fate: Fate) -> None:
    Receipts(state).record(Receipt(request_id, DAY, "events", ids, [fate] * len(ids)))


def test_the_account_tells_what_is_lost(state: State, ids: list[str]) -> None:
    note(state, "one", ids[:2], Fate.ACCEPTED)
    found = account(state, DAY, ids, Counter([ids[0], ids[2]]), [])
    assert found.lost == [ids[1], ids[3]]
    assert found.falsely_settled == [ids[1]]


def test_the_account_tells_a_duplicate_that_the_ledger_does_not_name(state: State, ids: list[str]) -> None:
    note(state, "one", ids, Fate.ACCEPTED)
    note(state, "two", ids[:2], Fate.UNKNOWN)
    found = account(state, DAY, ids, Counter([*ids, ids[0], ids[0], ids[1], ids[3]]), [])
    assert found.not_named == [ids[0], ids[3]]


def test_the_account_keeps_kills_and_lost_answers_apart(state: State, ids: list[str]) -> None:
    note(state, "one", ids[:1], Fate.UNKNOWN)
    note(state, "two", ids, Fate.ACCEPTED)
    caught = in_flight(state, DAY, 0)
    assert [receipt.request_id for receipt in caught] == ["one"]
    found = account(state, DAY, ids, Counter([*ids, *ids[:2]]), [caught])
    assert (found.duplicates_by_kills, found.duplicates_by_faults) == ([1], 1)
