"""The doctor's looks at Dagster, at real instances."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.doctor import DagsterLooks, judge_pools
from capillary_adobe.doctor.findings import Finding, examine

SHIPPED = Path(__file__).parents[2] / "dagster.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(SHIPPED, tmp_path / "dagster.yaml")
    return tmp_path


def looked() -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(DagsterLooks().checks(), [])}


def test_an_instance_as_shipped(home: Path) -> None:
    found = looked()
    assert found["dagster"].words == f"Dagster {dg.__version__} loads its instance."
    assert found["dagster pools"].outcome == "ok"
    assert found["dagster daemon"].outcome == "warn"
    assert "dagster-daemon run" in found["dagster daemon"].cure
    assert home.is_dir()


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    found = looked()
    assert found["dagster"].outcome == "fail"
    assert "DAGSTER_HOME is not set" in found["dagster"].words
    assert found["dagster daemon"].outcome == found["dagster pools"].outcome == "skipped"


def test_a_home_that_is_no_folder_or_whose_file_is_wrong(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "dagster.yaml").write_text("colour: red\n")
    assert "Errors whilst loading dagster instance config" in looked()["dagster"].words
    monkeypatch.setenv("DAGSTER_HOME", str(home / "nowhere"))
    assert "does not exist" in looked()["dagster"].words


def test_a_storage_that_does_not_answer(home: Path) -> None:
    storage = "storage:\n  postgres:\n    postgres_url: postgresql://me:hidden-word@127.0.0.1:9/none\n"
    (home / "dagster.yaml").write_text(storage)
    found = looked()["dagster"]
    assert found.outcome == "fail"
    assert "hidden-word" not in str(found)


def test_an_instance_without_the_shipped_file(home: Path) -> None:
    (home / "dagster.yaml").unlink()
    found = [finding for finding in examine(DagsterLooks().checks(), []) if finding.check == "dagster pools"]
    assert {finding.outcome for finding in found} <= {"warn", "fail"}
    assert all("dagster.yaml" in finding.cure for finding in found)


def test_pools_that_do_not_hold() -> None:
    faults = judge_pools("run", None, None)
    assert isinstance(faults, list)
    assert [one.outcome for one in faults] == ["fail", "warn", "warn"]
