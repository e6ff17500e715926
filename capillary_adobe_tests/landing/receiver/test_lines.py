"""A body among the lines of an object is read as what it is alone, and spoils none of its neighbours."""

from __future__ import annotations

import gzip
import json
import time
from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capillary_adobe.landing import read_records
from capillary_adobe.landing.receiver.lines import stands_as_line
from capillary_adobe_tests.landing.receiver.bodies import bodies


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}',
        b"[]",
        b' {"a":1} ',
        b'{"a":1}\n',
        b'{"a":1}\r\n',
        json.dumps({"eventName": "x", "data": {"rows": [1, 2]}}, indent=2).encode(),
    ],
)
def test_an_event_stands_as_line(body: bytes) -> None:
    assert stands_as_line(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"null",
        b"17\n",
        b'"text"',
        b"{",
        b'{"a":1} {"a":2}',
        b'{"a":1}\n{"a":2}',
        b'{"a":\n{"b":2}}',
        b'[{"a":1},\n{"a":2}]',
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b'\xef\xbb\xbf{"a":1}',
        gzip.compress(b'{"a":1}', mtime=0),
        gzip.compress(b'{"a":1}', mtime=10),
        b'{"a":1}\n}',
        b'\n{"a":1}',
    ],
)
def test_anything_else_does_not(body: bytes) -> None:
    assert not stands_as_line(body)


def test_no_body_keeps_the_others_waiting() -> None:
    rows = {"rows": [{"number": number, "text": "x" * 100} for number in range(5000)]}
    # Read to their end these took 0.4 s and a minute; aside, the first is read as the event that it is.
    for body in (json.dumps(rows, indent=2).encode(), b" {\n" * 10_000):
        begun = time.perf_counter()
        assert not stands_as_line(body)
        assert time.perf_counter() - begun < 1


@given(bodies())
@example(b'{"a":\n1}')
@example(b'{"a":1}\r')
def test_neighbours_change_nothing(body: bytes) -> None:
    if not stands_as_line(body):
        return
    alone = [(record.value, record.problem) for record in read_records(BytesIO(body))]
    among = [
        (record.value, record.problem)
        for record in read_records(BytesIO(b'{"first":1}\n' + body + b"\n" + body + b'\n{"last":1}\n'))
    ]
    assert among == [({"first": 1}, None), *alone, *alone, ({"last": 1}, None)]


@given(st.dictionaries(st.text(), st.text() | st.integers(0, 2**53) | st.none()))
def test_every_compact_event_stands_as_line(value: dict[str, object]) -> None:
    assert stands_as_line(json.dumps(value).encode())
