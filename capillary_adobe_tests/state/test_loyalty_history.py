"""Loyalty history: what was so at any moment of the past, also after the old has been forgotten."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.profiles.document import CustomerKey, Facts
from capillary_adobe.state import Customers, LoyaltyHistory, State
from capillary_adobe.state import loyalty_history as module
from capillary_adobe_tests.state.knowing import ORG, history_of, known_after, of, said, several, stamps, values_as_of

LOYALTY = ("status", "program.1.points", "program.1.tier_name")
_fields = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["Active", "Fraud"]),
        "program.1.points": st.integers(0, 3),
        "program.1.tier_name": st.sampled_from(["Gold", None]),
        "program.1.redeemed": st.just(1),
        "first_name": st.just("Ann"),
    },
)
facts = st.builds(lambda number, *given: Facts(CustomerKey(0, number), *given), st.integers(1, 3), stamps, _fields)
# Of one event no two facts of a customer stand beside each other.
events = st.lists(facts, max_size=14, unique_by=lambda one: (one.key, one.stamp))
moments = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 7)), max_size=10)


def so(found: list[Facts], key: CustomerKey, at_us: int) -> dict[str, Any]:
    """What was so, by the plainest way to say it."""
    known = known_after(one for one in found if one.stamp.at_us <= at_us).get(key, {})
    return {name: known[name].value for name in LOYALTY if name in known and known[name].value is not None}


def rows_in(state: State) -> int:
    with state.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(module.loyalty_history)).scalar_one())


@several
@given(found=events, asked=moments, shuffled=st.randoms(use_true_random=False))
def test_of_each_field_the_newest_value_at_the_moment_is_told(
    state: State, found: list[Facts], asked: list[tuple[int, int]], shuffled: random.Random
) -> None:
    org = next(ORG)
    mine = of(org, found)
    coming = mine + mine[:4]
    shuffled.shuffle(coming)
    customers = Customers(state)
    customers.merge(coming[:5])
    customers.merge(coming[5:])
    wanted = [(CustomerKey(org, number), at_us) for number, at_us in asked]
    assert values_as_of(LoyaltyHistory(state), wanted) == [so(mine, *one) for one in wanted]


@several
@given(found=events, before=st.integers(0, 7), rows=st.integers(1, 5))
def test_pruning_changes_no_answer_of_a_later_moment(state: State, found: list[Facts], before: int, rows: int) -> None:
    org = next(ORG)
    mine = of(org, found)
    Customers(state).merge(mine)
    history = LoyaltyHistory(state)
    kept = rows_in(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS_AT_ONCE", rows)
        gone = history.prune(before)
    wanted = [(CustomerKey(org, number), at_us) for number in range(1, 4) for at_us in range(before, 8)]
    assert values_as_of(history, wanted) == [so(mine, *one) for one in wanted]
    assert rows_in(state) == kept - gone
    assert history.prune(before) == 0


def test_pruning_removes_what_was_replaced_before_the_moment(state: State) -> None:
    org = next(ORG)
    Customers(state).merge([said(org, 1, at_us, program__1__points=at_us) for at_us in range(1, 10)])
    assert LoyaltyHistory(state).prune(6) == 4
    assert [row[2] for row in history_of(state, org)] == [5, 6, 7, 8, 9]


def test_nothing_but_loyalty_is_kept(state: State) -> None:
    org = next(ORG)
    Customers(state).merge(
        [said(org, 1, 1, first_name="Ann", email="ann@mail.example.org"), said(org, 1, 2, status="Active", gender="f")]
    )
    assert [(row[2], row[-1]) for row in history_of(state, org)] == [(2, b'{"status":"Active"}')]


def test_many_moments_are_asked_for_at_once(state: State) -> None:
    org = next(ORG)
    Customers(state).merge(said(org, number, 5, program__1__points=number) for number in range(3000))
    wanted = [(CustomerKey(org, number), at_us) for number in range(3000) for at_us in (4, 5, 6)]
    random.Random(3).shuffle(wanted)  # noqa: S311
    found = values_as_of(LoyaltyHistory(state), wanted)
    assert found == [{} if at_us < 5 else {"program.1.points": key.customer_id} for key, at_us in wanted]


def test_what_is_merged_last_for_a_stamp_takes_the_place_of_what_was_there(state: State) -> None:
    """An event that landed twice with different contents: the line that sorts first takes over, and counts alone."""
    org = next(ORG)
    customers = Customers(state)
    customers.merge([said(org, 1, 5, program__1__points=3, status="Active")])
    customers.merge([said(org, 1, 5, program__1__points=2)])
    assert values_as_of(LoyaltyHistory(state), [(CustomerKey(org, 1), 5)]) == [{"program.1.points": 2}]
    assert len(history_of(state, org)) == 1
