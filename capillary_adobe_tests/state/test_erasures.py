"""The register of deleted customers, and the emptying of the state, on both databases."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from capillary_adobe.profiles.document import DELETED, CustomerKey, Facts, Stamp
from capillary_adobe.state import Customers, Erasures, State, StateError, purging
from capillary_adobe.state.awaited import awaited
from capillary_adobe.state.customer_table import customers
from capillary_adobe.state.database import metadata
from capillary_adobe.state.lookups import lookups
from capillary_adobe.state.purging import EMPTIED, Purging
from capillary_adobe.state.transaction_details import transaction_details

A, B, C, D, OTHER_ORG = (CustomerKey(7, 1), CustomerKey(7, 2), CustomerKey(7, 3), CustomerKey(7, 4), CustomerKey(8, 1))
EMAIL = "zelmirabel@quixanthony.org"


def facts(key: CustomerKey, at: int = 1, **fields: object) -> Facts:
    return Facts(key, Stamp(at, 0, "x"), fields)


def test_a_customer_is_noted_once(state: State) -> None:
    erasures = Erasures(state)
    assert not erasures.any()
    assert erasures.note([A, B], 10) == 2
    assert erasures.note([B, OTHER_ORG], 20) == 1
    assert erasures.any()
    assert erasures.among({A, C, OTHER_ORG, CustomerKey(8, 2)}) == {A, OTHER_ORG}
    assert erasures.with_ids({1}) == {A, OTHER_ORG}
    assert erasures.waiting() == [A, B, OTHER_ORG]
    assert erasures.counts().oldest_waiting_ms == 10


def test_a_customer_is_erased_when_the_old_files_are_gone(state: State) -> None:
    erasures = Erasures(state)
    erasures.note([A, B], 10)
    erasures.note_redacted([A], 100, again=False)
    erasures.note_redacted([A, B], 200, again=False)
    assert erasures.settle(150, 300) == 1
    assert erasures.waiting() == [B]
    assert erasures.settle(150, 300) == 0
    erasures.note_redacted([B], 400, again=True)
    assert erasures.settle(300, 500) == 0
    assert erasures.settle(400, 500) == 1


def test_only_erased_customers_are_ordered_and_each_once(state: State) -> None:
    erasures = Erasures(state)
    erasures.note([A, B, C, OTHER_ORG], 10)
    assert erasures.prepare(10, 20) is None
    erasures.note_redacted([A, B, OTHER_ORG], 30, again=False)
    erasures.settle(30, 40)
    first, second = erasures.prepare(2, 50), erasures.prepare(2, 60)
    assert first is not None
    assert second is not None
    assert erasures.customers_of(first.order_id) == [A, B]
    assert erasures.customers_of(second.order_id) == [OTHER_ORG]
    assert erasures.prepare(2, 70) is None
    erasures.approve(first.order_id, "DI-1", "received", 80)
    erasures.note_status(first.order_id, "completed", 90)
    assert [(one.aep_id, one.status, one.approved_ms) for one in erasures.orders()] == [
        ("DI-1", "completed", 80),
        (None, None, None),
    ]


def test_accounts_merged_into_a_deleted_one_follow_it(state: State) -> None:
    documents = Customers(state, 1)
    documents.merge([facts(A, email=EMAIL), facts(B, merged_into=1), facts(C, merged_into=2), facts(D, merged_into=9)])
    documents.merge([facts(A, 2, **{DELETED: True}), facts(OTHER_ORG, merged_into=1)])
    # The run was killed before it noted the deletion.
    assert Purging(state).note_all(50) == 3
    assert Erasures(state).all() == [A, B, C]
    assert Purging(state).left(50) == 0
    assert Purging(state).note_all(60) == 0


def test_nothing_of_an_erased_customer_is_left_in_any_table(state: State) -> None:
    Customers(state, 1).merge([facts(A, email=EMAIL, **{"program.1.points": 5}), facts(B, email=EMAIL)])
    rows = {"org_id": 7, "customer_id": 1}
    with state.begin() as connection:
        for table in (awaited, lookups, transaction_details):
            needed = {c.name: _any_value(c) for c in table.c if c.name not in rows}
            connection.execute(sa.insert(table).values(**rows, **needed))
    purging = Purging(state)
    Erasures(state).note([A], 90)
    assert purging.left(89) == 0
    # The document, and each of the tables.
    assert purging.left(90) == 1 + len(EMPTIED)
    assert purging.purge(89) == 0
    assert purging.purge(100) > 0
    assert purging.left(100) == 0
    assert list(Customers(state).documents([A])[A]) == [DELETED]
    assert Customers(state).documents([B])[B]["email"].value == EMAIL
    # Nothing that comes later brings anything back.
    Customers(state, 1).merge([facts(A, 10**18, email=EMAIL)])
    assert list(Customers(state).documents([A])[A]) == [DELETED]


def test_no_large_table_is_read_from_end_to_end(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")):
            plan = connection.connection.cursor()
            plan.execute("EXPLAIN QUERY PLAN " + statement, parameters)
            plans.extend(row[3] for row in plan.fetchall())

    Erasures(state).note([A], 1)
    event.listen(state.engine, "before_cursor_execute", explain)
    Purging(state).note_all(5)
    Purging(state).purge(6)
    Purging(state).left(6)
    assert "SCAN customers USING INDEX customers_deleted" in plans
    assert not {"SCAN customers", "SCAN loyalty_history", "SCAN transaction_details"} & set(plans)


def test_no_table_that_knows_customers_is_forgotten() -> None:
    by_id_alone = {"customers", "erasures", "open_profiles"}
    of_customers = {table.name for table in metadata.sorted_tables if {"org_id", "customer_id"} <= set(table.c.keys())}
    assert of_customers - by_id_alone == {table.name for table in EMPTIED}


def _any_value(column: sa.Column[object]) -> object:
    kind = column.type.python_type
    return b"{}" if kind is bytes else "a:1" if kind is str else kind(1)


def test_deleted_values_leave_no_byte_in_the_files_of_sqlite(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    documents = Customers(state, 1)
    documents.merge(facts(CustomerKey(7, n), email=EMAIL if n == 50 else f"{n}@example.org") for n in range(1, 400))
    bytes_there = lambda: b"".join(path.read_bytes() for path in tmp_path.glob("state.db*") if path.is_file())  # noqa: E731
    assert EMAIL.encode() in bytes_there()
    purging = Purging(state)
    Erasures(state).note([CustomerKey(7, 50)], 90)
    purging.purge(100)
    purging.let_go()
    assert EMAIL.encode() not in bytes_there()
    assert b"51@example.org" in bytes_there()


def test_postgresql_forgets_the_dead_rows(empty_postgres: str) -> None:
    state = State(empty_postgres)
    Customers(state, 1).merge([facts(A, email=EMAIL)])
    Erasures(state).note([A], 90)
    Purging(state).purge(100)
    Purging(state).let_go()
    with state.read() as connection:
        dead = "SELECT count(*) FROM customers WHERE position(:value in encode(document, 'escape')) > 0"
        assert connection.execute(sa.text(dead), {"value": EMAIL}).scalar_one() == 0
        assert connection.execute(sa.select(customers.c.deleted)).scalars().all() == [True]
    state.engine.dispose()


def test_a_reader_that_holds_an_old_state_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "_CHECKPOINT_SECONDS", 0.3)
    state = State(f"sqlite:///{tmp_path}/state.db")
    Customers(state, 1).merge([facts(A, email=EMAIL)])
    Erasures(state).note([A], 90)
    with state.read() as reader:
        reader.execute(sa.select(customers.c.customer_id)).all()
        Purging(state).purge(100)
        began = time.monotonic()
        with pytest.raises(StateError, match="next run tries again"):
            Purging(state).let_go()
        # Who writes must not wait as long as the reader reads.
        assert time.monotonic() - began < 10
        with state.begin() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 60_000
    Purging(state).let_go()
