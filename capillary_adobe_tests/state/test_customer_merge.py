"""Merging customers: the same documents whatever the order, the cut, the repetition, the number of writers and the kills."""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.profiles.document import CustomerKey, Facts, Register, advanced
from capillary_adobe.profiles.identities import Identity
from capillary_adobe.state import Customers, LoyaltyHistory, State
from capillary_adobe.state import customer_merge as merging
from capillary_adobe.state import customers as module
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe_tests.forked import Forked
from capillary_adobe_tests.state.knowing import (
    EMAILS,
    ORG,
    facts,
    history_of,
    known_after,
    of,
    packed_all,
    revisions,
    said,
    several,
    uses_of,
    uses_recounted,
    values_as_of,
)

# Merges facts of many customers in a process of its own, and tells when the first chunk is written.
MERGER = """
import sys
from capillary_adobe.state import Customers, State, customers as module
from capillary_adobe_tests.state.test_customer_merge import of_many
module._READ_AHEAD, module.CUSTOMERS_AT_ONCE = 40, 10
url, org, seed = sys.argv[1], *map(int, sys.argv[2:])
known = Customers(State(url))
write = known._merge.write
def writing(*given):
    found = write(*given)
    print("written", flush=True)
    return found
known._merge.write = writing
known.merge(of_many(org, seed))
"""


def of_many(org: int, seed: int) -> list[Facts]:
    """Two thousand facts of a hundred customers, some of whom share an e-mail, in an order that the seed decides."""
    chance = random.Random(5)  # noqa: S311
    found = [
        said(
            org,
            chance.randrange(100),
            chance.randrange(500),
            email=f"e{chance.randrange(60)}@mail.example.org",
            program__1__points=chance.randrange(9),
        )
        for _ in range(2000)
    ]
    random.Random(seed).shuffle(found)  # noqa: S311
    return found


@several
@given(
    found=st.lists(facts, min_size=1, max_size=14),
    cuts=st.lists(st.integers(1, 5), max_size=6),
    shuffled=st.randoms(use_true_random=False),
)
def test_any_order_cut_and_repetition_leads_to_the_same(
    state: State, found: list[Facts], cuts: list[int], shuffled: random.Random
) -> None:
    org = next(ORG)
    mine = of(org, found)
    coming = mine + shuffled.sample(mine, len(mine) // 2)
    shuffled.shuffle(coming)
    customers = Customers(state)
    while coming:
        cut = cuts.pop() if cuts else 4
        customers.merge(coming[:cut])
        coming = coming[cut:]
    expected = known_after(mine)
    assert packed_all(customers.documents(expected)) == packed_all(expected)
    assert uses_of(state, org) == uses_recounted(expected)

    other = next(ORG)
    customers.merge(of(other, found))
    # Of two facts of one stamp, which one event never tells, the history keeps the one that came last.
    end = None if len({(one.key, one.stamp) for one in mine}) == len(mine) else -1
    assert [row[1:end] for row in history_of(state, org)] == [row[1:end] for row in history_of(state, other)]
    again = customers.merge(mine)
    assert again.changed == 0
    assert again.facts == len(mine)


def test_several_writers_at_once_lose_nothing(url: str, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CUSTOMERS_AT_ONCE", 25)
    org = next(ORG)
    mine = of_many(org, 0)[:600]

    def write(number: int) -> None:
        chance = random.Random(number)  # noqa: S311
        Customers(State(url)).merge(chance.sample(mine[number::3] + mine[: 100 * number], len(mine) // 4))
        Customers(state).merge(mine[number::3])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    expected = known_after(mine)
    assert packed_all(Customers(state).documents(expected)) == packed_all(expected)
    assert uses_of(state, org) == uses_recounted(expected)


def test_processes_that_are_killed_between_chunks_do_no_harm(url: str, state: State) -> None:
    org = next(ORG)
    state.engine.connect().close()
    killed = [Forked(MERGER, url, str(org), str(seed)) for seed in (1, 2)]
    for process in killed:
        for _ in range(3):
            assert process.stdout.readline() == "written\n"
        process.kill()
    for process in killed:
        process.wait()
    expected = known_after(of_many(org, 3))
    customers = Customers(state)
    stored = customers.documents(expected)
    assert uses_of(state, org) == uses_recounted(stored)
    assert stored != expected
    customers.merge(of_many(org, 3))
    assert customers.documents(expected) == expected
    assert uses_of(state, org) == uses_recounted(expected)


def test_what_another_writes_between_reading_and_writing_is_kept(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    org = next(ORG)
    key = CustomerKey(org, 1)
    customers = Customers(state)
    customers.merge([said(org, 1, 1, email=EMAILS[0])])
    others = [said(org, 1, 9, email=EMAILS[1]), said(org, 1, 1, last_name="Kept")]

    def slowly(text: bytes, new: Mapping[str, Register]) -> Any:
        if others:
            Customers(state).merge([others.pop()])
        return advanced(text, new)

    monkeypatch.setattr(merging, "advanced", slowly)
    customers.merge([said(org, 1, 5, email=EMAILS[2], first_name="Ann")])
    customers.merge([said(org, 1, 6, gender="f")])
    values = {name: register.value for name, register in customers.documents([key])[key].items()}
    assert values == {"email": EMAILS[1], "first_name": "Ann", "last_name": "Kept", "gender": "f"}
    assert uses_of(state, org) == uses_recounted(customers.documents([key]))


def test_facts_are_read_as_they_are_merged(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_AHEAD", 10)
    org = next(ORG)
    customers = Customers(state)
    first = CustomerKey(org, 0)

    def coming() -> Any:
        for number in range(40):
            if number == 11:
                assert first in customers.documents([first])
            yield said(org, number, 1, email=EMAILS[0])

    assert customers.merge(coming()).facts == 40


def test_a_revision_grows_with_a_value_and_not_with_a_stamp(state: State) -> None:
    org = next(ORG)
    key = CustomerKey(org, 1)
    customers = Customers(state)
    assert customers.merge([said(org, 1, 5, first_name="Ann", status="Active")]).changed == 1
    assert revisions(customers, [key]) == {key: 1}
    assert customers.merge([said(org, 1, 6, first_name="Ann")]).changed == 0
    assert customers.documents([key])[key]["first_name"].stamp.at_us == 6
    assert customers.merge([said(org, 1, 4, first_name="Bo")]).changed == 0
    assert revisions(customers, [key]) == {key: 1}
    assert customers.merge([said(org, 1, 7, first_name="Bo", gender="f")]).changed == 1
    assert revisions(customers, [key]) == {key: 2}


def test_an_identity_that_comes_back_makes_a_new_profile(state: State) -> None:
    org = next(ORG)
    key = CustomerKey(org, 1)
    customers = Customers(state)
    withdrawn = uses_recounted({key: said(org, 1, 1, email=EMAILS[0]).document})
    customers.merge([said(org, 1, 5, email=EMAILS[0])])
    field = f"withdrawn.email.{next(iter(withdrawn))[0].hex()}"
    customers.merge([said(org, 1, 6, **{field: True})])
    assert uses_of(state, org) == set()
    before = revisions(customers, [key])[key]
    # The same value, said again later: only its stamp moves.
    assert customers.merge([said(org, 1, 7, email=EMAILS[0])]).changed == 1
    assert revisions(customers, [key]) == {key: before + 1}
    assert uses_of(state, org) == withdrawn


def test_customers_whose_identity_becomes_shared_or_free_are_due_again(state: State) -> None:
    org = next(ORG)
    first, second = CustomerKey(org, 1), CustomerKey(org, 2)
    customers = Customers(state, 1)
    customers.merge([said(org, 1, 1, email=EMAILS[0])])
    customers.settle([(first, 1)], 10)
    assert customers.due([first], 9, 10) == []
    customers.merge([said(org, 2, 1, email=EMAILS[0])])
    assert revisions(customers, [first, second]) == {first: 2, second: 1}
    customers.settle([(first, 2), (second, 1)], 10)
    customers.merge([said(org, 2, 2, email=EMAILS[1])])
    assert revisions(customers, [first, second]) == {first: 3, second: 2}


def test_a_deletion_empties_everything_for_good_and_is_told_each_time(state: State) -> None:
    org = next(ORG)
    key = CustomerKey(org, 1)
    customers, history = Customers(state), LoyaltyHistory(state)
    told = [said(org, 1, 1, email=EMAILS[0], status="Active", program__1__points=4, merged_into=2)]
    other = said(org, 2, 1, email=EMAILS[1], status="Active")
    customers.merge([*told, other])
    gone = said(org, 1, 2, deleted=True)
    for _ in range(2):
        found = customers.merge([gone, other])
        assert found.deleted == {key}
        customers.merge([*told, said(org, 1, 3, email=EMAILS[2], status="Fraud")])
        assert customers.documents([key]) == {key: gone.document}
        assert values_as_of(history, [(key, 9), (other.key, 9)]) == [{}, {"status": "Active"}]
        assert uses_of(state, org) == uses_recounted({other.key: other.document})
        assert customers.survivors([key]) == {}
    assert customers.merge([said(org, 1, 3, email=EMAILS[2])]).deleted == frozenset()


def test_a_customer_is_known_from_the_first_fact_even_one_that_says_nothing(state: State) -> None:
    org = next(ORG)
    key = CustomerKey(org, 1)
    customers = Customers(state)
    assert customers.merge([said(org, 1, 1)]) == (1, 0, frozenset())
    assert customers.documents([key]) == {key: {}}
    assert customers.due([key], 9, 2**60) == []


def test_what_a_merged_customer_has_sent_is_the_survivors_through_chains(state: State) -> None:
    org = next(ORG)
    customers = Customers(state, 1)
    first, middle, last, stranger = (CustomerKey(org, number) for number in (1, 2, 3, 4))
    address = Identity("email", f"ann{org}@example.org")
    customers.merge([said(org, 1, 1, email=address.value)])
    customers.merge([said(org, 2, 2, merged_into=3), said(org, 1, 2, merged_into=2)])
    # AEP has joined the address with all three.
    customers.merge([said(org, 4, 3, email=address.value)])
    assert IdentityUses(state, 1).shared([address]) == {address}
    customers.merge([said(org, 3, 4, email=address.value)])
    customers.merge([said(org, 4, 5, email=None)])
    assert IdentityUses(state, 1).shared([address]) == set()
    assert IdentityUses(state, 1).held((key, address) for key in (first, middle, last, stranger)) == {
        (key, address) for key in (first, middle, stranger)
    }
    # Nothing is left of it when all of them are deleted.
    customers.merge([said(org, 3, 6, deleted=True)])
    customers.merge([said(org, 4, 7, email=address.value)])
    assert IdentityUses(state, 1).shared([address]) == set()
