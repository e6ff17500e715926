"""Clients that are slow, silent or many: none of them keeps the receiver from the others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from capillary_adobe_tests.landing.receiver.receiving import (
    Receiver,
    is_closed,
    read_answer,
    receiving,
    request,
    wait_until,
)

SHORT = 0.5
LONGER = 3.0
MOST = 8


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    settings = {
        "RECEIVE_HEADER_SECONDS": str(SHORT),
        "RECEIVE_BODY_SECONDS": str(LONGER),
        "RECEIVE_IDLE_SECONDS": "2",
        "RECEIVE_MAX_CONNECTIONS": str(MOST),
        "RECEIVE_QUEUE_BYTES": "200000",
        "RECEIVE_MAX_BODY_BYTES": "200000",
    }
    with receiving(tmp_path_factory.mktemp("connections"), settings) as running:
        yield running


def grown(receiver: Receiver, before: dict[str, float], outcome: str) -> float:
    """How often requests have ended so since."""
    name = f"requests_total {outcome}"
    return receiver.figures().get(name, 0) - before.get(name, 0)


def drip(connection: socket.socket, data: bytes) -> float:
    """Send byte by byte until the other side has had enough; the seconds that took."""
    begun = time.monotonic()
    connection.settimeout(0.05)
    for at in range(len(data)):
        try:
            connection.sendall(data[at : at + 1])
            if not connection.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
        # There is an answer, to a request that is not whole.
        break
    connection.settimeout(10)
    return time.monotonic() - begun


def test_a_connection_that_says_nothing_is_closed(receiver: Receiver) -> None:
    with receiver.connect() as connection:
        begun = time.monotonic()
        assert is_closed(connection)
        assert SHORT * 0.9 < time.monotonic() - begun < SHORT + 5


def test_headers_that_drip_are_cut_off(receiver: Receiver) -> None:
    before = receiver.figures()
    with receiver.connect() as connection:
        # Each byte on its own comes soon enough.
        assert SHORT * 0.9 < drip(connection, request(b"{}", "X-Long: " + "x" * 1000)) < SHORT + 5
        assert is_closed(connection)
    assert grown(receiver, before, "timed_out slow_headers") == 1


def test_a_body_that_drips_is_to_be_sent_again(receiver: Receiver) -> None:
    body = b'{"slow": "' + b"x" * 1000 + b'"}'
    before = receiver.figures()
    with receiver.connect() as connection:
        connection.sendall(request(b"", f"Content-Length: {len(body)}"))
        assert LONGER * 0.9 < drip(connection, body) < LONGER + 5
        answer = read_answer(connection)
        assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (429, "5", "close")
        assert is_closed(connection)
    assert grown(receiver, before, "timed_out slow_body") == 1
    assert grown(receiver, before, "aborted") == 0
    assert receiver.post(body).ok


def test_a_refused_client_cannot_go_on_for_ever(receiver: Receiver) -> None:
    with receiver.connect() as connection:
        connection.sendall(request(b"", "Content-Length: 1000", secret="wrong"))
        assert read_answer(connection).status == 429
        assert drip(connection, b"x" * 1000) < LONGER + 5
        assert is_closed(connection)


def test_a_connection_stays_open_between_requests(receiver: Receiver) -> None:
    with receiver.connect() as connection:
        for _ in range(2):
            connection.sendall(request(b'{"kept": "alive"}'))
            assert read_answer(connection).status == 200
            # Longer than headers may take, shorter than a connection may idle.
            time.sleep(SHORT * 2)
        begun = time.monotonic()
        assert is_closed(connection)
        assert time.monotonic() - begun < 10


def test_the_connection_that_asked_for_nothing_longest_makes_room(receiver: Receiver) -> None:
    # The connections of the tests before are gone.
    wait_until(lambda: receiver.figures()["open_connections"] == 1)
    body = b'{"under": "way"}'
    with ExitStack() as stack:
        busy = stack.enter_context(receiver.connect())
        busy.sendall(request(b"", f"Content-Length: {len(body)}"))
        wait_until(lambda: receiver.figures()["open_connections"] == 2)
        idle = []
        for _ in range(MOST - 1):
            idle.append(stack.enter_context(receiver.connect()))
            idle[-1].sendall(request(b'{"idle": 1}'))
            assert read_answer(idle[-1]).status == 200
        assert receiver.post(b'{"one": "more"}').ok
        assert is_closed(idle[0])
        for other in idle[1:]:
            other.sendall(request(b'{"still": "there"}'))
            assert read_answer(other).status == 200
        busy.sendall(body)
        assert read_answer(busy).status == 200
    assert receiver.figures()["connections_closed_total too_many"] >= 1


def test_bodies_that_are_still_coming_count_as_waiting(receiver: Receiver) -> None:
    wait_until(lambda: receiver.figures()["open_connections"] == 1)
    half = b"[" + b" " * 149_999
    before = receiver.figures()
    with receiver.connect() as first, receiver.connect() as second:
        first.sendall(request(b"", "Content-Length: 150001") + half)
        wait_until(lambda: receiver.figures()["reading_bytes"] >= 150_000)
        second.sendall(request(b"", "Content-Length: 150001") + half)
        answer = read_answer(second)
        assert (answer.status, answer.headers["retry-after"]) == (429, "5")
        first.sendall(b"]")
        assert read_answer(first).status == 200
    assert grown(receiver, before, "not_landed overload") == 1
    assert receiver.figures()["reading_bytes"] == 0
    assert receiver.post(half + b"]").ok


def test_requests_ahead_of_their_answers_end_a_connection(receiver: Receiver) -> None:
    before = receiver.figures()
    with receiver.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(b"POST /events HTTP/1.1\r\nContent-Length: 0\r\n\r\n" * 50_000)
        assert is_closed(connection)
    assert grown(receiver, before, "refused malformed") == 1
