"""The queue of look-ups: who is asked for first, leases, pauses; and what transactions were answered."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe.state.lookups import (
    FIRST_PAUSE_MS,
    HISTORY,
    LIVE,
    LONGEST_PAUSE_MS,
    Lookup,
    LookupQueue,
    Wanted,
    pause_ms,
)
from capillary_adobe.state.transaction_details import TransactionDetails

ORG = 7
LEASE_MS = 60_000


def customer(number: int) -> Wanted:
    return Wanted.of_customer(CustomerKey(ORG, number))


def bill(number: int) -> Wanted:
    return Wanted.of_transaction(CustomerKey(ORG, 1), str(number), "REGULAR")


@pytest.fixture
def queue(state: State) -> LookupQueue:
    return LookupQueue(state)


def taken(queue: LookupQueue, now_ms: int, limit: int = 100, **chosen: object) -> list[Wanted]:
    return [one.wanted for one in queue.take(limit, now_ms, LEASE_MS, **chosen)]  # type: ignore[arg-type]


def test_customers_of_live_events_come_first_and_then_who_has_waited_longest(queue: LookupQueue) -> None:
    queue.want([customer(1)], HISTORY, 100)
    queue.want([customer(2)], LIVE, 300)
    queue.want([customer(3)], LIVE, 200)
    assert taken(queue, 400) == [customer(3), customer(2), customer(1)]


def test_history_can_be_left_out(queue: LookupQueue) -> None:
    queue.want([customer(1)], HISTORY, 100)
    queue.want([customer(2)], LIVE, 100)
    assert taken(queue, 400, urgency=LIVE) == [customer(2)]


def test_who_is_wanted_again_stays_in_place_but_for_the_urgency_that_can_only_rise(queue: LookupQueue) -> None:
    queue.want([customer(1), customer(1)], HISTORY, 100)
    queue.put_back(queue.take(1, 100, LEASE_MS), 100, failed=True)
    queue.want([customer(1)], LIVE, 200)
    queue.want([customer(1)], HISTORY, 300)
    queue.want([customer(2)], HISTORY, 50)
    assert taken(queue, 200, urgency=LIVE) == []
    [one] = queue.take(9, 100 + FIRST_PAUSE_MS, LEASE_MS, urgency=LIVE)
    assert (one.wanted, one.attempts) == (customer(1), 1)
    assert queue.counts(0).customers == 2


def test_what_one_run_has_taken_no_other_gets_until_the_lease_is_over(queue: LookupQueue) -> None:
    queue.want([customer(1), customer(2)], LIVE, 100)
    assert taken(queue, 100, 1) == [customer(1)]
    assert taken(queue, 100) == [customer(2)]
    assert taken(queue, 99 + LEASE_MS) == []
    assert set(taken(queue, 100 + LEASE_MS)) == {customer(1), customer(2)}


def test_several_runs_at_once_never_take_the_same(queue: LookupQueue) -> None:
    queue.want([customer(number) for number in range(120)], LIVE, 100)
    found: list[Wanted] = []

    def run() -> None:
        while some := taken(queue, 100, 7):
            found.extend(some)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 120


def test_only_some_can_be_taken(queue: LookupQueue) -> None:
    queue.want([customer(1), customer(2), bill(1)], LIVE, 100)
    assert set(taken(queue, 100, only=[customer(2), bill(1), customer(9)])) == {customer(2), bill(1)}


def test_a_failure_rests_longer_each_time_and_what_was_not_asked_does_not(queue: LookupQueue) -> None:
    queue.want([customer(1)], LIVE, 0)
    now_ms = 0
    for attempts in (1, 2, 3):
        queue.put_back(queue.take(1, now_ms, LEASE_MS), now_ms, failed=True)
        assert taken(queue, now_ms + pause_ms(attempts) - 1) == []
        now_ms += pause_ms(attempts)
    queue.put_back(queue.take(1, now_ms, LEASE_MS), now_ms, failed=False)
    [one] = queue.take(1, now_ms, LEASE_MS)
    assert one.attempts == 3
    assert queue.counts(now_ms).failing == 1


def test_pauses_double_up_to_an_hour() -> None:
    assert [pause_ms(n) // FIRST_PAUSE_MS for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_ms(100) == LONGEST_PAUSE_MS


def test_what_is_answered_is_out(state: State, queue: LookupQueue) -> None:
    awaited = Awaited(state)
    queue.want([customer(1), bill(1), bill(2)], LIVE, 100)
    awaited.answered([customer(1), bill(2)], 100)
    counts = queue.counts(100)
    assert (counts.customers, counts.transactions, counts.due, counts.oldest_ms, counts.waiting) == (0, 1, 1, 100, 1)
    awaited.answered([bill(1)], 100)
    assert queue.counts(100).oldest_ms is None


def test_more_than_a_statement_can_name(state: State, queue: LookupQueue) -> None:
    many = [customer(number) for number in range(1300)]
    queue.want(many, LIVE, 100)
    queue.put_back(queue.take(2000, 100, LEASE_MS), 100, failed=False)
    assert queue.counts(100).due == 1300
    Awaited(state).answered(many, 100)
    assert queue.counts(100).waiting == 0


def test_the_first_answer_about_a_transaction_stays(state: State) -> None:
    details = TransactionDetails(state)
    details.keep([(bill(1), {"tax": 1}), (bill(2), {})], 100)
    details.keep([(bill(1), {"tax": 2})], 200)
    returned = Wanted.of_transaction(CustomerKey(ORG, 1), "1", "RETURN")
    assert details.of([bill(1), bill(2), bill(3), returned]) == {bill(1): {"tax": 1}, bill(2): {}}
    assert details.prune(100) == 0
    assert details.prune(101) == 2
    assert details.of([bill(1)]) == {}


def test_writers_of_the_same_look_ups_in_any_order_never_wait_for_each_other(state: State) -> None:
    every = [customer(number) for number in range(200)]

    def work(seed: int) -> None:
        queue, awaited, chance = LookupQueue(state), Awaited(state), random.Random(seed)  # noqa: S311
        for _ in range(5):
            some = chance.sample(every, 150)
            if seed % 2:
                awaited.answered(some, 5)
            else:
                queue.want(some, chance.choice((LIVE, HISTORY)), 100)
                awaited.note("2026-01-01", f"live-{seed}", [(one, 10) for one in some])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_a_long_queue_is_never_read_whole(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    queue, awaited, details = LookupQueue(state), Awaited(state), TransactionDetails(state)
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if any(name in statement for name in ("lookups", "transaction_details")) and "INSERT" not in statement:
            plan = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(f"{row[3]}: {statement[:80]}" for row in plan)

    queue.want([customer(1), bill(2)], LIVE, 100)
    event.listen(state.engine, "before_cursor_execute", explain)
    assert queue.any_due(100)
    assert len(queue.take(9, 100, LEASE_MS)) == 2
    assert not queue.take(9, 100, LEASE_MS, [customer(1), bill(2)])
    queue.put_back([Lookup(customer(1), 0)], 200, failed=True)
    awaited.note("2026-01-01", "live-1", [(customer(1), 10)])
    awaited.answered([customer(1), bill(2)], 5)
    details.of([bill(2)])
    assert plans
    assert not [plan for plan in plans if plan.startswith(("SCAN lookups", "SCAN awaited", "SCAN transaction"))]
