"""The Catalog: every state word, chains of consolidated batches, and lists that change while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.adobe.catalog import Catalog, Stage, stage_of
from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe_tests.adobe.platform_server import Asked, ScriptedPlatform, says, status

DATASET = "5c8c3c555033b814b69f947f"
ROOT = "/data/foundation/catalog"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


def entry(word: str = "failed", created: int = 1000, **more: Any) -> dict[str, Any]:
    return {"status": word, "created": created, "relatedObjects": [{"type": "dataSet", "id": DATASET}], **more}


class Listing:
    """A list of batches that honours AEP's filters, order and pages; `between` changes it before a page is given."""

    def __init__(self, *batches: tuple[str, dict[str, Any]]) -> None:
        self.batches = dict(batches)
        self.between: list[Any] = []

    async def __call__(self, server: ScriptedPlatform, asked: Asked, request: Request) -> Response:
        if int(asked.query["start"]) and self.between:
            self.between.pop(0)(self.batches)
        after = int(asked.query["createdAfter"])
        kept = [
            (key, one)
            for key, one in self.batches.items()
            if one["status"] == asked.query["status"] and one["created"] > after
        ]
        assert asked.query["orderBy"] == "asc:created"
        kept.sort(key=lambda pair: pair[1]["created"])
        start, limit = int(asked.query["start"]), int(asked.query["limit"])
        page = kept[start : start + limit]
        # The other way round: a JSON object has no order to rely on.
        return await says(dict(reversed(page)))(server, asked, request)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Stage.OPEN, ["loading"]),
        (Stage.PENDING, ["loaded", "queued", "processing", "staging", "staged", "retrying", "a new word", ""]),
        (Stage.STUCK, ["stalled"]),
        (Stage.GOOD, ["success", "active", "archived", "retained"]),
        (Stage.BAD, ["failed", "failure"]),
        (Stage.GONE, ["aborted", "abandoned", "inactive", "deleted"]),
    ],
)
def test_every_word_has_its_stage(server: ScriptedPlatform, stage: Stage, words: list[str]) -> None:
    for word in words:
        for spelt in (word, word.upper(), f" {word.title()} "):
            assert stage_of(spelt) is stage
        server.follow(says({"b": entry(word.upper())}))
        batch = Catalog(server.client()).batch("b")
        assert batch is not None
        assert (batch.stage, batch.status) == (stage, word.upper())


def test_a_batch_is_read_whole(server: ScriptedPlatform) -> None:
    server.follow(
        says(
            {
                "01ABC": entry(
                    "success",
                    1494349962314,
                    externalId="ours-1",
                    metrics={"inputRecordCount": 519, "failedRecordCount": "5", "outputRecordCount": 514},
                    errors=[
                        {"code": "INGEST-1212-400", "description": "Encountered 5 errors in the data. Jane Doe."},
                        {"code": "INGEST-1401-400", "message": "The row has corrupted data.", "recordCount": 2},
                        "odd",
                    ],
                    tags={"acp_successor": ["01DEF"], "flowId": ["flow-1"], "other": []},
                )
            }
        )
    )
    batch = Catalog(server.client()).batch("01ABC")
    assert batch is not None
    assert (batch.batch_id, batch.dataset_id, batch.external_id) == ("01ABC", DATASET, "ours-1")
    assert (batch.created_ms, batch.failed_records) == (1494349962314, 5)
    assert batch.errors == (
        ("INGEST-1212-400", "Encountered 5 errors in the data. ….", None),
        ("INGEST-1401-400", "The row has corrupted data.", 2),
    )
    assert batch.successor == "01DEF"
    assert server.asked[0].raw_path == f"{ROOT}/batches/01ABC"


def test_a_streaming_batch_counts_in_its_own_metrics(server: ScriptedPlatform) -> None:
    metrics = {"recordsSize": 4096, "invalidRecordCount": 3.0}
    server.follow(says({"b": entry(metrics=metrics, recordCount="12", tags={"flowId": "f"})}))
    batch = Catalog(server.client()).batch("b")
    assert batch is not None
    assert batch.failed_records == 3


@pytest.mark.parametrize(
    "odd",
    [
        {"metrics": [], "tags": "t", "errors": {"code": 1}, "relatedObjects": {}, "created": "soon", "externalId": 5},
        {"metrics": {"inputRecordCount": True}, "relatedObjects": ["a", {"type": 5}, {"type": "batch", "id": "x"}]},
        {"status": None, "tags": {"acp_successor": [], "flowId": [7]}, "errors": [{"code": {}, "description": None}]},
        {},
    ],
)
def test_a_batch_with_odd_fields_is_read_as_far_as_it_goes(server: ScriptedPlatform, odd: dict[str, Any]) -> None:
    server.follow(says({"b": odd}))
    batch = Catalog(server.client()).batch("b")
    assert batch is not None
    assert (batch.stage, batch.dataset_id, batch.successor) == (Stage.PENDING, None, None)


@pytest.mark.parametrize("answer", [status(404), says({}), says([]), says({"other": entry()}), says({"b": "text"})])
def test_a_batch_that_aep_does_not_know_is_none(server: ScriptedPlatform, answer: Any) -> None:
    server.follow(answer)
    assert Catalog(server.client()).batch("b") is None


def test_no_json_is_not_taken_for_no_batch(server: ScriptedPlatform) -> None:
    server.follow(says(b"<html>"))
    with pytest.raises(TransientDeliveryError):
        Catalog(server.client()).batch("b")


def test_a_consolidated_batch_leads_to_the_one_that_holds_its_data(server: ScriptedPlatform) -> None:
    server.follow(
        says({"a": entry("inactive", tags={"acp_successor": ["b"]})}),
        says({"b": entry("INACTIVE", tags={"acp_successor": "c"})}),
        says({"c": entry("active", tags={"acp_successor": ["d"]})}),
    )
    batch = Catalog(server.client()).batch("a")
    assert batch is not None
    assert (batch.batch_id, batch.stage) == ("c", Stage.GOOD)


def test_a_chain_with_a_loop_or_a_gap_ends(server: ScriptedPlatform) -> None:
    server.follow(otherwise=says({"a": entry("inactive", tags={"acp_successor": ["a"]})}))
    batch = Catalog(server.client()).batch("a")
    assert batch is not None
    assert batch.stage is Stage.GONE
    assert len(server.asked) == 11
    server.follow(says({"a": entry("inactive", tags={"acp_successor": ["b"]})}), status(404))
    batch = Catalog(server.client()).batch("a")
    assert batch is not None
    assert batch.batch_id == "a"


def test_a_batch_is_found_by_our_id(server: ScriptedPlatform) -> None:
    server.follow(
        says(
            {
                "other": entry("loading", 9000, externalId="ours-10"),
                "elsewhere": {
                    **entry("loading", 9000, externalId="ours-1"),
                    "relatedObjects": [{"type": "dataSet", "id": "x"}],
                },
                "aborted": entry("aborted", 8000, externalId="ours-1"),
                "first": entry("failed", 1000, externalId="ours-1"),
                "second": entry("loading", 2000, externalId="ours-1"),
            }
        )
    )
    found = Catalog(server.client()).find(DATASET, "ours-1")
    assert found is not None
    assert found.batch_id == "second"
    assert server.asked[0].query == {
        "dataSet": DATASET,
        "externalId": "ours-1",
        "orderBy": "desc:created",
        "limit": "100",
    }


def test_a_batch_that_was_given_up_is_found_where_there_is_no_other(server: ScriptedPlatform) -> None:
    server.follow(says({"a": entry("aborted", externalId="ours-1")}), says({}))
    found = Catalog(server.client()).find(DATASET, "ours-1")
    assert found is not None
    assert found.stage is Stage.GONE
    assert Catalog(server.client()).find(DATASET, "ours-1") is None


def test_failed_batches_come_oldest_first_and_each_once(server: ScriptedPlatform) -> None:
    listing = Listing(
        *((f"a{n}", entry("failed", 1000 + 2 * n)) for n in range(250)),
        *((f"b{n}", entry("failure", 1001 + 2 * n)) for n in range(120)),
        ("old", entry("failed", 500)),
        ("good", entry("success", 1500)),
    )
    server.follow(otherwise=listing)
    failed = list(Catalog(server.client()).failed(DATASET, 500))
    assert [one.created_ms for one in failed] == sorted(one.created_ms for one in failed)
    assert {one.batch_id for one in failed} == listing.batches.keys() - {"old", "good"}
    assert len(failed) == 370


def test_a_list_that_changes_while_it_is_read_repeats_and_loses_nothing(server: ScriptedPlatform) -> None:
    listing = Listing(*((f"a{n}", entry("failed", 1000 + n)) for n in range(300)))

    def older_ones_come(batches: dict[str, Any]) -> None:
        batches.update({f"older{n}": entry("failed", 900 + n) for n in range(5)})

    def newer_come_and_some_go(batches: dict[str, Any]) -> None:
        batches["newer"] = entry("failed", 5000)
        for n in range(8):
            del batches[f"a{n}"]

    listing.between = [older_ones_come, newer_come_and_some_go]
    server.follow(otherwise=listing)
    failed = [one.batch_id for one in Catalog(server.client()).failed(DATASET, 0)]
    assert len(failed) == len(set(failed))
    assert {*(f"a{n}" for n in range(300)), "newer"} <= set(failed)


def test_a_server_that_ignores_pages_and_filters_is_not_asked_for_ever(server: ScriptedPlatform) -> None:
    everything = {f"b{n:03}": entry("failed" if n % 2 else "success", n) for n in range(100)}
    server.follow(otherwise=says(everything))
    failed = list(Catalog(server.client()).failed(DATASET, 50))
    assert [one.created_ms for one in failed] == list(range(51, 100, 2))
    assert len(server.asked) == 4
