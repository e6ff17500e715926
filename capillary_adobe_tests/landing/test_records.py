"""From the bytes of a landed object to its records: every form of writing, every kind of damage."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.landing import records
from capillary_adobe.landing.records import CHUNK_BYTES, MAX_RECORD_BYTES
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.landing.forms import FORMS, PLAIN_FORMS, compact, objects, pretty, problems, read, values

A, B, C = {"a": 1}, {"b": {"x": ["ä", None]}}, {"c": "}{"}
GOOD = b'{"good":1}'

quickly = settings(deadline=None, max_examples=examples(120), database=None)


@pytest.mark.parametrize("form", PLAIN_FORMS)
def test_every_form_reads_back_in_order(form: str) -> None:
    assert values(FORMS[form]([A, B, C]).encode()) == [A, B, C]


def test_pretty_objects_may_touch_compact_ones() -> None:
    assert values(FORMS["pretty and compact without breaks"]([A, B, C]).encode()) == [A, A, C, C]


@quickly
@given(groups=st.lists(st.tuples(st.sampled_from(PLAIN_FORMS), st.lists(objects, min_size=1, max_size=3)), max_size=5))
def test_any_mixture_of_forms_reads_back_in_order(groups: list[tuple[str, list[Any]]]) -> None:
    data = "\n".join(FORMS[form](group) for form, group in groups).encode()
    expected = [one for _, group in groups for one in group]
    assert values(data) == expected
    assert values(gzip.compress(data)) == expected


@quickly
@given(groups=st.lists(st.tuples(st.sampled_from([compact, pretty]), objects), max_size=6))
def test_objects_without_line_breaks_read_back_however_each_is_written(groups: list[tuple[Any, Any]]) -> None:
    assert values("".join(write(one) for write, one in groups).encode()) == [one for _, one in groups]


def test_places_are_lines_from_1_and_parts_from_0() -> None:
    data = b'{"a":1}\n\n{"b":1}{"b":2}\n[{"c":1},{"c":2},{"c":3}]\n{\n "d": 1\n}{"e":1}\nbroken\n{"f":1}'
    assert [(record.line, record.part) for record in read(data)] == [
        (1, 0),
        (3, 0),
        (3, 1),
        (4, 0),
        (4, 1),
        (4, 2),
        (5, 0),
        (7, 0),
        (8, 0),
        (9, 0),
    ]


@quickly
@given(
    lines=st.lists(
        st.sampled_from(
            [
                *(GOOD, b'{"cut":{"x":', b"[1,", b"]", b"}", b'{"a":1}{"b"', b"\xff\xfe{", b"no json", b'{"e":"\xe9"}'),
                *(b"{", b' "x": 1', b"", b'[{"a":1},', b'{"u":"\\ud800"}', b"3 4", b'"', b"\0", b"{}{}", b"[]"),
            ]
        ),
        max_size=8,
    )
)
def test_every_byte_ends_in_exactly_one_record(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    places = [(record.line, record.part) for record in read(data)]
    assert len(set(places)) == len(places)
    assert _content(b"".join(record.text for record in read(data))) == _content(data)


def _content(data: bytes) -> bytes:
    """Without what stands around and between values, and with the one text that the reader may write anew as written."""
    return re.sub(rb"[\s\0,\[\]]", b"", data.replace(b"\\udce9", b"\xe9"))


@quickly
@given(
    lines=st.lists(
        st.sampled_from(
            [
                GOOD,
                b'{"cut":{"x":',
                b'{"cut":',
                b"}",
                b'{"a":"cut',
                b'[{"a":1},{"b',
                b"no json",
                b'{"e":"\xff"}',
                b'{"n":NaN}',
                b"{]",
            ]
        ),
        max_size=8,
    )
)
def test_a_cut_line_never_swallows_a_good_one(lines: list[bytes]) -> None:
    found = [record.value for record in read(b"\n".join(lines)) if record.problem is None]
    assert found.count({"good": 1}) == lines.count(GOOD)


@pytest.mark.parametrize(("cut", "close"), [(b'{"cut":', b"}"), (b'[{"a":1},[', b"]]"), (b'{"cut":[', b"]}")])
def test_a_cut_line_does_not_swallow_a_good_one_even_if_something_closes_it(cut: bytes, close: bytes) -> None:
    good = b"[" + GOOD + b"]" if cut.startswith(b"[") else GOOD
    found = read(b"\n".join([cut, good, close]))
    assert [(record.value, record.problem) for record in found] == [
        (None, "not_json"),
        ({"good": 1}, None),
        (None, "not_json"),
    ]


@pytest.mark.parametrize("damage", [b'{"cut":{"x":', b'[{"cut":', b"\xff", b'{"a":"\xff"', b"text"])
def test_a_good_object_over_several_lines_survives_damage_before_it(damage: bytes) -> None:
    assert [r.value for r in read(damage + b"\n" + pretty(B).encode() + b"\n" + GOOD)][-2:] == [B, {"good": 1}]


@quickly
@given(
    groups=st.lists(st.tuples(st.sampled_from(PLAIN_FORMS), st.lists(objects, min_size=1, max_size=2)), max_size=3),
    damage=st.binary(max_size=6),
    compressed=st.booleans(),
    most=st.integers(1, 9),
)
def test_reading_is_the_same_whatever_the_chunk_size(
    groups: list[tuple[str, list[Any]]], damage: bytes, compressed: bool, most: int
) -> None:
    data = "\n".join(FORMS[form](group) for form, group in groups).encode() + damage
    data = gzip.compress(data) if compressed else data
    assert read(data, most) == read(data)


def test_an_object_larger_than_a_chunk_reads_whole() -> None:
    many = [{"number": number, "text": "x" * 100} for number in range(50_000)]
    data = "\n".join(map(compact, many)).encode()
    assert len(data) > CHUNK_BYTES
    assert values(data) == many
    assert values(gzip.compress(data, 1)) == many


def test_one_value_larger_than_a_chunk_reads_whole() -> None:
    large = {"text": "ä" * CHUNK_BYTES}
    assert values(compact(large).encode() + b"\n" + GOOD) == [large, {"good": 1}]
    assert values(pretty(large).encode() + b"\n" + GOOD) == [large, {"good": 1}]


@pytest.mark.parametrize("most", [None, 1_000_003])
def test_values_without_breaks_read_whole_beyond_the_limit_of_one_record(most: int | None) -> None:
    many = [{"number": number, "text": "ä" * 250} for number in range(2 * MAX_RECORD_BYTES // 500)]
    data = "".join(map(compact, many)).encode() + b"\n" + GOOD
    assert len(data) > 2 * MAX_RECORD_BYTES
    found = read(data, most)
    assert [record.value for record in found] == [*many, {"good": 1}]
    assert len({(record.line, record.part) for record in found}) == len(found)
    assert found[-1].line == 2


def test_a_record_over_the_limit_is_refused_and_the_next_line_read() -> None:
    data = b'{"text":"' + b"x" * (MAX_RECORD_BYTES + 2 * CHUNK_BYTES) + b'"}\n' + GOOD
    found = read(data)
    assert found[0].problem == "record_too_large"
    assert found[-1].value == {"good": 1}


@pytest.mark.parametrize("data", [b"", b"\n\n", b" \t\r\n", b"\xef\xbb\xbf", b"\0\0\0", b"[]", b",\n,"])
def test_nothing_holds_no_record(data: bytes) -> None:
    assert read(data) == []
    assert read(gzip.compress(data)) == []


def test_blank_lines_count_as_lines() -> None:
    assert [record.line for record in read(b'\n\n{"a":1}\r\n\r\n{"b":1}')] == [3, 5]


def test_a_byte_order_mark_is_no_content() -> None:
    assert values(b'\xef\xbb\xbf{"a":1}\n{"b":{"x":["\xc3\xa4",null]}}') == [A, B]
    assert values(gzip.compress(b"\xef\xbb\xbf" + b'[{"a":1}]')) == [A]


def test_members_of_gzip_follow_each_other() -> None:
    members = gzip.compress(b'{"a":1}\n{"b":{"x":["\xc3\xa4"') + gzip.compress(b',null]}}\n{"c":"}{"}')
    assert values(members) == [A, B, C]
    assert values(members + b"\0" * 100) == [A, B, C]
    assert [record.value for record in read(members, 1)] == [A, B, C]


@pytest.mark.parametrize("kept", [2, 9, 12])
def test_a_gzip_that_ends_at_once_is_damaged(kept: int) -> None:
    assert problems(gzip.compress(GOOD)[:kept])[-1] == "object_damaged"


@pytest.mark.parametrize("end", [-1, -4, -8])
def test_a_gzip_cut_behind_its_text_is_read_and_damaged(end: int) -> None:
    assert [(r.value, r.problem) for r in read(gzip.compress(GOOD)[:end])] == [
        ({"good": 1}, None),
        (None, "object_damaged"),
    ]


def test_lines_before_a_cut_of_a_gzip_are_read() -> None:
    lines = [compact({"number": number, "hash": str(hash((number, "x")))}) for number in range(20_000)]
    whole = gzip.compress("\n".join(lines).encode())
    found = read(whole[: len(whole) // 2])
    good = [record.value for record in found if record.problem is None]
    assert 5_000 < len(good) < 15_000
    assert good == [json.loads(line) for line in lines[: len(good)]]
    assert [record.problem for record in found if record.problem] == ["not_json", "object_damaged"]


@pytest.mark.parametrize("place", [0.5, -6])
def test_lines_before_a_flaw_inside_a_gzip_are_read(place: float) -> None:
    lines = [compact({"number": number, "half": number / 2}) for number in range(20_000)]
    whole = bytearray(gzip.compress("\n".join(lines).encode()))
    where = int(len(whole) * place) if place > 0 else len(whole) + int(place)
    whole[where : where + 4] = b"\xff\xff\xff\xff"
    found = read(bytes(whole))
    good = [record.value for record in found if record.problem is None]
    assert good[:5_000] == [json.loads(line) for line in lines[:5_000]]
    assert found[-1].problem == "object_damaged"
    assert place > 0 or len(good) == 20_000


def test_what_follows_a_gzip_and_is_none_is_damage() -> None:
    found = read(gzip.compress(GOOD) + b"more")
    assert [record.problem for record in found] == [None, "object_damaged"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a":', "not_json"),
        (b'{"a":1', "not_json"),
        (b"<html>", "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":Infinity}', "not_json"),
        (b'[{"a":-Infinity}]', "not_json"),
        (b'{"a":1e999}', "not_json"),
        (b'{"a":' + b"9" * 400 + b"}", "not_json"),
        (b'{"a":"\\ud800"}', "not_json"),
        (b'[{"a":"\\ud800"}]', "not_json"),
        (b'{"\\udfff":1}', "not_json"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'[{"a":"\xff"}]', "not_utf8"),
        (b"\xff\xfe{\0}\0", "not_utf8"),
        (b"{" + b'"a":{' * 5_000, "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[" + b"[" * 900 + b"]" * 900 + b"]", "not_json"),
    ],
)
def test_a_line_that_cannot_be_read_has_its_reason(line: bytes, problem: str) -> None:
    assert problems(line) == [problem]
    assert problems(GOOD + b"\n" + line + b"\n" + GOOD) == [None, problem, None]


@pytest.mark.parametrize("scalar", [b"5", b'"text"', b"true", b"null", b"-0.5"])
def test_a_value_that_is_no_object_is_still_a_record(scalar: bytes) -> None:
    assert values(scalar + b"\n" + GOOD) == [json.loads(scalar), {"good": 1}]


def test_the_original_text_of_an_unreadable_line_is_kept() -> None:
    for line in (b'{"a": \xff\xfe "x', b"<p>502</p>", b'  {"a":"\xc3\xa4'):
        assert read(line)[0].text == line.strip()


def test_a_bad_value_among_values_without_breaks_spoils_no_other() -> None:
    found = read(b'{"a":1}{"bad":"\xff"}{"good":1}{"u":"\\ud800"}{"good":2}')
    assert [record.problem for record in found] == [None, "not_utf8", None, "not_json", None]
    assert [record.value for record in found if record.problem is None] == [A, {"good": 1}, {"good": 2}]


def test_a_bad_element_of_an_array_spoils_no_other() -> None:
    assert problems(b'[{"a":1},{"bad":"\xff"},{"u":"\\udc00"},{"good":1}]') == [None, "not_utf8", "not_json", None]


def test_bad_bytes_inside_an_object_over_several_lines_are_not_replaced() -> None:
    assert problems(b'{\n "a": "\xff"\n}\n' + GOOD) == ["not_utf8", None]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**30, 0.1, 1e300, -0.0])
def test_a_number_is_the_same_in_every_form(number: float) -> None:
    one = {"n": number}
    found = {repr(values(FORMS[form]([one]).encode())) for form in PLAIN_FORMS}
    assert len(found) == 1


def test_the_limit_leaves_room_for_what_one_request_can_hold() -> None:
    assert records.MAX_RECORD_BYTES >= 2**20


def test_lines_that_open_what_nothing_closes_are_not_read_ahead_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead: list[int] = []
    put_back = records._Lines.put_back

    def noted(lines: records._Lines, given_back: list[Any]) -> None:
        ahead.append(len(given_back))
        put_back(lines, given_back)

    monkeypatch.setattr(records, "PATIENCE_LINES", 3_000)
    monkeypatch.setattr(records._Lines, "put_back", noted)
    found = read(b" {\n" * 1_000 + b'{"good": 1}\n')
    assert sum(ahead) <= 3_000 + 1_001
    assert [record.problem for record in found] == ["not_json"] * 1_000 + [None]
