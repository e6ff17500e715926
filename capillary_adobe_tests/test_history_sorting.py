"""Rows sorted out of core: the order of their events, none lost, little memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe import history_sorting
from capillary_adobe.history_sorting import Staged, Staging
from capillary_adobe_tests.examples import examples

MEMORY = 64 * 2**20

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
rows = st.builds(
    Staged,
    day=st.sampled_from(["2026-01-01", "2026-01-02", "2025-12-31"]),
    template=st.sampled_from(["points", "transactions", ""]),
    key=texts,
    place=st.integers(0, 10**12),
    code=st.none() | texts,
    detail=st.none() | texts,
    payload=st.binary(max_size=20),
)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(rows, max_size=40, unique_by=lambda row: row[:4]), st.sampled_from([1, 3000, MEMORY]))
def test_all_rows_come_back_in_order(given_rows: list[Staged], memory: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        staging = Staging(Path(folder), memory)
        for row in given_rows:
            staging.add(row)
        found = list(staging.in_order())
    assert found == sorted(given_rows, key=lambda row: row[:4])


_MUCH = """
import json, resource, sys
from pathlib import Path
from capillary_adobe import history_sorting
from capillary_adobe.history_sorting import Staged, Staging

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

number, staging = int(sys.argv[2]), Staging(Path(sys.argv[1]), 8 * 2**20)
# Whatever the modules take has been taken once a row has gone the whole way.
small = Staging(Path(sys.argv[1]), 2**20)
small.add(Staged("2026-01-01", "points", "", 0, None, None, b""))
list(small.in_order())
begun = peak()
for place in range(number):
    key = f"{place * 7919 % number:09}"
    staging.add(Staged(f"2026-01-{place % 28 + 1:02}", "points", key, place, None, None, key.encode() * 100))
before, found, ordered = ("", ""), 0, True
for row in staging.in_order():
    here = (row.day, row.key)
    ordered = ordered and before <= here
    before, found = here, found + 1
print(json.dumps([found, ordered, peak() - begun]))
"""


def test_rows_that_are_more_than_memory_are_sorted_on_disk(tmp_path: Path) -> None:
    number = 100_000  # some 90 MB
    done = subprocess.run(
        [sys.executable, "-c", _MUCH, str(tmp_path), str(number)], check=True, capture_output=True, text=True
    )
    found, ordered, grown_kb = json.loads(done.stdout)
    assert found == number
    assert ordered
    assert grown_kb < 60 * 1024


def test_more_pieces_than_files_can_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_sorting, "MERGED_AT_ONCE", 3)
    given_rows = [
        Staged("2026-01-01", "points", f"{number * 7 % 20:02}", number, None, None, b"") for number in range(20)
    ]
    staging = Staging(tmp_path, 1)
    for row in given_rows:
        staging.add(row)
    assert list(staging.in_order()) == sorted(given_rows)
    assert len(list(tmp_path.iterdir())) <= 3


def test_large_rows_lie_in_small_pieces(tmp_path: Path) -> None:
    given_rows = [Staged("2026-01-01", "points", "", number, "bad", "why", bytes(300_000)) for number in range(9)]
    staging = Staging(tmp_path, MEMORY)
    for row in given_rows:
        staging.add(row)
    assert list(staging.in_order()) == given_rows
