"""`capillary-adobe emulate`: an environment that can be used, and an emulator behind it."""

from __future__ import annotations

import shlex
import signal
import socket
from pathlib import Path

import pytest
import requests

from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe_tests.cli.conftest import Call
from capillary_adobe_tests.cli.programs import answers, command, free_port, wait_until


def exported(text: str) -> dict[str, str]:
    """What a shell would take from the lines."""
    words = [shlex.split(line) for line in text.splitlines() if line.startswith("export ")]
    return dict(word.split("=", 1) for _, word in words)


def token(environment: dict[str, str], secret: str) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": environment["ADOBE_CLIENT_ID"],
        "client_secret": secret,
        "scope": environment["ADOBE_SCOPES"],
    }
    return requests.post(f"{environment['ADOBE_IMS_URL']}/ims/token/v3", data=form, timeout=30)


def test_prints_an_environment_that_a_client_can_use(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with command("emulate", "--port", str(port), "--store", "aep", folder=place) as emulator:
        wait_until(lambda: answers(port), emulator)
        base_url = f"http://127.0.0.1:{port}"
        page = requests.get(f"{base_url}/", timeout=30)
        assert "text/html" in page.headers["content-type"]
        emulator.send_signal(signal.SIGINT)
        printed, _ = emulator.communicate(timeout=30)
        environment = exported(printed)
    assert f"{base_url}/" in printed.splitlines()[-1]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load(AdobeSettings).inlet_url.startswith(f"{base_url}/collection/")
    assert (place / "aep").is_dir()


def test_serves_the_organisation_of_the_environment(place: Path) -> None:
    port = free_port()
    given = {"ADOBE_CLIENT_SECRET": 'mine "and" $HOME`s', "ADOBE_TENANT_ID": "shop"}
    with command("emulate", "--port", str(port), folder=place, settings=given) as emulator:
        wait_until(lambda: answers(port), emulator)
        demo = {
            "ADOBE_IMS_URL": f"http://127.0.0.1:{port}",
            "ADOBE_CLIENT_ID": "de300c11e471de300c11e471de300c11",
            "ADOBE_SCOPES": "openid,AdobeID",
        }
        assert token(demo, "another").status_code == 400
        assert token(demo, given["ADOBE_CLIENT_SECRET"]).ok
        emulator.send_signal(signal.SIGTERM)
        printed, errors = emulator.communicate(timeout=30)
    assert exported(printed)["ADOBE_TENANT_ID"] == "shop"
    assert "mine" not in printed + errors


def test_an_empty_one_tells_only_what_a_set_up_has_to_know(place: Path) -> None:
    port = free_port()
    with command("emulate", "--empty", "--port", str(port), "--store", "aep", folder=place) as emulator:
        wait_until(lambda: answers(port), emulator)
        emulator.send_signal(signal.SIGINT)
        printed, _ = emulator.communicate(timeout=30)
    assert exported(printed).keys() == {
        "ADOBE_CLIENT_ID",
        "ADOBE_CLIENT_SECRET",
        "ADOBE_IMS_URL",
        "ADOBE_ORG_ID",
        "ADOBE_PLATFORM_URL",
        "ADOBE_SANDBOX_NAME",
        "ADOBE_SCOPES",
    }
    assert not list((place / "aep" / "sandboxes").rglob("*.json"))


def test_values_are_quoted_as_a_shell_reads_them(place: Path) -> None:
    port = free_port()
    given = {"ADOBE_SCOPES": 'a "b" $c `d` \\e'}
    with command("emulate", "--port", str(port), folder=place, settings=given) as emulator:
        wait_until(lambda: answers(port), emulator)
        emulator.send_signal(signal.SIGINT)
        printed, _ = emulator.communicate(timeout=30)
    [line] = [line for line in printed.splitlines() if line.startswith("export ADOBE_SCOPES=")]
    assert line == 'export ADOBE_SCOPES="a \\"b\\" \\$c \\`d\\` \\\\e"'


def test_a_taken_port_is_one_clear_sentence(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = call("emulate", "--port", str(port))
    assert answer.exit_code == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"Error: Port {port} on 127.0.0.1 cannot be used (Address already in use)")
    assert len(answer.stderr.splitlines()) == 1


def test_a_store_that_cannot_be_made_is_one_clear_sentence(call: Call, place: Path) -> None:
    (place / "aep").write_text("a file where the folder should be")
    answer = call("emulate", "--port", str(free_port()), "--store", "aep")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: The folder aep cannot be made")
