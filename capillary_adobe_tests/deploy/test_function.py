"""The cloud function against a real S3 server: what it lands, the pipeline's own reader reads back exactly."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from types import ModuleType
from typing import Any
from uuid import uuid4

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.landing import open_landing_store, read_landed
from capillary_adobe.landing.store import is_aside
from capillary_adobe_tests.docs.pages import ROOT
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.landing.forms import compact, objects, pretty
from capillary_adobe_tests.s3_servers import S3Server, moto_server

FOLDER = ROOT / "deploy" / "function"
SENT_MS = 1_795_161_599_999  # 2026-11-20, the last millisecond of hour 07
DAY = "2026-11-20"
ANYTHING = (
    st.binary(max_size=60)
    | objects.map(lambda value: compact(value).encode())
    | objects.map(lambda value: pretty(value).encode())
)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with moto_server() as running:
        yield running


@pytest.fixture
def function(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function as Lambda loads it, with an empty landing store of its own."""
    server.use(monkeypatch)
    monkeypatch.setenv("LANDING_URL", f"s3://{server.bucket()}/brand/landing")
    return loaded()


def loaded() -> ModuleType:
    found = importlib.util.spec_from_file_location("function", FOLDER / "function.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def message(body: bytes, name: str | None = None, sent_ms: int = SENT_MS) -> dict[str, Any]:
    """A message as SQS hands it over, its body as API Gateway put it there."""
    attributes = {"SentTimestamp": str(sent_ms), "ApproximateReceiveCount": "1"}
    return {"messageId": name or str(uuid4()), "body": base64.b64encode(body).decode(), "attributes": attributes}


def land(function: ModuleType, *messages: dict[str, Any]) -> list[str]:
    answer = function.handler({"Records": list(messages)}, None)
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


def landed(day: str = DAY) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    store = open_landing_store(os.environ["LANDING_URL"])
    for one in store.list("live", day):
        with store.open(one.key) as stream:
            found[one.key] = stream.read()
    return found


def test_an_event_lands_as_a_line_in_the_folder_of_its_hour(function: ModuleType) -> None:
    body = b'{"eventName": "pointsIssued",  "orgId": 7}'
    assert land(function, message(body, "0d3a-99")) == []
    assert landed() == {f"events/{DAY}/07/{SENT_MS}-0d3a99-000000.jsonl": body}


def test_a_message_that_comes_again_lands_once(function: ModuleType) -> None:
    first, other = message(b"{}"), message(b"[]")
    for batch in ([first, other], [first], [other, first, message(b"{}")]):
        assert land(function, *batch) == []
    assert len(landed()) == 3


def test_every_body_is_kept_byte_for_byte_and_read_as_one(function: ModuleType) -> None:
    days = (date(2026, 1, 1) + timedelta(days=number) for number in count())

    @settings(deadline=None, max_examples=examples(10))
    @given(bodies=st.lists(ANYTHING, max_size=5))
    def kept(bodies: list[bytes]) -> None:
        day = next(days)
        sent_ms = int(datetime(day.year, day.month, day.day, 7, tzinfo=UTC).timestamp() * 1000)
        assert land(function, *(message(body, sent_ms=sent_ms) for body in bodies)) == []
        found = landed(day.isoformat())
        assert sorted(found.values()) == sorted(bodies)
        for key, body in found.items():
            assert_reads_as_one(key, body)

    kept()


def assert_reads_as_one(key: str, body: bytes) -> None:
    """One body is one record, or the elements of the array that it is."""
    records = list(read_landed(key, io.BytesIO(body)))
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, list):
        assert [record.value for record in records] == value
    elif isinstance(value, dict):
        assert [record.value for record in records] == [value]
    else:
        assert is_aside(key)
        assert [record.text for record in records] == [body]


ASIDE = {
    b'{\n  "eventName": "pointsIssued"\n}': "unreadable",
    b"<html>": "unreadable",
    b'{"a": NaN}': "unreadable",
    b'{"a": 1e999}': "unreadable",
    b'{"a": "\\ud800"}': "unreadable",
    b'{"a": "\xff"}': "unreadable",
    b"\xef\xbb\xbf{}": "unreadable",
    b"7": "unreadable",
    b"": "unreadable",
    b"[" * 100_000: "unreadable",
    b'{"a": "' + b"x" * 2**20 + b'"}': "oversize",
}


def test_what_is_no_line_of_json_lies_aside(function: ModuleType) -> None:
    assert land(function, *map(message, ASIDE)) == []
    found = landed()
    assert all(is_aside(key) and "-000000." in key for key in found)
    assert {body: key.rpartition(".")[2] for key, body in found.items()} == ASIDE
    for key, body in found.items():
        assert_reads_as_one(key, body)


def test_a_body_that_somebody_queued_as_text_lands_too(function: ModuleType) -> None:
    assert land(function, {**message(b""), "body": '{"eventName": "größer"}'}) == []
    assert list(landed().values()) == ['{"eventName": "größer"}'.encode()]


def test_what_the_store_does_not_take_comes_again_and_nothing_of_it_is_told(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.use(monkeypatch)
    monkeypatch.setenv("LANDING_URL", "s3://no-such-bucket/landing")
    lost = message(b'{"mobile": "9990001"}')
    with caplog.at_level(logging.DEBUG, logger="function"):
        assert land(loaded(), lost) == [lost["messageId"]]
    told = [record.getMessage() for record in caplog.records if record.name == "function"]
    assert told == ["not landed: NoSuchBucket, status 404"]


def test_no_answer_of_the_store_is_a_failure_too(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lost = message(b"{}")
    assert land(function, lost) == [lost["messageId"]]


@pytest.mark.parametrize(
    ("sent", "previous", "effect"),
    [
        ("Bearer one", "", "Allow"),
        ("Bearer two", "Bearer two", "Allow"),
        ("Bearer two", "", "Deny"),
        ("Bearer ünï", "", "Deny"),
        ("", "", "Deny"),
    ],
)
def test_the_authorizer_lets_in_who_knows_a_secret(
    monkeypatch: pytest.MonkeyPatch, sent: str, previous: str, effect: str
) -> None:
    monkeypatch.setenv("RECEIVE_SECRET", "Bearer one")
    monkeypatch.setenv("RECEIVE_PREVIOUS_SECRET", previous)
    arn = "arn:aws:execute-api:eu-west-1:1:api/prod/POST/events"
    answer = loaded().authorize({"type": "TOKEN", "authorizationToken": sent, "methodArn": arn}, None)
    [statement] = answer["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"]) == (effect, arn)


def test_without_a_secret_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECEIVE_SECRET", raising=False)
    answer = loaded().authorize({"authorizationToken": "", "methodArn": "arn"}, None)
    assert json.dumps(answer).count('"Deny"') == 1


def test_the_api_answers_nothing_that_is_final() -> None:
    api = yaml.safe_load((FOLDER / "api.yaml").read_text())
    own = api["x-amazon-apigateway-gateway-responses"]
    assert {name: given["statusCode"] for name, given in own.items()} == {"DEFAULT_4XX": "429", "DEFAULT_5XX": "429"}
    integration = api["paths"]["/events"]["post"]["x-amazon-apigateway-integration"]
    assert {name: answer["statusCode"] for name, answer in integration["responses"].items()} == {
        "200": "200",
        "default": "429",
    }
    for answer in (*own.values(), integration["responses"]["default"]):
        assert any("Retry-After" in name for name in answer["responseParameters"])
