"""Batch Ingestion: from the creation of a batch to its final status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyarrow import parquet

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, good_profile, lines, parsed

StartPlatform = Callable[..., Platform]
BAD = {key: value for key, value in good("bad").items() if key != "identityMap"}


@pytest.fixture
def there(swift: StartPlatform) -> Platform:
    return swift()


def test_a_batch_is_created_as_documented(platform: Platform) -> None:
    answer = platform.create(externalId="mine", enableErrorDiagnostics=True, partialIngestionPercent=5)

    assert answer.status_code == 201
    created = answer.json()
    assert created["status"] == "loading"
    assert created["imsOrg"] == platform.tenant.org_id
    assert created["relatedObjects"] == [{"type": "dataSet", "id": platform.events}]
    assert created["version"] == "1.0.0"
    batch = platform.batch(created["id"])
    assert batch["status"] == "loading"
    assert batch["externalId"] == "mine"
    assert batch["tags"] == {"acp_enableErrorDiagnostics": ["true"], "acp_partialIngestionPercent": ["5"]}
    assert batch["inputFormat"] == {"format": "json"}


@pytest.mark.parametrize(
    "changes",
    [
        {"datasetId": "none"},
        {"datasetId": None},
        {"inputFormat": {}},
        {"inputFormat": {"format": "xml"}},
        {"partialIngestionPercent": 101},
        {"partialIngestionPercent": "5"},
        {"externalId": 7},
    ],
)
def test_a_batch_that_cannot_be_is_not_created(platform: Platform, changes: dict[str, Any]) -> None:
    assert platform.create(**changes).status_code == 400


@pytest.mark.parametrize(
    ("body", "content_type"), [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", None)]
)
def test_a_body_that_is_none_is_answered_400(platform: Platform, body: bytes, content_type: str | None) -> None:
    headers = platform.headers(Content_Type=content_type)

    assert platform.call("POST", "import/batches", headers, data=body).status_code == 400


@pytest.mark.parametrize("name", ["json", "JSON"])
def test_json_lines_are_ingested(there: Platform, name: str) -> None:
    first, second = lines(good("1"), good("2")), lines(b"", good("3"), b"")

    _, batch = there.ingest(first, second, inputFormat={"format": name})

    assert batch["status"] == "success"
    assert batch["errors"] == []
    assert batch["metrics"] == {
        "inputByteSize": len(first) + len(second),
        "inputFileCount": 2,
        "inputRecordCount": 3,
        "outputByteSize": len(lines(good("1"), good("2"), good("3"))) + 1,
        "outputFileCount": 2,
        "outputRecordCount": 3,
        "partitionCount": 1,
        "failedRecordCount": 0,
    }
    assert [line["entity"] for line in there.client.accepted()] == [good("1"), good("2"), good("3")]
    assert {line["dataset"] for line in there.client.accepted()} == {there.events}


def test_profiles_are_ingested(there: Platform) -> None:
    _, batch = there.ingest(lines(good_profile("a"), good_profile("b")), datasetId=there.profiles)

    assert batch["status"] == "success"
    assert there.client.summary()["by_dataset"][there.profiles]["accepted"] == 2


def test_a_json_array_is_ingested(there: Platform) -> None:
    data = b"[" + lines(good("1")) + b",\n" + lines(good("2")) + b"]"

    _, batch = there.ingest(data, inputFormat={"format": "json", "isMultiLineJson": True})

    assert batch["metrics"]["outputRecordCount"] == 2


def test_parquet_is_ingested(there: Platform, tmp_path: Path) -> None:
    identities = pa.map_(pa.string(), pa.list_(pa.struct([("id", pa.string()), ("primary", pa.bool_())])))
    table = pa.table(
        {
            "_id": ["1", "2"],
            "timestamp": pa.array([1_776_965_441_201] * 2, pa.timestamp("ms", "UTC")),
            "eventType": ["loyalty.pointsIssued"] * 2,
            "producedBy": [None, "me"],
            "identityMap": pa.array([[("capillaryCustomerId", [{"id": "c-1", "primary": True}])]] * 2, identities),
        }
    )
    parquet.write_table(table, tmp_path / "events.parquet")

    _, batch = there.ingest((tmp_path / "events.parquet").read_bytes(), inputFormat={"format": "parquet"})

    assert batch["status"] == "success", batch["errors"]
    assert [line["entity"] for line in there.client.accepted()] == [good("1"), good("2", producedBy="me")]


def test_duplicates_are_counted_over_both_lanes(there: Platform) -> None:
    there.stream(good("1"), good("2"))
    there.ingest(lines(good("2"), good("3"), good("3")))

    summary = there.validated()
    assert (summary["accepted"], summary["distinct"], summary["duplicates"]) == (5, 3, 2)
    assert summary["in_lake"]["records"] == 5
    assert summary["in_lake"]["distinct"] == 3


def test_the_status_moves_on_to_the_end(swift: StartPlatform) -> None:
    platform = swift(batch_seconds=1.0)
    batch = platform.begin()
    platform.put(batch, "a", lines(good()))
    platform.act(batch, "COMPLETE")
    seen: list[str] = []

    def look() -> bool:
        status = platform.batch(batch)["status"]
        if status not in seen:
            seen.append(status)
            assert platform.client.summary()["accepted"] == (status == "success")
        return status == "success"

    eventually(look)

    assert seen == [word for word in ("loaded", "queued", "processing", "staging", "staged", "success") if word in seen]
    assert len(seen) >= 4


def test_the_synonyms(swift: StartPlatform) -> None:
    platform = swift(synonyms=True)

    assert platform.ingest(lines(good()))[1]["status"] == "active"
    assert platform.ingest(lines(BAD))[1]["status"] == "failure"


def test_a_bad_row_fails_a_batch_that_allows_none(there: Platform) -> None:
    batch_id, batch = there.ingest(lines(good("1"), BAD))

    assert batch["status"] == "failed"
    assert batch["metrics"] == {}
    assert [error["code"] for error in batch["errors"]] == ["INGEST-1211-400"]
    assert there.client.summary()["accepted"] == 0
    assert there.get(f"export/batches/{batch_id}/meta", path="row_errors").status_code == 404


ROWS = (*(good(str(number)) for number in range(16)), b'{"_id":', BAD, good("t", eventType=7), b"[1]")


def test_bad_rows_within_the_share_are_left_out(there: Platform) -> None:
    batch_id, batch = there.ingest(lines(*ROWS), enableErrorDiagnostics=True, partialIngestionPercent=20)

    assert batch["status"] == "success"
    assert batch["metrics"]["failedRecordCount"] == 4
    assert batch["metrics"]["inputRecordCount"] == 20
    assert batch["metrics"]["outputRecordCount"] == 16
    total, *kinds = batch["errors"]
    assert total["code"] == "INGEST-1212-400"
    assert total["description"].startswith("Encountered 4 errors in the data. Successfully ingested 16 rows.")
    assert {kind["code"]: kind["recordCount"] for kind in kinds} == {
        "INGEST-1401-400": 2,
        "INGEST-1554-400": 1,
        "INGEST-1555-400": 1,
    }
    assert there.client.summary()["accepted"] == 16

    listed = there.get(f"export/batches/{batch_id}/meta", path="row_errors").json()
    assert [entry["name"] for entry in listed["data"]] == ["conversion_errors_0.json", "parsing_errors_0.json"]
    conversion, parsing = (parsed(there.get(entry["_links"]["self"]["href"])) for entry in listed["data"])
    assert parsing[0]["_corrupt_record"] == '{"_id":'
    assert parsing[0]["_errors"][0]["code"] == "1401"
    assert parsing[0]["_errors"][0]["message"]
    assert {row["_filename"] for row in conversion + parsing} == {"part-0"}
    assert {key: value for key, value in conversion[0].items() if key not in ("_errors", "_filename")} == BAD
    assert [row["_errors"][0]["code"] for row in conversion] == ["1555", "1554"]


def test_one_bad_row_more_fails_the_batch(there: Platform) -> None:
    batch_id, batch = there.ingest(lines(*ROWS), enableErrorDiagnostics=True, partialIngestionPercent=19.9)

    assert batch["status"] == "failed"
    assert "Successfully ingested 0 rows." in batch["errors"][0]["description"]
    assert there.client.summary()["accepted"] == 0
    assert there.get(f"export/batches/{batch_id}/meta", path="row_errors").json()["data"]
    failed = there.get(f"export/batches/{batch_id}/failed").json()["data"]
    assert [(entry["name"], entry["length"]) for entry in failed] == [
        ("_SUCCESS", "0"),
        ("part-0", str(len(lines(*ROWS)))),
    ]


def test_the_older_name_of_the_share_counts_too(there: Platform) -> None:
    _, batch = there.ingest(lines(good(), BAD), partialIngestionPercentage=50)

    assert batch["status"] == "success"
    assert batch["errors"][0]["code"] == "INGEST-1211-400"


def test_batch_ingestion_looks_at_neither_pattern_nor_format(there: Platform) -> None:
    _, batch = there.ingest(lines(good("not a uri reference", timestamp="yesterday")))

    assert batch["status"] == "success"


def test_more_can_be_demanded_of_every_row(store: Path) -> None:
    with RunningEmulator(store, behaviour=Behaviour(batch_seconds=0)) as emulator, requests.Session() as session:
        platform = Platform(Client(emulator, session))
        emulator.demand({"properties": {"eventType": {"enum": ["other"]}}})
        assert platform.ingest(lines(good()))[1]["status"] == "failed"
        emulator.demand(None)
        assert platform.ingest(lines(good()))[1]["status"] == "success"


@pytest.mark.parametrize("files", [(), (b"",), (b"\n\n",), (lines(good()), b"")])
def test_an_empty_batch_or_file_fails(there: Platform, files: tuple[bytes, ...]) -> None:
    _, batch = there.ingest(*files)

    assert batch["status"] == "failed"
    assert batch["errors"][0]["code"] == "106"


@pytest.mark.parametrize("name", ["parquet", "csv"])
def test_a_file_in_another_format_fails_the_batch(there: Platform, name: str) -> None:
    _, batch = there.ingest(lines(good()), inputFormat={"format": name}, partialIngestionPercent=100)

    assert batch["status"] == "failed"
    assert batch["errors"]


def test_too_many_files_fail_the_batch(swift: StartPlatform) -> None:
    platform = swift(max_files=2)

    _, batch = platform.ingest(lines(good("1")), lines(good("2")), lines(good("3")))

    assert batch["status"] == "failed"
    assert batch["errors"][0]["description"] == "Batch ingestion guardrails hit: 3 files (over the 2 threshold)"


@pytest.mark.parametrize("action", ["COMPLETE", "complete"])
def test_a_completion_may_be_repeated(there: Platform, action: str) -> None:
    batch = there.begin()
    there.put(batch, "a", lines(good()))

    assert [there.act(batch, action).status_code for _ in range(3)] == [200] * 3
    assert there.final(batch)["status"] == "success"
    assert there.act(batch, action).status_code == 200
    assert there.client.summary()["accepted"] == 1


@pytest.mark.parametrize(("action", "status"), [("ABORT", "aborted"), ("FAIL", "failed")])
def test_a_batch_can_be_given_up_while_it_is_loaded(there: Platform, action: str, status: str) -> None:
    batch = there.begin()

    assert [there.act(batch, action).status_code for _ in range(2)] == [200, 200]

    assert there.batch(batch)["status"] == status
    assert there.act(batch, "COMPLETE").status_code == 400
    assert there.put(batch, "a", b"x").status_code == 400


def test_a_completed_batch_cannot_be_given_up_and_takes_no_file(swift: StartPlatform) -> None:
    platform = swift(batch_seconds=60)
    batch = platform.begin()
    platform.put(batch, "a", lines(good()))
    platform.act(batch, "COMPLETE")

    assert platform.act(batch, "ABORT").status_code == 400
    assert platform.act(batch, "REVERT").status_code == 400
    assert platform.put(batch, "b", lines(good("2"))).status_code == 400


def test_a_reverted_batch_leaves_the_lake(there: Platform) -> None:
    there.stream(good("1"))
    batch, _ = there.ingest(lines(good("1"), good("2")))
    assert there.validated()["in_lake"]["distinct"] == 2

    assert [there.act(batch, "REVERT").status_code for _ in range(2)] == [200, 200]

    eventually(lambda: there.client.summary()["in_lake"]["records"] == 1)
    assert there.client.summary()["in_lake"]["distinct"] == 1
    assert there.client.summary()["accepted"] == 3
    assert there.batch(batch)["status"] in ("inactive", "deleted")


def test_unknown_batches_and_actions(there: Platform) -> None:
    batch = there.begin()

    assert there.act("none", "COMPLETE").status_code == 404
    assert there.act(batch, "PAUSE").status_code == 400
    assert there.put("none", "a", b"x", there.events).status_code == 404
    assert there.put(batch, "a", b"x", there.profiles).status_code == 404
