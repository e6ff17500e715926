"""What both collection endpoints check of a request as a whole."""

from __future__ import annotations

import logging
import socket
import time
from urllib.parse import urlsplit

import orjson
import pytest

from capillary_adobe_tests.emulators.client import Client, StartEmulator, event

PROBLEM = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
ONE_MB = 1_000_000
ENDPOINTS = pytest.mark.parametrize("endpoint", ["", "batch/"])


def body_for(endpoint: str, client: Client) -> bytes:
    message = event(client.tenant)
    return orjson.dumps({"messages": [message]} if endpoint else message)


@ENDPOINTS
def test_an_unknown_inlet_is_answered_404(client: Client, endpoint: str) -> None:
    answer = client.post(f"{endpoint}{'0' * 64}", body_for(endpoint, client))

    assert answer.status_code == 404
    assert answer.json()["status"] == 404


@ENDPOINTS
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_answered_415(client: Client, endpoint: str, content_type: str | None) -> None:
    headers = client.headers(Content_Type=content_type)

    answer = client.post(endpoint + client.tenant.inlet_id, body_for(endpoint, client), headers)

    assert answer.status_code == 415
    assert client.newly("accepted") == 0


@ENDPOINTS
def test_parameters_of_the_content_type_are_ignored(client: Client, endpoint: str) -> None:
    headers = client.headers(Content_Type="Application/JSON; charset=utf-8")

    answer = client.post(endpoint + client.tenant.inlet_id, body_for(endpoint, client), headers)

    assert answer.ok


@ENDPOINTS
def test_a_request_of_exactly_the_limit_passes(client: Client, endpoint: str) -> None:
    body = body_for(endpoint, client).ljust(ONE_MB)

    assert client.post(endpoint + client.tenant.inlet_id, body).ok
    assert client.newly("accepted") == 1


@ENDPOINTS
@pytest.mark.parametrize("size", [ONE_MB + 1, 20 * ONE_MB])
def test_a_larger_request_is_answered_413(client: Client, endpoint: str, size: int) -> None:
    answer = client.post(endpoint + client.tenant.inlet_id, body_for(endpoint, client).ljust(size))

    assert answer.status_code == 413
    assert client.newly("accepted") == 0


def test_the_limit_holds_for_a_body_of_unstated_length(client: Client) -> None:
    chunks = (b" " * 100_000 for _ in range(11))

    answer = client.post(client.tenant.inlet_id, chunks)  # pyright: ignore[reportArgumentType]

    assert answer.status_code == 413


@ENDPOINTS
@pytest.mark.parametrize("body", [b"", b'{"messages":[', b"\xff\xfe", b"{'messages':[]}"])
def test_malformed_json_is_answered_400(client: Client, endpoint: str, body: bytes) -> None:
    answer = client.post(endpoint + client.tenant.inlet_id, body)

    assert answer.status_code == 400
    problem = answer.json()
    assert (problem["type"], problem["status"], problem["title"]) == (PROBLEM, 400, "Invalid XDM Message Format")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"messages":{}}', b'{"messages":null}'])
def test_a_batch_without_messages_is_answered_400(client: Client, body: bytes) -> None:
    answer = client.post(f"batch/{client.tenant.inlet_id}", body)

    assert answer.status_code == 400
    assert answer.json()["type"] == PROBLEM


def test_an_empty_batch_is_answered_207(client: Client) -> None:
    answer = client.send_many()

    assert answer.status_code == 207
    assert answer.json()["responses"] == []


@ENDPOINTS
@pytest.mark.parametrize("parameter", ["syncValidation", "synchronousValidation"])
def test_synchronous_validation_is_answered_501(client: Client, endpoint: str, parameter: str) -> None:
    path, body = endpoint + client.tenant.inlet_id, body_for(endpoint, client)

    assert client.post(path, body, params={parameter: "true"}).status_code == 501
    assert client.post(path, body, params={parameter: "false"}).ok


def test_the_sandbox_header_may_be_there_or_not(client: Client) -> None:
    body = body_for("", client)

    assert client.post(client.tenant.inlet_id, body, client.headers(x_sandbox_name="demo")).ok
    assert client.post(client.tenant.inlet_id, body, client.headers()).ok


def test_requests_over_the_rate_are_answered_429(start: StartEmulator) -> None:
    client = start(max_requests_per_second=0.001)

    statuses = [client.send_many(event(client.tenant, str(number))).status_code for number in range(3)]

    assert statuses == [207, 429, 429]
    assert client.summary()["requests"] == {"207": 1, "429": 2}
    assert client.summary()["accepted"] == 1


def test_a_batch_above_the_record_rate_passes_and_is_paid_for_later(start: StartEmulator) -> None:
    client = start(max_records_per_second=10)
    messages = [event(client.tenant, str(number)) for number in range(500)]

    statuses = [client.send_many(*messages).status_code]
    statuses += [client.send_one(messages[0]).status_code, client.send_many(messages[0]).status_code]

    assert statuses == [207, 429, 429]
    assert client.summary()["accepted"] == 500


def test_records_over_the_rate_are_answered_429(start: StartEmulator) -> None:
    client = start(max_records_per_second=2)
    messages = [event(client.tenant, str(number)) for number in range(200)]

    assert client.send_many(*messages).status_code == 207
    assert client.send_many(*messages).status_code == 429
    assert client.summary()["accepted"] == 200


def test_the_rate_recovers(start: StartEmulator) -> None:
    client = start(max_requests_per_second=5)
    deadline = time.monotonic() + 30
    while client.send_one(event(client.tenant)).status_code != 429:
        assert time.monotonic() < deadline, "the rate was never reached"

    while (status := client.send_one(event(client.tenant)).status_code) == 429:
        assert time.monotonic() < deadline, "the rate never recovered"

    assert status == 200


def test_an_answer_takes_as_long_as_asked(start: StartEmulator) -> None:
    client = start(latency_seconds=0.2)
    began = time.monotonic()

    client.send_one(event(client.tenant))

    assert time.monotonic() - began >= 0.2


def test_a_client_that_vanishes_while_sending_leaves_no_error(alone: Client, caplog: pytest.LogCaptureFixture) -> None:
    address = urlsplit(alone.base_url)
    head = f"POST /collection/{alone.tenant.inlet_id} HTTP/1.1\r\nHost: emulator\r\nContent-Length: 1000\r\n\r\n"
    with caplog.at_level(logging.ERROR):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head.encode() + b"{")
        assert alone.send_one(event(alone.tenant)).status_code == 200

    assert [record.getMessage() for record in caplog.records] == []
    assert alone.summary()["requests"] == {"200": 1}
