"""Files and days of history counted again, against what stands in the landing store and in the ledger."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from capillary_adobe.history_checks import (
    FileAccount,
    account_of_file,
    holds_history,
    landed_of_day,
    lines_in,
)
from capillary_adobe.state import LandedObjects
from capillary_adobe.state.history_files import FileDay, HistoryFile
from capillary_adobe_tests.history_days import DAY, VERSION, HistoryDay, bill

NEXT = "2025-03-11"


@pytest.fixture
def day(tmp_path: Path) -> HistoryDay:
    return HistoryDay(tmp_path)


def read(day: HistoryDay, *keys: str, lines: int | None = None) -> None:
    """Note objects as read, as a run over their days does."""
    ledger = LandedObjects(day.state)
    for key in keys:
        of_day = key.split("/")[1]
        taken = ledger.take_day(of_day, [one for one in day.store.list("history", of_day) if one.key == key])
        with day.store.open(key) as stream:
            held = lines_in(stream) if lines is None else lines
        ledger.record_lines("day", {one.object_id: held for one in taken if one.key == key})


def of_file(day: HistoryDay, file: HistoryFile) -> FileAccount:
    return account_of_file(file, day.files.days(file.version), day.store)


def test_a_file_is_accounted_for_row_by_row_and_line_by_line(day: HistoryDay) -> None:
    day.land([bill("1", 1), bill("2", 2), {"export": {"refused": "bad"}}])
    day.land([bill("3", 3)], day=NEXT)
    day.land([{"export": {"refused": "bad"}}], template="rows")
    file = day.note(
        FileDay(VERSION, "transactions", DAY, 2, 4, 3, quarantined={"bad_number": 1}),
        FileDay(VERSION, "transactions", NEXT, 1, 1, 1),
        FileDay(VERSION, "", DAY, 0, 0, 1, quarantined={"row_ragged": 1}),
        FileDay(VERSION, "members", "", ignored={"customer_state": 5}),
    )
    assert of_file(day, file) == FileAccount(rows=12, accounted=12, lines=5, landed=5, objects=3)


def test_another_file_of_the_day_is_not_counted_in(day: HistoryDay) -> None:
    other = "cd" * 32
    day.land([bill("1", 1)])
    day.land([bill("2", 1, version=other)], version=other)
    file = day.note(FileDay(VERSION, "transactions", DAY, 1, 1, 1))
    assert of_file(day, file).differences == ()


def test_rows_and_lines_that_are_missing_are_named_by_template_and_day(day: HistoryDay) -> None:
    day.land([bill("1", 1)])
    file = day.note(FileDay(VERSION, "transactions", DAY, 2, 2, 2), FileDay(VERSION, "points", NEXT, 1, 1, 1), rows=7)
    assert of_file(day, file).differences == (
        "7 rows read, 3 accounted for",
        f"points {NEXT}: 1 lines written, 0 in the landing store",
        f"transactions {DAY}: 2 lines written, 1 in the landing store",
    )


def test_lines_of_a_damaged_object_are_those_before_the_damage() -> None:
    whole = gzip.compress(b"{}\n" * 100_000)
    assert lines_in(io.BytesIO(whole)) == 100_000
    assert lines_in(io.BytesIO(whole[:-20])) < 100_000
    assert lines_in(io.BytesIO(b"no gzip")) == 0


def test_what_has_landed_of_a_day_is_what_imports_wrote_there(day: HistoryDay) -> None:
    key = day.land([bill("1", 1), bill("2", 2)])
    day.note(FileDay(VERSION, "transactions", DAY, 2, 2, 2))
    read(day, key)
    found = landed_of_day(DAY, day.store, day.files, LandedObjects(day.state))
    assert (found.imported, found.read, found.unread, found.unfinished, found.others, found.differing) == (
        2,
        2,
        0,
        0,
        0,
        [],
    )
    assert holds_history(DAY, day.files)
    assert not holds_history(NEXT, day.files)


def test_what_was_imported_since_waits_and_what_was_changed_differs(day: HistoryDay) -> None:
    short, later, gone = "cd" * 32, "ef" * 32, "12" * 32
    key = day.land([bill("1", 1)], version=short)
    day.land([bill("2", 2)], version=later)
    for version in (short, later, gone):
        day.note(FileDay(version, "transactions", DAY, 1, 1, 1), version=version)
    read(day, key, lines=3)
    found = landed_of_day(DAY, day.store, day.files, LandedObjects(day.state))
    assert (found.imported, found.read, found.unread) == (3, 3, 1)
    assert found.differing == sorted(version[:12] for version in (short, later, gone))


def test_an_import_that_has_not_ended_and_objects_of_others_are_named_apart(day: HistoryDay) -> None:
    day.files.begin(HistoryFile(VERSION, "export.zip", "/exports", 10, 1))
    keys = [day.land([bill("1", 1)]), f"history/{DAY}/by-hand.jsonl"]
    day.store.write(keys[1], b"{}\n")
    found = landed_of_day(DAY, day.store, day.files, LandedObjects(day.state))
    assert (found.imported, found.unread, found.unfinished, found.others, found.differing) == (0, 2, 1, 1, [])
