"""A front before an S3 server that fails as networks and stores do, for a while, and passes everything else on.

Belongs here: the front. Does not belong here: any expectation.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from capillary_adobe_tests.s3_servers import S3Server

# 503 instead of an answer; half of the answer's body; the request passed on and no answer; the whole object where its rest
# was asked for.
Fault = Literal["busy", "cut", "unanswered", "whole"]


class Front:
    """What goes wrong next, by method of request; what was asked."""

    def __init__(self, url: str) -> None:
        self.server = S3Server(url)
        self.faults: dict[str, list[Fault | None]] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.before_range: Callable[[], None] | None = None

    def next_fault(self, method: str) -> Fault | None:
        """The fault of a request, taken off the list."""
        self.asked[method] += 1
        waiting = self.faults.get(method)
        return waiting.pop(0) if waiting else None


@contextmanager
def flaky_front(server: S3Server) -> Iterator[Front]:
    """The front, on a free port."""

    class Handler(_Handler):
        behind = urlsplit(server.url).netloc

    listening = _Listening(("127.0.0.1", 0), Handler)
    front = Handler.front = Front(f"http://127.0.0.1:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield front
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections that break are what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind: ClassVar[str]
    front: ClassVar[Front]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.front.next_fault(self.command)
        if fault == "busy":
            self._answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        headers = {name: value for name, value in self.headers.items() if name != "Expect"}
        if "Range" in headers:
            self.front.ranges.append(headers["Range"])
            if self.front.before_range:
                self.front.before_range()
        if fault == "whole":
            headers.pop("Range")
        connection = HTTPConnection(self.behind)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault == "unanswered":
            self._break()
            return
        self._answer(answer.status, _kept(answer), data, cut=fault == "cut")

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(data))))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self._break()

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _kept(answer: HTTPResponse) -> dict[str, str]:
    left_out = {"content-length", "transfer-encoding", "connection", "date", "server"}
    return {name: value for name, value in answer.getheaders() if name.lower() not in left_out}
