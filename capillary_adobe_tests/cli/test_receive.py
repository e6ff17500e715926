"""`capillary-adobe receive`: what keeps it from starting, in one sentence each."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

from capillary_adobe_tests.cli.conftest import Call
from capillary_adobe_tests.landing.receiver.receiving import free_port, starting


def test_without_a_secret_nothing_is_received(call: Call, place: Path) -> None:
    ended = call("receive", LANDING_URL="landing")
    assert ended.exit_code == 1
    assert ended.stderr.startswith(
        "Error: RECEIVE_SECRET is not set, and without it anybody could write events. Set it"
    )
    assert len(ended.stderr.splitlines()) == 1
    assert not (place / "landing").exists()


def test_every_wrong_setting_is_named_at_once_and_no_secret(call: Call) -> None:
    wrong = {
        "RECEIVE_PORT": "many",
        "RECEIVE_SECRET": "hush-\u00e9",
        "RECEIVE_REFUSED_STATUS": "400",
        "LANDING_URL": " ",
    }
    ended = call("receive", **wrong)
    assert ended.exit_code == 1
    assert [line.removeprefix("Error: ").split()[:3] for line in ended.stderr.splitlines()] == [
        [name, "is", "malformed:"] for name in wrong
    ]
    assert "hush" not in ended.stderr


def test_a_taken_port(call: Call, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("receive", RECEIVE_SECRET="secret", RECEIVE_PORT=str(port), LANDING_URL="landing")
    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"Error: Port {port} on 127.0.0.1 cannot be used (Address already in use).")
    assert len(ended.stderr.splitlines()) == 1
    assert not (place / "landing").exists()


def test_an_address_that_is_none_of_this_machine(call: Call) -> None:
    ended = call("receive", RECEIVE_SECRET="secret", RECEIVE_HOST="192.0.2.1", RECEIVE_PORT=str(free_port()))
    assert "on 192.0.2.1 cannot be used (Cannot assign requested address)" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_more_connections_than_the_system_allows(call: Call) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ended = call("receive", RECEIVE_SECRET="secret", RECEIVE_MAX_CONNECTIONS=str(hard))
    needed = f"Error: RECEIVE_MAX_CONNECTIONS needs {hard + 300} open files, and this process may open {hard}."
    assert ended.stderr.startswith(needed)


def test_a_landing_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.write_text("where the folder should be")
    with starting(tmp_path, {"LANDING_URL": str(file)}) as receiver:
        assert receiver.process.wait(60) == 1
        # The log is JSON; the sentence that ends it is for whoever started it.
        [sentence] = [line for line in receiver.log().splitlines() if not line.startswith("{")]
    assert sentence.startswith(f"Error: LANDING_URL={file} cannot be written")
