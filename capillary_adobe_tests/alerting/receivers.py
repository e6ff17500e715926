"""Who gets alerts in the tests: an SMTP server and a webhook, real ones, that keep what they take and can be told to refuse.

Belongs here: the servers. Does not belong here: assertions.
"""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope


@dataclass(frozen=True)
class Taken:
    """A message as its receiver read it."""

    title: str
    body: str


class Receiver:
    """Keeps messages; while `refusing`, it takes none, and counts them."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.refusing = False
        self.refused = 0
        self.url = ""
        self.last: dict[str, Any] = {}

    def titles(self) -> list[str]:
        return [one.title for one in self.taken]


class _Mail(Receiver):
    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusing:
            self.refused += 1
            return "451 not now"
        assert isinstance(envelope.content, bytes)
        read = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = read.get_body(("plain",))
        assert part is not None
        self.taken.append(Taken(str(read["Subject"]), part.get_content()))
        return "250 taken"


@contextmanager
def mail() -> Iterator[Receiver]:
    """An SMTP server on a free port."""
    receiver = _Mail()
    controller = Controller(receiver, hostname="127.0.0.1", port=_free_port())
    controller.start()
    receiver.url = f"mailto://127.0.0.1:{controller.port}?from=alerts@example.com&to=team@example.com&mode=insecure"
    try:
        yield receiver
    finally:
        controller.stop()


@contextmanager
def webhook() -> Iterator[Receiver]:
    """A web server on a free port, whose path holds a secret."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if receiver.refusing:
                receiver.refused += 1
            else:
                receiver.last = body
                receiver.taken.append(Taken(body["title"], body["message"]))
            self.send_response(503 if receiver.refusing else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    receiver.url = f"json://127.0.0.1:{server.server_port}/tok3n-in-the-path"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait_until(met: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)  # a pause between two looks at the condition


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
