"""Batch ingestion: lost answers never make two batches, and files arrive whole by each way."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.adobe.batch_api import BatchApi
from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.platform import Conflict, NotThere, Refused, Unanswered
from capillary_adobe_tests.adobe.platform_server import (
    Answer,
    Asked,
    FilesInParts,
    ScriptedPlatform,
    hang_up,
    says,
    status,
)

DATASET = "5c8c3c555033b814b69f947f"
BATCHES = "/data/foundation/import/batches"
FILE = f"{BATCHES}/b-1/datasets/{DATASET}/files/00000.json"
CONTENT = bytes(range(256)) * 41  # 10,496 bytes


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "00000.json"
    path.write_bytes(CONTENT)
    return path


def api(server: ScriptedPlatform, **more: Any) -> BatchApi:
    return BatchApi(server.client(**more), server.settings(**more))


def in_parts(server: ScriptedPlatform, **more: Any) -> BatchApi:
    return api(server, batch_put_bytes=1000, batch_part_bytes=3000, **more)


class Batches:
    """AEP's batches by external id: each creation that gets through makes one."""

    def __init__(self, *creations: str, seen_after: int = 0) -> None:
        self.creations = list(creations)
        self.seen_after = seen_after
        self.made: list[str] = []
        self.looks = 0

    async def __call__(self, server: ScriptedPlatform, asked: Asked, request: Request) -> Response:
        if asked.method == "POST":
            how = self.creations.pop(0) if self.creations else "works"
            if how in {"works", "works, answer lost", "works, answer garbled"}:
                self.made.append(orjson.loads(asked.body)["externalId"])
            answers: dict[str, Answer] = {
                "works": says({"id": f"b-{len(self.made)}"}, 201),
                "works, answer garbled": says(b"<html>", 201),
                "conflict": status(409, {"title": "externalId is in use"}),
                "503": status(503, Retry_After="0"),
                "no id": says({"status": "loading"}, 201),
            }
            return await answers.get(how, hang_up)(server, asked, request)
        self.looks += 1
        listed = self.made if self.looks > self.seen_after else []
        entries = {
            f"b-{place + 1}": {"status": "loading", "externalId": made, "created": 1}
            for place, made in enumerate(listed)
        }
        return await says(entries)(server, asked, request)


def test_a_batch_is_created_as_asked(server: ScriptedPlatform) -> None:
    server.follow(otherwise=Batches())
    assert api(server, batch_error_percent=7).create("ours-1", DATASET) == "b-1"
    [asked] = server.asked
    assert (asked.method, asked.raw_path, asked.headers["content-type"]) == ("POST", BATCHES, "application/json")
    assert orjson.loads(asked.body) == {
        "datasetId": DATASET,
        "externalId": "ours-1",
        "inputFormat": {"format": "json"},
        "enableErrorDiagnostics": True,
        "partialIngestionPercent": 7,
    }


@pytest.mark.parametrize("how", ["works, answer lost", "works, answer garbled"])
@pytest.mark.parametrize("seen_after", [0, 2])
def test_a_lost_answer_leaves_one_batch(server: ScriptedPlatform, how: str, seen_after: int) -> None:
    batches = Batches(how, seen_after=seen_after)
    server.follow(otherwise=batches)
    assert api(server).create("ours-1", DATASET) == "b-1"
    assert batches.made == ["ours-1"]
    assert batches.looks == seen_after + 1


@pytest.mark.parametrize("how", ["fails, answer lost", "503", "no id"])
def test_a_batch_that_is_not_there_is_created_again(server: ScriptedPlatform, how: str) -> None:
    batches = Batches(how)
    server.follow(otherwise=batches)
    assert api(server, retry_budget_seconds=1.5).create("ours-1", DATASET) == "b-1"
    assert batches.made == ["ours-1"]
    assert batches.looks > 1


def test_creation_that_never_succeeds_is_left_to_the_next_run(server: ScriptedPlatform) -> None:
    batches = Batches(*["503"] * 100)
    server.follow(otherwise=batches)
    with pytest.raises(TransientDeliveryError, match="503"):
        api(server, retry_budget_seconds=1).create("ours-1", DATASET)
    assert server.methods().count("POST") == 2


def test_without_a_budget_nothing_is_created_twice(server: ScriptedPlatform) -> None:
    batches = Batches("works, answer lost", seen_after=100)
    server.follow(otherwise=batches)
    with pytest.raises(Unanswered):
        api(server, retry_budget_seconds=0).create("ours-1", DATASET)
    assert batches.made == ["ours-1"]


def test_a_batch_that_is_there_already_is_used(server: ScriptedPlatform) -> None:
    batches = Batches("conflict")
    batches.made = ["ours-1"]
    server.follow(otherwise=batches)
    assert api(server).create("ours-1", DATASET) == "b-1"


@pytest.mark.parametrize("word", ["failed", "aborted"])
def test_a_batch_of_no_more_use_is_not(server: ScriptedPlatform, word: str) -> None:
    server.follow(status(409), otherwise=says({"b-1": {"status": word, "externalId": "ours-1", "created": 1}}))
    with pytest.raises(Conflict):
        api(server, retry_budget_seconds=1).create("ours-1", DATASET)


def test_a_refused_creation_is_not_repeated(server: ScriptedPlatform) -> None:
    server.follow(status(400, {"title": "No such dataset"}))
    with pytest.raises(Refused, match="No such dataset"):
        api(server).create("ours-1", DATASET)
    assert server.methods() == ["POST"]


def test_a_small_file_goes_in_one_piece(server: ScriptedPlatform, file: Path) -> None:
    server.follow(status(503), hang_up)
    api(server).upload("b-1", DATASET, "00000.json", file)
    assert server.methods() == ["PUT"] * 3
    for asked in server.asked:
        assert asked.raw_path == FILE
        assert asked.headers["content-type"] == "application/octet-stream"
        assert asked.headers["content-length"] == str(len(CONTENT))
        assert asked.body == CONTENT


def test_names_are_encoded_and_folders_kept(server: ScriptedPlatform, file: Path) -> None:
    server.follow()
    api(server).upload("b/1", "d 1", "2026-03-04/a?b.json", file)
    assert server.asked[0].raw_path == f"{BATCHES}/b%2F1/datasets/d%201/files/2026-03-04/a%3Fb.json"


def test_a_large_file_goes_in_parts(server: ScriptedPlatform, file: Path) -> None:
    kept = FilesInParts()
    server.follow(otherwise=kept)
    in_parts(server).upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT
    assert server.methods() == ["POST", "PATCH", "PATCH", "PATCH", "PATCH", "POST"]
    ranges = [asked.headers["content-range"] for asked in server.asked[1:-1]]
    assert ranges == ["bytes 0-2999", "bytes 3000-5999", "bytes 6000-8999", "bytes 9000-10495"]
    assert {asked.raw_path for asked in server.asked} == {FILE}


def test_a_file_that_the_gateway_finds_too_large_goes_in_parts(server: ScriptedPlatform, file: Path) -> None:
    kept = FilesInParts(faults={"PUT": [status(413)]})
    server.follow(otherwise=kept)
    api(server).upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("fault", [hang_up, status(503, Retry_After="0"), status(429, Retry_After="0")])
def test_a_part_that_fails_is_repeated(server: ScriptedPlatform, file: Path, fault: Answer, tells: bool) -> None:
    kept = FilesInParts(tells=tells, faults={"PATCH": [fault, fault]})
    server.follow(otherwise=kept)
    in_parts(server).upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT


def test_a_part_whose_answer_is_lost_is_not_sent_twice(server: ScriptedPlatform, file: Path) -> None:
    kept = FilesInParts(lost={"PATCH": [hang_up]})
    server.follow(otherwise=kept)
    in_parts(server).upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT
    assert server.methods() == ["POST", "PATCH", "HEAD", "PATCH", "PATCH", "PATCH", "POST"]


def test_parts_that_overlap_make_the_file_start_anew_once(server: ScriptedPlatform, file: Path) -> None:
    # Where AEP does not tell its position the part comes twice, and closing the file shows it.
    kept = FilesInParts(tells=False, lost={"PATCH": [hang_up]})
    server.follow(otherwise=kept)
    in_parts(server).upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT
    assert server.methods().count("POST") == 4


def test_parts_that_never_fit_are_given_up(server: ScriptedPlatform, file: Path) -> None:
    kept = FilesInParts(faults={"POST COMPLETE": [status(400)] * 9})
    server.follow(otherwise=kept)
    with pytest.raises(Refused):
        in_parts(server).upload("b-1", DATASET, "00000.json", file)
    assert [asked.query.get("action") for asked in server.asked].count("COMPLETE") == 2


def test_an_interrupted_file_goes_on_where_aep_stands(server: ScriptedPlatform, file: Path) -> None:
    kept = FilesInParts()
    sending = in_parts(server, retry_budget_seconds=0.3)
    server.follow(*[kept] * 3, otherwise=status(503))
    with pytest.raises(TransientDeliveryError):
        sending.upload("b-1", DATASET, "00000.json", file)
    server.follow(otherwise=kept)
    sending.upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT
    assert server.methods() == ["HEAD", "PATCH", "PATCH", "POST"]


@pytest.mark.parametrize("changed", [True, False], ids=["other bytes", "another process"])
def test_bytes_that_may_differ_do_not_follow_those_at_aep(server: ScriptedPlatform, file: Path, changed: bool) -> None:
    kept = FilesInParts()
    sending = in_parts(server, retry_budget_seconds=0.3)
    server.follow(*[kept] * 3, otherwise=status(503))
    with pytest.raises(TransientDeliveryError):
        sending.upload("b-1", DATASET, "00000.json", file)
    server.follow(otherwise=kept)
    if changed:
        file.write_bytes(CONTENT[::-1])
    else:
        sending = in_parts(server)
    sending.upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == file.read_bytes()


@pytest.mark.parametrize("told", ["bytes=0-999999", "bytes=5-10", "nonsense", "0-"])
def test_a_position_that_cannot_be_is_not_believed(server: ScriptedPlatform, file: Path, told: str) -> None:
    kept = FilesInParts(tells=False)
    sending = in_parts(server, retry_budget_seconds=0.3)
    server.follow(*[kept] * 3, otherwise=status(503))
    with pytest.raises(TransientDeliveryError):
        sending.upload("b-1", DATASET, "00000.json", file)
    kept.faults = {"HEAD": [status(200, Range=told)]}
    server.follow(otherwise=kept)
    sending.upload("b-1", DATASET, "00000.json", file)
    assert kept.closed == CONTENT


def test_a_batch_that_is_gone_takes_no_file(server: ScriptedPlatform, file: Path) -> None:
    server.follow(otherwise=status(404))
    for sending in (api(server), in_parts(server)):
        with pytest.raises(NotThere):
            sending.upload("b-1", DATASET, "00000.json", file)


class _Sink(BaseHTTPRequestHandler):
    """Takes every request and keeps none of it: the other server would hold a body whole."""

    def _take(self) -> None:
        left = int(self.headers["Content-Length"] or 0)
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_PATCH = _take  # noqa: N815

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.mark.parametrize("limits", [{}, {"batch_put_bytes": 1, "batch_part_bytes": 20 * 2**20}])
def test_a_file_is_never_whole_in_memory(server: ScriptedPlatform, tmp_path: Path, limits: dict[str, int]) -> None:
    file = tmp_path / "large.json"
    with file.open("wb") as opened:
        opened.truncate(48 * 2**20)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as sink:
        thread = threading.Thread(target=sink.serve_forever, daemon=True)
        thread.start()
        sending = api(server, platform_url=f"http://127.0.0.1:{sink.server_address[1]}", **limits)
        tracemalloc.start()
        try:
            sending.upload("b-1", DATASET, "00000.json", file)
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()
            sink.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "looks"),
    [
        ([status(200)], False),
        ([hang_up, status(503), status(200)], False),
        ([status(409), says({"b-1": {"status": "processing"}})], True),
        ([status(400), says({"b-1": {"status": "success"}})], True),
    ],
)
def test_a_batch_is_completed(server: ScriptedPlatform, answers: list[Answer], looks: bool) -> None:
    server.follow(*answers)
    api(server).complete("b-1")
    assert server.asked[0].raw_path == f"{BATCHES}/b-1"
    assert server.asked[0].query == {"action": "COMPLETE"}
    assert ("GET" in server.methods()) is looks
    assert not server.script


@pytest.mark.parametrize("code", [400, 404, 409])
@pytest.mark.parametrize("word", ["loading", "aborted"])
def test_a_batch_that_does_not_complete_is_an_error(server: ScriptedPlatform, code: int, word: str) -> None:
    server.follow(status(code), otherwise=says({"b-1": {"status": word}}))
    with pytest.raises(Refused) as refused:
        api(server).complete("b-1")
    assert refused.value.status == code


@pytest.mark.parametrize("code", [400, 404, 409])
@pytest.mark.parametrize("word", ["success", "failed", "aborted", "abandoned"])
def test_giving_up_what_is_final_is_no_error(server: ScriptedPlatform, code: int, word: str) -> None:
    server.follow(status(code), says({"b-1": {"status": word}}))
    api(server).abort("b-1")
    assert server.asked[0].query == {"action": "ABORT"}


def test_giving_up_what_is_unknown_is_no_error(server: ScriptedPlatform) -> None:
    server.follow(otherwise=status(404))
    api(server).abort("b-1")


def test_a_batch_that_aep_is_ingesting_cannot_be_given_up(server: ScriptedPlatform) -> None:
    server.follow(status(400), says({"b-1": {"status": "processing"}}))
    with pytest.raises(Refused):
        api(server).abort("b-1")
