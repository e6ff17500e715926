"""`capillary-adobe demo`: the whole stack for real, and what it says where it cannot start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import psutil
import pytest
import yaml

from capillary_adobe.cli import _what_to_try, main
from capillary_adobe.demo.processes import Program, stop
from capillary_adobe.demo.stack import MODULE, code_server_command
from capillary_adobe.demo.surroundings import DemoError, Ports, Surroundings, given_settings
from capillary_adobe.settings import RECORDED, every_class, variable
from capillary_adobe_tests.cli.conftest import Call
from capillary_adobe_tests.cli.programs import command, free_port, wait_until

ROOT = Path(__file__).parents[2]
PORTS = tuple(field.name for field in fields(Ports))


def test_check_sees_a_micro_batch_a_balanced_day_and_a_rerun(place: Path) -> None:
    """The slowest of all: about a minute."""
    with command("demo", "--check", folder=place) as demo:
        seen = _children_until_end(demo)
        printed, errors = demo.communicate(timeout=60)
    assert demo.returncode == 0, printed + errors
    assert "a micro-batch run that succeeded" in printed
    assert "first events by the receiver" in printed
    [sent] = re.findall(r"(\d+) events in Capillary's log, all of them landed", printed)
    assert int(sent) > 0
    assert re.search(r"Set up in AEP: \d\d objects made\.", printed)
    balanced = re.findall(r"(\d{4}-\d{2}-\d{2}): balanced, .* (\d+) accepted by AEP", printed)
    assert len(balanced) >= 2
    assert all(int(accepted) > 0 for _, accepted in balanced)
    assert f"partition {balanced[0][0]} materialized again" in printed
    assert len(seen) >= 7, "two emulators, receiver, code server, webserver, daemon and feed"
    assert [process for process in seen if _lives(process)] == []
    assert list(place.iterdir()) == []


@pytest.fixture
def started(place: Path) -> Iterator[tuple[subprocess.Popen[str], set[psutil.Process]]]:
    """A demo whose emulator runs, and all its processes so far."""
    options = [f"--{name}-port={free_port()}" for name in PORTS]
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


@pytest.mark.parametrize("name", PORTS)
def test_a_taken_port_is_reported_before_anything_starts(call: Call, place: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = [f"--{other}-port={free_port()}" for other in PORTS if other != name]
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


AEP = {"ADOBE_CLIENT_ID": "id", "ADOBE_CLIENT_SECRET": "secret", "ADOBE_ORG_ID": "1@AdobeOrg"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ADOBE_INLET_URL": "https://dcs.example.com/collection/abc"}, "AEP"),
        ({"ADOBE_PLATFORM_URL": "https://platform.example.com"}, "AEP"),
        (AEP, "AEP"),
        ({"LANDING_URL": "/srv/landing"}, "LANDING_URL"),
        ({"LANDING_URL": "s3://brand/landing"}, "LANDING_URL"),
        ({"LAKE_URL": "/srv/lake"}, "LAKE_URL"),
        ({"STATE_URL": "postgresql://db.example.com/state"}, "STATE_URL"),
        ({"CAPILLARY_API_URL": "https://eu.api.capillarytech.com"}, "CAPILLARY_API_URL"),
        ({"CAPILLARY_WEBHOOK_URL": "https://events.example.com/events"}, "CAPILLARY_WEBHOOK_URL"),
        ({"INSIGHTS_URL": "sftp://brand@sftp.example.com/exports"}, "INSIGHTS_URL"),
        ({"RECEIVE_SECRET": "mine"}, "RECEIVE_SECRET"),
        ({"RECEIVE_PREVIOUS_SECRET": "mine"}, "RECEIVE_PREVIOUS_SECRET"),
        ({"RECEIVE_HMAC_HEADER": "X-Signature"}, "RECEIVE_HMAC_HEADER"),
        ({"RECEIVE_CERTIFICATE_HEADER": "X-Certificate"}, "RECEIVE_CERTIFICATE_HEADER"),
        ({"RECEIVE_HOST": "::"}, "RECEIVE_HOST"),
        ({**AEP, "LANDING_URL": "/srv/landing", "RECEIVE_SECRET": "mine"}, "AEP, LANDING_URL, RECEIVE_SECRET"),
    ],
)
def test_nothing_made_up_reaches_what_is_the_users(place: Path, given: dict[str, str], named: str) -> None:
    around = Surroundings(place, Ports(), given)
    assert not around.feeds
    assert around.emulates is ("AEP" not in named)
    assert f"No events are made up, because these are yours: {named}." in around.remarks()
    made_up = Surroundings(place).settings
    values = around.environment()
    # Neither the local Capillary nor the secret that everybody knows stands beside anything of the user's.
    names = ("CAPILLARY_API_URL", "CAPILLARY_API_SECRET", "CAPILLARY_WEBHOOK_URL", "INSIGHTS_URL", "RECEIVE_SECRET")
    for name in names:
        assert values.get(name) != made_up[name]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ADOBE_CLIENT_SECRET": "half a credential"},
        {"CAPILLARY_API_KEY": "key", "CAPILLARY_API_SECRET": "secret"},
        {"RECEIVE_ROLL_SECONDS": "0.2", "RECEIVE_PATH": "/hook", "RECEIVE_HEADER": "X-Secret"},
        {"AWS_PROFILE": "work"},
    ],
)
def test_the_demo_is_whole_while_everything_it_touches_is_its_own(place: Path, given: dict[str, str]) -> None:
    around = Surroundings(place, Ports(receiver=8123), given)
    assert (around.emulates, around.feeds, around.receives) == (True, True, True)
    path = given.get("RECEIVE_PATH", "/events")
    assert around.settings["CAPILLARY_WEBHOOK_URL"] == f"http://127.0.0.1:8123{path}"
    assert around.settings["RECEIVE_PORT"] == "8123"
    assert around.settings.items() >= given.items()


@pytest.mark.parametrize(
    ("given", "receives"),
    [
        ({"RECEIVE_SECRET": "mine"}, True),
        ({"RECEIVE_SECRET": "mine", "LANDING_URL": "s3://brand/landing", **AEP}, True),
        ({"RECEIVE_SECRET": "mine", "CAPILLARY_API_URL": "https://eu.api.capillarytech.com"}, True),
        ({"LANDING_URL": "/srv/landing"}, False),
        ({"CAPILLARY_API_URL": "https://eu.api.capillarytech.com"}, False),
        (AEP, False),
        ({"RECEIVE_HMAC_HEADER": "X-Signature", "RECEIVE_HMAC_SECRET": "mine"}, False),
    ],
)
def test_the_receiver_runs_for_the_user_with_a_secret_of_the_users_only(
    place: Path, given: dict[str, str], receives: bool
) -> None:
    around = Surroundings(place, Ports(receiver=8123), given)
    assert around.receives is receives
    told = any("http://127.0.0.1:8123/events with RECEIVE_SECRET" in remark for remark in around.remarks())
    assert told is receives
    assert around.settings.get("RECEIVE_SECRET") == given.get("RECEIVE_SECRET")
    assert not any("mine" in remark for remark in around.remarks())


def test_the_demos_secret_never_stands_before_a_store_of_the_users(place: Path) -> None:
    # Somebody has read .data/environment in this terminal, and then named a store.
    around = Surroundings(place, given={**Surroundings(place).settings, "LANDING_URL": "/srv/landing"})
    assert not around.feeds
    assert not around.receives


@pytest.mark.parametrize(("given", "warned"), [({"STATE_URL": "sqlite:////srv/state.db"}, True), ({}, False)])
def test_what_the_stand_in_acknowledges_into_a_state_of_the_users_is_told(
    place: Path, given: dict[str, str], warned: bool
) -> None:
    told = [remark for remark in Surroundings(place, given=given).remarks() if "STATE_URL is yours" in remark]
    assert bool(told) is warned
    assert not [remark for remark in Surroundings(place, given={**AEP, **given}).remarks() if "stand-in" in remark]


def test_a_landing_store_of_the_users_is_not_made(place: Path) -> None:
    Surroundings(place, given={"LANDING_URL": "landing of mine"}).prepare()
    Surroundings(place, given={"LANDING_URL": "s3://brand/landing"}).prepare()
    assert [path.name for path in place.iterdir()] == [".data"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (AEP, "LANDING_URL, LAKE_URL, STATE_URL"),
        ({**AEP, "LANDING_URL": "/srv/landing", "STATE_URL": "sqlite:////srv/state.db"}, "LAKE_URL"),
    ],
)
def test_what_was_made_up_before_never_goes_to_an_aep_of_the_users(
    place: Path, given: dict[str, str], missing: str
) -> None:
    (place / ".data" / "emulator").mkdir(parents=True)
    with pytest.raises(DemoError) as refused:
        Surroundings(place, given=given).prepare()
    assert str(refused.value) == (
        f"{place}/.data holds what was made up, and what the stand-in for AEP acknowledged. Now AEP is yours: set {missing} "
        f"as well, or move {place}/.data away."
    )
    whole = {**AEP, "LANDING_URL": "/srv/landing", "LAKE_URL": "/srv/lake", "STATE_URL": "sqlite:////srv/state.db"}
    Surroundings(place, given=whole).prepare()


def test_no_credential_for_aws_is_handed_on_unless_a_store_is_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "confidential")
    assert "AWS_SECRET_ACCESS_KEY" not in Surroundings(place).environment()
    on_s3 = Surroundings(place, given={"LAKE_URL": "s3://brand/lake"})
    assert on_s3.environment()["AWS_SECRET_ACCESS_KEY"] == "confidential"


@pytest.mark.parametrize(("option", "port"), [([], "8555"), (["--receiver-port=8556"], "8556")])
def test_the_receivers_port_is_the_setting_unless_an_option_says_otherwise(
    call: Call, place: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], port: str
) -> None:
    (place / ".env").write_text("RECEIVE_PORT=8555\n")
    with socket.create_server(("127.0.0.1", int(port))):
        answer = call("demo", *(f"--{name}-port={free_port()}" for name in PORTS if name != "receiver"), *option)
    assert f"Port {port} on 127.0.0.1 cannot be used" in answer.stderr


def test_a_mistyped_setting_of_the_receiver_is_told_before_anything_starts(call: Call, place: Path) -> None:
    answer = call("demo", RECEIVE_PORT="eight")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: RECEIVE_PORT")
    assert list(place.iterdir()) == []


def test_the_demo_sets_no_id_of_an_object(place: Path) -> None:
    around = Surroundings(place)
    known = {name.removeprefix("ADOBE_").lower() for name in around.settings if name.startswith("ADOBE_")}
    assert around.emulates
    assert not known & set(RECORDED)
    # In another terminal everything is the demo's own, and it still emulates and feeds.
    again = Surroundings(place, given=around.settings)
    assert (again.emulates, again.feeds, again.remarks()) == (True, True, [])


def test_what_it_says_to_try_can_be_typed_as_it_stands(place: Path) -> None:
    told = _what_to_try(Surroundings(place))
    typed = [line.split() for line in told.splitlines() if line.startswith("    ")]
    assert [words[1] for words in typed] == ["reconcile", "subscribe", "status", "setup", "deliver", "replay"]
    for program, *words in typed:
        assert (place / program).is_file()
        with main.make_context(program, list(words)) as context:
            name, command, rest = main.resolve_command(context, words)
            assert command is not None
            # Ends the test where an option is unknown or one that is needed is missing.
            command.make_context(name, rest, parent=context)


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
    for name in ("CAPILLARY_API_URL", "CAPILLARY_API_SECRET", "RECEIVE_SECRET", "RECEIVE_PORT"):
        assert found[name] == around.settings[name]
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
