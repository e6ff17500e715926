"""The set-up for one machine, from the units' own lines and the settings that the page tells, on PostgreSQL."""

from __future__ import annotations

import configparser
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import orjson
import pytest
import requests
import sqlalchemy as sa

from capillary_adobe.defs.build import JOB
from capillary_adobe.defs.runs import ACTIVE
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe_tests.alerting.receivers import wait_until
from capillary_adobe_tests.cli.programs import answers, free_port
from capillary_adobe_tests.defs.installation import events
from capillary_adobe_tests.defs.test_alerts import now_sale
from capillary_adobe_tests.deploy.machine import Machine
from capillary_adobe_tests.deploy.units import INSTALLED
from capillary_adobe_tests.docs.pages import ROOT, blocks, page
from capillary_adobe_tests.services import postgres_database

PATIENCE = 900.0
"""Seconds to wait for programs that share two cores with others."""

SECRET = "the-secret-of-this-test"
RECEIVER = "capillary-adobe-receiver"
DAEMON = "capillary-adobe-daemon"
CODE_SERVER = "capillary-adobe-code-server"
WEBSERVERS = ("capillary-adobe-webserver", "capillary-adobe-webserver-read-only")
PORTS = {"receiver": 8790, "code": 4266, "ui": 3000, "guests": 3001}
# Not there on the machine of a test; and ticks that show nothing here.
LEFT_OUT = ("CAPILLARY_API_", "CAPILLARY_WEBHOOK_", "ADOBE_", "HISTORY_START")
QUIET = {
    "ADOBE_VERDICT_SECONDS": "3600",
    "ADOBE_SCHEMA_SECONDS": "3600",
    "ADOBE_TIMEOUT_SECONDS": "10",
    "LANDING_SETTLE_SECONDS": "0",
}


@dataclass
class Set:
    """The services with what they are connected to."""

    machine: Machine
    emulator: RunningEmulator
    instance: dg.DagsterInstance
    ports: dict[str, int]

    def post(self, number: int) -> None:
        """An event, as Capillary posts it."""
        url = f"http://127.0.0.1:{self.ports['receiver']}/events"
        body = orjson.dumps(now_sale(number))
        answer = requests.post(url, data=body, headers={"Authorization": SECRET}, timeout=30)
        assert answer.status_code == 200, answer.text

    def wait_until(self, met: Callable[[], bool], what: str) -> None:
        """Wait for a condition, while what ends is started again."""

        def watched() -> bool:
            self.machine.watch()
            return met()

        try:
            wait_until(watched, PATIENCE, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.machine.log(DAEMON)[-3000:]}") from None


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Set]:
    ports = {name: free_port() for name in PORTS}
    with (
        postgres_database() as of_dagster,
        postgres_database() as of_state,
        RunningEmulator(tmp_path / "emulator") as emulator,
    ):
        places = {"/srv/capillary": str(tmp_path / "srv"), "/etc/capillary-adobe": str(tmp_path / "etc")}
        url = sa.make_url(of_dagster)
        # Without profiles a run has one request to send.
        of_aep = {name: value for name, value in emulator.environment.items() if "PROFILES" not in name}
        own = {
            "receiver": {"RECEIVE_SECRET": SECRET, "RECEIVE_PORT": str(ports["receiver"])},
            "dagster": {
                "DAGSTER_PG_HOST": url.host or "",
                "DAGSTER_PG_PORT": str(url.port or 5432),
                "DAGSTER_PG_USERNAME": url.username or "",
                "DAGSTER_PG_PASSWORD": url.password or "",
                "DAGSTER_PG_DB": url.database or "",
            },
            "settings": {"STATE_URL": of_state, **of_aep, **QUIET},
        }
        write_settings(tmp_path / "etc", places, own)
        install(tmp_path, places, ports)
        for name, value in own["dagster"].items():
            monkeypatch.setenv(name, value)
        elsewhere = {
            f"{INSTALLED}/workspace.yaml": str(tmp_path / "workspace.yaml"),
            **{f"-p {PORTS[name]}": f"-p {port}" for name, port in ports.items()},
            **places,
        }
        with (
            dg.DagsterInstance.from_config(str(tmp_path / "srv" / "dagster_home")) as instance,
            Machine(tmp_path, elsewhere) as machine,
        ):
            yield Set(machine, emulator, instance, ports)


def write_settings(folder: Path, places: dict[str, str], own: dict[str, dict[str, str]]) -> None:
    """The files of /etc/capillary-adobe as the page has them, with what is this machine's own."""
    folder.mkdir()
    told = dict(zip(("receiver", "dagster", "settings"), blocks(page("deploying.md"), "ini"), strict=True))
    for name, text in told.items():
        parser = configparser.RawConfigParser()
        parser.optionxform = str  # type: ignore[method-assign,assignment]
        parser.read_string(f"[{name}]\n{text}")
        kept = {key: value for key, value in parser[name].items() if not key.startswith(LEFT_OUT)}
        # The page names all that this machine's own values are given for, but for what only a test sets.
        only_here = {"RECEIVE_PORT", *QUIET}
        assert {key for key in own[name] if not key.startswith(LEFT_OUT)} - only_here <= set(kept)
        lines = [f"{key}={value}" for key, value in {**kept, **own[name]}.items()]
        moved = "\n".join(lines)
        for place, other in places.items():
            moved = moved.replace(place, other)
        (folder / f"{name}.env").write_text(moved + "\n")


def install(root: Path, places: dict[str, str], ports: dict[str, int]) -> None:
    for name in ("landing", "lake", "dagster_home"):
        (Path(places["/srv/capillary"]) / name).mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "one-machine" / "dagster.yaml", root / "srv" / "dagster_home" / "dagster.yaml")
    workspace = (ROOT / "workspace.yaml").read_text()
    (root / "workspace.yaml").write_text(workspace.replace(f"port: {PORTS['code']}", f"port: {ports['code']}"))


def test_events_go_through_over_a_killed_daemon_and_a_stop_ends_the_run_at_work(services: Set) -> None:
    machine, instance = services.machine, services.instance
    machine.start(RECEIVER, DAEMON, *WEBSERVERS, CODE_SERVER)
    services.wait_until(lambda: answers(services.ports["receiver"]), "the receiver")
    services.post(1)
    services.wait_until(lambda: len(events(services.emulator.base_url)) == 1, "an event at AEP")
    at_work = dg.RunsFilter(statuses=ACTIVE)
    services.wait_until(lambda: not instance.get_runs(at_work), "the end of its run")

    killed = machine.process(DAEMON)
    killed.kill()
    killed.wait()
    services.emulator.faults.add(kind="delay", path="/collection", seconds=30, times=None)
    services.post(2)
    services.wait_until(lambda: services.emulator.faults.overview()[0]["met"] > 0, "a request of the next run")
    assert machine.process(DAEMON).pid != killed.pid
    assert len(instance.get_runs(dg.RunsFilter(job_name=JOB))) == 2
    for name in ("ui", "guests"):
        services.wait_until(lambda name=name: answers(services.ports[name]), name)

    # A run that waits for AEP when everything is stopped says that it was stopped, and keeps its day no longer.
    assert instance.get_runs(at_work)
    assert machine.stop(RECEIVER, DAEMON, *WEBSERVERS, CODE_SERVER) == []
    assert instance.get_runs(at_work) == []
