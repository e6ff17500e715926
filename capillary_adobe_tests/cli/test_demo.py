"""`capillary-adobe demo`: the whole stack for real, and what it says where it cannot start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from capillary_adobe.demo.processes import Program, stop
from capillary_adobe.demo.stack import MODULE, code_server_command
from capillary_adobe.demo.surroundings import Ports, Surroundings, given_settings
from capillary_adobe.settings import RECORDED, every_class, variable
from capillary_adobe_tests.cli.conftest import Call
from capillary_adobe_tests.cli.programs import command, free_port, wait_until

ROOT = Path(__file__).parents[2]


def test_check_sees_a_micro_batch_a_balanced_day_and_a_rerun(place: Path) -> None:
    """The slowest of all: about a minute."""
    with command("demo", "--check", folder=place) as demo:
        seen = _children_until_end(demo)
        printed, errors = demo.communicate(timeout=60)
    assert demo.returncode == 0, printed + errors
    assert "a micro-batch run that succeeded" in printed
    assert re.search(r"Set up in AEP: \d\d objects made\.", printed)
    balanced = re.findall(r"(\d{4}-\d{2}-\d{2}): balanced, .* (\d+) accepted by AEP", printed)
    assert len(balanced) >= 2
    assert all(int(accepted) > 0 for _, accepted in balanced)
    assert f"partition {balanced[0][0]} materialized again" in printed
    assert len(seen) >= 5, "emulator, code server, webserver, daemon and feed"
    assert [process for process in seen if _lives(process)] == []
    assert list(place.iterdir()) == []


@pytest.fixture
def started(place: Path) -> Iterator[tuple[subprocess.Popen[str], set[psutil.Process]]]:
    """A demo whose emulator runs, and all its processes so far."""
    ports = [free_port() for _ in range(3)]
    options = [f"--{name}-port={port}" for name, port in zip(("ui", "emulator", "code"), ports, strict=True)]
    with command("demo", *options, folder=place) as demo:
        log = place / ".data" / "logs" / "emulator.log"
        wait_until(lambda: log.exists() and "# What has arrived" in log.read_text(), demo)
        children = {*psutil.Process(demo.pid).children(recursive=True)}
        yield demo, children
        for child in children:
            if _lives(child):
                child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_in_seconds_and_leaves_nothing(
    started: tuple[subprocess.Popen[str], set[psutil.Process]], number: signal.Signals
) -> None:
    demo, children = started
    assert len(children) >= 2
    demo.send_signal(number)
    begun = time.monotonic()
    printed, errors = demo.communicate(timeout=30)
    assert time.monotonic() - begun < 12
    assert (demo.returncode, errors) == (0, "")
    assert printed.splitlines()[-2:] == ["Stopping everything.", "Stopped."]
    assert [child for child in children if _lives(child)] == []


def test_says_which_program_died_and_ends_the_others(
    started: tuple[subprocess.Popen[str], set[psutil.Process]],
) -> None:
    demo, children = started
    [emulator] = [child for child in children if _lives(child) and "emulate" in child.cmdline()]
    emulator.kill()
    _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert errors.startswith("Error: emulator ended by itself with exit code -9. The end of ")
    assert "export ADOBE_ORG_ID=" in errors, "the end of its log"
    assert [child for child in children if _lives(child)] == []


@pytest.mark.parametrize("name", ["ui", "emulator", "code"])
def test_a_taken_port_is_reported_before_anything_starts(call: Call, place: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = [f"--{other}-port={free_port()}" for other in ("ui", "emulator", "code") if other != name]
        answer = call("demo", *free, f"--{name}-port={port}")
    assert answer.exit_code == 1
    assert answer.stderr == (
        f"Error: Port {port} on 127.0.0.1 cannot be used (Address already in use). Stop the program that listens there, or "
        f"choose another port with --{name}-port.\n"
    )
    assert list(place.iterdir()) == []


def test_the_users_settings_come_first_and_are_named_without_their_values(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", "confidential")
    monkeypatch.setenv("CAPILLARY_CURRENCY", "")
    monkeypatch.setenv("MAPPING_PATH", "/srv/mapping")
    (place / ".env").write_text("ADOBE_TENANT_ID=shop\nADOBE_CLIENT_SECRET=of the file\nOTHER=1\n")
    around = Surroundings(place, Ports(), given_settings())
    assert around.settings["ADOBE_CLIENT_SECRET"] == "confidential"
    assert around.settings["ADOBE_TENANT_ID"] == "shop"
    assert around.settings["CAPILLARY_CURRENCY"] == "INR"
    assert around.environment()["LANDING_URL"] == str(place / ".data" / "landing")
    assert around.remarks() == [
        "From your environment or .env, not from the demo: ADOBE_CLIENT_SECRET, ADOBE_TENANT_ID, MAPPING_PATH."
    ]


def test_no_setting_of_the_users_slips_into_the_demos_own_proof(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = {variable(settings, field) for settings in every_class() for field in settings.model_fields}
    for name in every:
        monkeypatch.setenv(name, "mine")

    found = Surroundings(place).environment()

    assert [name for name in sorted(every) if found.get(name) == "mine"] == []


@pytest.mark.parametrize(
    ("given", "emulates"),
    [
        ({"ADOBE_INLET_URL": "https://dcs.example.com/collection/abc"}, False),
        ({"ADOBE_PLATFORM_URL": "https://platform.example.com"}, False),
        ({"ADOBE_CLIENT_ID": "id", "ADOBE_CLIENT_SECRET": "secret", "ADOBE_ORG_ID": "1@AdobeOrg"}, False),
        ({"LANDING_URL": "/srv/landing"}, True),
    ],
)
def test_nothing_made_up_reaches_what_is_the_users(place: Path, given: dict[str, str], emulates: bool) -> None:
    around = Surroundings(place, Ports(), given)
    assert not around.feeds
    assert around.emulates is emulates
    told = around.remarks()
    assert "No made-up events are landed, because LANDING_URL or AEP is yours." in told


def test_the_demo_sets_no_id_of_an_object(place: Path) -> None:
    around = Surroundings(place)
    known = {name.removeprefix("ADOBE_").lower() for name in around.settings if name.startswith("ADOBE_")}
    assert around.emulates
    assert not known & set(RECORDED)
    # In another terminal everything is the demo's own, and it still emulates.
    assert Surroundings(place, given=around.settings).emulates


def test_another_terminal_finds_the_demo_without_the_users_secrets(place: Path) -> None:
    around = Surroundings(place, Ports(), {"ADOBE_CLIENT_SECRET": "confidential", "CAPILLARY_CURRENCY": "USD"})
    around.prepare()
    printed = subprocess.run(
        ["sh", "-c", ". .data/environment && env"],
        cwd=place,
        env={"PATH": "/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    assert "confidential" not in printed
    assert "CAPILLARY_CURRENCY" not in found
    assert {name: found[name] for name in ("LAKE_URL", "ADOBE_ORG_ID", "DAGSTER_HOME")} == {
        "LAKE_URL": around.settings["LAKE_URL"],
        "ADOBE_ORG_ID": around.settings["ADOBE_ORG_ID"],
        "DAGSTER_HOME": str(around.dagster_home),
    }


def test_writes_a_workspace_for_the_chosen_port(place: Path) -> None:
    around = Surroundings(place, Ports(code=4711))
    around.prepare()
    [location] = yaml.safe_load(around.workspace.read_text())["load_from"]
    assert location["grpc_server"]["port"] == 4711
    assert (around.dagster_home / "dagster.yaml").read_bytes() == (ROOT / "dagster.yaml").read_bytes()


def test_the_code_location_has_one_name_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    [server] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    line = code_server_command(server["grpc_server"]["port"])
    named = line[line.index("--location-name") + 1]
    assert project["code_location_name"] == server["grpc_server"]["location_name"] == named
    assert project["code_location_target_module"] == MODULE == line[line.index("-m", 3) + 1]
    assert server["grpc_server"]["port"] == Ports().code


def test_a_program_that_ignores_the_request_is_ended_with_its_children(place: Path) -> None:
    stubborn = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    log = place / "stubborn.log"
    program = Program("stubborn", [_python(), "-c", stubborn, deaf], log, {}, place)
    try:
        deadline = time.monotonic() + 30
        while not log.read_text().endswith("\n") and time.monotonic() < deadline:
            pass
        child = psutil.Process(int(log.read_text()))
        assert _lives(child)
    finally:
        left = stop([program])
    assert left == []
    assert not _lives(child)


def _python() -> str:
    return psutil.Process().exe()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children_until_end(demo: subprocess.Popen[str]) -> set[psutil.Process]:
    """Every process that the demo, or anything it started, ever had."""
    seen: set[psutil.Process] = set()
    parent = psutil.Process(demo.pid)
    while True:
        try:
            seen.update(parent.children(recursive=True))
            demo.wait(timeout=0.25)
        except subprocess.TimeoutExpired:
            continue
        except psutil.NoSuchProcess:
            pass
        return seen
