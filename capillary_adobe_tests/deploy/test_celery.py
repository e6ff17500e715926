"""The configuration for several workers: Dagster takes it, its numbers fit each other, and it differs only where it must."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster_postgres import PostgresRunStorage

from capillary_adobe.cli import main
from capillary_adobe.defs.celery_launcher import WatchedCeleryRunLauncher
from capillary_adobe.defs.run_queues import QUEUE_TAG, TwoQueueRunCoordinator
from capillary_adobe_tests.celery_cluster import ROOT, SHIPPED, redis_environment, storage_environment
from capillary_adobe_tests.docs.pages import page
from capillary_adobe_tests.services import postgres_database

ANALYZE = shutil.which("systemd-analyze")
UNIT = ROOT / "deploy" / "celery" / "capillary-adobe-worker@.service"


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))


def limits(configured: dict[str, Any]) -> dict[str, int]:
    """Limits of runs by queue."""
    found = configured["concurrency"]["runs"]["tag_concurrency_limits"]
    return {one["value"]: one["limit"] for one in found if one["key"] == QUEUE_TAG}


def test_dagster_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_bytes(SHIPPED.read_bytes())
    with postgres_database() as database:
        for name, value in {**storage_environment(database), **redis_environment("redis://127.0.0.1:1/0")}.items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            launcher, coordinator = instance.run_launcher, instance.run_coordinator
            assert isinstance(launcher, WatchedCeleryRunLauncher)
            assert isinstance(coordinator, TwoQueueRunCoordinator)
            assert isinstance(instance.run_storage, PostgresRunStorage)
            assert launcher.supports_check_run_worker_health
            assert instance.run_monitoring_max_resume_run_attempts == 0
            # A result that lives shorter than a run makes it look lost; one kept by rpc:// cannot be read by the daemon.
            assert launcher.celery.conf.result_expires > instance.run_monitoring_max_runtime_seconds
            assert launcher.celery.conf.result_backend.startswith("redis")
            assert launcher.celery.conf.task_acks_late is False
            # What a worker took and did not begin, because it was killed, goes to another one long before it fails.
            taken = launcher.celery.conf.broker_transport_options["visibility_timeout"]
            assert taken * 2 < instance.run_monitoring_start_timeout_seconds
            queue = instance.get_concurrency_config().run_queue_config
            assert queue is not None
            assert queue.max_concurrent_runs == read(SHIPPED)["concurrency"]["runs"]["max_concurrent_runs"]


def test_no_run_is_dequeued_that_no_worker_takes() -> None:
    configured = read(SHIPPED)
    coordinator = configured["run_coordinator"]["config"]
    assert set(limits(configured)) == {coordinator["live_queue"], coordinator["history_queue"]}
    assert sum(limits(configured).values()) == configured["concurrency"]["runs"]["max_concurrent_runs"]


def test_all_else_is_as_on_one_machine() -> None:
    ours, theirs = read(SHIPPED), read(ROOT / "dagster.yaml")
    for name in ("storage", "compute_logs", "run_launcher"):
        del ours[name]
    assert (
        ours.pop("run_coordinator")["config"]["dequeue_interval_seconds"]
        == theirs.pop("run_queue")["dequeue_interval_seconds"]
    )
    runs, of_one = ours.pop("concurrency"), theirs.pop("concurrency")
    kept = [one for one in runs["runs"]["tag_concurrency_limits"] if one["key"] != QUEUE_TAG]
    assert kept == [one for one in of_one["runs"]["tag_concurrency_limits"] if one["key"] != "dagster/backfill"]
    assert runs["pools"]["granularity"] == of_one["pools"]["granularity"]
    assert ours["run_monitoring"].pop("start_timeout_seconds") > theirs["run_monitoring"].pop("start_timeout_seconds")
    assert ours["run_monitoring"].pop("max_resume_run_attempts") == 0
    assert ours == theirs


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")
def test_systemd_takes_the_unit_and_it_is_shut_off_from_the_rest_of_the_machine(tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "capillary-adobe")
    installed = tmp_path / "capillary-adobe-worker@live.service"
    installed.write_text(re.sub(r"/opt/\S+/capillary-adobe", program, UNIT.read_text("utf-8")))
    for words in (["verify", "--man=no", str(installed)], ["security", "--offline=yes", "--threshold=25", str(UNIT)]):
        seen = subprocess.run([str(ANALYZE), *words], capture_output=True, text=True, check=False)
        assert seen.returncode == 0, seen.stdout + seen.stderr


def test_the_unit_starts_a_worker_that_may_finish_its_runs() -> None:
    class Lines(RawConfigParser):
        def optionxform(self, optionstr: str) -> str:
            return optionstr

    parser = Lines(strict=False, interpolation=None)
    parser.read_string(UNIT.read_text("utf-8"))
    unit = parser["Service"]
    words = unit["ExecStart"].split()
    command = main.commands[words[1]]
    assert words[0].endswith("/capillary-adobe")
    assert {word for word in words if word.startswith("--")} <= {name for one in command.params for name in one.opts}
    # Celery's main process tells its children; a signal to all of them would kill the runs.
    assert (unit["KillSignal"], unit["KillMode"], unit["Restart"]) == ("SIGTERM", "mixed", "always")
    assert int(unit["TimeoutStopSec"]) >= 600
    assert "/etc/capillary-adobe/worker.env" in page("celery.md")
