"""What a request is answered, and what has landed by then."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from capillary_adobe_tests.landing.receiver.receiving import (
    SECRET,
    Receiver,
    is_closed,
    read_answer,
    receiving,
    request,
    wait_until,
)

LONGEST_BODY = 64 * 1024
LONGEST_HEADERS = 4096


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    settings = {"RECEIVE_MAX_BODY_BYTES": str(LONGEST_BODY), "RECEIVE_MAX_HEADER_BYTES": str(LONGEST_HEADERS)}
    with receiving(tmp_path_factory.mktemp("http"), settings) as running:
        yield running


def event(name: str, size: int = 0) -> bytes:
    return json.dumps({"eventName": name, "filling": "x" * size}).encode()


@pytest.mark.parametrize(
    ("body", "headers", "how"),
    [
        (event("plain"), {}, "line"),
        (event("typed"), {"Content-Type": "text/plain; charset=utf-16"}, "line"),
        (event("said-to-be-gzip"), {"Content-Encoding": "gzip"}, "line"),
        (gzip.compress(event("gzip")), {"Content-Encoding": "gzip"}, "unreadable"),
        (event("cut-short")[:-1], {}, "unreadable"),
        (b"\x00\xff\xfe no text", {"Content-Type": "image/png"}, "unreadable"),
        (event("latin").replace(b"latin", b"l\xe4tin"), {}, "unreadable"),
        (b"", {}, "unreadable"),
        (b"[" * 5000, {}, "unreadable"),
        (event("long", LONGEST_BODY), {}, "oversize"),
        (b"z" * (2 * 1024 * 1024), {}, "oversize"),
        (event("long-headers"), {"X-Long": "h" * LONGEST_HEADERS}, "headers"),
        (event("many-headers"), {f"X-{number}": "v" * 20 for number in range(300)}, "headers"),
        (event("as-long-as-can-be", LONGEST_BODY - 50)[:LONGEST_BODY], {}, "line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_comes_with_the_secret_lands(
    receiver: Receiver, body: bytes, headers: dict[str, str], how: str
) -> None:
    answer = receiver.post(body, **headers)
    assert (answer.status_code, answer.text) == (200, "landed\n")
    assert receiver.landed(body) == how


@pytest.mark.parametrize("path", ["/events/", "/events?source=capillary", "/%65vents"])
def test_slips_in_the_address_lose_nothing(receiver: Receiver, path: str) -> None:
    body = event(path)
    assert receiver.exchange(request(body, path=path)).status == 200
    assert receiver.landed(body) == "line"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/events", 405),
        ("PUT", "/events", 405),
        ("DELETE", "/events", 405),
        ("GET", "/other", 404),
        # An event that was posted to a wrong address, which nothing but 429 is known to bring again.
        ("POST", "/other", 429),
        ("POST", "/", 429),
        ("POST", "/healthz", 429),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
    ],
)
def test_answers_beside_the_events(receiver: Receiver, method: str, path: str, status: int) -> None:
    body = b'{"lands": "nowhere"}'
    assert receiver.exchange(request(body, "Connection: close", method=method, path=path)).status == status
    assert body not in receiver.lines()


def test_a_body_in_pieces_lands_whole(receiver: Receiver) -> None:
    body = event("in pieces")
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7))
    answer = receiver.exchange(request(b"", "Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n")
    assert answer.status == 200
    assert receiver.landed(body) == "line"


def test_a_large_body_of_unknown_length_lands_whole(receiver: Receiver) -> None:
    body = b"L" * (LONGEST_BODY * 3)
    pieces = b"".join(b"4000\r\n" + body[at : at + 0x4000] + b"\r\n" for at in range(0, len(body), 0x4000))
    assert receiver.exchange(request(b"", "Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n").status == 200
    assert receiver.landed(body) == "oversize"


def test_a_client_that_asks_for_leave_gets_it(receiver: Receiver) -> None:
    body = event("with leave")
    with receiver.connect() as connection:
        connection.sendall(request(b"", "Expect: 100-continue", f"Content-Length: {len(body)}"))
        assert read_answer(connection).status == 100
        connection.sendall(body)
        assert read_answer(connection).status == 200
    assert receiver.landed(body) == "line"


def test_a_client_without_the_secret_gets_no_leave_to_send(receiver: Receiver) -> None:
    with receiver.connect() as connection:
        connection.sendall(request(b"", "Expect: 100-continue", "Content-Length: 9999999", secret="wrong"))
        answer = read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (429, "close")
        assert is_closed(connection)


@pytest.mark.parametrize("split", [None, 30, -20, -4])
def test_the_offer_of_javas_client_to_speak_http_2_is_passed_over(receiver: Receiver, split: int | None) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA")
    bodies = [event(f"http2-{split}-{number}") for number in range(3)]
    with receiver.connect() as connection:
        for body in bodies:
            whole = request(body, *offer)
            connection.sendall(whole[:-4])
            connection.sendall(whole[-4:])
            assert read_answer(connection).status == 200
    assert [receiver.landed(body) for body in bodies] == ["line"] * 3


def test_requests_on_one_connection_before_their_answers_are_answered_in_order(receiver: Receiver) -> None:
    with receiver.connect() as connection:
        connection.sendall(request(event("first")) + request(b"", secret="wrong") + request(event("third")))
        assert [read_one(connection) for _ in range(3)] == [200, 429, 200]


def read_one(connection: object, kept: dict[int, bytes] = {}) -> int:  # noqa: B006 - what came behind the last answer
    data = kept.get(id(connection), b"")
    while b"\r\n\r\n" not in data or len(data) < _length(data):
        data += connection.recv(65536)  # type: ignore[attr-defined]
    kept[id(connection)] = data[_length(data) :]
    return int(data.split()[1])


def _length(data: bytes) -> int:
    head, _, _ = data.partition(b"\r\n\r\n")
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return len(head) + 4 + int(length.split(b":")[1])


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"no http at all\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /events HTTP/1.1\r\nBad\x01Header: x\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\n\r\n",
        request(b"", "Content-Length: five"),
        request(b"zz\r\nno length\r\n", "Transfer-Encoding: chunked"),
        request(b"5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5"),
    ],
)
def test_what_is_no_http_is_never_answered_400(receiver: Receiver, request_bytes: bytes) -> None:
    before = receiver.figures().get("requests_total refused malformed", 0)
    with receiver.connect() as connection:
        connection.sendall(request_bytes)
        answer = read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (429, "close")
        assert is_closed(connection)
    assert receiver.figures()["requests_total refused malformed"] == before + 1


@pytest.mark.parametrize(
    ("piece", "times"),
    # Long ones, a single one, and many that are short: those take 30 times the memory that they take on the way.
    [(b"X-Endless: " + b"x" * 1000 + b"\r\n", 1000), (b"x" * 1000, 1000), (b"a:\r\n", 2500)],
)
def test_headers_without_end_end_the_connection(receiver: Receiver, piece: bytes, times: int) -> None:
    before = receiver.figures().get("requests_total refused headers_endless", 0)
    with receiver.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(b"POST /events HTTP/1.1\r\nX-First: " + piece * times)
        assert is_closed(connection)
    assert receiver.figures()["requests_total refused headers_endless"] == before + 1


def test_endless_trailers_end_the_connection_too(receiver: Receiver) -> None:
    body = event("with trailers")
    with receiver.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(request(b"", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n" % (len(body), body))
            connection.sendall(b"X-Trailer: " + b"x" * 10_000_000)
        assert is_closed(connection)
    assert receiver.post(event("after trailers")).ok
    assert receiver.landed(event("after trailers")) == "line"
    assert body not in receiver.lines()


def test_a_client_that_leaves_in_the_middle_lands_nothing(receiver: Receiver) -> None:
    before = receiver.figures().get("requests_total aborted", 0)
    body, large = event("left in the middle"), b"M" * LONGEST_BODY * 4
    for one, sent in ((body, body[:-1]), (large, large[:-1])):
        with receiver.connect() as connection:
            connection.sendall(request(b"", f"Content-Length: {len(one)}") + sent)
            if one is large:
                # Some of it is on disk by then.
                wait_until(lambda: receiver.figures()["reading_bytes"] == 0)
    receiver.wait_for("requests_total aborted", before + 2)
    assert receiver.figures()["reading_bytes"] == 0
    assert receiver.post(event("after it")).ok
    assert receiver.landed(event("after it")) == "line"
    assert not any(
        sent.startswith((b"M", body[:-1])) for sent in [*receiver.lines(), *(b for _, b in receiver.asides())]
    )


def test_a_hundred_large_bodies_at_once_take_no_memory(tmp_path: Path) -> None:
    bodies = [bytes([number]) * 2_000_000 for number in range(100)]
    with receiving(tmp_path) as receiver:
        process = psutil.Process(receiver.process.pid)
        before, most = process.memory_info().rss, 0
        with ThreadPoolExecutor(100) as threads:
            answers = [threads.submit(receiver.exchange, request(body)) for body in bodies]
            while not all(answer.done() for answer in answers):
                most = max(most, process.memory_info().rss)
        assert {answer.result().status for answer in answers} == {200}
        landed = receiver.asides()
    assert [number for number in range(100) if landed["oversize", bodies[number]] != 1] == []
    # Together they are 200 MB; a piece of each at a time may be held.
    assert most - before < 60 * 2**20


def test_the_figures_tell_what_happened(receiver: Receiver) -> None:
    before = receiver.figures()
    for body in (event("counted"), b"not counted as a line", b"o" * (LONGEST_BODY + 1)):
        assert receiver.post(body).ok
    receiver.post(event("long-headers"), X_Long="h" * LONGEST_HEADERS)
    receiver.post(Authorization="")
    receiver.post(Authorization="wrong")
    receiver.post(path="/other")
    after = receiver.figures()
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    outcomes = {name.removeprefix("requests_total "): grown[name] for name in grown if name.startswith("requests")}
    assert outcomes == {
        "landed": 1,
        "aside unreadable": 1,
        "aside oversize": 1,
        "aside headers": 1,
        "refused secret_missing": 1,
        "refused secret_wrong": 1,
        "elsewhere": 1,
    }
    assert grown["events_landed_total"] == 4
    assert grown["commit_seconds_count"] >= 2
    assert {"queue_events", "queue_bytes", "oldest_unlanded_seconds", "open_connections", "ready"} < set(after)
    assert receiver.get("/readyz").json() == {"ready": True}
    assert SECRET not in receiver.get("/metrics").text
