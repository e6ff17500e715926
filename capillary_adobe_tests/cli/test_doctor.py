"""`capillary-adobe doctor`: one line for each finding, and the exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe_tests.cli.conftest import Call, storage

SHIPPED = Path(__file__).parents[2] / "dagster.yaml"


@pytest.fixture
def settings(place: Path) -> dict[str, str]:
    """Storage, and an instance of Dagster as shipped."""
    home = place / "dagster"
    home.mkdir()
    shutil.copy(SHIPPED, home)
    return {**storage(place), "DAGSTER_HOME": str(home)}


def test_an_installation_that_works(call: Call, place: Path, settings: dict[str, str]) -> None:
    with RunningEmulator(place / "aep") as aep:
        answer = call("doctor", **settings, **aep.environment)
        assert answer.exit_code == 0, answer.output
        *lines, last = answer.stdout.splitlines()
        assert last.startswith("Nothing must be mended; ")
        assert {line.split()[0] for line in lines} <= {"ok", "warn", "skipped"}
        assert all(" → " in line for line in lines if line.startswith("warn"))
        assert aep.environment["ADOBE_CLIENT_SECRET"] not in answer.output


def test_an_installation_that_does_not_work(call: Call, settings: dict[str, str]) -> None:
    answer = call("doctor", "--offline", **{**settings, "STATE_URL": "ftp://me:hidden-word@x"})
    assert answer.exit_code == 1
    assert "hidden-word" not in answer.output
    lines = answer.stdout.splitlines()
    assert any(line.startswith("fail") and "state" in line and " → " in line for line in lines)
    assert "findings must be mended" in lines[-1]
    assert not [line for line in lines if line.startswith("Traceback")]


def test_a_mapping_with_errors_is_told(call: Call, place: Path, settings: dict[str, str]) -> None:
    (place / "rules").mkdir()
    (place / "rules" / "own.yaml").write_text("pointsIssued:\n  fields:\n    loyalty.made.up: {from: x}\n")
    listed = json.loads(call("doctor", "--offline", "--json", **settings, MAPPING_PATH="rules").stdout)
    [mapping] = [one for one in listed if one["check"] == "mapping"]
    assert mapping["outcome"] == "fail"
    assert "own.yaml:3" in mapping["words"]
    assert "capillary-adobe mapping check" in mapping["cure"]


def test_findings_for_programs(call: Call, settings: dict[str, str]) -> None:
    answer = call("doctor", "--offline", "--json", **settings)
    listed = json.loads(answer.stdout)
    assert all(set(one) == {"check", "outcome", "words", "cure"} for one in listed)
    assert answer.exit_code == 1
    assert {one["check"] for one in listed if one["outcome"] == "fail"} == {"settings"}
