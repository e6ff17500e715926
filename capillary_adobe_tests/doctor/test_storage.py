"""Looks at landing store, lake, free space and state database, each well and ill."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from capillary_adobe.doctor.storage import judge_space
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import open_landing_store
from capillary_adobe.state import State
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.doctor.conftest import Examine, told
from capillary_adobe_tests.services import postgres_database

GB = 2**30


def test_folders_that_work(look: Examine, place: Path) -> None:
    open_landing_store("landing").write("events/2026-01-05/10/a.jsonl", b"{}\n")
    Lake("lake").replace(RAW_EVENTS, Slice("2026-01-05"), [])
    before = sorted(place.rglob("*"))
    found = look(offline=True)
    assert told(found, "landing").startswith("ok: LANDING_URL=landing can be read and written; 1 days")
    assert told(found, "lake").startswith("ok: LAKE_URL=lake can be written; 1 of ")
    assert sorted(place.rglob("*")) == before, "a look leaves nothing"


def test_folders_that_cannot_be_made(look: Examine, place: Path) -> None:
    (place / "file").write_text("")
    found = look(offline=True, LANDING_URL="file/landing", LAKE_URL="file/lake", STATE_URL="sqlite:///file/state.db")
    assert "fail: LANDING_URL=file/landing cannot be made" in told(found, "landing")
    assert "fail: LAKE_URL=file/lake cannot be written" in told(found, "lake")
    assert "fail: The state database STATE_URL=sqlite:///file/state.db cannot be used" in told(found, "state")


def test_a_file_in_place_of_a_folder_and_a_folder_in_place_of_a_file(look: Examine, place: Path) -> None:
    (place / "file").write_text("")
    (place / "folder").mkdir()
    found = look(offline=True, LANDING_URL="file", STATE_URL="sqlite:///folder")
    assert told(found, "landing").startswith("fail: LANDING_URL=file is no folder.")
    assert told(found, "state").startswith("fail: The state database STATE_URL=sqlite:///folder cannot be used")


def test_a_folder_that_even_root_cannot_write(look: Examine) -> None:
    found = look(offline=True, LANDING_URL="/proc/self", LAKE_URL="/proc/self")
    assert "can be read and not written" in told(found, "landing")
    assert told(found, "landing").startswith("warn")
    assert told(found, "lake").startswith("fail")


def test_a_landing_address_that_is_not_supported(look: Examine) -> None:
    assert told(look(offline=True, LANDING_URL="ftp://x"), "landing").startswith(
        "fail: LANDING_URL=ftp://x is not supp"
    )


def test_a_damaged_table(look: Examine, place: Path) -> None:
    Lake("lake").replace(RAW_EVENTS, Slice("2026-01-05"), [])
    for log in (place / "lake" / RAW_EVENTS.name / "_delta_log").glob("*.json"):
        log.write_text("no json")
    assert told(look(offline=True), "lake").startswith("fail: The table raw_events under LAKE_URL=lake cannot be read")


@pytest.mark.parametrize(("free", "outcome"), [(100 * GB, "ok"), (2 * GB, "warn"), (GB // 10, "fail")])
def test_free_space(free: int, outcome: str) -> None:
    verdict = judge_space({"LAKE_URL": free, "LANDING_URL": 200 * GB})
    assert verdict.outcome == outcome
    assert "at LAKE_URL" in verdict.words


def test_a_state_database_that_is_new_whole_or_old(look: Examine, place: Path) -> None:
    assert told(look(offline=True), "state").startswith("warn: STATE_URL names a database that does not exist yet")
    assert not (place / "state.db").exists(), "a look makes no database"
    assert State("sqlite:///state.db").engine
    assert "has every table" in told(look(offline=True), "state")
    with sqlite3.connect(place / "state.db") as connection:
        connection.execute("ALTER TABLE receipts DROP COLUMN lost")
        connection.execute("DROP TABLE days_to_settle")
    assert "it lacks days_to_settle, receipts.lost" in told(look(offline=True), "state")


def test_a_file_that_is_no_database(look: Examine, place: Path) -> None:
    (place / "state.db").write_bytes(b"no database at all" * 100)
    said = told(look(offline=True), "state")
    assert said.startswith("fail: The state database STATE_URL=sqlite:///state.db cannot be used")
    assert "Check that" in said


def test_postgresql(look: Examine) -> None:
    with postgres_database() as url:
        assert "lacks" in told(look(offline=True, STATE_URL=url), "state")
        state = State(url)
        assert state.engine
        assert told(look(offline=True, STATE_URL=url), "state").startswith("ok: PostgreSQL ")
        state.engine.dispose()


def test_postgresql_in_which_nothing_may_be_made(look: Examine) -> None:
    role = f"doctor_{uuid.uuid4().hex}"
    with postgres_database() as url:
        server = sa.create_engine(
            url.replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        with server.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'hidden-word'")
            connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            try:
                mine = sa.make_url(url).set(username=role, password="hidden-word")
                said = told(look(offline=True, STATE_URL=mine.render_as_string(hide_password=False)), "state")
            finally:
                connection.exec_driver_sql(f"DROP ROLE {role}")
    assert "(tables are missing, and this user may not create any in the schema)" in said
    assert said.startswith("fail")
    assert "hidden-word" not in said


def test_postgresql_that_is_down(look: Examine) -> None:
    said = told(look(offline=True, STATE_URL="postgresql://me:hidden-word@127.0.0.1:9/none"), "state")
    assert said.startswith(
        "fail: The state database STATE_URL=postgresql+psycopg2://me:***@127.0.0.1:9/none cannot be used"
    )
