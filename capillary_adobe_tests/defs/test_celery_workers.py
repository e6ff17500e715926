"""Two workers on PostgreSQL, Redis and S3: one is killed as a whole and a process of the other, in the middle of their runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.history_backfill import BACKFILL_JOB
from capillary_adobe.defs.microbatch import LANE_TAG
from capillary_adobe.defs.run_queues import QUEUE_TAG
from capillary_adobe.defs.runs import FIRST_DAY_TAG
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import Receipts
from capillary_adobe_tests.celery_cluster import (
    Cluster,
    at_work,
    configuration,
    redis_environment,
    storage_environment,
)
from capillary_adobe_tests.defs.installation import Installation, events, summary
from capillary_adobe_tests.defs.test_by_day import land_history, standings
from capillary_adobe_tests.defs.test_sensor import fresh, key, settled, today
from capillary_adobe_tests.s3_servers import moto_server
from capillary_adobe_tests.services import postgres_database, redis_server

assert settled  # a fixture: objects are taken at once
DAYS = [f"2026-10-{day:02}" for day in range(1, 7)]


class Gate(ThreadingHTTPServer):
    """Adobe's identity service, which gives no answer until it is opened, and then sends everybody on to another."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Waiting)
        self.behind, self.opened = behind, threading.Event()


class _Waiting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Gate)
        self.server.opened.wait()
        # Whoever was killed meanwhile takes no answer.
        with suppress(OSError):
            self.send_response(307)
            self.send_header("Location", self.server.behind + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@pytest.fixture
def gate(emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    with Gate(emulator.base_url) as found:
        monkeypatch.setenv("ADOBE_IMS_URL", f"http://127.0.0.1:{found.server_port}")
        monkeypatch.setenv("ADOBE_TIMEOUT_SECONDS", "900")
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.opened.set()
        found.shutdown()
        thread.join()


@pytest.fixture
def installation(emulator: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Nothing of it is on this disk."""
    assert emulator.base_url
    with moto_server() as server, postgres_database() as state:
        server.use(monkeypatch)
        bucket = server.bucket()
        landing, lake = f"s3://{bucket}/landing", f"s3://{bucket}/lake"
        for name, address in {"LANDING_URL": landing, "LAKE_URL": lake, "STATE_URL": state}.items():
            monkeypatch.setenv(name, address)
        yield Installation(
            tmp_path / "installation", tmp_path / "nothing", landing_url=landing, lake_url=lake, state_url=state
        )


@pytest.fixture
def cluster(
    installation: Installation, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    with redis_server() as redis, postgres_database() as database:
        # Without profiles no run but that of the micro-batch delivers anything of today.
        for name in [name for name in os.environ if name.startswith("ADOBE_PROFILES_")]:
            monkeypatch.delenv(name)
        settings = {
            "HISTORY_START": "2026-01-01",
            "HISTORY_DAYS_PER_RUN": "1",
            # Runs that show nothing here.
            "ADOBE_VERDICT_SECONDS": "3600",
            "ADOBE_SCHEMA_SECONDS": "3600",
        }
        for name, value in {**storage_environment(database), **redis_environment(redis), **settings}.items():
            monkeypatch.setenv(name, value)
        found = Cluster(tmp_path / "home")
        found.configure(configuration(run_monitoring={"poll_interval_seconds": 1}, run_launcher={"silent_seconds": 3}))
        try:
            yield found
        finally:
            found.stop()


def test_every_day_arrives_once_although_a_worker_and_a_process_of_the_other_are_killed(
    cluster: Cluster, gate: Gate, installation: Installation, emulator: RunningEmulator
) -> None:
    land_history(installation, *DAYS)
    with cluster.instance() as instance:
        backfill = installation.definitions.resolve_job_def(BACKFILL_JOB)
        assert backfill.execute_in_process(instance=instance).success
        cluster.start_worker("both", "live", "history")
        cluster.start_worker("other", "history")
        cluster.start_daemon()
        cluster.wait("a run at work at each", lambda: set(at_work(instance)) == {"both", "other"})
        lost = at_work(instance)
        # A process asks for its first token when it is to look at AEP's schema, and waits.
        cluster.wait(
            "both in the middle of a day", lambda: all(_half_way(instance, run.run_id) for run, _ in lost.values())
        )
        os.kill(lost["both"][1], signal.SIGKILL)
        cluster.kill("other")
        gate.opened.set()
        installation.land(key("1"), fresh(1))
        cluster.wait("every day through", lambda: set(standings(installation).values()) == {"done"})
        cluster.wait("the live event at AEP", lambda: summary(emulator.base_url)["distinct"] == 2 * len(DAYS) + 1)
        cluster.wait(
            "no run at work", lambda: not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        )
        runs = {run.run_id: run for run in instance.get_runs()}
    for name in ("both", "other"):
        assert runs[lost[name][0].run_id].status is dg.DagsterRunStatus.FAILURE
    live = [run for run in runs.values() if run.tags.get(LANE_TAG) == "live"]
    assert {run.tags[QUEUE_TAG] for run in live} == {"live"}
    history = [run for run in runs.values() if FIRST_DAY_TAG in run.tags]
    assert {run.tags[QUEUE_TAG] for run in history} == {"history"}
    # One run a day, and one more for each that was lost.
    assert len(history) == len(DAYS) + 2
    seen = summary(emulator.base_url)
    assert (seen["distinct"], seen["duplicates"]) == (2 * len(DAYS) + 1, 0)
    assert len(events(emulator.base_url)) == seen["distinct"]
    for day in (*DAYS, today()):
        balance = installation.balance(day)
        assert balance.balanced, balance.differences
        assert balance.delivery["accepted"] == balance.landed_lines > 0
        assert Receipts(installation.state).of_day(day).accepted_twice() == 0


def _half_way(instance: dg.DagsterInstance, run_id: str) -> bool:
    wanted = dg.DagsterEventType.STEP_START
    return any(entry.step_key == "xdm_events" for entry in instance.all_logs(run_id, of_type=wanted))
