"""Causes: AEP's ways to refuse, grouped as an operator mends them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.adobe.causes import category_of, cause_of, keyword_of, place_of, reason_for, reason_of
from capillary_adobe.reasons import AEP_REASONS, CATEGORIES


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("required", "aep_field_missing"),
        ("type", "aep_wrong_type"),
        ("format", "aep_wrong_format"),
        ("pattern", "aep_wrong_pattern"),
        ("enum", "aep_not_in_enum"),
        ("maximum", "aep_out_of_range"),
        ("exclusiveMinimum", "aep_out_of_range"),
        ("maxLength", "aep_out_of_range"),
        ("minItems", "aep_out_of_range"),
        ("additionalProperties", "aep_unknown_field"),
        ("DCVS-1104-400", "aep_wrong_type"),
        ("INGEST-1555-400", "aep_field_missing"),
        ("1401", "aep_unreadable_row"),
        ("413", "aep_too_large"),
        ("400", "aep_refused"),
        ("allOf", "aep_refused"),
        ("", "aep_refused"),
    ],
)
def test_each_code_has_its_reason(code: str, reason: str) -> None:
    assert reason_for(code) == reason


def test_a_wrong_element_is_one_cause_whichever_it_is() -> None:
    causes = {cause_of("type", f"/productListItems/{n}/SKU") for n in (0, 7, 12)}
    assert causes == {"aep_wrong_type:/productListItems/*/SKU"}


def test_a_missing_field_is_named_and_not_its_parent() -> None:
    assert cause_of("required", "/commerce", "#/commerce: required key [order] not found") == (
        "aep_field_missing:/commerce/order"
    )
    assert cause_of("required", "", "required key [web] not found") == "aep_field_missing:/web"
    assert cause_of("required") == "aep_field_missing:required"


@pytest.mark.parametrize(
    ("code", "category", "keyword"),
    [
        ("required", "presence", "required"),
        ("type", "type", "type"),
        ("DCVS-1105-400", "format", "format"),
        ("pattern", "pattern", "pattern"),
        ("maxLength", "range", None),
        ("const", "enum", "enum"),
        ("additionalProperties", "unknown", "additionalProperties"),
        ("identity", "identity", None),
        ("timestamp", "timestamp", None),
        ("413", "size", None),
        ("DCVS-9999-400", "unclassified", None),
    ],
)
def test_each_cause_has_its_category_and_keyword(code: str, category: str, keyword: str | None) -> None:
    cause = cause_of(code, "/a/b")
    assert (category_of(cause), keyword_of(cause)) == (category, keyword)


@given(st.text(max_size=40), st.text(max_size=80), st.text(max_size=80))
def test_every_cause_has_a_documented_reason(code: str, pointer: str, words: str) -> None:
    cause = cause_of(code, pointer, words)
    assert reason_of(cause) in AEP_REASONS
    assert category_of(cause) in CATEGORIES
    place = place_of(cause)
    assert place is None or place.startswith("/")
