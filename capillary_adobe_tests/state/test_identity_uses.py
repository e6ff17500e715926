"""Uses of identities: they equal a recount of the documents, and no identity goes out for more customers than may share it."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as proving
from hypothesis import strategies as st

from capillary_adobe.profiles.document import DELETED, MERGED_INTO, CustomerKey, Document, Facts, Stamp, merged
from capillary_adobe.profiles.identities import Identity, fingerprint, identities_of, withdrawal
from capillary_adobe.settings import IdentitySettings, load
from capillary_adobe.state import State
from capillary_adobe.state.customer_table import hold_writers
from capillary_adobe.state.identity_uses import FORMER, IdentityUses, identity_uses, shared_identities
from capillary_adobe.xdm.identities import CUSTOMER, identity_map, mark
from capillary_adobe_tests.examples import examples

A, B, C = (Identity("email", f"{name}@x.com") for name in ("ann", "bea", "cid"))
PHONE = Identity("phone", "+919650000001")
ONE, TWO, THREE = (CustomerKey(7, number) for number in (1, 2, 3))
NONE: frozenset[Identity] = frozenset()

quickly = proving(deadline=None, max_examples=examples(40), database=None)


def has(*identities: Identity) -> frozenset[Identity]:
    return frozenset(identities)


def change(
    state: State, uses: IdentityUses, *changes: tuple[CustomerKey, frozenset[Identity], frozenset[Identity]]
) -> set[CustomerKey]:
    with state.begin() as connection:
        hold_writers(state, connection)
        return uses.change(connection, changes)


def stored(state: State) -> tuple[set[tuple[bytes, int, int]], dict[bytes, int]]:
    """Rows of uses, and how many customers share what is shared."""
    with state.read() as connection:
        u = identity_uses.c
        asked = sa.select(u.fingerprint, u.org_id, u.customer_id).where(u.link != FORMER)
        rows = {(bytes(row[0]), row[1], row[2]) for row in connection.execute(asked)}
        s = shared_identities.c
        counts = {bytes(row[0]): row[1] for row in connection.execute(sa.select(s.fingerprint, s.customers))}
    return rows, counts


def recounted(
    state: State, documents: dict[CustomerKey, Document]
) -> tuple[set[tuple[bytes, int, int]], dict[bytes, int]]:
    """What the documents say, and how many customers count: those who had it and may have sent it, too."""
    rows = {
        (fingerprint(one), key.org_id, key.customer_id)
        for key, document in documents.items()
        for one in identities_of(document)
    }
    with state.read() as connection:
        u = identity_uses.c
        former = connection.execute(sa.select(u.fingerprint, u.org_id, u.customer_id).where(u.link == FORMER)).all()
    assert all(person(documents, CustomerKey(org, customer)) == (org, customer) for _, org, customer in former)
    everybody = rows | {(bytes(one), org, customer) for one, org, customer in former}
    assert len(everybody) == len(rows) + len(former)
    counts = Counter(row[0] for row in everybody)
    return rows, {one: number for one, number in counts.items() if number > 1}


def test_an_identity_of_one_customer_is_free(state: State) -> None:
    uses = IdentityUses(state)
    assert change(state, uses, (ONE, NONE, has(A, PHONE)), (TWO, NONE, has(B))) == set()
    assert uses.shared([A, B, C, PHONE]) == frozenset()
    assert uses.held([(ONE, A), (ONE, PHONE), (TWO, B)]) == frozenset()


def test_the_second_customer_flips_both_and_leaving_flips_back(state: State) -> None:
    uses = IdentityUses(state)
    change(state, uses, (ONE, NONE, has(A)))
    assert change(state, uses, (TWO, NONE, has(A, B))) == {ONE, TWO}
    assert uses.shared([A, B]) == has(A)
    # A third changes nothing for the first two.
    assert change(state, uses, (THREE, NONE, has(A))) == set()
    assert change(state, uses, (THREE, has(A), NONE)) == set()
    # For the second it was never free to be sent, so it leaves nothing behind.
    assert change(state, uses, (TWO, has(A, B), has(C))) == {ONE}
    assert uses.shared([A, B, C]) == frozenset()


def test_who_may_have_sent_it_counts_on(state: State) -> None:
    uses = IdentityUses(state)
    change(state, uses, (ONE, NONE, has(A)))
    assert change(state, uses, (ONE, has(A), has(B))) == set()
    # AEP has joined it with the first customer for good.
    assert change(state, uses, (TWO, NONE, has(A))) == {TWO}
    assert uses.shared([A, B]) == has(A)
    assert uses.held([(TWO, A), (ONE, A), (ONE, B)]) == {(TWO, A), (ONE, A)}
    assert stored(state)[0] == {(fingerprint(B), *ONE), (fingerprint(A), *TWO)}
    # Back with the first, and gone from the second, it is as it was.
    assert change(state, uses, (ONE, has(B), has(A))) == set()
    assert change(state, uses, (TWO, has(A), NONE)) == {ONE}
    assert uses.shared([A]) == frozenset()


@pytest.mark.parametrize("has_it_still", [True, False])
def test_a_deleted_customer_counts_no_more(state: State, *, has_it_still: bool) -> None:
    uses = IdentityUses(state)
    change(state, uses, (ONE, NONE, has(A, B)))
    if not has_it_still:
        change(state, uses, (ONE, has(A, B), NONE))
    change(state, uses, (TWO, NONE, has(A)))
    assert uses.shared([A]) == has(A)
    with state.begin() as connection:
        had = [(ONE, has(A, B), NONE)] if has_it_still else []
        assert uses.change(connection, had, {ONE: None, THREE: None}) == {TWO}
    assert uses.shared([A]) == frozenset()
    assert stored(state) == ({(fingerprint(A), *TWO)}, {})
    with state.read() as connection:
        assert len(connection.execute(sa.select(identity_uses)).all()) == 1


@pytest.mark.parametrize("has_it_still", [True, False])
def test_what_a_merged_customer_may_have_sent_counts_for_the_survivor(state: State, *, has_it_still: bool) -> None:
    uses = IdentityUses(state)
    change(state, uses, (ONE, NONE, has(A, B)))
    change(state, uses, (TWO, NONE, has(B, C)))
    if not has_it_still:
        change(state, uses, (ONE, has(A, B), NONE))
    with state.begin() as connection:
        had = [(ONE, has(A, B), NONE)] if has_it_still else []
        # What both have is one person's now.
        assert uses.change(connection, had, {ONE: TWO}) == {TWO}
    assert stored(state) == ({(fingerprint(B), *TWO), (fingerprint(C), *TWO)}, {})
    # AEP has joined the merged customer's with the survivor.
    assert change(state, uses, (THREE, NONE, has(A))) == {THREE}
    assert uses.shared([A, B, C]) == has(A)
    assert change(state, uses, (TWO, has(B, C), has(A, B, C))) == set()
    assert change(state, uses, (THREE, has(A), NONE)) == {TWO}
    # For the survivor it was held, and it was sent for the merged one all the same.
    assert change(state, uses, (TWO, has(A, B, C), NONE)) == set()
    assert change(state, uses, (THREE, NONE, has(A, B))) == {THREE}
    assert uses.shared([A, B]) == has(A, B)


def test_what_became_free_may_have_been_sent(state: State) -> None:
    uses = IdentityUses(state)
    change(state, uses, (ONE, NONE, has(A)), (TWO, NONE, has(A)))
    change(state, uses, (ONE, has(A), NONE))
    assert uses.shared([A]) == frozenset()
    # Though it is held back again when the second loses it.
    assert change(state, uses, (THREE, NONE, has(A))) == {TWO, THREE}
    assert change(state, uses, (TWO, has(A), NONE)) == set()
    assert uses.shared([A]) == has(A)
    # The same where the operator lets more share it than when they got it.
    change(state, uses, (ONE, NONE, has(B)), (TWO, NONE, has(B)))
    change(state, IdentityUses(state, 2), (ONE, has(B), NONE))
    assert uses.shared([B]) == has(B)


def test_both_in_one_call_and_a_swap(state: State) -> None:
    uses = IdentityUses(state)
    assert change(state, uses, (ONE, NONE, has(A)), (TWO, NONE, has(A))) == {ONE, TWO}
    assert change(state, uses, (ONE, has(A), has(B)), (TWO, has(A), has(C))) == set()
    assert change(state, uses, (ONE, has(B), has(C)), (TWO, has(C), has(B))) == {ONE, TWO}
    assert stored(state) == (
        {(fingerprint(C), *ONE), (fingerprint(B), *TWO)},
        {fingerprint(one): 2 for one in (B, C)},
    )


def test_a_change_made_again_changes_nothing(state: State) -> None:
    uses = IdentityUses(state)
    changes = [(ONE, NONE, has(A, B)), (TWO, NONE, has(A)), (THREE, NONE, has(A))]
    change(state, uses, *changes)
    before = stored(state)
    assert change(state, uses, *changes) == set()
    assert change(state, uses, (ONE, has(C), NONE), (TWO, has(PHONE), NONE)) == set()
    assert stored(state) == before


def test_a_transaction_that_fails_leaves_nothing(state: State) -> None:
    uses = IdentityUses(state)

    def fails() -> None:
        with state.begin() as connection:
            uses.change(connection, [(ONE, NONE, has(A)), (TWO, NONE, has(A))])
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert stored(state) == (set(), {})


def test_as_many_as_may_share_it_share_it(state: State) -> None:
    uses = IdentityUses(state, 2)
    assert change(state, uses, (ONE, NONE, has(A)), (TWO, NONE, has(A))) == set()
    assert uses.held([(ONE, A)]) == uses.shared([A]) == frozenset()
    assert uses.held([(THREE, A)]) == {(THREE, A)}
    assert change(state, uses, (THREE, NONE, has(A))) == {ONE, TWO, THREE}
    assert uses.shared([A]) == has(A)


def test_what_is_anothers_or_nobodys_by_now_is_held(state: State) -> None:
    uses = IdentityUses(state)
    change(state, uses, (ONE, NONE, has(A)))
    assert uses.held([(ONE, A), (TWO, A), (TWO, B)]) == {(TWO, A), (TWO, B)}
    change(state, uses, (ONE, has(A), NONE))
    assert uses.held([(ONE, A)]) == {(ONE, A)}


def test_customers_of_several_organisations_share_too(state: State) -> None:
    uses = IdentityUses(state)
    assert change(state, uses, (CustomerKey(7, 1), NONE, has(A)), (CustomerKey(8, 1), NONE, has(A))) == {
        CustomerKey(7, 1),
        CustomerKey(8, 1),
    }


def test_the_report_tells_how_many_and_no_value(state: State) -> None:
    uses = IdentityUses(state, 2)
    change(
        state,
        uses,
        *((CustomerKey(7, n), NONE, has(A, *([B] if n < 2 else []), *([C] if n < 12 else []))) for n in range(150)),
        (CustomerKey(8, 1), NONE, has(PHONE)),
    )
    email, phone, *_ = uses.fan_in()
    assert (email.kind, email.by_span, email.worst) == ("email", (1, 0, 0, 1, 1, 0), 150)
    assert (email.held, email.let_through) == (2, 1)
    assert (phone.by_span, phone.worst, phone.held, phone.let_through) == ((0,) * 6, 0, 0, 0)
    assert "@" not in repr(uses.fan_in())


def test_many_at_once(state: State) -> None:
    uses = IdentityUses(state)
    own = [(CustomerKey(7, n), NONE, has(A, Identity("phone", f"+91{n:010d}"))) for n in range(5000)]
    flipped = change(state, uses, *own)
    assert flipped == {key for key, _, _ in own}
    assert stored(state)[1] == {fingerprint(A): 5000}
    assert uses.held((key, one) for key, _, after in own for one in after) == {(key, A) for key, _, _ in own}
    assert change(state, uses, *((key, has(A), NONE) for key, _, _ in own[1:])) == {own[0][0]}
    assert stored(state)[1] == {}


def test_several_writers_at_once_count_right_and_every_flip_is_told(state: State) -> None:
    uses = IdentityUses(state)
    emails = [Identity("email", f"e{n}@x.com") for n in range(12)]
    told: list[set[CustomerKey]] = []
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        start.wait()
        for turn in range(6):
            key = CustomerKey(7, 100 * writer + turn)
            mine = emails if writer % 2 else emails[::-1]
            told.append(change(state, uses, (key, NONE, frozenset(mine[turn : turn + 6]))))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    rows, counts = stored(state)
    assert len(rows) == 4 * 6 * 6
    assert counts == {one: n for one, n in Counter(row[0] for row in rows).items() if n > 1}
    # The first two who share it were told of it, or one of them would keep it in its profile.
    for one in counts:
        sharing = {CustomerKey(org, customer) for found, org, customer in rows if found == one}
        assert len(sharing & set().union(*told)) > 1


VALUES = ("ann@x.com", "bea@x.com", "cid@x.com", "test@x.com", None)
PHONES = ("919650000001", "919650000002", "919999999999", None)
FIELDS = st.one_of(
    st.tuples(st.just("email"), st.sampled_from(VALUES)),
    st.tuples(st.just("mobile"), st.sampled_from(PHONES)),
    st.tuples(st.just("external_id"), st.sampled_from(("E1", "E2", "919650000001"))),
    st.tuples(st.sampled_from(("card.C1", "card.C2")), st.sampled_from(({"status": "ACTIVE"}, None))),
    st.tuples(st.sampled_from([withdrawal(one) for one in (A, B, PHONE, Identity("card", "C1"))]), st.just(True)),
    st.tuples(st.just("merged_into"), st.integers(2, 5)),
    st.tuples(st.just("deleted"), st.just(True)),
)
FACTS = st.builds(
    lambda customer, at, fields: Facts(CustomerKey(7, customer), Stamp(at), dict(fields)),
    st.integers(1, 5),
    st.integers(1, 8),
    st.lists(FIELDS, min_size=1, max_size=3),
    # No circles of merges.
).filter(lambda facts: facts.fields.get("merged_into", 9) > facts.key.customer_id)


def follow(
    state: State, uses: IdentityUses, documents: dict[CustomerKey, Document], facts: Iterable[Facts]
) -> set[CustomerKey]:
    """Merge facts into the documents, as the table of customers does; whose profile is to be made again."""
    before: dict[CustomerKey, Document] = {}
    for one in facts:
        before.setdefault(one.key, documents.get(one.key, {}))
        documents[one.key] = merged(documents.get(one.key, {}), one.document)
    with state.begin() as connection:
        changes = [(key, identities_of(old), identities_of(documents[key])) for key, old in before.items()]
        ended = {key: person(documents, key) for key in before if documents[key].keys() & {MERGED_INTO, DELETED}}
        return uses.change(connection, changes, ended) | set(before)


def person(documents: Mapping[CustomerKey, Document], key: CustomerKey) -> CustomerKey | None:
    """Who a customer is after all merges; None for one who was deleted."""
    while MERGED_INTO in documents.get(key, {}):
        key = CustomerKey(7, documents[key][MERGED_INTO].value)
    return None if DELETED in documents.get(key, {}) else key


def emptied(state: State) -> None:
    with state.begin() as connection:
        connection.execute(sa.delete(identity_uses))
        connection.execute(sa.delete(shared_identities))


@pytest.fixture(scope="module")
def proving_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterable[State]:
    path: Path = tmp_path_factory.mktemp("uses")
    opened = State(f"sqlite:///{path}/state.db")
    yield opened
    opened.engine.dispose()


@quickly
@given(facts=st.lists(FACTS, max_size=24), data=st.data())
def test_under_any_order_the_uses_equal_a_recount_of_the_documents(
    proving_ground: State, facts: list[Facts], data: Any
) -> None:
    found = []
    for _ in range(2):
        emptied(proving_ground)
        shuffled = data.draw(st.permutations(facts))
        size = data.draw(st.integers(1, 8))
        documents: dict[CustomerKey, Document] = {}
        for start in range(0, len(shuffled), size):
            follow(proving_ground, IdentityUses(proving_ground), documents, shuffled[start : start + size])
        rows, counts = stored(proving_ground)
        assert (rows, counts) == recounted(proving_ground, documents)
        found.append(rows)
    assert found[0] == found[1]


@quickly
@given(
    chunks=st.lists(st.lists(FACTS, min_size=1, max_size=4), max_size=8),
    most=st.integers(1, 3),
    form=st.sampled_from(["plain", "sha256"]),
)
def test_no_identity_ever_goes_out_for_more_customers_than_may_share_it(
    proving_ground: State, chunks: list[list[Facts]], most: int, form: Any
) -> None:
    emptied(proving_ground)
    uses = IdentityUses(proving_ground, most)
    policy = load(IdentitySettings, email=form, phone=form, external_id=form, card=form, max_customers=most)
    documents: dict[CustomerKey, Document] = {}
    sent: dict[tuple[str, str], set[CustomerKey]] = defaultdict(set)
    latest: dict[CustomerKey, set[tuple[str, str]]] = {}
    for chunk in chunks:
        # As in a micro-batch: the profiles of those who changed or flipped are made again.
        for key in follow(proving_ground, uses, documents, chunk):
            identities = identities_of(documents[key])
            held = {mark(one) for one in uses.shared(identities)}
            made = identity_map(7, key.customer_id, identities, policy, with_org=False, held=held)
            pairs = [(key, one) for one in identities]
            assert uses.held(pairs) == {(key, one) for one in identities if mark(one) in held}
            latest[key] = {
                (symbol, one["id"]) for symbol, listed in made.items() for one in listed if symbol != CUSTOMER
            }
            for identity in latest[key]:
                sent[identity].add(key)
        for customers in sent.values():
            # AEP forgets nothing: not only the profiles of this moment, all that were ever sent count.
            # Those who are merged are one person to AEP.
            people = {person(documents, key) for key in customers} - {None}
            assert len(people) <= most
        # Nor is anything held back that few enough have and had; nobody waits for a profile that was not asked for.
        for key, identities in latest.items():
            free = identities_of(documents[key])
            assert len(identities) == len(free - uses.shared(free))
