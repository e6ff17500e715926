"""Alerts end to end: a broken mapping and a stopped AEP, told by a real daemon that is killed meanwhile, on both databases."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from capillary_adobe.defs.runs import ACTIVE
from capillary_adobe.demo.processes import Program, stop
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts
from capillary_adobe_tests.alerting.receivers import Receiver, mail, wait_until, webhook
from capillary_adobe_tests.defs.installation import Installation
from capillary_adobe_tests.defs.test_alerts import BROKEN, MENDED, TODAY, hour, now_sale
from capillary_adobe_tests.services import postgres_database

PATIENCE = 400.0
"""Seconds to wait for programs that share two cores with others; how soon alerts are told is measured by their own times."""

REPOSITORY = Path(__file__).parents[2]
FAILED = {
    f"Error: ingestion_status failed for {TODAY}",
    f"Warning: The check mapping_is_sound of xdm_events failed for {TODAY}",
}
RECOVERED = {
    f"Recovered: ingestion_status failed for {TODAY}",
    f"Recovered: The check mapping_is_sound of xdm_events failed for {TODAY}",
}


@dataclass
class Daemon:
    """Dagster's daemon with a code server of its own, in one process group."""

    home: Path
    environment: dict[str, str]
    program: Program | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "capillary_adobe.definitions"]
        log = self.home / "daemon.log"
        self.program = Program("daemon", command, log, self.environment, self.home)

    def kill(self) -> None:
        """Without warning, it and all that it had started."""
        assert self.program is not None
        assert self.program.ended() is None, self.program.last_lines(40)
        self.program.signal(signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        assert self.program is None or stop([self.program]) == []


@pytest.fixture(params=["sqlite", "postgresql"])
def daemon(request: pytest.FixtureRequest, installation: Installation, tmp_path: Path) -> Iterator[Daemon]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "LANDING_URL": str(installation.landing_root),
        "LAKE_URL": installation.lake.url,
        "STATE_URL": installation.state_url,
        "LANDING_SETTLE_SECONDS": "0",
        "LANDING_RETRY_SECONDS": "40",
        # Runs and ticks that show nothing here.
        "ADOBE_VERDICT_SECONDS": "3600",
        "ADOBE_SCHEMA_SECONDS": "3600",
        "ADOBE_RETRY_BUDGET_SECONDS": "0",
        "ALERT_SETTLE_SECONDS": "10",
        "ALERT_UI_URL": "http://127.0.0.1:3000",
    }
    # Without profiles no run but that of the micro-batch delivers anything of the day.
    for name in [name for name in environment if name.startswith("ADOBE_PROFILES_")]:
        del environment[name]
    if request.param == "sqlite":
        found = Daemon(home, environment)
        yield found
        found.stop()
        return
    with postgres_database() as of_dagster, postgres_database() as of_state:
        storage = {"postgres": {"postgres_url": of_dagster.replace("postgresql://", "postgresql+psycopg2://", 1)}}
        with (home / "dagster.yaml").open("a") as file:
            yaml.safe_dump({"storage": storage}, file)
        found = Daemon(home, environment | {"STATE_URL": of_state})
        yield found
        found.stop()


@pytest.fixture
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    with mail() as box, webhook() as hook:
        yield box, hook


def test_each_is_one_alert_and_one_recovery_on_each_channel(
    daemon: Daemon, installation: Installation, emulator: RunningEmulator, receivers: tuple[Receiver, Receiver]
) -> None:
    box, hook = receivers
    daemon.environment["ALERT_CHANNELS"] = f"mail={box.url} hook={hook.url}"
    rules = daemon.home / "rules"
    rules.mkdir()
    (rules / "own.yaml").write_text(BROKEN)
    daemon.environment["MAPPING_PATH"] = str(rules)
    emulator.faults.add(kind="reset_before", path="/collection", times=None)
    installation.land(f"events/{TODAY}/{hour()}/1.jsonl", now_sale(1))
    daemon.start()
    wait_until(lambda: len(box.taken) >= 2 and len(hook.taken) >= 2, PATIENCE, "both failures on both channels")
    # A run that dies with the daemon would be a failure of its own.
    with dg.DagsterInstance.from_config(str(daemon.home)) as instance:
        wait_until(lambda: not instance.get_runs(dg.RunsFilter(statuses=ACTIVE)), PATIENCE, "no run at work")
        daemon.kill()
    (rules / "own.yaml").write_text(MENDED)
    emulator.faults.clear()
    daemon.start()
    wait_until(lambda: len(box.taken) >= 4 and len(hook.taken) >= 4, PATIENCE, "both recoveries")
    daemon.stop()
    for receiver in receivers:
        assert set(receiver.titles()[:2]) == FAILED
        assert set(receiver.titles()[2:]) == RECOVERED
        assert len(receiver.taken) == 4
    body = next(one.body for one in hook.taken if one.title.startswith("Error"))
    assert "No answer from AEP" in body
    assert "http://127.0.0.1:3000/runs/" in body
    assert f"http://127.0.0.1:3000/assets/ingestion_status?view=partitions&partition={TODAY}" in body
    register = Alerts(State(daemon.environment["STATE_URL"]))
    assert register.latest(10, standing=True) == []
    told = register.latest(10, standing=False)
    tellings = register.tellings(told)
    assert len(tellings) == 4
    for one in told:
        assert all(tellings[one.alert_id, name].failed_ms - one.first_ms < 120_000 for name in ("mail", "hook"))
