"""The emulator in the foreground, as a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from capillary_adobe.emulators.aep import RunningEmulator, Tenant
from capillary_adobe_tests.emulators.client import Client, event

PROGRAM = """
import sys
from pathlib import Path
from capillary_adobe.emulators.aep import Tenant, build_app, serve
serve(build_app(Tenant.demo(), Path(sys.argv[1])), "127.0.0.1", int(sys.argv[2]))
"""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def process(store: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", PROGRAM, str(store), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as emulator:
        try:
            wait_until_it_answers(emulator, port)
            yield emulator
        finally:
            emulator.kill()


def wait_until_it_answers(emulator: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while emulator.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)  # a pause between two looks at the condition
            continue
        return
    pytest.fail("the emulator never answered")


def token_form(tenant: Tenant, base_url: str) -> dict[str, str]:
    environment = tenant.environment(base_url)
    return {
        "grant_type": "client_credentials",
        "client_id": environment["ADOBE_CLIENT_ID"],
        "client_secret": environment["ADOBE_CLIENT_SECRET"],
        "scope": environment["ADOBE_SCOPES"],
    }


def test_what_was_acknowledged_outlives_a_kill(
    process: subprocess.Popen[bytes], port: int, store: Path, tenant: Tenant
) -> None:
    environment = tenant.environment(f"http://127.0.0.1:{port}")
    token = requests.post(
        f"{environment['ADOBE_IMS_URL']}/ims/token/v3",
        data=token_form(tenant, environment["ADOBE_IMS_URL"]),
        timeout=10,
    ).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(environment["ADOBE_INLET_URL"], json=event(tenant, "kept"), headers=headers, timeout=10)
    process.kill()
    process.wait()

    assert answer.status_code == 200
    with RunningEmulator(store) as emulator, requests.Session() as session:
        assert [line["entity"]["_id"] for line in Client(emulator, session).accepted()] == ["kept"]


def test_it_stops_on_request_and_says_nothing(process: subprocess.Popen[bytes], port: int) -> None:
    requests.get(f"http://127.0.0.1:{port}/", timeout=10)
    process.send_signal(signal.SIGTERM)

    output, _ = process.communicate(timeout=30)

    assert process.returncode in (0, -signal.SIGTERM)
    assert output == b""
