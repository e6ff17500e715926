"""The database itself: opening, writers at once, the lock of a day, and plain words where it cannot be used."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from capillary_adobe.state import LandedObjects, MicroBatches, Receipts, State, StateError
from capillary_adobe.state.customer_table import customers
from capillary_adobe_tests.forked import Forked
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY, landed

HOLD = """
import sys
from capillary_adobe.state import State
with State(sys.argv[1]).day_lock(sys.argv[2]):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""
OPEN = """
import sys
from capillary_adobe.landing import LandedObject
from capillary_adobe.state import LandedObjects, State
ledger = LandedObjects(State(sys.argv[1]))
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.read()
ledger.take("2026-03-04", sys.argv[2], [LandedObject("events/2026-03-04/" + sys.argv[2], 1, 1)])
"""
PASSWORD = "a-password-that-must-stay-one"


def holder(url: str, day: str) -> Forked:
    process = Forked(HOLD, url, day)
    assert process.stdout.readline() == "held\n"
    return process


def try_to_hold(state: State, day: str) -> tuple[threading.Thread, threading.Event]:
    held = threading.Event()

    def hold() -> None:
        with state.day_lock(day):
            held.set()

    thread = threading.Thread(target=hold)
    thread.start()
    return thread, held


def test_the_lock_of_a_day_excludes_and_ends_with_a_killed_process(url: str, state: State) -> None:
    with holder(url, DAY) as process:
        thread, held = try_to_hold(state, DAY)
        with state.day_lock(NEXT_DAY):
            assert not held.wait(0.3)
        process.kill()
        assert held.wait(10)
        thread.join()


def test_whether_a_day_is_held_is_told_without_waiting_and_without_holding_it(url: str, state: State) -> None:
    assert not state.is_held(DAY), "whose lock nobody ever took"
    with holder(url, DAY) as process:
        assert (state.is_held(DAY), state.is_held(NEXT_DAY)) == (True, False)
        process.kill()
    thread, held = try_to_hold(state, DAY)
    assert held.wait(10)
    thread.join()
    assert not state.is_held(DAY)
    with state.day_lock(DAY):
        assert state.is_held(DAY)


def test_the_lock_of_a_day_excludes_within_a_process(state: State) -> None:
    inside: list[int] = []

    def work(number: int) -> None:
        with state.day_lock(DAY):
            inside.append(number)
            assert inside == [number]
            LandedObjects(state).take(DAY, str(number), landed(str(number)))
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))


def test_the_lock_of_a_day_ends_with_a_failure(state: State) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), state.day_lock(DAY):
            raise ZeroDivisionError


def test_several_processes_may_open_a_new_database_at_once(url: str) -> None:
    with ExitStack() as stack:
        opening = [stack.enter_context(Forked(OPEN, url, str(number))) for number in range(4)]
        for process in opening:
            assert process.stdout.readline() == "ready\n"
        for process in opening:
            process.stdin.close()
        assert [process.wait(30) for process in opening] == [0] * 4
    assert len(LandedObjects(State(url)).known_keys(DAY, "live")) == 4


def test_a_failed_transaction_leaves_nothing(state: State) -> None:
    def fail() -> None:
        with state.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO landed_objects (key, day, lane, size, stored_ms, batch_id) "
                    "VALUES ('k', 'd', 'live', 1, 1, 'b')"
                )
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert LandedObjects(state).days() == []


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(f"postgresql://someone:{PASSWORD}@127.0.0.1:1/state", id="nobody-listens"),
        pytest.param(f"postgresql+psycopg2://someone:{PASSWORD}@host.invalid/state", id="no-such-host"),
        pytest.param(f"postgres://someone:{PASSWORD}@127.0.0.1/state", id="no-such-kind"),
        pytest.param(f"mysql+pymysql://someone:{PASSWORD}@127.0.0.1/state", id="no-driver"),
        pytest.param(f"postgresql://someone@127.0.0.1:1/state?password={PASSWORD}", id="password-among-the-options"),
        pytest.param(f"postgresql://someone:a/{PASSWORD}@127.0.0.1/state", id="slash-in-the-password"),
        pytest.param(f"postgresql://someone:a@{PASSWORD}@127.0.0.1/state", id="at-sign-in-the-password"),
        pytest.param("sqlite://", id="in-memory"),
        pytest.param("sqlite:////proc/nowhere/state.db", id="no-folder"),
        pytest.param("sqlite:////dev/null/state.db", id="folder-is-a-file"),
        pytest.param(f"someone:{PASSWORD}@127.0.0.1", id="no-address"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(unusable: str) -> None:
    def use() -> None:
        MicroBatches(State(unusable)).unfinished("live")

    def lock() -> None:
        with State(unusable).day_lock(DAY):
            pass

    for attempt in (use, lock):
        with pytest.raises(StateError, match="STATE_URL") as failed:
            attempt()
        assert PASSWORD not in str(failed.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("this is a letter, not a database, and it is long enough to be read as a page")
    with pytest.raises(StateError, match=r"state\.db.*not a database"):
        MicroBatches(State(f"sqlite:///{tmp_path}/state.db")).unfinished("live")


def test_a_database_that_breaks_later_is_named(state: State) -> None:
    MicroBatches(state).unfinished("live")
    with state.begin() as connection:
        connection.execute(sa.text("DROP TABLE microbatches"))
    with pytest.raises(StateError, match="STATE_URL"):
        MicroBatches(state).unfinished("live")


def test_a_failure_repeats_no_value_of_a_statement(state: State) -> None:
    secret = "zelmirabel@quixanthony.org"
    row = {"org_id": 7, "customer_id": 1, "document": secret.encode(), "revision": None}

    def write() -> None:
        with state.begin() as connection:
            connection.execute(sa.insert(customers), [row])

    def look() -> None:
        with state.read() as connection:
            connection.exec_driver_sql(f"SELECT '{secret}' FROM nowhere")

    for fail in (write, look):
        with pytest.raises(StateError) as failed:
            fail()
        # As Dagster keeps it for good in its event log, causes included.
        told = "".join(traceback.format_exception(failed.value))
        assert "nowhere" in told or "revision" in told
        assert secret not in told


def test_a_database_of_an_older_version_gets_the_new_columns_and_keeps_its_receipts(url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    kind = "BLOB" if url.startswith("sqlite") else "BYTEA"
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE receipts (request_id TEXT PRIMARY KEY, day TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, "
            "accepted INTEGER NOT NULL, answered_ms BIGINT NOT NULL, http_status INTEGER, aep_id TEXT, "
            f"ids {kind} NOT NULL, outcomes {kind} NOT NULL, details JSON NOT NULL)"
        )
        connection.execute(
            sa.text("INSERT INTO receipts VALUES ('r', :day, 'events', 't', 1, 1, 207, 'a', :ids, :outcomes, '{}')"),
            {"day": DAY, "ids": b"\x01" * 32, "outcomes": b"a"},
        )
    engine.dispose()
    state = State(url)
    (known,) = Receipts(state).of_day(DAY).known(["01" * 32])
    assert known is not None
    assert (known.outcome, known.attempts, known.doubtful) == ("accepted", 1, 0)
    state.engine.dispose()
    again = State(url)
    assert len(Receipts(again).of_day(DAY)) == 1
    again.engine.dispose()
