"""Refused records: where they are found, every form in which they are written, and files that break off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.adobe.data_access import DataAccess, split_lines
from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.refused import Cause, FailedRecord, from_failed_line, from_row_error
from capillary_adobe_tests.adobe.platform_server import (
    Answer,
    Asked,
    ScriptedPlatform,
    breaks_off,
    by_path,
    hang_up,
    says,
    status,
)
from capillary_adobe_tests.examples import examples

EXPORT = "/data/foundation/export/batches"
NESTED = [
    {
        "schemaLocation": "#",
        "pointerToViolation": "#",
        "keyword": "allOf",
        "message": "#: 2 schema violations found",
        "causingExceptions": [
            {
                "pointerToViolation": "#/_demo/points",
                "keyword": "type",
                "message": "expected type: Number, found: jane@example.com",
                "causingExceptions": [],
            },
            {
                "pointerToViolation": "#",
                "keyword": "allOf",
                "message": "#: 1 schema violations found",
                "causingExceptions": [
                    {"pointerToViolation": "#", "keyword": "required", "message": "required key [timestamp] not found"}
                ],
            },
        ],
    }
]
CAUSES = (
    Cause("type", "/_demo/points", "expected type: Number, found: …"),
    Cause("required", "", "required key [timestamp] not found"),
)
ENTITY = {"_id": "e-1", "_demo": {"email": "jane@example.com"}}

quickly = settings(deadline=None, max_examples=examples(200), database=None)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    [
        *(
            "body",
            "header",
            "xdmEntity",
            "_id",
            "_errors",
            "_validationErrors",
            "_streamingValidation",
            "causingExceptions",
        ),
        *("keyword", "code", "message", "description", "pointerToViolation", "column", "_corrupt_record", "_filename"),
    ]
)
_LINES = st.recursive(
    _JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=5), max_leaves=20
)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


def message(errors: object, entity: object = ENTITY, *, as_text: bool = True) -> bytes:
    parts = {"header": {"datasetId": "d"}, "body": {"xdmMeta": {}, "xdmEntity": entity}, "_errors": errors}
    return orjson.dumps({name: orjson.dumps(one).decode() if as_text else one for name, one in parts.items()})


def lines(*ids: str) -> bytes:
    return b"".join(message([], {"_id": one}) + b"\n" for one in ids)


def listed(*names: str, length: object = "10") -> dict[str, Any]:
    return {"data": [{"name": name, "length": length} for name in names], "_page": {"limit": 100, "count": len(names)}}


def read(server: ScriptedPlatform, **more: Any) -> list[str | None]:
    return [record.entity_id for record in DataAccess(server.client(**more)).failed_records("b-1")]


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(
    "errors",
    [
        {"_streamingValidation": NESTED},
        {"_validationErrors": NESTED},
        NESTED,
        [{"_streamingValidation": NESTED}],
        {"_streamingValidation": orjson.dumps(NESTED).decode()},
    ],
)
def test_both_forms_of_errors_are_read(errors: object, as_text: bool) -> None:
    record = from_failed_line(message(errors, as_text=as_text))
    assert record == FailedRecord("e-1", CAUSES, orjson.dumps(ENTITY))


def test_errors_beside_the_message_are_read() -> None:
    line = orjson.dumps({"body": {"xdmEntity": orjson.dumps(ENTITY).decode()}, "_validationErrors": NESTED})
    assert from_failed_line(line) == FailedRecord("e-1", CAUSES, orjson.dumps(ENTITY))


def test_a_message_without_an_entity_still_has_its_cause() -> None:
    line = message({"_streamingValidation": [{"message": "[ab12] Payload body is missing xdmEntity"}]}, entity=None)
    assert from_failed_line(line) == FailedRecord(None, (Cause("", "", "[…] Payload body is missing xdmEntity"),), None)


def test_a_profile_has_no_id_and_keeps_its_entity() -> None:
    record = from_failed_line(message([], {"identityMap": {}}))
    assert record == FailedRecord(None, (), b'{"identityMap":{}}')


@pytest.mark.parametrize(
    ("errors", "cause"),
    [
        (
            "The message can't be validated: DCVS-1111-400",
            Cause("DCVS-1111-400", "", "The message can't be validated: DCVS-1111-400"),
        ),
        ([{"code": 1401, "description": "Row is corrupted"}], Cause("1401", "", "Row is corrupted")),
        (
            [{"code": "123", "column": "price.number", "message": "Cannot convert"}],
            Cause("123", "/price/number", "Cannot convert"),
        ),
        ([{"code": "1", "message": "#/a/b: expected type"}], Cause("1", "/a/b", "#/a/b: expected type")),
        ([{"code": {}, "keyword": None}], Cause("", "", "")),
    ],
)
def test_other_forms_of_a_cause_are_read(errors: object, cause: Cause) -> None:
    assert from_failed_line(message(errors)).causes == (cause,)
    assert from_row_error(orjson.dumps({"_id": "r", "_errors": errors})).causes == (cause,)


def test_the_same_cause_counts_once_and_endless_ones_end() -> None:
    assert len(from_failed_line(message([{"keyword": "type"}] * 9)).causes) == 1
    assert len(from_failed_line(message([{"keyword": f"k{n}"} for n in range(200)])).causes) == 50


def test_a_row_keeps_its_own_fields() -> None:
    line = b'{"timestamp":null,"_id":"r-1","_errors":[{"code":"INGEST-1555-400","message":"required"}],"_filename":"f"}'
    record = from_row_error(line)
    assert record == FailedRecord("r-1", (Cause("INGEST-1555-400", "", "required"),), b'{"timestamp":null,"_id":"r-1"}')


@pytest.mark.parametrize(
    ("corrupt", "entity_id", "entity"),
    [
        ('{"_id": "r-1", "a": 1}', "r-1", b'{"_id":"r-1","a":1}'),
        ('{"_id": "r-1", "a": ', "r-1", None),
        ('{"products": [{"_id": "not ours"}, ', None, None),
        ('{missingQuotes:"v1"}', None, None),
        ("", None, None),
        (None, None, None),
        (7, None, None),
    ],
)
def test_a_corrupt_row_tells_whose_it_is_if_it_can(
    corrupt: object, entity_id: str | None, entity: bytes | None
) -> None:
    line = {"_corrupt_record": corrupt, "_errors": [{"code": "1401", "message": "Row is corrupted"}], "_filename": "f"}
    record = from_row_error(orjson.dumps(line))
    assert (record.entity_id, record.entity) == (entity_id, entity)
    assert record.causes == (Cause("1401", "", "Row is corrupted"),)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b'"text"', b"\xff", b"null", b"[" * 5000, b'{"a":"\\ud800"}'])
def test_a_line_that_cannot_be_read_is_a_record_without_id(line: bytes) -> None:
    assert from_failed_line(line) == from_row_error(line) == FailedRecord(None, (), None)


@pytest.mark.parametrize(("depth", "entity"), [(50, True), (200, False), (2000, None)])
def test_deep_nesting_is_read_as_far_as_it_goes(depth: int, entity: bool | None) -> None:
    deep = b'{"causingExceptions":[' * depth + b'{"keyword":"type"}' + b"]}" * depth
    record = from_failed_line(b'{"_errors":' + deep + b',"body":{"xdmEntity":{"_id":"e","a":' + deep + b"}}}")
    if entity is None:
        assert record == FailedRecord(None, (), None)
    else:
        assert (record.entity_id, record.causes) == ("e", (Cause("type", "", ""),))
        assert (record.entity is not None) is entity


@quickly
@given(_LINES)
def test_no_json_line_raises(value: object) -> None:
    line = orjson.dumps(value)
    for read_line in (from_failed_line, from_row_error):
        record = read_line(line)
        assert record.entity is None or type(orjson.loads(record.entity)) is dict
        assert len(record.causes) <= 50


@quickly
@given(st.binary())
def test_no_line_raises(line: bytes) -> None:
    from_failed_line(line)
    from_row_error(line)


@quickly
@given(st.binary(), st.integers(1, 7))
def test_lines_do_not_depend_on_how_they_arrive(content: bytes, size: int) -> None:
    chunks = [content[place : place + size] for place in range(0, len(content), size)]
    assert list(split_lines(chunks)) == [line.strip() for line in content.split(b"\n") if line.strip()]


@quickly
@given(st.lists(st.binary(max_size=8)))
def test_a_line_that_is_too_long_is_none_and_the_next_is_whole(chunks: list[bytes]) -> None:
    split = list(split_lines(chunks, longest=5))
    assert split == [
        None if len(line) > 5 else line.strip()
        for line in b"".join(chunks).split(b"\n")
        if len(line) > 5 or line.strip()
    ]


def test_the_files_of_a_failed_batch_are_read(server: ScriptedPlatform) -> None:
    listing = listed("_SUCCESS", "part-0.json", "part-1.json", "part-2.json")
    listing["data"][0]["length"] = "0"
    listing["data"][2]["length"] = 0
    del listing["data"][3]["length"]
    server.follow(
        otherwise=by_path({"": listing, "part-0.json": lines("a", "b") + b"\n{broken\n", "part-2.json": lines("c")})
    )
    assert read(server) == ["a", "b", None, "c"]
    assert server.asked[0].raw_path == f"{EXPORT}/b-1/failed"
    assert [asked.query.get("path") for asked in server.asked] == [None, "part-0.json", "part-2.json"]


def test_pages_of_files_follow_one_another(server: ScriptedPlatform) -> None:
    names = [f"f{n:03}.json" for n in range(250)]

    async def answer(server: ScriptedPlatform, asked: Asked, request: Request) -> Response:
        if "path" in asked.query:
            return await says(lines(asked.query["path"]))(server, asked, request)
        start, limit = int(asked.query["start"]), int(asked.query["limit"])
        return await says(listed(*names[start : start + limit]))(server, asked, request)

    server.follow(otherwise=answer)
    assert read(server) == names


def test_a_link_to_the_next_page_is_followed(server: ScriptedPlatform) -> None:
    first = listed("a") | {"_links": {"next": {"href": "https://platform.adobe.io:443/x?start=7&limit=1"}}}
    server.follow(
        says(first), says(lines("a")), says(listed("b") | {"_links": {"next": {"href": "?start=7"}}}), says(lines("b"))
    )
    assert read(server) == ["a", "b"]
    assert server.asked[2].query["start"] == "7"


def test_a_server_that_ignores_pages_is_not_asked_for_ever(server: ScriptedPlatform) -> None:
    names = [f"f{n}" for n in range(100)]
    server.follow(otherwise=by_path({"": listed(*names), **dict.fromkeys(names, b"")}))
    assert read(server) == []
    assert len(server.asked) == 102


@pytest.mark.parametrize(
    "answer", [says({"data": "odd"}), says([]), says({"data": [{"name": 5}, "x", {}]}), says(listed()), status(404)]
)
def test_a_list_without_files_has_no_records(server: ScriptedPlatform, answer: Answer) -> None:
    server.follow(otherwise=answer)
    assert read(server) == []
    assert list(DataAccess(server.client()).row_errors("b-1")) == []


def test_a_file_that_is_gone_has_no_records(server: ScriptedPlatform) -> None:
    server.follow(otherwise=by_path({"": listed("gone", "there"), "there": lines("a")}))
    assert read(server) == ["a"]


def test_row_errors_are_read(server: ScriptedPlatform) -> None:
    rows = {
        "row_errors": listed("parsing_errors_0.json", "row_errors/conversion_errors_0.json"),
        "row_errors/parsing_errors_0.json": b'{"_corrupt_record":"{\\"_id\\":\\"p-1\\",","_errors":[{"code":"1401"}]}\n',
        "row_errors/conversion_errors_0.json": b'{"_id":"c-1","_errors":[{"code":"1555"}]}',
    }
    server.follow(otherwise=by_path(rows))
    records = list(DataAccess(server.client()).row_errors("b-1"))
    assert [(one.entity_id, one.causes[0].code) for one in records] == [("p-1", "1401"), ("c-1", "1555")]
    assert server.asked[0].raw_path == f"{EXPORT}/b-1/meta"


def test_a_file_that_breaks_off_goes_on_where_it_was(server: ScriptedPlatform) -> None:
    whole = lines("a", "b", "c", "d")
    server.follow(
        says(listed("f")), breaks_off(whole[: len(whole) // 2 + 9]), hang_up, breaks_off(whole[:20]), says(whole)
    )
    assert read(server) == ["a", "b", "c", "d"]
    assert not server.script


def test_a_file_that_breaks_off_for_ever_is_left_for_later(server: ScriptedPlatform) -> None:
    server.follow(says(listed("f")), otherwise=breaks_off(lines("a") + b"{"))
    records = DataAccess(server.client(retry_budget_seconds=0.6)).failed_records("b-1")
    assert next(records).entity_id == "a"
    with pytest.raises(TransientDeliveryError, match="breaks off"):
        next(records)
