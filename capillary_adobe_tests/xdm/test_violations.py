"""Violations apart from any schema: types at a place, causes counted, lines of the mapping."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.defs.shown import CAUSES, by_cause
from capillary_adobe.xdm.faults import Fault, FaultCounts
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe.xdm.language.rule_lines import RuleLines
from capillary_adobe.xdm.violations import ABSENT, Violation, any_element, pointer, type_at

ENTITY: dict[str, Any] = {
    "a": {"b/c": [1, "x"], "~": None},
    "items": [{"price": 1.5}, {"price": 2.5}, {}],
    "mixed": [{"price": 1.5}, {"price": True}],
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", "object"),
        ("/a", "object"),
        ("/a/b~1c", "array"),
        ("/a/b~1c/1", "string"),
        ("/a/b~1c/2", ABSENT),
        ("/a/~0", "null"),
        ("/items/*/price", "number"),
        ("/mixed/*/price", None),
        ("/mixed/1/price", "boolean"),
        ("/none/of/it", ABSENT),
    ],
)
def test_the_type_at_a_place(where: str, expected: str | None) -> None:
    assert type_at(ENTITY, where) == expected


@given(st.lists(st.text(min_size=1, max_size=5).filter(lambda step: step != "*"), max_size=4))
def test_a_pointer_leads_back_to_its_value(path: list[str]) -> None:
    entity: Any = "here"
    for step in reversed(path):
        entity = {step: entity}
    assert type_at(entity, pointer(path)) == "string"


def test_any_element_of_a_list_is_one_place() -> None:
    assert any_element("/productListItems/12/SKU") == "/productListItems/*/SKU"
    assert any_element("/a/1") == "/a/*"
    assert any_element("/a1/b2c/d") == "/a1/b2c/d"


def wrong(where: str) -> Violation:
    return Violation("wrong_type", where, "type", "is string, must be number", "type", "string", "convert it")


def test_one_cause_is_one_line_whichever_element_it_is() -> None:
    found = FaultCounts()
    for number in range(3):
        found.add("transactionAdded", wrong(f"/productListItems/{number}/priceTotal"), "transaction.yaml:9")
    line = Fault(
        "transactionAdded",
        "/productListItems/*/priceTotal",
        "wrong_type",
        "type",
        "type",
        "string",
        "transaction.yaml:9",
        "convert it",
    )
    assert found.by_cause == {line: 3}
    assert by_cause(found.by_cause).value == (
        "| count | event | pointer | category | value type | rule | cure |\n"
        "| ---: | --- | --- | --- | --- | --- | --- |\n"
        "| 3 | `transactionAdded` | `/productListItems/*/priceTotal` | `type` | `string` | `transaction.yaml:9` | convert it |"
    )


def test_causes_without_end_are_counted_and_not_kept() -> None:
    found = FaultCounts()
    for number in range(700):
        found.add("transactionAdded", wrong(f"/field{number}"), None)
    assert len(found.by_cause) == 500
    assert found.not_listed == 200
    shown = str(by_cause(found.by_cause, found.not_listed).value).splitlines()
    assert len(shown) == 2 + CAUSES + 2
    assert shown[-1] == "and 650 of other causes"
    assert by_cause({}).value == "none"


MINE = """\
transactionAdded:
  - when: billType is GIFT
    event_type: commerce.gifts
    fields:
      commerce.order.priceTotal: {from: amount, as: number}
  - event_type: commerce.purchases
    fields:
      commerce.order.priceTotal: {from: amount, as: number}
"""


def test_lines_of_an_entity_made_before_follow_its_event_type() -> None:
    lines = RuleLines(with_tenant({"mine.yaml": MINE}).rules)
    place = "/commerce/order/priceTotal"
    assert lines("transactionAdded", "commerce.gifts", place) == "mine.yaml:5"
    assert lines("transactionAdded", "commerce.purchases", place) == "mine.yaml:8"
    assert lines.of_variant("transactionAdded", 1, place) == "mine.yaml:8"
    # The event's rule was another one when the entity was made.
    assert lines("transactionAdded", "commerce.other", place) == "mine.yaml:5"


def test_what_no_rule_writes_has_no_line_unless_it_is_missing() -> None:
    lines = RuleLines(with_tenant({"mine.yaml": MINE}).rules)
    assert lines("transactionAdded", "commerce.gifts", "/identityMap/Email/0/id", "identity") is None
    assert lines("transactionAdded", "commerce.gifts", "/commerce/order/currencyCode", "presence") == "mine.yaml:5"
    assert lines("transactionAdded", "commerce.purchases", "/channel", "presence") == "mine.yaml:6"
    assert lines("badgeEarned", "loyalty.badgeEarned", "/_acme/capillary/eventName") is not None
