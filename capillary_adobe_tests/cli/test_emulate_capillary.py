"""`capillary-adobe emulate-capillary`: an environment that can be used, and an emulator behind it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
import requests

from capillary_adobe.capillary.api.client import CapillaryApi, content
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.settings import CapillaryApiSettings, load
from capillary_adobe_tests.cli.conftest import Call
from capillary_adobe_tests.cli.programs import answers, command, free_port, wait_until
from capillary_adobe_tests.cli.test_emulate import exported
from capillary_adobe_tests.emulators.capillary.webhook import ScriptedWebhook


def test_prints_an_environment_that_a_client_can_use(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    arguments = ("emulate-capillary", "--port", str(port), "--store", "capillary", "--never-again", "410")
    given = {"CAPILLARY_API_SECRET": 'mine "and" $HOME'}
    with command(*arguments, folder=place, settings=given) as emulator:
        wait_until(lambda: answers(port), emulator)
        base_url = f"http://127.0.0.1:{port}"
        assert requests.get(f"{base_url}/control", timeout=30).status_code == 200
        monkeypatch.setenv("CAPILLARY_API_URL", base_url)
        monkeypatch.setenv("CAPILLARY_API_KEY", "demo-client")
        monkeypatch.setenv("CAPILLARY_API_SECRET", given["CAPILLARY_API_SECRET"])
        assert content(CapillaryApi(load(CapillaryApiSettings)).get("/v3/webHooks")) == []
        emulator.send_signal(signal.SIGINT)
        printed, errors = emulator.communicate(timeout=30)
    assert exported(printed) == {"CAPILLARY_API_URL": base_url, "CAPILLARY_API_KEY": "demo-client"}
    assert "mine" not in printed + errors
    assert (place / "capillary" / "log.db").exists()


def test_what_is_open_is_delivered_after_a_kill(place: Path) -> None:
    arguments = ("emulate-capillary", "--store", "capillary", "--time-scale", "0.01", "--port")
    body = b'{"eventName":"pointsIssued","eventId":"e"}'
    with ScriptedWebhook([503] * 100_000) as webhook:
        with RunningCapillary(place / "capillary") as capillary:
            capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
        port = free_port()
        with command(*arguments, str(port), folder=place) as emulator:
            wait_until(lambda: answers(port), emulator)
            taken = requests.post(f"http://127.0.0.1:{port}/control/events", data=body, timeout=30)
            assert taken.json()["deliveries"] == 1
            wait_until(lambda: len(webhook.bodies) > 1, emulator)
            emulator.kill()
        webhook.script.clear()
        port = free_port()
        with command(*arguments, str(port), folder=place) as emulator:
            summary = f"http://127.0.0.1:{port}/control/summary"
            wait_until(lambda: answers(port), emulator)
            wait_until(lambda: requests.get(summary, timeout=30).json()["deliveries"]["SUCCESS"] == 1, emulator)
        assert set(webhook.bodies) == {body}


def test_a_taken_port_is_one_clear_sentence(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = call("emulate-capillary", "--port", str(taken.getsockname()[1]))
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "Choose another one with --port." in answer.stderr
