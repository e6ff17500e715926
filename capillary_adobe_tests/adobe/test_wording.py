"""AEP's messages: what they say of the form stays, what they repeat of a person's values goes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.adobe.wording import CUT, LONGEST, code_within, safe_code, safe_pointer, safe_words
from capillary_adobe_tests.examples import examples

quickly = settings(deadline=None, max_examples=examples(200), database=None)

_VALUES = st.one_of(
    st.emails(),
    st.from_regex(r"\+?[0-9]{4,15}", fullmatch=True),
    st.from_regex(r"[A-Z][bcdfghjklmnpqrtvwxz]{3,12}( [A-Z][bcdfghjklmnpqrtvwxz]{3,12}){0,3}", fullmatch=True),
    st.from_regex(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}", fullmatch=True),
)
_FORMS = [
    "#/a/b: string [{}] does not match pattern ^[a-z]+$",
    "{} is not a valid enum value",
    "[{}] is not a valid date-time. Expected [yyyy-MM-dd'T'HH:mm:ssZ]",
    "expected type: Number, found: {}",
    "The message cannot be validated: [#/_demo/email: expected type: JSONArray, found: {}]",
    'Cannot convert value "{}" of type String to Integer',
    "value '{}' at row {} is not allowed",
    "extraneous key [{}] is not permitted",
    "{}",
    'Row is corrupted: {{"email":"{}"}}',
    "string [my key {}] is too long",
]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("required key [timestamp] not found", "required key [timestamp] not found"),
        ("required key [_demo.customerId] not found", "required key [_demo.customerId] not found"),
        ("expected type: Number, found: String", "expected type: Number, found: String"),
        ("expected type: JSONArray, found: JSONObject", "expected type: JSONArray, found: JSONObject"),
        ("#: 3 schema violations found", "#: 3 schema violations found"),
        ("#/loyalty/points: expected type: Long, found: Null", "#/loyalty/points: expected type: Long, found: Null"),
        ("string [jane@example.com] does not match pattern ^a$", "string […] does not match pattern …"),
        ("Jane Doe is not a valid enum value", "… is not a valid enum value"),
        ("-12.5 is not greater or equal to 0", "… is not greater or equal to …"),
        ("found: true", "found: …"),
        (
            "The message cannot be validated: [#/a: expected type: String, found: Jane Doe]",
            "The message cannot be validated: [#/a: expected type: String, found: …]",
        ),
        (
            "Encountered 5 errors in the data. Successfully ingested 514 rows. Please review the associated diagnostic files "
            "for more details.",
            "Encountered 5 errors in the data. Successfully ingested 514 rows. Please review the associated diagnostic files "
            "for more details.",
        ),
        (
            "Batch ingestion guardrails hit: 25143 files (over the 25000 threshold)",
            "Batch ingestion guardrails hit: 25143 files (over the 25000 threshold)",
        ),
        ("DCVS-1106-400 The message can't be validated", "DCVS-1106-400 The message can't be validated"),
        ("[a3f0] Payload body is missing xdmEntity", "[…] Payload body is missing xdmEntity"),
        ("", ""),
    ],
)
def test_what_is_known_of_aeps_messages_stays_readable(message: str, words: str) -> None:
    assert safe_words(message) == words


@quickly
@given(st.sampled_from(_FORMS), _VALUES)
def test_no_value_is_repeated(form: str, value: str) -> None:
    words = safe_words(form.replace("{}", value).replace("{{", "{").replace("}}", "}"))
    around = form.replace("{}", "")
    for part in re.split(r"[\s@]+", value):
        # A name that stands where a field's name is expected is taken for one.
        if len(part) > 3 and part not in around and "key [" not in form:
            assert part not in words
    assert value not in words or "key [" in form


@quickly
@given(st.emails() | st.from_regex(r"\+?[0-9]{5,15}", fullmatch=True))
def test_not_even_where_a_name_is_expected(value: str) -> None:
    assert value not in safe_words(f"extraneous key [{value}] is not permitted")
    assert value not in safe_pointer(f"#/identityMap/{value}/0")


@quickly
@given(st.text())
def test_any_text_is_taken_and_what_is_safe_stays_as_it_is(text: str) -> None:
    words = safe_words(text)
    assert len(words) <= LONGEST + 2
    assert safe_words(words) == words
    safe_pointer(text)
    assert re.fullmatch(r"[\w$.-]*", safe_code(text), re.ASCII)


@quickly
@given(st.lists(st.sampled_from(["value", "of", "type", "[jane]", "found:"]), min_size=200, max_size=400))
def test_a_long_message_is_cut_between_words(chunks: list[str]) -> None:
    words = safe_words(" ".join(chunks))
    assert len(words) <= LONGEST + 2
    assert words.endswith(CUT)


@pytest.mark.parametrize(
    ("pointer", "safe"),
    [
        ("#/loyalty/points", "/loyalty/points"),
        ("#", ""),
        ("", ""),
        ("/a/0/xdm:b", "/a/0/xdm:b"),
        ("#/identityMap/jane@example.com/0/id", "/identityMap/…/0/id"),
    ],
)
def test_a_pointer_names_the_place(pointer: str, safe: str) -> None:
    assert safe_pointer(pointer) == safe


@pytest.mark.parametrize(
    ("code", "safe"),
    [
        *((code, str(code)) for code in ("required", "1401", 1401, "INGEST-1401-400")),
        *((code, "") for code in (True, None, "jane@example.com", "4111111111111111", {}, "a b")),
    ],
)
def test_a_code_is_one(code: object, safe: str) -> None:
    assert safe_code(code) == safe


def test_a_code_within_a_message_is_found() -> None:
    assert code_within("failed with DCVS-1111-400: required key") == "DCVS-1111-400"
    assert code_within("no code") == ""
