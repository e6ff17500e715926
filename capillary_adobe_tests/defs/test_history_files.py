"""Files of history in the UI: each found version a partition, with what became of its rows and the checks of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.utils.base import INVALID_PARTITION_SUBSTRINGS
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.capillary.insights.places import FoundFile
from capillary_adobe.defs.assets.history_files import NAME, REFUSED_TAG, partition_key
from capillary_adobe.defs.run_problems import READ, RunProblems
from capillary_adobe.state.alerts import Problem
from capillary_adobe.state.history_files import HistoryFiles
from capillary_adobe_tests.defs.importing import OLD, Importer, bills, checks, importer_of, kept_in, packed, shown
from capillary_adobe_tests.defs.installation import failure_of

ROWS = [(1, "100.50", "2025-03-10", 7), (2, "12", "2025-03-10", 8), (3, "5", "2025-03-11", 8)]


@pytest.fixture
def importer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importer:
    return importer_of(tmp_path, monkeypatch)


def added(importer: Importer, name: str = "any file of mine") -> str:
    """A partition that an operator adds."""
    importer.installation.instance.add_dynamic_partitions(NAME, [name])
    return name


def objects(importer: Importer) -> dict[str, bytes]:
    """What has landed, by key."""
    store, found = importer.installation.store, {}
    for day in store.days("history"):
        for one in store.list("history", day):
            with store.open(one.key) as stream:
                found[one.key] = stream.read()
    return found


@given(st.text(min_size=1, max_size=300), st.integers(0, 4_000_000_000_000))
def test_any_name_makes_a_partition_that_dagster_takes(name: str, changed_ms: int) -> None:
    key = partition_key(FoundFile(name, 1, changed_ms))
    assert key == partition_key(FoundFile(name, 2, changed_ms))
    assert not [bad for bad in INVALID_PARTITION_SUBSTRINGS if bad in key]
    assert key.isprintable()
    assert len(key) <= 140
    assert key.endswith(f"{datetime.fromtimestamp(changed_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}")


def test_a_plain_name_stays_as_it_is_and_names_that_look_alike_are_told_apart() -> None:
    plain = partition_key(FoundFile("Transactions/Monthly_2025-06.zip", 1, int(OLD.timestamp() * 1000)))
    assert plain == "Transactions/Monthly_2025-06.zip 2025-06-01 12:00:00"
    odd = {
        partition_key(FoundFile(name, 1, 0))
        for name in ("a...b.zip", "a\nb.zip", "a\tb.zip", "x" * 400, "y" + "x" * 399)
    }
    assert len(odd) == 5


def test_a_partition_shows_what_became_of_its_rows(importer: Importer) -> None:
    importer.put("bills.zip", bills([*ROWS, (4, "x", "2025-03-11", 8)]))
    done = importer.daemon()
    assert done is not None
    found = shown(done)
    assert (found["rows"], found["events"], found["quarantined"], found["ignored"]) == (4, 3, 1, 0)
    assert (found["templates"], found["first_day"], found["last_day"], found["days"]) == (
        "transactions",
        "2025-03-10",
        "2025-03-11",
        2,
    )
    assert "| transactionAdded.amount |   117.5 |" in found["totals"]
    assert "`bad_number`" in found["quarantined_by_code"]
    assert re.fullmatch("[0-9a-f]{12}", found["version"])
    assert (found["follows_version"], found["already_imported"]) == ("none", False)
    results = checks(done)
    assert {name: one.passed for name, one in results.items()} == {
        "rows_are_accounted_for": True,
        "few_rows_quarantined": False,
        "no_days_missing": True,
    }
    assert {one.partition for one in results.values()} == set(importer.partitions)
    assert results["few_rows_quarantined"].severity is dg.AssetCheckSeverity.WARN


def test_nothing_of_a_row_is_shown(importer: Importer) -> None:
    importer.put("bills.zip", bills([("4711", "x", "2025-03-11", 987654), ("4712", "1", "2025-03-11", 987654)]))
    done = importer.daemon()
    assert done is not None
    told = f"{shown(done)} {[one.metadata for one in checks(done).values()]}"
    assert "4711" not in told
    assert "987654" not in told


def test_a_changed_file_is_a_partition_of_its_own_and_says_what_it_follows(importer: Importer) -> None:
    importer.put("bills.zip", bills(ROWS))
    first = importer.daemon()
    importer.put("bills.zip", bills([*ROWS, (9, "1", "2025-03-12", 7)]), OLD + timedelta(days=1))
    second = importer.daemon()
    assert first is not None
    assert second is not None
    assert importer.partitions == ["bills.zip 2025-06-01 12:00:00", "bills.zip 2025-06-02 12:00:00"]
    assert shown(second)["follows_version"] == shown(first)["version"]
    # The first version is gone, and says so.
    gone = importer.run("bills.zip 2025-06-01 12:00:00", raise_on_error=False)
    assert "holds no file that is bills.zip 2025-06-01 12:00:00" in failure_of(gone)


def test_a_file_that_is_imported_again_changes_nothing(importer: Importer) -> None:
    importer.put("bills.zip", bills(ROWS))
    assert importer.daemon()
    before = objects(importer)
    again = importer.run(importer.partitions[0])
    assert shown(again)["already_imported"] is True
    assert shown(again)["rows"] == 3
    assert all(one.passed for one in checks(again).values())
    assert objects(importer) == before


def test_objects_that_were_lost_are_missed_and_come_back(importer: Importer) -> None:
    importer.put("bills.zip", bills(ROWS))
    assert importer.daemon()
    before = objects(importer)
    (importer.installation.landing_root / next(iter(before))).unlink()
    missed = checks(importer.run(importer.partitions[0]))["rows_are_accounted_for"]
    assert not missed.passed
    assert missed.metadata["differences"].value == "transactions 2025-03-10: 2 lines written, 0 in the landing store"
    assert checks(importer.run(importer.partitions[0], again=True))["rows_are_accounted_for"].passed
    assert objects(importer) == before


def test_a_day_that_no_file_tells_of_is_missing(importer: Importer) -> None:
    importer.put("bills.zip", bills([(n, "1", f"2025-03-{n:02}", 7) for n in (1, 2, 3, 5)]))
    done = importer.daemon()
    assert done is not None
    found = checks(done)["no_days_missing"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["missing_days"].value == "2025-03-04"
    # An alert holds no table, so the days of event types stand there in words, too.
    location = importer.definitions.get_repository_def()
    logs = importer.installation.instance.all_logs(done.run_id, of_type=READ)
    [told] = [one for one in RunProblems(done.dagster_run, location).told(logs) if isinstance(one, Problem)]
    assert "missing_days: 2025-03-04; missing_days_by_event_type: transactionAdded 2025-03-04" in told.cause
    # Another export tells of it: this file alone still does not.
    importer.put("late.zip", bills([(4, "1", "2025-03-04", 7)]))
    late = importer.daemon()
    assert late is not None
    assert checks(late)["no_days_missing"].passed


def test_a_file_elsewhere_is_imported_under_a_partition_of_any_name(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "bills.zip"
    file.write_bytes(bills(ROWS))
    assert shown(importer.run(added(importer), location=str(file)))["events"] == 3
    several = importer.run(added(importer), location=str(tmp_path), raise_on_error=False)
    assert "must name one file" in failure_of(several)
    assert HistoryFiles(importer.installation.state).all()[0].name == "bills.zip"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("odd.zip", packed(b"what,is,this\n1,2,3\n"), "template"),
        ("torn.zip", bills(ROWS)[:60], "torn.zip"),
    ],
)
def test_a_file_that_cannot_be_imported_fails_in_words_and_is_marked(
    importer: Importer, name: str, data: bytes, words: str
) -> None:
    importer.put(name, data)
    failed = importer.daemon(raise_on_error=False)
    assert failed is not None
    assert not failed.success
    assert words in failure_of(failed)
    run = importer.installation.instance.get_run_by_id(failed.run_id)
    assert run is not None
    assert re.fullmatch("[0-9a-f]{16}", run.tags[REFUSED_TAG])
    assert objects(importer) == {}


def test_an_import_that_was_killed_is_asked_for_again_and_lands_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer = importer_of(tmp_path, monkeypatch, kept_in(tmp_path / "dagster_home"))
    rows = [(n, f"{n}.25", f"2025-03-{n % 28 + 1:02}", n % 500 + 1) for n in range(1, 5000)]
    importer.put("bills.zip", bills(rows))
    (request,) = importer.tick().requests
    child = subprocess.Popen([sys.executable, "-c", _RUN, str(tmp_path), str(request.partition_key)])
    files = HistoryFiles(importer.installation.state)
    _wait(lambda: bool(files.all()) or child.poll() is not None)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert files.all()[0].done_ms is None
    instance = importer.installation.instance
    (run,) = instance.get_runs()
    # While nobody has noticed, nobody asks for another; then Dagster's monitoring of runs does this.
    assert importer.tick().words.startswith(f"run {run.run_id[:8]} imports bills.zip")
    instance.report_run_failed(run)
    assert "failed in run" in importer.tick().words
    monkeypatch.setattr("capillary_adobe.defs.history_sensor._FIRST_PAUSE_SECONDS", 0)
    done = importer.daemon()
    assert done is not None
    assert shown(done)["events"] == len(rows)
    assert checks(done)["rows_are_accounted_for"].passed
    assert importer.tick().requests == []
    other = tmp_path / "undisturbed"
    other.mkdir()
    undisturbed = importer_of(other, monkeypatch)
    undisturbed.put("bills.zip", bills(rows))
    assert undisturbed.daemon()
    assert objects(undisturbed) == objects(importer)


_RUN = """
import sys
from pathlib import Path
from capillary_adobe_tests.defs.importing import Importer, kept_in
from capillary_adobe_tests.defs.installation import Installation
root = Path(sys.argv[1])
instance = kept_in(root / "dagster_home")
Importer(Installation(root / "installation", root / "landing", instance=instance), root / "exports").run(sys.argv[2])
"""


def _wait(ready: object) -> None:
    assert callable(ready)
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.005)
