"""Customers: who is due and in which order, what is settled, who was merged into whom, look-ups and counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.state import CustomerCounts, Customers, State
from capillary_adobe.state import customers as module
from capillary_adobe.state.customer_table import customers as table
from capillary_adobe_tests.state.knowing import ORG, revisions, said, several

LONG_AGO, NOW = 1000, 2000


class Clock:
    """A clock that stands still until it is set; epoch ms."""

    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> float:
        return self.ms / 1000


def keys_of(org: int, numbers: Iterable[int]) -> list[CustomerKey]:
    return [CustomerKey(org, number) for number in numbers]


def due(customers: Customers, limit: int = 100, before: int = 2**60, keys: Any = None) -> list[tuple[int, int]]:
    return [(one.key.customer_id, one.revision) for one in customers.due(keys, limit, before)]


def points(org: int, numbers: Iterable[int], at_us: int) -> list[Facts]:
    return [said(org, number, at_us, program__1__points=at_us) for number in numbers]


def test_who_waits_longest_is_due_first_and_who_changes_meanwhile_goes_behind(state: State) -> None:
    org, clock = next(ORG), Clock()
    customers = Customers(state, clock=clock)
    for number in (3, 1, 2):
        clock.ms += 1000
        customers.merge(points(org, [number], 1))
    clock.ms += 1000
    customers.merge(points(org, [3, 1], 2))
    assert due(customers) == [(3, 2), (1, 2), (2, 1)]
    assert due(customers, limit=2) == [(3, 2), (1, 2)]
    assert due(customers, limit=2, keys=keys_of(org, [2, 1])) == [(1, 2), (2, 1)]
    customers.merge(points(org, [3], 3))
    clock.ms += 1000
    customers.settle([(CustomerKey(org, 3), 2), (CustomerKey(org, 1), 2)], clock.ms)
    assert due(customers) == [(2, 1), (3, 3)]
    customers.merge(points(org, [1], 3))
    assert due(customers, limit=1) == [(2, 1)]


def test_nobody_is_passed_over_for_ever(state: State) -> None:
    org, clock = next(ORG), Clock()
    customers = Customers(state, clock=clock)
    customers.merge(points(org, range(12), 1))
    sent: set[int] = set()
    for turn in range(2, 5):
        clock.ms += 1000
        customers.merge(points(org, range(4), turn))
        some = customers.due(None, 4, 2**60)
        sent |= {one.key.customer_id for one in some}
        customers.settle([(one.key, one.revision) for one in some], clock.ms)
    assert sent == set(range(12))


def test_two_profiles_of_one_customer_keep_their_distance(state: State) -> None:
    org = next(ORG)
    customers = Customers(state)
    customers.merge(points(org, [1, 2], 1))
    customers.settle([(CustomerKey(org, 1), 1)], NOW)
    customers.merge(points(org, [1, 2], 2))
    both = keys_of(org, [1, 2])
    for keys in (None, both):
        assert due(customers, before=NOW - 1, keys=keys) == [(2, 2)]
        assert sorted(due(customers, before=NOW, keys=keys)) == [(1, 2), (2, 2)]


def test_the_document_is_the_one_of_the_revision(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    org = next(ORG)
    customers = Customers(state)
    customers.merge(points(org, [1, 2], 1))
    read = Customers._rows

    def rows(self: Customers, *given: Any) -> Any:
        # Another writer and another sender, just before the documents are read.
        Customers(state).merge(points(org, [1], 2))
        Customers(state).settle([(CustomerKey(org, 2), 1)], NOW)
        return read(self, *given)

    monkeypatch.setattr(Customers, "_rows", rows)
    (found,) = customers.due(None, 9, 2**60)
    assert (found.key.customer_id, found.revision) == (1, 2)
    assert found.document == points(org, [1], 2)[0].document


def test_what_is_settled_only_ever_grows(state: State) -> None:
    org = next(ORG)
    key, unknown = keys_of(org, [1, 2])
    customers = Customers(state)
    for at_us in (1, 2, 3):
        customers.merge(points(org, [1], at_us))
    customers.settle([(key, 1), (key, 2), (unknown, 4)], NOW)
    assert customers.settled_revisions([key, unknown]) == {key: 2}
    assert due(customers, before=NOW) == [(1, 3)]
    customers.settle([(key, 1)], NOW + 5)
    assert customers.settled_revisions([key]) == {key: 2}
    assert due(customers, before=NOW) == [(1, 3)]
    customers.settle([(key, 3)], NOW - 5)
    assert customers.settled_revisions([key]) == {key: 3}
    customers.merge(points(org, [1], 4))
    assert due(customers, before=NOW - 1) == []


def test_a_clock_that_was_set_back_keeps_nobody_waiting(state: State) -> None:
    org, clock = next(ORG), Clock()
    customers = Customers(state, clock=clock)
    (key,) = keys_of(org, [1])
    customers.merge(points(org, [1], 1))
    customers.settle([(key, 1)], clock.ms)
    customers.merge(points(org, [1], 2))
    assert due(customers, before=clock.ms - 30_000) == []
    clock.ms -= 86_400_000
    assert due(customers, before=clock.ms - 30_000) == [(1, 2)]
    customers.settle([(key, 2)], clock.ms)
    customers.merge(points(org, [1], 3))
    assert due(customers, before=clock.ms - 30_000) == [], "the spacing counts by the new time"


def test_profiles_are_sent_again_for_some_or_for_all(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CUSTOMERS_AT_ONCE", 2)
    org, other = next(ORG), next(ORG)
    customers = Customers(state)
    all_keys = keys_of(org, range(5)) + keys_of(other, [1])
    customers.merge(points(org, range(5), 1) + points(other, [1], 1) + [said(org, 8, 1), said(org, 9, 1, deleted=True)])
    customers.settle([(key, 1) for key in [*all_keys, CustomerKey(org, 9)]], NOW)
    assert customers.due(None, 9, NOW) == []
    assert customers.send_again(all_keys[3:4] + keys_of(org, [77])) == 1
    assert revisions(customers, all_keys) == {all_keys[3]: 2}
    assert customers.send_again(None) == 6
    assert revisions(customers, all_keys) == dict.fromkeys(all_keys, 2) | {all_keys[3]: 3}
    assert customers.due(keys_of(org, [8, 9]), 9, NOW) == []


def test_look_ups_are_noted_also_of_customers_nobody_knows(state: State) -> None:
    org = next(ORG)
    known, unknown, gone, new = keys_of(org, [4, 3, 2, 1])
    customers = Customers(state)
    customers.merge([*points(org, [4], 1), said(org, 2, 1, deleted=True)])
    assert customers.not_fresh([known, unknown, gone, new, known], NOW) == [known, unknown, new]
    customers.note_looked_up([known, unknown], NOW)
    customers.note_looked_up([known], LONG_AGO)
    assert customers.not_fresh([unknown, new, known], NOW) == [new]
    assert customers.not_fresh([unknown, known], NOW + 1) == [unknown, known]
    assert customers.documents([unknown]) == {unknown: {}}
    assert revisions(customers, [known, unknown]) == {known: 1}


def test_counts_tell_how_many_there_are(state: State) -> None:
    org, clock = next(ORG), Clock()
    customers = Customers(state, clock=clock)
    assert customers.counts() == CustomerCounts(0, 0)
    customers.merge(points(org, range(5), 1))
    clock.ms += 7000
    customers.merge([said(org, 1, 2, merged_into=2), said(org, 3, 2, deleted=True), *points(org, [8], 1)])
    customers.settle([(CustomerKey(org, number), 1) for number in (0, 1, 2)], NOW)
    customers.note_looked_up(keys_of(org, [1]), NOW)
    customers.note_looked_up(keys_of(org, [2]), LONG_AGO)
    assert customers.counts() == CustomerCounts(6, 4)
    assert [customers.are_due(number) for number in (1, 4, 5)] == [True, True, False]


@several
@given(
    merges=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9)), max_size=8),
    shuffled=st.randoms(use_true_random=False),
)
def test_victims_follow_chains_to_the_survivor(state: State, merges: list[tuple[int, int, int]], shuffled: Any) -> None:
    org = next(ORG)
    customers = Customers(state)
    everybody = keys_of(org, range(1, 7))
    found = [Facts(CustomerKey(org, a), Stamp(at, 0, f"{b}"), {"merged_into": b}) for a, b, at in merges]
    customers.merge(points(org, range(1, 7), 1))
    customers.merge(shuffled.sample(found, len(found)))

    newest: dict[int, tuple[int, str, int]] = {}
    for a, b, at in merges:
        newest[a] = max((at, f"{b}", b), newest.get(a, (0, "", 0)))
    into = {a: b for a, (_, _, b) in newest.items() if a != b}
    expected: dict[CustomerKey, CustomerKey] = {}
    for start in range(1, 7):
        path = [start]
        while path[-1] in into and into[path[-1]] not in path:
            path.append(into[path[-1]])
        end = path[-1]
        if end in into:
            circle = path[path.index(into[end]) :]
            end = into[max(circle, key=lambda one: (newest[one][:2], one))]
        if end != start:
            expected[CustomerKey(org, start)] = CustomerKey(org, end)
    assert customers.survivors(everybody) == expected


def test_a_merge_that_is_undone_leaves_no_victim(state: State) -> None:
    org = next(ORG)
    key = CustomerKey(org, 1)
    customers = Customers(state)
    customers.merge([said(org, 1, 1, merged_into=2)])
    assert customers.survivors([key]) == {key: CustomerKey(org, 2)}
    customers.merge([said(org, 1, 2, merged_into=None)])
    assert customers.survivors([key]) == {}


def test_victims_are_told_while_their_own_profile_is_due(state: State) -> None:
    org = next(ORG)
    first, middle, last = (CustomerKey(org, n) for n in (1, 2, 3))
    customers = Customers(state)
    customers.merge([said(org, 1, 1, merged_into=2), said(org, 2, 2, merged_into=3), said(org, 3, 2, status="Active")])
    assert customers.due_victims([last]) == {middle: last}
    assert customers.due_victims([last, middle, first]) == {middle: last, first: middle}
    customers.settle([(middle, 1)], 5)
    assert customers.due_victims([last, middle]) == {first: middle}
    assert customers.due_victims([CustomerKey(next(ORG), 3)]) == {}


def test_who_is_due_is_found_by_an_index_of_those_alone(state: State) -> None:
    org = next(ORG)
    customers = Customers(state)
    rows = [
        {
            "org_id": org,
            "customer_id": n,
            "document": b"[]",
            "revision": 2 if n % 500 == 0 else 1,
            "settled_revision": 1,
        }
        for n in range(5000)
    ]
    with state.begin() as connection:
        connection.execute(sa.insert(table), rows)
        connection.exec_driver_sql("ANALYZE")
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "ORDER BY customers.due_ms" in statement:
            how = "EXPLAIN QUERY PLAN " if state.is_sqlite else "EXPLAIN "
            plan = connection.connection.cursor()
            plan.execute(how + statement, parameters)
            plans.extend(str(row) for row in plan.fetchall())

    event.listen(state.engine, "before_cursor_execute", explain)
    assert len(customers.due(None, 5, 2**60)) == 5
    assert "customers_due" in " ".join(plans)
    assert "SORT" not in " ".join(plans).upper().replace("B-TREE FOR ORDER BY", "SORT")
