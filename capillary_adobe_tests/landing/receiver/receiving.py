"""`capillary-adobe receive` as a process over a folder of its own, and what stands in that folder and in its figures.

Belongs here: starting, posting, ending, looking. Does not belong here: any expectation.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from capillary_adobe.landing import open_landing_store, read_landed
from capillary_adobe.landing.records import Record
from capillary_adobe.landing.store import is_aside
from capillary_adobe.settings import every_class

SECRET = "the-secret-of-the-webhook"
SECONDS = 30.0


@dataclass
class Answer:
    """What came back over a raw connection."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running receiver."""

    process: subprocess.Popen[bytes]
    port: int
    landing: str
    told: Path
    """Its standard output and error."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, body: bytes = b"{}", path: str = "/events", **headers: str) -> requests.Response:
        """Post with the secret, unless `Authorization` is given; an empty one leaves the header out."""
        given = {"Authorization": SECRET, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return requests.post(
            self.url + path, data=body, headers={name: value for name, value in given.items() if value}, timeout=SECONDS
        )

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=SECONDS)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def exchange(self, request: bytes) -> Answer:
        """Send bytes over a connection of their own and read one answer."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_answer(connection)

    def figures(self) -> dict[str, float]:
        """The receiver's own figures: `requests_total landed` and the like."""
        found = {}
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                words = [sample.name.removeprefix("capillary_adobe_receiver_"), *filter(None, sample.labels.values())]
                found[" ".join(words)] = sample.value
        return found

    def wait_for(self, figure: str, at_least: float) -> None:
        wait_until(lambda: self.figures().get(figure, 0) >= at_least)

    def records(self) -> list[Record]:
        """What the pipeline's reader gives of all that has landed."""
        return [record for key, data in self.objects() for record in _read(key, data)]

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Every object with its bytes, in key order."""
        return objects(self.landing)

    def asides(self) -> Counter[tuple[str, bytes]]:
        """Bodies that lie aside, with the reason that their name ends in."""
        return Counter((key.rsplit(".", 1)[1], data) for key, data in self.objects() if is_aside(key))

    def lines(self) -> Counter[bytes]:
        """Lines that have landed as such."""
        return Counter(
            line for key, data in self.objects() if not is_aside(key) for line in data.removesuffix(b"\n").split(b"\n")
        )

    def landed(self, body: bytes) -> str:
        """How a body stands in the store once it can be seen: `line`, or why it lies aside."""

        def found() -> list[str]:
            asides = [why for why, one in self.asides() if one == body]
            return asides or ["line"] * self.lines()[body]

        wait_until(lambda: bool(found()))
        [how] = found()
        return how

    def stop(self, number: int = 15) -> int:
        """Signal it, and wait for its exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def log(self) -> str:
        return self.told.read_text()


def objects(landing: str) -> Iterator[tuple[str, bytes]]:
    store = open_landing_store(landing)
    for day in store.days("live"):
        for found in store.list("live", day):
            with store.open(found.key) as stream:
                yield found.key, stream.read()


def _read(key: str, data: bytes) -> list[Record]:
    from io import BytesIO

    return list(read_landed(key, BytesIO(data)))


def environment(**settings: str) -> dict[str, str]:
    """The environment of this process without any setting of ours, and with these."""
    heads = (*{str(one.model_config.get("env_prefix")) for one in every_class()} - {""}, "LANDING_", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(heads)} | settings


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def starting(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Receiver]:
    """A receiver that may not be ready yet; killed if it still runs at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    given = {
        "LANDING_URL": str(folder / "landing"),
        "RECEIVE_SECRET": SECRET,
        "RECEIVE_PORT": str(port),
        "RECEIVE_ROLL_SECONDS": "0.1",
        **(settings or {}),
    }
    told = folder / f"told-{port}"
    with (
        told.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "capillary_adobe.cli", "receive"],
            cwd=folder,
            env=environment(**given),
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield Receiver(process, port, given["LANDING_URL"], told)
        finally:
            process.kill()


@contextmanager
def receiving(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Receiver]:
    """A receiver that takes events."""
    with starting(folder, settings) as receiver:
        wait_until_ready(receiver)
        yield receiver


def wait_until_ready(receiver: Receiver) -> None:
    def ready() -> bool:
        if receiver.process.poll() is not None:
            pytest.fail(f"it ended with {receiver.process.returncode}: {receiver.log()}")
        try:
            return receiver.get("/readyz").ok
        except requests.ConnectionError:
            return False

    wait_until(ready)


def wait_until(so: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            pytest.fail("it took too long")
        time.sleep(0.02)


def read_answer(connection: socket.socket) -> Answer:
    """The next answer on a connection; `ConnectionError` where it is closed without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _more(connection)
    return Answer(int(first.split()[1]), headers, body)


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes; what it still sends is dropped."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def request(
    body: bytes = b"", *headers: str, method: str = "POST", path: str = "/events", secret: str = SECRET
) -> bytes:
    """A request as bytes, with its length unless the headers tell one or the pieces."""
    lines = [f"{method} {path} HTTP/1.1", "Host: receiver", f"Authorization: {secret}", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("closed without an answer")
    return data
