"""Rows of CSV files: every dialect reads back, and whatever is broken costs its own line only."""

from __future__ import annotations

import codecs
import csv
import io
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capillary_adobe.capillary.insights.byte_stream import ByteStream
from capillary_adobe.capillary.insights.form import Form
from capillary_adobe.capillary.insights.lines import MAX_LINE_CHARS, PIECE_BYTES
from capillary_adobe.capillary.insights.model import BadRow, Row
from capillary_adobe.capillary.insights.opened import CsvFile, ExportUnreadable
from capillary_adobe.capillary.insights.rows import CsvRows, read_rows
from capillary_adobe.reasons import RAW_REASONS

HEADER = ["bill_id", "note", "amount"]


def opened(data: bytes | Iterable[bytes], form: Form | None = None) -> CsvRows:
    blocks = [data] if isinstance(data, bytes) else data
    return read_rows(CsvFile("export.csv", ByteStream(blocks)), form or Form())


def read(data: bytes | str | Iterable[bytes], form: Form | None = None) -> list[Row | BadRow]:
    found = opened(data.encode() if isinstance(data, str) else data, form)
    listed = list(found)
    assert found.count == len(listed)
    return listed


def codes(found: list[Row | BadRow]) -> list[tuple[int, str]]:
    return [(one.line, one.code if isinstance(one, BadRow) else "") for one in found]


def refused(data: bytes | str, form: Form | None = None) -> ExportUnreadable:
    with pytest.raises(ExportUnreadable) as error:
        opened(data.encode() if isinstance(data, str) else data, form)
    assert "export.csv" in str(error.value)
    return error.value


# No lone surrogates, which no encoding has, and no NUL, which no row may hold.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
awkward = st.sampled_from(
    ["", '"', '""', "a,b", "a;b", "a\tb", "a|b", "a\nb", "a\r\nb", "\n", " x ", "é", "日本", "\ufeff", "'"]
)
cells = awkward | texts


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    names = st.text(st.characters(categories=["L", "Nd"], max_codepoint=0x24F), min_size=1, max_size=8)
    header = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    width = len(header)
    return header, draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=12))


def written(header: list[str], rows: list[list[str]], delimiter: str, ending: str, quoting: int) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


@given(
    tables(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    st.integers(1, 50),
)
def test_whatever_the_csv_module_writes_reads_back(
    table: tuple[list[str], list[list[str]]], delimiter: str, ending: str, quoting: int, encoding: str, block: int
) -> None:
    header, rows = table
    if ending == "\n":
        # Python 3.11 writes a carriage return alone without quotes then, and no reader can tell it from an end of line.
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    data = written(header, rows, delimiter, ending, quoting).encode(encoding)
    if encoding == "utf-16-le":
        data = codecs.BOM_UTF16_LE + data
    found = opened([data[at : at + block] for at in range(0, len(data), block)], Form(delimiter=delimiter))
    read_back = list(found)
    assert found.header == header
    assert [row.cells for row in read_back if isinstance(row, Row)] == [
        {name: text for name, text in zip(header, row, strict=True) if text}
        for row in rows
        if any(row) and row != header
    ]
    assert not [row for row in read_back if isinstance(row, BadRow)]


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(2, 60))
@example(b'"', 20, 40)
@example(b"\xff\xfe", 0, 40)
@example(b"1,2\n1,2,3,4\n", 23, 40)
def test_whatever_is_spoilt_every_line_is_accounted_for(spoilt: bytes, place: int, count: int) -> None:
    good = "".join(f"{number},note {number},{number}.50\n" for number in range(count)).encode()
    data = good[:place] + spoilt + good[place:]
    head = ",".join(HEADER).encode() + b"\n"
    found = read(head + data, Form(encoding="utf-8"))
    lines = data.decode("utf-8", "replace").split("\n")
    expected = 2
    for row in found:
        passed = lines[expected - 2 : row.line - 2]
        assert row.line >= expected, "a line is told once"
        assert not "".join(passed).strip(", \t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0"), (
            "only what holds nothing is passed over"
        )
        text = row.text if isinstance(row, BadRow) else "".join(row.cells.values())
        expected = row.line + 1 + text.count("\n")
    assert not "".join(lines[expected - 2 :]).strip(), "and at the end as well"
    clean = read(head + good)
    before = good[:place].count(b"\n")
    after = max(count - before - 1, 0)
    assert found[:before] == clean[:before]
    if b'"' not in spoilt and after:
        assert [row.cells for row in found[-after:] if isinstance(row, Row)] == [
            row.cells for row in clean[-after:] if isinstance(row, Row)
        ]


def test_an_unclosed_quote_costs_its_line_and_no_other() -> None:
    rows = [f"{number},note,{number}" for number in range(60_000)]
    rows[100] = '100,"note,100'
    rows[59_998] = '59998,"note,1'
    found = read("\n".join([",".join(HEADER), *rows]))
    assert [one for one in codes(found) if one[1]] == [(102, "row_malformed"), (60_000, "row_malformed")]
    assert [row.line for row in found] == list(range(2, 60_002))
    bad = next(row for row in found if isinstance(row, BadRow))
    assert bad.text == '100,"note,100'
    assert "note" not in bad.detail


def test_records_that_lie_across_pieces_are_read() -> None:
    # A record of several lines at each place where the file is cut in pieces.
    note = "x\n" * 500
    rows = [f'{number},"{note}",{number}' for number in range(3 * PIECE_BYTES // 1000)]
    found = read("\n".join([",".join(HEADER), *rows]) + "\n")
    assert [row.cells["bill_id"] for row in found if isinstance(row, Row)] == [str(n) for n in range(len(rows))]
    assert [row.line for row in found] == [2 + 501 * number for number in range(len(rows))]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("2,x", "row_ragged"),
        ("2,x,3,4", "row_ragged"),
        ('2,"x"y,3', "row_malformed"),
        ('2,"x', "row_malformed"),
        ("2,a\rb,3", "row_malformed"),
        ("2,\0,3", "row_with_nul"),
        ("2," + "x" * 2**18 + ",3", "row_malformed"),
        ("2," + "x," * (MAX_LINE_CHARS * 3 // 2), "row_too_large"),
    ],
)
def test_a_broken_row_is_one_bad_row(line: str, code: str) -> None:
    found = read(f"bill_id,note,amount\n1,a,1\n{line}\n3,b,3\n")
    assert codes(found) == [(2, ""), (3, code), (4, "")]
    bad = found[1]
    assert isinstance(bad, BadRow)
    assert len(bad.text) <= 2**16
    assert bad.text[:2] == "2,"
    assert code in RAW_REASONS


@pytest.mark.parametrize("line", ["2,x,3,", "2,x,3,,,", "", "   ", ",,", "bill_id,note,amount", ",,,,"])
def test_what_is_no_row_or_only_has_empty_cells_too_many(line: str) -> None:
    found = read(f"bill_id,note,amount\n1,a,1\n{line}\n3,b,3\n")
    assert [row.line for row in found] == ([2, 3, 4] if line.startswith("2") else [2, 4])
    assert all(isinstance(row, Row) for row in found)


def test_empty_cells_are_left_out_and_others_stay_as_they_are() -> None:
    found = read("bill_id,note,amount\n 1,,0\n")
    assert found == [Row(2, {"bill_id": " 1", "amount": "0"})]


@pytest.mark.parametrize(
    ("head", "row", "names"),
    [
        ("a,b", "1,2", ["a", "b"]),
        ("a;b;c", "1,5;2;3", ["a", "b", "c"]),
        ("a\tb", "1\t2", ["a", "b"]),
        ("a|b", "1|2", ["a", "b"]),
        ("only", "1", ["only"]),
        ('"a,x";b', "1;2", ["a,x", "b"]),
        ("Net, INR;Tax, INR", "1;2", ["Net, INR", "Tax, INR"]),
        (" a , b ,", "1,2,", ["a", "b"]),
        ("\n\na,b", "1,2", ["a", "b"]),
    ],
)
def test_delimiters_and_headers_are_found_out(head: str, row: str, names: list[str]) -> None:
    found = opened(f"{head}\n{row}\n".encode())
    assert found.header == names
    assert [len(one.cells) for one in found if isinstance(one, Row)] == [len(names)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "header_missing"),
        ("\n\n  \n", "header_missing"),
        ("a,,b\n1,2,3\n", "header_blank"),
        ("a,b,a\n1,2,3\n", "header_doubled"),
        ('"a,b\n1,2\n', "header_unreadable"),
        ("a,b\n".encode("utf-16-le"), "header_unreadable"),
        (b"\x90\x8d,b\n1,2\n", "header_unreadable"),
    ],
)
def test_a_header_of_no_use_is_refused(data: bytes | str, code: str) -> None:
    assert refused(data).code == code


def test_a_name_that_stands_in_the_header_twice_is_not_told_since_it_may_be_a_value() -> None:
    words = str(refused("9876543210,Rao,Rao\n9876543211,Ada,Lee\n"))
    assert "Columns 2 and 3" in words
    assert "Rao" not in words


def test_the_form_goes_before_what_is_found_out() -> None:
    form = Form(delimiter=";", encoding="cp850", quote="'")
    found = read("a;b,c\n'x;y';\x82\n".encode("latin-1"), form)
    assert found == [Row(2, {"a": "x;y", "b,c": "é"})]
    assert refused("a,b\n", Form(encoding="klingon")).code == "encoding_unknown"
    assert refused("a,b\n", Form(encoding="hex")).code == "encoding_unknown"


def test_quotes_that_a_sign_escapes_are_read_where_the_form_tells_it() -> None:
    # As Databricks and Hive write by default; a backslash before anything else is a backslash.
    data = r'''bill_id,note,amount
1,"12\" plate, \"blue\"",10
2,C:\new\,\N
3,"ends in \\",30
4,"two
\"lines\"",40
5,"doubled ""quotes""",50
'''
    found = read(data, Form(escape="\\"))
    assert found == [
        Row(2, {"bill_id": "1", "note": '12" plate, "blue"', "amount": "10"}),
        Row(3, {"bill_id": "2", "note": "C:\\new\\", "amount": "\\N"}),
        Row(4, {"bill_id": "3", "note": "ends in \\", "amount": "30"}),
        Row(5, {"bill_id": "4", "note": 'two\n"lines"', "amount": "40"}),
        Row(7, {"bill_id": "5", "note": 'doubled "quotes"', "amount": "50"}),
    ]
    assert codes(read(data))[0] == (2, "row_malformed")


@given(tables(), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_written_with_an_escape_reads_back(table: tuple[list[str], list[list[str]]], ending: str) -> None:
    header, rows = table

    def cell(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = "".join(",".join(map(cell, row)) + ending for row in [header, *rows])
    found = read(text, Form(delimiter=",", escape="\\"))
    assert [row.cells if isinstance(row, Row) else row for row in found] == [
        {name: text for name, text in zip(header, row, strict=True) if text}
        for row in rows
        if any(row) and row != header
    ]


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "Müller €"), ("latin-1", "Müller"), ("utf-8", "Müller €")])
def test_encodings_are_found_out(encoding: str, text: str) -> None:
    assert read(f"a,b\n1,{text}\n".encode(encoding)) == [Row(2, {"a": "1", "b": text})]


def test_bytes_of_another_encoding_cost_their_row() -> None:
    head = "a,b\n" + "1,Müller\n" * 3
    found = read(head.encode() + b"2,M\xfcller\n" + b'3,"x\nM\xfc"\n' + "4,Müller\n".encode())
    assert codes(found) == [(2, ""), (3, ""), (4, ""), (5, "not_in_encoding"), (6, "not_in_encoding"), (8, "")]
    bad = found[4]
    assert isinstance(bad, BadRow)
    assert bad.text == '3,"x\nM\ufffd"'


def test_bytes_of_another_encoding_after_the_first_megabyte_cost_their_row() -> None:
    rows = PIECE_BYTES // 8 + 10
    found = read(b"a,b\n" + b"1,Miller\n" * rows + b"2,M\xfcller\n" + b"3,x\n")
    assert codes(found)[-2:] == [(rows + 2, "not_in_encoding"), (rows + 3, "")]


def test_carriage_returns_alone_end_lines() -> None:
    found = read('a,b\r1,"x\ry"\r2\r3,z\r')
    assert found == [
        Row(2, {"a": "1", "b": "x\ry"}),
        BadRow(4, "2", "row_ragged", "1 cells where the header has 2."),
        Row(5, {"a": "3", "b": "z"}),
    ]


def test_a_record_of_several_lines_that_does_not_fit_costs_its_first_line() -> None:
    found = read('a,b\n1,"x\n2,y\n3",z\n4,w\n')
    assert codes(found) == [(2, "row_ragged"), (3, ""), (4, ""), (5, "")]


def test_a_file_of_broken_rows_takes_no_longer_for_each_of_them() -> None:
    rows = 40_000
    begun = time.process_time()
    found = read(b"a,b\n" + b'1,"x"y\n' * rows)
    # A second and a half; half a minute where each of them costs what is left of the piece.
    assert time.process_time() - begun < 10
    assert Counter(code for _, code in codes(found)) == {"row_malformed": rows}
