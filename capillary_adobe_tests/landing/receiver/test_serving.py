"""Starting, failing, recovering and stopping, with clients at work."""

from __future__ import annotations

import json
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from capillary_adobe_tests.landing.receiver.receiving import (
    SECRET,
    Receiver,
    is_closed,
    objects,
    read_answer,
    receiving,
    request,
    starting,
    wait_until,
)
from capillary_adobe_tests.s3_servers import S3Server

ANSWERED = {200, 429}
SOON = 5.0


def posted(receiver: Receiver, numbers: Iterator[int], acknowledged: set[bytes], stopped: threading.Event) -> None:
    """Post one event after the other over one connection until it breaks; note those that were acknowledged."""
    with requests.Session() as session:
        for number in numbers:
            body = b'{"number": %d, "filling": "%s"}' % (number, b"x" * 1400)
            try:
                answer = session.post(f"{receiver.url}/events", body, headers={"Authorization": SECRET}, timeout=30)
            except requests.ConnectionError:
                return
            assert answer.status_code in ANSWERED
            if answer.status_code == 200:
                acknowledged.add(body)
            elif stopped.is_set():
                return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_lands_what_was_acknowledged(tmp_path: Path, number: int) -> None:
    acknowledged: set[bytes] = set()
    stopped = threading.Event()
    with receiving(tmp_path, {"RECEIVE_ROLL_SECONDS": "60"}) as receiver, ThreadPoolExecutor(6) as threads:
        clients = [
            threads.submit(posted, receiver, iter(range(one, 10**6, 6)), acknowledged, stopped) for one in range(6)
        ]
        wait_until(lambda: len(acknowledged) > 200)
        # None of it can be seen yet: the stop has to land it.
        assert not receiver.lines()
        stopped.set()
        assert receiver.stop(number) == 0
        for client in clients:
            client.result(30)
    lines = receiver.lines()
    assert acknowledged <= set(lines)
    assert set(lines.values()) == {1}
    told = [json.loads(line)["event"] for line in receiver.log().splitlines()]
    # A request may come between the signal and the end of its connection.
    refused = "Events are not taken now and are to be sent again"
    assert [one for one in told if one != refused] == [f"receiving on {receiver.url}/events", "stopping", "stopped"]


def test_a_stop_waits_for_a_body_and_takes_no_new_one(tmp_path: Path) -> None:
    body = b'{"still": "coming"}'
    with receiving(tmp_path) as receiver, receiver.connect() as slow, receiver.connect() as silent:
        slow.sendall(request(b"", f"Content-Length: {len(body)}") + body[:5])
        silent.sendall(request(b'{"before": 1}'))
        assert read_answer(silent).status == 200
        receiver.process.send_signal(signal.SIGTERM)
        assert is_closed(silent)
        wait_until(lambda: "stopping" in receiver.log())
        with pytest.raises(requests.ConnectionError):
            receiver.get("/readyz")
        slow.sendall(body[5:] + request(b'{"too": "late"}'))
        answer = read_answer(slow)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert receiver.process.wait(30) == 0
    assert set(receiver.lines()) == {b'{"before": 1}', body}


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    with receiving(tmp_path, {"RECEIVE_STOP_SECONDS": "1"}) as receiver, receiver.connect() as slow:
        slow.sendall(request(b"", "Content-Length: 100") + b"half of it")
        wait_until(lambda: receiver.figures()["reading_bytes"] > 0)
        assert receiver.stop() == 0
        answer = read_answer(slow)
        assert (answer.status, answer.headers["retry-after"]) == (429, "5")
    assert not receiver.lines()
    assert not receiver.asides()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver, receiver.connect() as slow:
        slow.sendall(request(b"", "Content-Length: 100") + b"half of it")
        wait_until(lambda: receiver.figures()["reading_bytes"] > 0)
        assert receiver.post(b'{"acknowledged": 1}').ok
        receiver.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in receiver.log())
        assert receiver.stop(signal.SIGINT) == 128 + signal.SIGINT
    # What was acknowledged is there for the next one.
    with receiving(tmp_path) as receiver:
        wait_until(lambda: receiver.lines()[b'{"acknowledged": 1}'] == 1)


@contextmanager
def no_room(receiver: Receiver) -> Iterator[None]:
    """Let no file of the receiver grow beyond what it has, as on a full disk."""
    process = psutil.Process(receiver.process.pid)
    _, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (0, hard))
    yield
    process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_without_room_events_are_to_be_sent_again_and_land_when_there_is_some(tmp_path: Path) -> None:
    bodies = [b'{"number": %d}' % number for number in range(5)]
    large = b"L" * 3_000_000
    with receiving(tmp_path) as receiver:
        assert receiver.post(bodies[0]).ok
        with no_room(receiver):
            for body in (bodies[1], b"unreadable", large):
                answer = receiver.post(body)
                assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
            ready = receiver.get("/readyz")
            assert ready.status_code == 503
            assert ready.json() == {"ready": False, "why": "events cannot be made durable; the log says why"}
            assert receiver.get("/healthz").ok
            figures = receiver.figures()
            assert figures["requests_total not_landed store"] == 3
            assert figures["commit_failures_total store"] == 3
            assert figures["ready"] == 0
        # Without an event: a proxy sends none to a receiver that is not ready.
        wait_until(lambda: receiver.get("/readyz").ok)
        for body in (bodies[2], b"unreadable", large):
            assert receiver.post(body).ok
        assert receiver.stop() == 0
        assert receiver.lines() == {bodies[0]: 1, bodies[2]: 1}
        assert receiver.asides() == {("unreadable", b"unreadable"): 1, ("oversize", large): 1}
        assert str(tmp_path) not in ready.text


def test_a_bucket_that_fails_loses_nothing(
    tmp_path: Path, moto: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = moto
    server.use(monkeypatch)
    bucket, client = server.bucket(), server.client()
    body, large = b'{"in": "a bucket"}', b"L" * 3_000_000
    settings = {**server.environment, "LANDING_URL": f"s3://{bucket}/live", "RECEIVE_COMMIT_SECONDS": "2"}
    with receiving(tmp_path, settings) as receiver:
        client.delete_bucket(Bucket=bucket)
        assert [receiver.post(one).status_code for one in (body, b"unreadable", large)] == [429] * 3
        assert receiver.get("/readyz").status_code == 503
        client.create_bucket(Bucket=bucket)
        wait_until(lambda: receiver.get("/readyz").ok)
        assert [receiver.post(one).status_code for one in (body, b"unreadable", large)] == [200] * 3
        assert receiver.stop() == 0
        found = [data.removesuffix(b"\n") for _, data in objects(receiver.landing)]
    assert sorted(found) == sorted([body, b"unreadable", large])


def test_a_start_that_takes_long_says_so(tmp_path: Path) -> None:
    # A store that takes connections and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = {
            "LANDING_URL": "s3://bucket/live",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{mute.getsockname()[1]}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        with starting(tmp_path, settings) as receiver:
            taken, _ = mute.accept()
            answer = receiver.get("/readyz")
            assert (answer.status_code, answer.json()["why"]) == (503, "the receiver is starting")
            assert receiver.get("/healthz").ok
            assert receiver.post(b"{}").status_code == 429
            assert receiver.post(b"{}", Authorization="wrong").status_code == 429
            assert receiver.figures()["requests_total not_landed starting"] == 1
            begun = time.monotonic()
            assert receiver.stop() == 0
            # The call to the store goes on for longer.
            assert time.monotonic() - begun < SOON
            taken.close()
