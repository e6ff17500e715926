"""Look-ups against an emulated Capillary: what answers and failures become, the quota, the outage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.known_elsewhere import Rules
from capillary_adobe.looked_up_answers import Answers
from capillary_adobe.looking_up import GIVE_UP_AFTER, Asked, LookUps
from capillary_adobe.profiles.document import DELETED, MERGED_INTO, CustomerKey, Facts, Stamp
from capillary_adobe.settings import CapillaryApiSettings, LookupSettings, load
from capillary_adobe.state import Erasures, Paces, State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.lookups import HISTORY, LIVE, LookupQueue, Wanted, pause_ms
from capillary_adobe.state.transaction_details import TransactionDetails

ORG = 50614
SETTINGS = {
    "CAPILLARY_LOOKUP_CALLS_PER_MINUTE": "6000",
    "CAPILLARY_LOOKUP_RUN_SECONDS": "10",
    "CAPILLARY_LOOKUP_INLINE_SECONDS": "1",
}


def key(number: int) -> CustomerKey:
    return CustomerKey(ORG, number)


def wanted(*numbers: int) -> list[Wanted]:
    return [Wanted.of_customer(key(number)) for number in numbers]


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "profiles": [
            {"firstName": f"Name{number}", "source": "INSTORE", "identifiers": [], "commChannels": [], "fields": {}}
        ],
        "loyaltyInfo": {"loyaltyType": "loyalty"},
        "loyaltyProgramDetails": [
            {"programId": 973, "loyaltyPoints": 10 * number, "currentSlab": "Gold", "slabSNo": 2}
        ],
        **more,
    }


@pytest.fixture
def capillary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningCapillary]:
    with RunningCapillary(tmp_path / "capillary") as running:
        for name, value in {**running.environment, **SETTINGS}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield running


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def look_ups(state: State, ahead: float = 0.0) -> LookUps:
    """Look-ups by a clock that is some seconds ahead."""
    return LookUps(
        state, load(LookupSettings), load(CapillaryApiSettings), Answers.of(state), lambda: time.time() + ahead
    )


def want(state: State, *numbers: int, urgency: int = LIVE) -> None:
    LookupQueue(state).want(wanted(*numbers), urgency, now_ms())


def drained(state: State, *numbers: int) -> Asked:
    want(state, *numbers)
    return look_ups(state).drain()


def fresh(state: State, *numbers: int) -> bool:
    return not Customers(state).not_fresh([key(number) for number in numbers], now_ms() - 60_000)


def test_answers_become_the_customers_documents(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", *(record(number) for number in range(1, 21)))
    # Capillary's own clock counts, and its answers are dated in whole seconds.
    began_us = time.time_ns() // 1000 - 2_000_000
    asked = drained(state, *range(1, 21))
    assert (asked.found, asked.calls, asked.failed, asked.ended) == (20, 20, 0, "")
    known = Customers(state).documents([key(3)])[key(3)]
    assert (known["program.973.points"].value, known["first_name"].value) == (30, "Name3")
    assert began_us <= known["first_name"].stamp.at_us <= time.time_ns() // 1000
    assert known["first_name"].stamp[1:] == (0, "api")
    assert fresh(state, *range(1, 21))
    assert LookupQueue(state).counts(now_ms()).waiting == 0


def test_several_customers_in_one_call(
    capillary: RunningCapillary, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_CUSTOMERS_PER_CALL", "10")
    capillary.put("customers", *(record(number) for number in range(1, 26)))
    asked = drained(state, *range(1, 27))
    assert (asked.found, asked.unknown, asked.calls) == (25, 1, 3)
    assert fresh(state, *range(1, 27))


def test_unknown_merged_and_deleted_customers(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", record(1, mergedInto=2), record(2), record(3, deleted=True))
    asked = drained(state, 1, 3, 4)
    assert (asked.merged, asked.deleted, asked.unknown) == (1, 1, 1)
    documents = Customers(state).documents([key(number) for number in range(1, 5)])
    assert documents[key(1)][MERGED_INTO].value == 2
    assert documents[key(2)]["merged.1"].value is True
    assert documents[key(2)]["first_name"].value == "Name2"
    assert set(documents[key(3)]) == {"deleted"}
    assert Erasures(state).all() == [key(3)]
    assert fresh(state, 1, 4)


def test_a_survivor_who_is_not_told_is_not_asked_for_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    with RunningCapillary(tmp_path / "capillary", Behaviour(tells_survivor=False)) as running:
        for name, value in {**running.environment, **SETTINGS}.items():
            monkeypatch.setenv(name, value)
        running.put("customers", record(1, mergedInto=2), record(2))
        assert drained(state, 1).merged == 1
    assert fresh(state, 1)
    assert LookupQueue(state).counts(now_ms()).waiting == 0


def test_accounts_that_are_said_to_be_merged_into_each_other_are_asked_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    with RunningCapillary(tmp_path / "capillary") as running:
        for name, value in {**running.environment, **SETTINGS}.items():
            monkeypatch.setenv(name, value)
        for number, other in ((1, 2), (2, 1)):
            said = {"survivorId": other, "warnings": [{"code": 8069, "message": "merged"}]}
            running.faults.add(kind="status", status=200, path=f"/v2/customers/{number}", body=said, times=None)
        want(state, 1)
        assert [look_ups(state).drain().merged for _ in range(3)] == [1, 1, 0]
    assert LookupQueue(state).counts(now_ms()).waiting == 0


def test_half_of_the_settings_stop_no_event(
    state: State, monkeypatch: pytest.MonkeyPatch, capillary: RunningCapillary
) -> None:
    assert LookUps.of(state) is not None
    monkeypatch.delenv("CAPILLARY_API_SECRET")
    assert LookUps.of(state) is None
    assert not Rules.of_environment(0).customers


def test_details_of_a_bill(capillary: RunningCapillary, state: State) -> None:
    details = {"itemCode": "sku", "description": "Tea", "qty": 2, "rate": 5, "value": 10, "discount": 1, "amount": 9}
    capillary.put(
        "transactions",
        {
            "id": 55,
            "customerId": 1,
            "type": "REGULAR",
            "billDetails": {"amount": 9, "tax": 0.5},
            "lineItems": [
                {"id": 1, "details": details},
                {"id": 2, "valid": False, "details": details},
                {"details": None},
            ],
            "paymentModes": [{"id": 4, "mode": "CARD", "amount": 9}, {"mode": "NOTHING"}],
        },
    )
    one, other = (Wanted.of_transaction(key(1), name, "REGULAR") for name in ("55", "56"))
    LookupQueue(state).want([one, other], LIVE, now_ms())
    asked = look_ups(state).drain()
    assert (asked.transactions, asked.failed) == (1, 1)
    assert TransactionDetails(state).of([one, other]) == {
        one: {
            "lineItems": [{"itemCode": "sku", "description": "Tea", "quantity": 2, "amount": 9, "discount": 1}],
            "payments": [{"id": "4", "mode": "CARD", "amount": 9}],
            "tax": 0.5,
        }
    }
    assert LookupQueue(state).counts(now_ms()).transactions == 1


def test_an_answer_that_comes_after_the_deletion_is_not_kept(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", record(1))
    capillary.put("transactions", {"id": 55, "customerId": 1, "type": "REGULAR", "billDetails": {"tax": 0.5}})
    bill = Wanted.of_transaction(key(1), "55", "REGULAR")
    LookupQueue(state).want([bill, Wanted.of_customer(key(1))], LIVE, now_ms())
    Customers(state).merge([Facts(key(1), Stamp(1), {DELETED: True})])
    asked = look_ups(state).drain()
    assert (asked.transactions, asked.found) == (1, 1)
    assert TransactionDetails(state).of([bill]) == {}
    assert list(Customers(state).documents([key(1)])[key(1)]) == [DELETED]


def test_a_failure_concerns_one_customer_alone(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", *(record(number) for number in range(1, 6)))
    capillary.faults.add(kind="status", status=500, path="/v2/customers/3", times=None)
    asked = drained(state, *range(1, 6))
    assert (asked.found, asked.failed) == (4, 1)
    assert not fresh(state, 3)
    capillary.faults.clear()
    # A pause is not slept through.
    assert look_ups(state, 31).drain().found == 1


def test_who_is_refused_again_and_again_is_given_up(capillary: RunningCapillary, state: State) -> None:
    said = {"errors": [{"status": False, "code": 8062, "message": "no"}], "warnings": []}
    capillary.faults.add(kind="status", status=400, body=said, path="/v2/customers/1", times=None)
    ahead = 0.0
    want(state, 1)
    for attempt in range(1, GIVE_UP_AFTER + 1):
        asked = look_ups(state, ahead).drain()
        assert (asked.failed, asked.given_up) == ((1, 0) if attempt < GIVE_UP_AFTER else (0, 1))
        ahead += pause_ms(attempt) / 1000 + 1
    assert LookupQueue(state).counts(now_ms()).waiting == 0
    assert fresh(state, 1)


def test_a_failure_that_passes_is_never_given_up(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", record(1))
    capillary.faults.add(kind="status", status=500, path="/v2/customers/1", times=None)
    want(state, 1)
    attempted = LookupQueue(state).take(1, now_ms(), 0)
    for _ in range(GIVE_UP_AFTER):
        LookupQueue(state).put_back(attempted, 0, failed=True)
        attempted = LookupQueue(state).take(1, now_ms(), 0)
    asked = look_ups(state).drain()
    assert (asked.failed, asked.given_up) == (1, 0)
    assert not fresh(state, 1)


def test_a_client_without_the_right_stops_the_run_and_costs_nobody_a_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    with RunningCapillary(tmp_path / "capillary", Behaviour(denied=frozenset({"Customer"}))) as running:
        for name, value in {**running.environment, **SETTINGS}.items():
            monkeypatch.setenv(name, value)
        asked = drained(state, *range(1, 60))
        assert asked.refused
        assert "403" in asked.ended
        assert running.rates().calls < 30
    counts = LookupQueue(state).counts(now_ms())
    assert (counts.due, counts.failing) == (59, 0)


def test_while_capillary_is_down_nobody_asks_and_nothing_is_lost(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", *(record(number) for number in range(1, 41)))
    capillary.faults.add(kind="status", status=502, times=None)
    asked = drained(state, *range(1, 41))
    assert asked.ended
    assert asked.calls < 20
    counts = LookupQueue(state).counts(now_ms())
    assert counts.waiting == 40
    before = capillary.rates().calls
    words = look_ups(state).down_words()
    assert "does not answer" in words
    began = time.monotonic()
    assert look_ups(state).ask_now(wanted(1, 2)).ended == words
    assert look_ups(state).drain().ended == words
    assert time.monotonic() - began < 0.5
    assert capillary.rates().calls == before


def test_asking_at_once_takes_no_longer_than_it_may(
    capillary: RunningCapillary, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "0.5")
    capillary.put("customers", *(record(number) for number in range(1, 41)))
    capillary.faults.add(kind="delay", seconds=3, path="/v2/", times=None)
    want(state, *range(1, 41))
    began = time.monotonic()
    asked = look_ups(state).ask_now(wanted(*range(1, 41)))
    assert time.monotonic() - began < 2
    assert asked.answered == 0
    assert LookupQueue(state).counts(now_ms()).waiting == 40
    # That somebody did not wait says nothing of Capillary.
    seen = Paces(state).look("capillary_api", time.time())
    assert seen is None or seen.failures == 0


def test_asking_at_once_asks_for_nobody_else(
    capillary: RunningCapillary, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_INLINE_SECONDS", "30")
    capillary.put("customers", *(record(number) for number in range(1, 101)))
    want(state, *range(1, 101))
    assert look_ups(state).ask_now(wanted(*range(41, 81))).found == 40
    assert fresh(state, *range(41, 81))
    assert LookupQueue(state).counts(now_ms()).waiting == 60


def test_live_events_customers_go_before_history(
    capillary: RunningCapillary, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_CONNECTIONS", "1")
    capillary.put("customers", *(record(number) for number in range(1, 31)))
    want(state, *range(1, 21), urgency=HISTORY)
    want(state, *range(21, 31))
    assert look_ups(state).drain(LIVE).found == 10
    assert fresh(state, *range(21, 31))


def test_the_quota_is_shared_and_kept(
    capillary: RunningCapillary, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_CALLS_PER_MINUTE", "30")
    monkeypatch.setenv("CAPILLARY_LOOKUP_RUN_SECONDS", "3")
    capillary.put("customers", *(record(number) for number in range(1, 101)))
    want(state, *range(1, 101))
    began = time.monotonic()
    look_ups(state).drain()
    inline = look_ups(state).ask_now(wanted(*range(1, 101)))
    assert time.monotonic() - began < 6
    assert inline.ended
    assert capillary.rates().most_in_60_seconds <= 30
    assert LookupQueue(state).counts(now_ms()).failing == 0


def test_a_run_that_was_killed_leaves_its_customers_to_the_next(capillary: RunningCapillary, state: State) -> None:
    capillary.put("customers", record(1))
    want(state, 1)
    [taken] = LookupQueue(state).take(1, now_ms(), 1)
    assert taken.wanted == wanted(1)[0]
    time.sleep(0.01)
    assert look_ups(state).drain().found == 1


def test_without_the_api_there_are_no_look_ups(
    state: State, monkeypatch: pytest.MonkeyPatch, capillary: RunningCapillary
) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_CUSTOMERS", "false")
    assert LookUps.of(state) is None
    monkeypatch.setenv("CAPILLARY_LOOKUP_TRANSACTIONS", "true")
    assert LookUps.of(state) is not None
    monkeypatch.delenv("CAPILLARY_API_URL")
    assert LookUps.of(state) is None
