"""`capillary-adobe work`: a worker that could never get a run says so instead of waiting."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from capillary_adobe.cli import main
from capillary_adobe_tests.celery_cluster import ROOT, configuration


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CELERY_RESULT_URL", "redis://127.0.0.1:1/0")
    return tmp_path


def told(queue: str) -> str:
    answer = CliRunner().invoke(main, ["work", "--queue", queue])
    assert answer.exit_code == 1, answer.output
    return answer.output


def test_without_a_home_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert "DAGSTER_HOME is not set" in told("live")


def test_an_instance_without_celery_is_told_with_the_file_to_take(home: Path) -> None:
    shutil.copy(ROOT / "dagster.yaml", home)
    assert "Take deploy/celery/dagster.yaml" in told("live")


def test_a_queue_that_no_run_goes_to_is_told_with_those_that_there_are(home: Path) -> None:
    shipped = configuration(run_launcher={"include": []})
    parts = {name: shipped[name] for name in ("run_launcher", "run_coordinator")}
    (home / "dagster.yaml").write_text(yaml.safe_dump(parts), "utf-8")
    assert "No run ever goes to the queue histroy: those of dagster.yaml are live and history." in told("histroy")
