"""What becomes of streamed messages after their answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, good_profile

StartPlatform = Callable[..., Platform]


def test_good_entities_reach_the_lake(swift: StartPlatform) -> None:
    platform = swift()
    platform.stream(good("1"), good("1"), good("2"))
    platform.stream(good_profile(), dataset=platform.profiles)

    assert platform.validated()["in_lake"] == {
        "records": 4,
        "distinct": 2,
        "by_dataset": {
            platform.events: {"records": 3, "distinct": 2},
            platform.profiles: {"records": 1, "distinct": 0},
        },
    }
    assert platform.client.summary()["failed_later"] == 0
    assert platform.failed_batches() == {}


def test_a_bad_entity_is_received_and_fails_later(swift: StartPlatform) -> None:
    platform = swift()
    bad = good("bad", eventType=7)
    header = {"createdAt": "1526283801869", "source": {"name": "me"}}

    answer = platform.stream(good("1"), bad, **header)

    assert answer.status_code == 207
    assert [item.keys() for item in answer.json()["responses"]] == [{"xactionId"}, {"xactionId"}]
    ((batch_id, batch),) = platform.some_failed().items()
    assert batch["status"] == "failed"
    assert batch["tags"]["flowId"] == [platform.tenant.events_flow_id]
    (record,) = platform.failed_records(batch_id)
    assert batch["metrics"] == {
        "recordsSize": len(orjson.dumps(record)) + 1,
        "invalidRecordCount": 1,
        "invalidRecordsStreamingValidation": 1,
        "invalidRecordsMapper": 0,
        "invalidRecordsProfile": 0,
        "invalidRecordsIdentity": 0,
        "invalidRecordsUnknown": 0,
    }
    text = "The message cannot be validated: [#/eventType: expected type: String, found: Integer]"
    assert batch["errors"] == [{"code": "DCVS-1104-400", "description": text, "recordCount": 1}]
    assert {name: type(value) for name, value in record.items()} == {"body": str, "header": str, "_errors": str}
    assert orjson.loads(record["body"]) == platform.message(bad)["body"]
    assert orjson.loads(record["header"]) == platform.message(bad, **header)["header"]
    assert orjson.loads(record["_errors"]) == {
        "_streamingValidation": [
            {
                "schemaLocation": "#",
                "pointerToViolation": "#/eventType",
                "causingExceptions": [],
                "keyword": "type",
                "message": "expected type: String, found: Integer",
            }
        ]
    }
    summary = platform.validated()
    assert (summary["accepted"], summary["failed_later"], summary["in_lake"]["records"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"identityMap": None}, "DCVS-1104-400"),
        ({"timestamp": "yesterday"}, "DCVS-1105-400"),
        ({"_id": "no uri reference"}, "DCVS-1105-400"),
        ({"unknown": 1}, "DCVS-1101-400"),
        ({"identityMap": {"x": [{"id": "1", "authenticatedState": "maybe"}]}}, "DCVS-1106-400"),
        ({"identityMap": {"x": [{}]}}, "DCVS-1111-400"),
    ],
)
def test_each_violation_has_its_code(swift: StartPlatform, change: dict[str, Any], code: str) -> None:
    platform = swift()

    platform.stream(good() | change)

    (batch,) = platform.some_failed().values()
    assert [error["code"] for error in batch["errors"]] == [code]


def test_no_more_than_five_violations_are_told(swift: StartPlatform) -> None:
    platform = swift()
    platform.stream(good("bad", identityMap={"x": [{}] * 8}))

    (batch_id,) = platform.some_failed()

    (record,) = platform.failed_records(batch_id)
    assert len(orjson.loads(record["_errors"])["_streamingValidation"]) == 5


def test_the_other_form_of_the_errors(swift: StartPlatform) -> None:
    platform = swift(validation_errors_key=True, synonyms=True)
    platform.stream(good("bad", eventType=7))
    found = eventually(lambda: platform.failed_batches(status="failure"))

    (record,) = platform.failed_records(next(iter(found)))

    assert record.keys() == {"body", "header", "_validationErrors"}
    assert [item["keyword"] for item in record["_validationErrors"]] == ["type"]


def test_each_dataset_has_a_batch_of_its_own(swift: StartPlatform) -> None:
    platform = swift()
    message, other = platform.message(good("bad", eventType=7)), platform.message({"x": 1}, platform.profiles)

    platform.client.send_many(message, other)

    summary = platform.validated()
    assert summary["failed_later"] == 2
    assert len(platform.failed_batches()) == 1
    (batch,) = platform.failed_batches(dataSet=platform.profiles).values()
    assert batch["tags"]["flowId"] == [platform.tenant.profiles_flow_id]


def test_failed_entities_of_different_windows_are_in_different_batches(swift: StartPlatform) -> None:
    platform = swift()
    platform.stream(good("first", eventType=7))
    platform.some_failed()
    platform.stream(good("second", eventType=7))

    batches = platform.some_failed(2)

    ids = [orjson.loads(platform.failed_records(batch)[0]["body"])["xdmEntity"]["_id"] for batch in batches]
    assert ids == ["first", "second"]


def test_many_files_are_listed_in_pages(swift: StartPlatform) -> None:
    platform = swift(records_per_file=1, validation_seconds=0.5)
    platform.stream(*(good(str(number), eventType=7) for number in range(150)))
    (batch,) = platform.some_failed()

    first = platform.get(f"export/batches/{batch}/failed").json()
    last = platform.get(f"export/batches/{batch}/failed", start=100).json()
    few = platform.get(f"export/batches/{batch}/failed", start=1, limit=2).json()

    assert [entry["name"] for entry in first["data"]][:2] == ["_SUCCESS", "part-00000.json"]
    assert first["data"][0]["length"] == "0"
    assert (first["_page"], len(first["data"])) == ({"limit": 100, "count": 100}, 100)
    assert (last["_page"], len(last["data"])) == ({"limit": 100, "count": 51}, 51)
    assert [entry["name"] for entry in few["data"]] == ["part-00000.json", "part-00001.json"]
    assert len(platform.failed_records(batch)) == 150
    assert platform.get(f"export/batches/{batch}/failed", path="_SUCCESS").content == b""


@pytest.mark.parametrize("path", ["none", "../batch.json", "/etc/passwd", ".", ""])
def test_a_path_that_is_no_file_of_the_batch_is_answered_404(swift: StartPlatform, path: str) -> None:
    platform = swift()
    platform.stream(good("bad", eventType=7))
    (batch,) = platform.some_failed()

    assert platform.get(f"export/batches/{batch}/failed", path=path).status_code == 404
    assert platform.get(f"export/batches/{batch}/meta", path=path).status_code == 404


def test_the_good_files_of_a_batch_can_be_read_also_in_part(swift: StartPlatform) -> None:
    platform = swift()
    batch, _ = platform.ingest(b'{"x":1}', good_file := orjson.dumps(good()), partialIngestionPercent=50)
    listed = platform.get(f"export/batches/{batch}/files").json()["data"]
    (entry,) = platform.get(listed[1]["_links"]["self"]["href"]).json()["data"]
    href = entry["_links"]["self"]["href"]

    assert platform.get(href.split("?")[0], path=entry["name"]).content == good_file
    part = platform.call("GET", href, platform.headers(Range="bytes=0-4"), params={"path": entry["name"]})
    assert (part.status_code, part.content) == (206, good_file[:5])
    assert platform.get(f"export/batches/{batch}/failed").status_code == 404


def test_validation_can_be_left_out(swift: StartPlatform) -> None:
    platform = swift(validate=False)
    platform.stream(good("bad", eventType=7))

    summary = platform.client.summary()
    assert (summary["in_lake"]["records"], summary["awaiting_validation"], summary["failed_later"]) == (1, 0, 0)


def test_many_messages_are_validated_while_answers_stay_quick(swift: StartPlatform) -> None:
    platform = swift()
    messages = [platform.message(good(str(number), eventType=7 if number % 2 else "a.b")) for number in range(500)]
    for _ in range(10):
        platform.client.send_many(*messages)
    began = time.monotonic()
    answers = 0
    while platform.client.summary()["awaiting_validation"]:
        assert platform.client.send_one(messages[0]).status_code == 200
        answers += 1
        assert time.monotonic() < began + 60, "the validation never ended"

    assert platform.client.summary()["failed_later"] == 2500
    assert (time.monotonic() - began) / max(answers, 1) < 0.25


def test_the_deepest_entity_that_is_taken_can_fail_too(swift: StartPlatform) -> None:
    platform = swift()
    deep: dict[str, Any] = {}
    for depth in range(260):
        deep = {"a": deep}
        if depth > 240:
            platform.stream(good(str(depth), deep=deep))

    assert platform.validated()["failed_later"] == platform.client.summary()["accepted"] > 0
    assert len(platform.failed_records(next(iter(platform.some_failed())))) > 0
