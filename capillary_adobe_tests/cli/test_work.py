"""`capillary-adobe work`: a worker that could never get a run says so instead of waiting."""

from __future__ import annotations

import shutil
import sys
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


def configure(home: Path) -> None:
    shipped = configuration(run_launcher={"include": []})
    parts = {name: shipped[name] for name in ("run_launcher", "run_coordinator")}
    (home / "dagster.yaml").write_text(yaml.safe_dump(parts), "utf-8")


def test_a_variable_of_dagsters_configuration_that_is_missing_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home)
    monkeypatch.delenv("CELERY_BROKER_URL")
    assert 'the environment variable "CELERY_BROKER_URL" which is not set' in told("live")


def test_without_dagster_celery_it_says_how_to_install_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home)
    monkeypatch.delitem(sys.modules, "capillary_adobe.defs.celery_launcher", raising=False)
    monkeypatch.setitem(sys.modules, "dagster_celery.launcher", None)
    assert "dagster-celery is not installed: pip install -e '.[celery,postgres]'" in told("live")


def test_a_queue_that_no_run_goes_to_is_told_with_those_that_there_are(home: Path) -> None:
    configure(home)
    assert "No run ever goes to the queue histroy: those of dagster.yaml are live and history." in told("histroy")
