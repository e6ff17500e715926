"""An S3 server that fails as a test asks it to, and notes what it was asked.

Belongs here: the faults, between the client and a server with conditional writes. Does not belong here: any expectation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from capillary_adobe_tests.s3_servers import S3Server

# `lost`: done, and the answer never arrives. `cut`: the answer breaks off half-way. Else a status that S3 answers.
Fault = Literal["lost", "cut"] | tuple[int, str]


@dataclass(frozen=True)
class Request:
    """One request as it came: path with the bucket, the `Range` header, and the query."""

    method: str
    path: str
    ranged: str
    query: str = ""


def _healthy(_request: Request) -> Fault | None:
    return None


@dataclass
class FaultyS3:
    """The server; `fault` decides what becomes of each request."""

    server: S3Server
    fault: Callable[[Request], Fault | None] = _healthy
    requests: list[Request] = field(default_factory=list)

    def heal(self) -> None:
        """No fault from now on, and nothing noted."""
        self.fault = _healthy
        self.requests.clear()

    def times(self, count: int, fault: Fault, method: str, ending: str) -> None:
        """This fault for the next requests of a method whose path contains a text."""
        left = iter(range(count))

        def decide(request: Request) -> Fault | None:
            hit = request.method == method and ending in request.path
            return fault if hit and next(left, None) is not None else None

        self.fault = decide


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the interface's name
        """Say nothing."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        """Hang up, so that the client hears of it."""
        self.close_connection = True


@contextmanager
def faulty_s3() -> Iterator[FaultyS3]:
    """A server in a thread, on a free port, gone afterwards."""
    inner = DomainDispatcherApplication(create_backend_app)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_RANGE", ""), environ["QUERY_STRING"]
        )
        s3.requests.append(request)
        fault = s3.fault(request)
        if isinstance(fault, tuple):
            start_response(f"{fault[0]} Fault", [("Content-Type", "application/xml")])
            return [fault[1].encode()]
        answer = inner(environ, start_response)
        if fault is None:
            return answer
        return _broken(b"".join(answer), whole=fault == "lost")

    web = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    s3 = FaultyS3(S3Server(f"http://127.0.0.1:{web.server_port}"))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield s3
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def _broken(body: bytes, *, whole: bool) -> Iterator[bytes]:
    if not whole:
        yield body[: len(body) // 2]
    raise ConnectionResetError
