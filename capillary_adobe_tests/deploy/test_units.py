"""The systemd units: systemd takes them, and they fit the programs that they start."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from capillary_adobe.cli import main
from capillary_adobe.settings import AdobeSettings, ReceiverSettings
from capillary_adobe_tests.deploy.units import FOLDER, INSTALLED, Unit, here, service, services
from capillary_adobe_tests.docs.pages import ROOT, page

ANALYZE = shutil.which("systemd-analyze")
RECEIVERS = [unit for unit in services() if "receiver" in unit.name]
OF_DAGSTER = [unit for unit in services() if unit not in RECEIVERS]
TARGET = Unit(FOLDER / "capillary-adobe-dagster.target")
each_unit = pytest.mark.parametrize("unit", services(), ids=lambda unit: unit.name)
each_receiver = pytest.mark.parametrize("unit", RECEIVERS, ids=lambda unit: unit.name)
each_of_dagster = pytest.mark.parametrize("unit", OF_DAGSTER, ids=lambda unit: unit.name)
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")


def default(field: str) -> float:
    return float(ReceiverSettings.model_fields[field].default)


def installed(unit: Unit) -> str:
    """The name of its file where it is installed."""
    return unit.name.replace("@", "@8791")


@pytest.fixture(scope="module")
def remarks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What systemd says of all units together, as installed; once, since it loads every unit of the machine each time."""
    folder = tmp_path_factory.mktemp("units")
    for unit in [*services(), TARGET]:
        (folder / installed(unit)).write_text(here(unit.text))
    names = sorted(str(path) for path in folder.iterdir())
    seen = subprocess.run([str(ANALYZE), "verify", "--man=no", *names], capture_output=True, text=True, check=False)
    return seen.stdout + seen.stderr


@needs_systemd
@pytest.mark.parametrize("unit", [*services(), TARGET], ids=lambda unit: unit.name)
def test_systemd_takes_the_unit_without_a_remark(unit: Unit, remarks: str) -> None:
    assert [line for line in remarks.splitlines() if installed(unit) in line] == []


@needs_systemd
@each_unit
def test_the_unit_is_shut_off_from_the_rest_of_the_machine(unit: Unit) -> None:
    seen = subprocess.run(
        [str(ANALYZE), "security", "--offline=yes", "--threshold=25", str(unit.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.returncode == 0, seen.stdout + seen.stderr


@each_unit
def test_it_comes_back_whatever_ended_it(unit: Unit) -> None:
    assert unit.one("Restart") == "always"
    assert unit.one("StartLimitIntervalSec") == "0"


@each_unit
def test_the_page_names_what_the_unit_reads_and_writes(unit: Unit) -> None:
    told = page("receiving.md") if unit in RECEIVERS else page("deploying.md")
    for place in [*unit.lines["EnvironmentFile"], *unit.words("ReadWritePaths")]:
        assert place in told or Path(place).name in told
    assert unit.path.stem in told


@each_receiver
def test_a_stop_lets_the_receiver_land_what_it_took(unit: Unit) -> None:
    needed = default("stop_seconds") + default("commit_seconds")
    assert float(unit.one("TimeoutStopSec")) > needed
    assert (unit.one("KillSignal"), unit.one("KillMode")) == ("SIGTERM", "mixed")
    assert int(unit.one("LimitNOFILE")) > default("max_connections")


@each_receiver
def test_the_receiver_is_started_by_a_command_that_exists(unit: Unit) -> None:
    assert unit.one("ExecStart").split()[-1] in main.commands


def test_the_template_is_the_unit_with_a_port() -> None:
    one, several = (set(unit.text.splitlines()) for unit in RECEIVERS)
    differing = {line.partition("=")[0] for line in one ^ several if not line.startswith("#")}
    assert differing == {"Description", "ExecStart"}


@each_of_dagster
def test_every_option_of_the_command_is_one_of_the_program(unit: Unit) -> None:
    program, *rest = shlex.split(here(unit.one("ExecStart")))
    commands = [program, *(word for word in rest[:2] if word in ("run", "code-server", "start"))]
    known = options(tuple(commands))
    assert {word for word in rest if word.startswith("-")} - known == set()


@cache
def options(command: tuple[str, ...]) -> set[str]:
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told))


def test_dagsters_units_start_and_stop_with_the_target_and_the_receiver_does_not() -> None:
    assert {unit.name for unit in OF_DAGSTER if TARGET.name in unit.words("PartOf")} == {
        unit.name for unit in OF_DAGSTER
    }
    assert [unit.name for unit in RECEIVERS if unit.lines["PartOf"]] == []
    optional = {"capillary-adobe-webserver-read-only.service"}
    assert set(TARGET.words("Wants")) == {unit.name for unit in OF_DAGSTER} - optional


def test_the_others_wait_for_a_code_server_that_has_loaded_its_definitions() -> None:
    code_server = service("capillary-adobe-code-server")
    assert "grpc-health-check" in code_server.one("ExecStartPost")
    for unit in OF_DAGSTER:
        assert (code_server.name in unit.words("After")) == (unit != code_server)


def test_they_listen_on_this_machine_alone_where_the_workspace_looks_for_them() -> None:
    [location] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    words = service("capillary-adobe-code-server").words("ExecStart")
    server = location["grpc_server"]
    assert ("-p", str(server["port"])) in pairs(words)
    assert ("--location-name", server["location_name"]) in pairs(words)
    for unit in OF_DAGSTER:
        words = unit.words("ExecStart")
        if "-p" in words:
            assert ("-h", "127.0.0.1") in pairs(words)
        if "-w" in words:
            assert ("-w", f"{INSTALLED}/workspace.yaml") in pairs(words)


def pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    return itertools.pairwise(words)


def test_the_secrets_of_aep_and_capillary_reach_the_code_server_alone() -> None:
    assert {
        unit.name for unit in services() if any("settings.env" in one for one in unit.lines["EnvironmentFile"])
    } == {"capillary-adobe-code-server.service"}


def test_a_stop_of_the_code_server_gives_its_runs_the_time_that_dagster_gives_them() -> None:
    code_server = service("capillary-adobe-code-server")
    given = yaml.safe_load((ROOT / "deploy" / "one-machine" / "dagster.yaml").read_text())["run_monitoring"]
    a_request = AdobeSettings.model_fields["timeout_seconds"].default
    assert float(code_server.one("TimeoutStopSec")) > max(given["cancel_timeout_seconds"], a_request)
    assert code_server.one("KillMode") == "control-group"
    assert code_server.one("OOMPolicy") == "continue"


def test_a_backfills_run_may_lower_its_priority_in_the_code_server() -> None:
    filters = service("capillary-adobe-code-server").lines["SystemCallFilter"]
    # Lists are taken in their order, and @resources takes the call away.
    assert filters.index("setpriority") > filters.index("~@privileged @resources")


def test_the_operators_command_is_run_as_the_services_are() -> None:
    script = ROOT / "deploy" / "one-machine" / "capillary-adobe"
    assert subprocess.run(["sh", "-n", str(script)], capture_output=True, check=False).returncode == 0
    text = script.read_text()
    read = set(re.findall(r"EnvironmentFile=(\S+)", text))
    assert read == {place for unit in services() for place in unit.lines["EnvironmentFile"]}
    for unit in services():
        assert {f"--uid={unit.one('User')}", f"--gid={unit.one('Group')}"} <= set(text.split())
        assert f"UMask={unit.one('UMask')}" in text
    known = (
        subprocess.run(["systemd-run", "--help"], capture_output=True, text=True, check=False).stdout if ANALYZE else ""
    )
    named = set(re.findall(r"--[a-z-]+", text.partition("exec systemd-run")[2]))
    assert not known or {one for one in named if one not in known} == set()
    missing = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "install capillary-adobe" in missing.stderr
