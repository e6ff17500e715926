"""The nginx configuration before a real receiver: what nginx answers by itself is never final for Capillary."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.settings import ReceiverSettings
from capillary_adobe_tests.cli.programs import answers, command, free_port, wait_until
from capillary_adobe_tests.deploy.nginx_program import (
    PATIENCE_SECONDS,
    certificate,
    main_file,
    needs_nginx,
    remarks,
    replaced,
    running,
)
from capillary_adobe_tests.docs.pages import ROOT

CONFIGURATION = ROOT / "deploy" / "nginx" / "receiver.conf"
SECRET = {"Authorization": "the-secret-of-this-test"}


@dataclass(frozen=True)
class Proxy:
    """A running nginx, and the port at which it looks for a receiver."""

    port: int
    receiver_port: int

    def post(self, path: str = "/events", scheme: str = "https", **request: Any) -> requests.Response:
        return requests.post(f"{scheme}://127.0.0.1:{self.port}{path}", verify=False, timeout=30, **request)  # noqa: S501

    def send(self, request_line: str) -> str:
        """The answer to a request line that no client library sends, with the secret and a body."""
        head = f"{request_line}\r\nHost: a\r\nAuthorization: {SECRET['Authorization']}\r\nContent-Length: 2\r\n\r\n{{}}"
        blind = ssl._create_unverified_context()  # noqa: S323
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            blind.wrap_socket(plain) as connection,
        ):
            connection.sendall(head.encode())
            return connection.recv(65_536).decode()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    found = Proxy(free_port(), free_port())
    with running(write_configuration(folder, found), found.port):
        yield found


def write_configuration(folder: Path, proxy: Proxy) -> Path:
    """The file as it is, on other ports, with a certificate of its own."""
    made, key = certificate(folder)
    text = replaced(
        CONFIGURATION.read_text(),
        ("listen 443 ssl;", f"listen 127.0.0.1:{proxy.port} ssl;"),
        ("    listen [::]:443 ssl;\n", ""),
        ("/etc/nginx/tls/receiver.crt", str(made)),
        ("/etc/nginx/tls/receiver.key", str(key)),
        (f"127.0.0.1:{ReceiverSettings.model_fields['port'].default};", f"127.0.0.1:{proxy.receiver_port};"),
    )
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "receiver.conf").write_text(text)
    return main_file(folder)


@needs_nginx
def test_nginx_takes_the_file(tmp_path: Path) -> None:
    assert remarks(write_configuration(tmp_path, Proxy(free_port(), free_port()))) == ""


@needs_nginx
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_without_a_receiver_everything_is_to_come_again(proxy: Proxy) -> None:
    answered = {
        "stopped": proxy.post(data=b"{}", headers=SECRET),
        "large": proxy.post(data=b"x" * 2_000_000, headers=SECRET),
        "wrong path": proxy.post("/event", data=b"{}", headers=SECRET),
        "another page": proxy.post("/metrics", data=b""),
        "headers too large": proxy.post(data=b"{}", headers={"X-Large": "x" * 70_000}),
        "no TLS": proxy.post(data=b"{}", headers=SECRET, scheme="http"),
        "wrong host": proxy.post(data=b"{}", headers={"Host": "a b/c"}),
        "unknown coding": proxy.post(data=b"{}", headers={"Transfer-Encoding": "gzip"}),
    }
    found = {what: (answer.status_code, answer.headers.get("Retry-After")) for what, answer in answered.items()}
    assert found == dict.fromkeys(answered, (429, "5"))
    for line in (
        f"POST /{'x' * 70_000} HTTP/1.1",
        "POST /events%zz HTTP/1.1",
        "POST /../events HTTP/1.1",
        "post /events HTTP/1.1",
        "POST /events HTTP/2.0",
        "\x16 HTTP/1.1",
    ):
        answer = proxy.send(line)
        assert answer.startswith("HTTP/1.1 429 "), (line[:30], answer)
        assert "\nRetry-After: 5\r" in answer


@needs_nginx
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_receiver_behind_it_lands_what_comes_and_speaks_for_itself(proxy: Proxy, tmp_path: Path) -> None:
    settings = {
        "LANDING_URL": str(tmp_path / "landing"),
        "RECEIVE_PORT": str(proxy.receiver_port),
        "RECEIVE_SECRET": SECRET["Authorization"],
        "RECEIVE_RETRY_AFTER_SECONDS": "7",
    }
    large = b"x" * 2_000_000
    with command("receive", folder=tmp_path, settings=settings) as receiver:
        ready = f"http://127.0.0.1:{proxy.receiver_port}/readyz"
        wait_until(lambda: answers(proxy.receiver_port) and requests.get(ready, timeout=10).ok, receiver)
        posts = [
            proxy.post(data=b'{"eventName":"a"}', headers=SECRET),
            proxy.post("/events/", data=iter([b'{"eventName":', b'"b"}']), headers=SECRET),
            proxy.post(data=large, headers=SECRET),
            proxy.post(data=b'{"eventName":"c"}', headers={**SECRET, "X-Long": "x" * 40_000}),
        ]
        assert [answer.status_code for answer in posts] == [200] * 4
        for body in (b"{}", large):
            refused = proxy.post(data=body)
            # The receiver's own word, and its own pause.
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
        # Paths that nginx takes for the right one and the receiver does not.
        for path in ("//events", "/a/../events", "/events//"):
            assert proxy.send(f"POST {path} HTTP/1.1").startswith("HTTP/1.1 429 ")
        receiver.terminate()
        assert receiver.wait(PATIENCE_SECONDS) == 0
    lines = b"".join(path.read_bytes() for path in (tmp_path / "landing" / "events").rglob("*.jsonl"))
    aside = {path.suffix: path.read_bytes() for path in (tmp_path / "landing" / "aside").rglob("*.*")}
    assert sorted(lines.splitlines()) == [b'{"eventName":"a"}', b'{"eventName":"b"}']
    assert aside == {".oversize": large, ".headers": b'{"eventName":"c"}'}


def test_its_times_fit_those_of_the_receiver_and_of_capillary() -> None:
    seconds = {
        name: float(value) for name, value in re.findall(r"^\s+(\w+_time\w*) (\d+)s;", CONFIGURATION.read_text(), re.M)
    }
    fields = ReceiverSettings.model_fields
    assert fields["commit_seconds"].default < seconds["proxy_read_timeout"]
    assert seconds["proxy_next_upstream_timeout"] + seconds["proxy_read_timeout"] < 30
    [upstream] = re.findall(r"keepalive_timeout (\d+)s;\s+keepalive_requests \d+;\n}", CONFIGURATION.read_text())
    assert float(upstream) < fields["idle_seconds"].default
    [headers] = re.findall(r"large_client_header_buffers \d+ (\d+)k;", CONFIGURATION.read_text())
    assert int(headers) * 1024 > fields["max_header_bytes"].default
