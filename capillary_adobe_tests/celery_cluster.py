"""Dagster's daemon and Celery's workers as programs of their own, which can be killed.

Belongs here: their configuration, which is the one that is shipped, starting, killing and waiting. Does not belong here: what
they work on, and any expectation.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
import yaml

from capillary_adobe.defs.celery_launcher import TASK_TAG, WatchedCeleryRunLauncher
from capillary_adobe.demo.processes import Program, stop
from capillary_adobe_tests.defs import impatient_daemon

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "deploy" / "celery" / "dagster.yaml"


def storage_environment(database: str) -> dict[str, str]:
    """The variables by which the shipped configuration finds Dagster's own database."""
    url = sa.make_url(database)
    parts = {
        "HOST": url.host,
        "PORT": url.port or 5432,
        "USERNAME": url.username,
        "PASSWORD": url.password,
        "DB": url.database,
    }
    return {f"DAGSTER_PG_{name}": str(value or "") for name, value in parts.items()}


def redis_environment(redis: str) -> dict[str, str]:
    """The variables by which it finds Redis."""
    return {"CELERY_BROKER_URL": redis, "CELERY_RESULT_URL": redis}


def configuration(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """The shipped configuration, with some values of some sections changed, since tests do not wait for a minute."""
    shipped = yaml.safe_load(SHIPPED.read_text("utf-8"))
    for section, values in changes.items():
        inner = shipped[section]["config"] if "config" in shipped[section] else shipped[section]
        inner.update(values)
    return shipped


@dataclass
class Cluster:
    """The programs of one DAGSTER_HOME. The variables must be those of this process, too: it reads the same instance."""

    home: Path
    programs: dict[str, Program] = field(default_factory=dict)

    def configure(self, configured: Mapping[str, Any]) -> None:
        """Write `dagster.yaml`."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(dict(configured)), "utf-8")

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def start_daemon(self) -> None:
        """With a code server of its own."""
        self._start("daemon", impatient_daemon.__name__, "run", "-m", "capillary_adobe.definitions")

    def start_worker(self, name: str, *queues: str, runs: int = 1) -> None:
        chosen = [word for queue in queues for word in ("--queue", queue)]
        self._start(name, "capillary_adobe.cli", "work", *chosen, "--runs", str(runs), "--name", name)

    def kill(self, name: str) -> None:
        """Without warning, the program and all that it started."""
        killed = self.programs.pop(name)
        killed.signal(signal.SIGKILL)
        self.wait(f"the end of {name}", lambda: not killed.alive())

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = 600.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            for program in self.programs.values():
                assert program.ended() is None, f"{program.name} ended\n{program.last_lines(40)}"
            logs = "\n".join(f"{name}:\n{program.last_lines(8)}" for name, program in self.programs.items())
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{logs}"
            time.sleep(0.2)  # a pause between two looks at the condition

    def stop(self) -> None:
        assert stop(list(self.programs.values())) == []
        self.programs.clear()

    def _start(self, name: str, *command: str) -> None:
        environment = {**os.environ, "DAGSTER_HOME": str(self.home)}
        log = self.home / f"{name}-{time.time_ns()}.log"
        self.programs[name] = Program(name, [sys.executable, "-m", *command], log, environment, self.home)


def at_work(instance: dg.DagsterInstance) -> dict[str, tuple[dg.DagsterRun, int]]:
    """Runs that have begun and their processes, by the name of the worker that has each."""
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedCeleryRunLauncher)
    found: dict[str, tuple[dg.DagsterRun, int]] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        meta = launcher.celery.backend.get_task_meta(run.tags.get(TASK_TAG) or "none")
        if meta["status"] == "STARTED":
            found[meta["result"]["hostname"].partition("@")[0]] = (run, meta["result"]["pid"])
    return found
