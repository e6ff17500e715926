"""Objects that are one body: one record each, or the elements of an array, whatever the bytes."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capillary_adobe.landing import Record, read_landed
from capillary_adobe.landing.records import CHUNK_BYTES, MAX_RECORD_BYTES
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.landing.forms import Sipped, compact, objects, pretty, spaced

KEY = "aside/2026-03-01/10/1772359200000-ab12cd34-000001.unreadable"
A = {"a": 1, "b": {"x": ["ä", None]}}

quickly = settings(deadline=None, max_examples=examples(120), database=None)


def read(body: bytes, most: int | None = None) -> list[Record]:
    stream: Any = io.BytesIO(body) if most is None else Sipped(body, most)
    return list(read_landed(KEY, stream))


def only(body: bytes) -> Record:
    [record] = read(body)
    assert (record.line, record.part) == (1, 0)
    return record


@quickly
@given(
    value=objects,
    write=st.sampled_from([compact, spaced, pretty]),
    around=st.sampled_from(["", "\n", " \r\n\t", "\ufeff"]),
)
def test_json_of_any_form_is_its_value_and_keeps_its_text(value: Any, write: Any, around: str) -> None:
    body = (around + write(value) + around.replace("\ufeff", "")).encode()
    for stored in (body, gzip.compress(body)):
        record = only(stored)
        assert (record.value, record.problem, record.text) == (value, None, body)


@quickly
@given(values=st.lists(objects, max_size=4), write=st.sampled_from([compact, spaced, pretty]))
def test_an_array_is_its_elements(values: list[Any], write: Any) -> None:
    records = read(write(values).encode())
    assert [record.value for record in records] == values
    assert [(record.line, record.part) for record in records] == [(1, part) for part in range(len(values))]
    assert [json.loads(record.text) for record in records] == values


@pytest.mark.parametrize("body", [b"5", b'"text"', b"true", b"null"])
def test_a_value_that_is_no_object_is_one_record(body: bytes) -> None:
    assert (only(body).value, only(body).problem) == (json.loads(body), None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not_json"),
        (b" \n", "not_json"),
        (b"\0\0", "not_json"),
        (b"<html>\n<p>502</p>\n</html>", "not_json"),
        (b'{"cut":', "not_json"),
        # Several values are no body that Capillary sends; nobody knows where one ends.
        (b'{"a":1}{"b":2}', "not_json"),
        (b'{"a":1}\n{"b":2}\n', "not_json"),
        (b'{\n "a": 1\n}\nmore', "not_json"),
        (b'[{"a":1}]\n[{"b":2}]', "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"u":"\\ud800"}', "not_json"),
        (b'{"a":' * 100_000, "not_json"),
        (b'{"e":"\xe9"}', "not_utf8"),
        (b'{\n "e": "\xe9"\n}', "not_utf8"),
        (b"\xff\xfe{\0}\0", "not_utf8"),
        (bytes(range(256)), "not_utf8"),
        (b"name=value&other=%7B", "not_json"),
    ],
)
def test_what_is_no_single_value_is_one_record_with_its_reason_and_all_its_text(body: bytes, problem: str) -> None:
    assert only(body) == Record(1, 0, body, None, problem)
    assert only(gzip.compress(body))[2:] == only(body)[2:]


@pytest.mark.parametrize("around", [b"%s,", b",%s", b"\0%s\0", b"%s\xef\xbb\xbf"])
def test_what_stands_between_values_elsewhere_stands_around_one_here(around: bytes) -> None:
    body = around % compact(A).encode()
    assert (only(body).value, only(body).problem, only(body).text) == (A, None, body)


def test_an_array_with_a_bad_element_keeps_its_good_ones() -> None:
    records = read(b'[{"a":1},{"bad":"\xff"},{"u":"\\ud800"},{"b":2}]')
    assert [record.problem for record in records] == [None, "not_utf8", "not_json", None]
    assert [record.value for record in records if record.problem is None] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("most", [None, 1_000_003])
def test_a_body_larger_than_a_chunk_is_one_record(most: int | None) -> None:
    value = {"number": 1, "text": "ä" * CHUNK_BYTES}
    [record] = read(pretty(value).encode(), most)
    assert record.value == value


@pytest.mark.parametrize("compressed", [False, True])
def test_a_body_over_the_limit_is_one_record_that_keeps_its_beginning(*, compressed: bool) -> None:
    body = b'{"text":"' + b"x" * (MAX_RECORD_BYTES + CHUNK_BYTES) + b'"}'
    record = only(gzip.compress(body, 1) if compressed else body)
    assert record.problem == "record_too_large"
    assert len(record.text) > MAX_RECORD_BYTES
    assert body.startswith(record.text)


def test_a_small_body_that_unpacks_to_a_huge_one_is_bounded() -> None:
    record = only(gzip.compress(b"0" * (8 * MAX_RECORD_BYTES), 1))
    assert record.problem == "record_too_large"
    assert len(record.text) <= MAX_RECORD_BYTES + CHUNK_BYTES


@pytest.mark.parametrize(
    "damaged", [gzip.compress(pretty(A).encode(), mtime=0)[:-5], gzip.compress(pretty(A).encode(), mtime=0) + b"more"]
)
def test_a_damaged_gzip_is_one_record_with_what_was_unpacked(damaged: bytes) -> None:
    record = only(damaged)
    assert (record.text, record.value, record.problem) == (pretty(A).encode(), None, "object_damaged")


def test_what_only_begins_as_a_gzip_keeps_its_bytes() -> None:
    body = b"\x1f\x8bno gzip at all"
    assert only(body) == Record(1, 0, body, None, "object_damaged")


@settings(deadline=None, max_examples=examples(300), database=None)
@given(
    body=st.binary(max_size=60)
    | st.lists(
        st.sampled_from([b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"1", b"\n", b"\xff", b"\\ud800", b" "])
    ).map(b"".join)
    | objects.map(compact).map(str.encode)
    | objects.map(pretty).map(str.encode).map(gzip.compress),
    cut=st.integers(0, 80),
    most=st.none() | st.integers(1, 9),
)
@example(body=b"[]", cut=0, most=None)
def test_any_bytes_are_records_that_keep_them(body: bytes, cut: int, most: int | None) -> None:
    body = body[: len(body) - cut] if cut < len(body) else body
    records = read(body, most)
    assert records == read(body)
    assert [(record.line, record.part) for record in records] == [(1, part) for part in range(len(records))]
    text = body
    if body.startswith(b"\x1f\x8b") and records[0].problem != "object_damaged":
        text = gzip.decompress(body)
    if len(records) == 1 and not text.lstrip(b"\xef\xbb\xbf \t\r\n\0,").startswith(b"["):
        assert records[0].text == text or records[0].problem == "object_damaged"
    elif len(records) != 1:
        # Only an array is several, or none.
        assert len(json.loads(text.decode("utf-8", "surrogateescape").strip("\ufeff \t\r\n\0,"))) == len(records)


def test_lines_are_read_as_lines() -> None:
    body = b'{"a":1}\n{"b":2}\n'
    assert len(list(read_landed("events/2026-03-01/10/a.jsonl", io.BytesIO(body)))) == 2
    assert len(list(read_landed("history/2026-03-01/a.jsonl", io.BytesIO(body)))) == 2
