"""Customers of the tests: facts at random, and what must be known after them, by the plainest way to say it.

Belongs here: what several test modules of `state` need of customers. Does not belong here: any expectation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from capillary_adobe.profiles.document import CustomerKey, Facts, Register, Stamp, merged, packed
from capillary_adobe.profiles.identities import Identity, fingerprint, identities_of, withdrawal
from capillary_adobe.state import Customers, State
from capillary_adobe.state.identity_uses import FORMER, identity_uses
from capillary_adobe.state.loyalty_history import LoyaltyHistory, loyalty_history
from capillary_adobe_tests.examples import examples

ORG = itertools.count(100_000)
"""An organisation for each example, since the database outlives it."""
several = settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
EMAILS = [f"{name}@mail.example.org" for name in "abc"]
_WITHDRAWN = [withdrawal(Identity("email", email)) for email in EMAILS]

_fields = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from([*EMAILS, None]),
        "first_name": st.sampled_from(["Ann", "Bo"]),
        "status": st.sampled_from(["Active", "Fraud"]),
        "program.1.points": st.integers(0, 3),
        "program.1.tier_name": st.sampled_from(["Gold", "Silver", None]),
        "program.1.redeemed": st.integers(0, 3),
        "merged_into": st.integers(1, 4),
        **{name: st.just(True) for name in _WITHDRAWN},
    },
)
stamps = st.builds(Stamp, st.integers(1, 6), st.integers(0, 1), st.sampled_from(["a", "b"]))
_gone = st.one_of(st.just(False), st.just(False), st.just(False), st.just(False), st.just(False), st.booleans())


def _facts(customer: int, stamp: Stamp, fields: dict[str, Any], gone: bool) -> Facts:
    return Facts(CustomerKey(0, customer), stamp, {"deleted": True} if gone else fields)


facts = st.builds(_facts, st.integers(1, 4), stamps, _fields, _gone)
"""Facts of organisation 0; `of` moves them to another."""


def of(org: int, some: Iterable[Facts]) -> list[Facts]:
    return [Facts(CustomerKey(org, one.key.customer_id), one.stamp, one.fields) for one in some]


def said(org: int, customer: int, at_us: int, /, **fields: Any) -> Facts:
    """One fact; a double underscore in a name stands for a dot."""
    given = {name.replace("__", "."): value for name, value in fields.items()}
    return Facts(CustomerKey(org, customer), Stamp(at_us, 0, "t"), given)


def known_after(some: Iterable[Facts]) -> dict[CustomerKey, dict[str, Register]]:
    found: dict[CustomerKey, dict[str, Register]] = {}
    for one in some:
        found[one.key] = merged(found.get(one.key, {}), one.document)
    return found


def packed_all(documents: dict[CustomerKey, dict[str, Register]]) -> dict[CustomerKey, bytes]:
    return {key: packed(document) for key, document in documents.items()}


def history_of(state: State, org: int) -> list[tuple[Any, ...]]:
    with state.read() as connection:
        query = sa.select(loyalty_history).where(loyalty_history.c.org_id == org).order_by(*loyalty_history.c)
        return [tuple(row) for row in connection.execute(query)]


def uses_of(state: State, org: int) -> set[tuple[bytes, int]]:
    c = identity_uses.c
    with state.read() as connection:
        query = sa.select(c.fingerprint, c.customer_id).where(c.org_id == org, c.link != FORMER)
        return {(bytes(row[0]), row[1]) for row in connection.execute(query)}


def uses_recounted(documents: dict[CustomerKey, dict[str, Register]]) -> set[tuple[bytes, int]]:
    return {
        (fingerprint(identity), key.customer_id)
        for key, document in documents.items()
        for identity in identities_of(document)
    }


def revisions(customers: Customers, keys: Iterable[CustomerKey]) -> dict[CustomerKey, int]:
    return {one.key: one.revision for one in customers.due(list(keys), 1000, 2**60)}


def values_as_of(history: LoyaltyHistory, moments: list[tuple[CustomerKey, int]]) -> list[dict[str, Any]]:
    """What was known at each moment, without the stamps."""
    return [{name: one.value for name, one in known.items()} for known in history.registers_as_of(moments)]
