"""The log: one JSON object a line, nothing of a request in it, and no flood."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import pytest

from capillary_adobe.landing.receiver import logs
from capillary_adobe.landing.receiver.answers import UNEXPECTED
from capillary_adobe.landing.receiver.app import Receiver
from capillary_adobe.landing.receiver.bodies import Memory
from capillary_adobe.landing.receiver.gate import Gate
from capillary_adobe.landing.receiver.metrics import Metrics
from capillary_adobe.landing.receiver.pages import pages
from capillary_adobe.settings import ReceiverSettings
from capillary_adobe_tests.landing.receiver.receiving import SECRET

PAYLOAD = '{"email": "jane.doe@example.com"}'


def line(
    name: str, message: str, *arguments: object, caught: BaseException | None = None, **fields: object
) -> dict[str, Any]:
    trace = (type(caught), caught, caught.__traceback__) if caught else None
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, trace)
    record.__dict__["fields"] = fields
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def raised() -> ValueError:
    try:
        raise ValueError(PAYLOAD)
    except ValueError as error:
        return error


def test_a_line_of_our_own() -> None:
    told = line("capillary_adobe.receiver", "Two\nlines of %s", "ours", seconds=1.5)
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "warning", "event": "Two\nlines of ours", "seconds": 1.5}


def test_what_others_fill_in_is_left_out() -> None:
    told = line("urllib3", "Received %s from %s", PAYLOAD, "somebody", caught=raised())
    assert (told["event"], told["logger"], told["exception"]) == ("Received %s from %s", "urllib3", "ValueError")
    assert told["at"][-1].endswith(" raised")
    assert "jane" not in json.dumps(told)


def test_a_flood_is_two_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SECONDS_BETWEEN", 0.05)

    async def flood() -> None:
        seldom = logs.Seldom("It rains")
        for number in range(1000):
            seldom.note("cats" if number % 4 else "dogs")
        while len(caplog.records) < 2:
            await asyncio.sleep(0.01)
        # And none where nothing has happened since.
        await asyncio.sleep(0.2)

    asyncio.run(flood())
    assert [record.__dict__["fields"] for record in caplog.records] == [
        {"times": 1, "reasons": {"dogs": 1}},
        {"times": 999, "reasons": {"dogs": 249, "cats": 750}},
    ]


def test_an_exception_that_nobody_foresaw_is_answered_429_and_told_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        """A durable core with a defect: the real one has none to show."""

        def land_line(self, body: bytes) -> None:
            raise ValueError(body.decode())

        def failing(self) -> str:
            return ""

    settings = ReceiverSettings.model_validate({"secret": SECRET})
    gate, metrics, sent = Gate(), Metrics(), []
    gate.open(Broken())  # type: ignore[arg-type]
    app = Receiver(settings, gate, metrics, Memory(2**20), pages(gate, metrics, settings.path))
    headers = [(b"authorization", SECRET.encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": PAYLOAD.encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/events", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 429
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert f'outcome="not_landed",reason="{UNEXPECTED}"}} 1.0' in metrics.text().decode()
    told = [logs.JsonLines().format(record) for record in caplog.records]
    assert ["ValueError" in one for one in told] == [True, False]
    assert "jane" not in "".join(told)


def test_a_process_logs_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    kept = root.handlers[:], root.level, logging.raiseExceptions, logging.getLogger("uvicorn.error").level
    try:
        logs.log_as_json()
        logging.getLogger("botocore").warning("Body: %s", PAYLOAD)
        logging.getLogger("botocore").info("not worth a line")
        logs.tell("started", place="here")
        # Arguments that do not fit would be printed by Python, each with its value.
        logging.getLogger("capillary_adobe.receiver").warning("%d", PAYLOAD)
        sys.stderr.flush()
    finally:
        root.handlers[:], level, logging.raiseExceptions, uvicorns = kept
        root.setLevel(level)
        logging.getLogger("uvicorn.error").setLevel(uvicorns)
        logging.getLogger("capillary_adobe").setLevel(logging.NOTSET)
    told = [json.loads(one) for one in capfd.readouterr().err.splitlines()]
    assert [(one["level"], one["event"]) for one in told] == [("warning", "Body: %s"), ("info", "started")]
