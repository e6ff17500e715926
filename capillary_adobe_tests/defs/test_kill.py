"""A run killed without warning, at any stage: the next one loses nothing and repeats no acknowledged entity."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.state import Receipts
from capillary_adobe_tests.defs.installation import Installation, summary

DAY = "2026-11-19"
CONNECTIONS = 2


def start(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """The command of the operator, as a process of its own."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "group:delivery"]
    command += ["--partition", DAY, "-m", "capillary_adobe.definitions"]
    with log.open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> bool:
    """Kill the process as soon as something is so; False where it ended before."""
    while process.poll() is None:
        if reached():
            process.kill()
            process.wait()
            return True
        time.sleep(0.001)  # a pause between two looks at the condition
    return False


def test_kills_at_every_stage_lose_nothing_and_repeat_nothing_acknowledged(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "installation", tmp_path / "landing")
    write_day(installation.store, date.fromisoformat(DAY), 1500)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with RunningEmulator(tmp_path / "emulator", behaviour=Behaviour(latency_seconds=0.02)) as emulator:
        environment = {
            **os.environ,
            **emulator.environment,
            "DAGSTER_HOME": str(home),
            "LANDING_URL": str(installation.landing_root),
            "LAKE_URL": installation.lake.url,
            "STATE_URL": f"sqlite:///{installation.root / 'state.db'}",
            "ADOBE_MAX_RECORDS_PER_SECOND": "0",
            "ADOBE_MAX_REQUEST_BYTES": "40000",
            "ADOBE_CONNECTIONS": str(CONNECTIONS),
            "CAPILLARY_CURRENCY": "INR",
        }

        def stored(table: str) -> Callable[[], bool]:
            commits = Path(installation.lake.url) / table / "_delta_log"
            return lambda: (commits / f"{1:020d}.json").exists()

        def arrived(count: int) -> Callable[[], bool]:
            return lambda: summary(emulator.base_url)["accepted"] >= count

        kills = 0
        moments = [stored("raw_events"), stored("xdm_profiles"), stored("xdm_events"), arrived(1), arrived(700)]
        for number, moment in enumerate(moments):
            kills += kill_when(start(environment, tmp_path / f"run-{number}.log"), moment)
        log = tmp_path / "last.log"
        assert start(environment, log).wait() == 0, log.read_text("utf-8", "replace")[-3000:]
        seen = summary(emulator.base_url)

    assert kills == 5
    balance = installation.balance(DAY)
    assert balance.balanced, balance.differences
    assert balance.delivery["accepted"] == balance.raw == seen["distinct"]
    assert balance.profile_delivery["accepted"] == balance.entities["profiles"] > 100
    assert Receipts(installation.state).of_day(DAY).accepted_twice() == 0
    # Only a request whose answer was on its way when the process died may have been repeated.
    requests_in_flight = kills * CONNECTIONS
    entities_in_a_request = 40
    assert seen["duplicates"] <= requests_in_flight * entities_in_a_request
