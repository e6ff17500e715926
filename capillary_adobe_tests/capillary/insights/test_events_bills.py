"""Sales and returns: rows of a bill become one transactionAdded."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from capillary_adobe_tests.capillary.insights.becoming import (
    CONTEXT,
    CUSTOMER,
    OUTLET,
    WHEN,
    WHEN_MS,
    key,
    reason,
    refusal,
    told,
)

BILL = {
    **CUSTOMER,
    **OUTLET,
    **WHEN,
    "bill_id": 9007199254740993,
    "bill_number": "B-1",
    "bill_amount": "1,200.50",
    "bill_discount": 10,
    "initial_bill_value": 1210.5,
    "tax_amount": "60.25",
    "currency": "INR",
    "outlier": "normal",
    "delivery_status": "PLACED",
    "bill_client_id": "c-7",
    "line_item_type": "regular",
}
TEA = {"line_item_id": 1, "item_code": "TEA", "description": "Green tea", "quantity": 2, "line_item_amount": 1000}
CUP = {"line_item_id": 2, "item_code": "CUP", "quantity": 1, "line_item_amount": 200.5, "line_item_discount": 10}


def test_the_rows_of_a_bill_are_one_sale_with_its_line_items() -> None:
    event = told("transactions", {**BILL, **TEA}, {**BILL, **CUP})
    assert event.data == {
        "customerIdentifiers": {
            "customerId": 406247343,
            "instore": {"mobile": "919800000001", "email": "a@example.com", "externalId": "x-1"},
        },
        "transactionId": 9007199254740993,
        "billNumber": "B-1",
        "billClientId": "c-7",
        "billType": "REGULAR",
        "billDate": WHEN_MS,
        "amount": 1200.5,
        "discount": 10,
        "grossAmount": 1210.5,
        "currencyCode": "INR",
        "lineItemCount": 2,
        "deliveryStatus": "PLACED",
        "outlierStatus": "normal",
        "enteredBy": {
            "id": 5,
            "till": {"code": "t-1", "name": "Till"},
            "store": {"code": "st-1", "name": "Store", "externalId": "x1"},
        },
        "exported": {
            "lineItems": [
                {"itemCode": "TEA", "description": "Green tea", "quantity": 2, "amount": 1000},
                {"itemCode": "CUP", "quantity": 1, "amount": 200.5, "discount": 10},
            ],
            "tax": 60.25,
        },
    }
    assert (event.event_name, event.created_ms, event.lines) == ("transactionAdded", WHEN_MS, (2, 3))
    assert event.totals == {"amount": Decimal("1200.50")}
    assert event.key == key("transactions", {**BILL, **TEA}) == "transactions|9007199254740993"


def test_nothing_is_invented_of_a_bill_that_tells_little() -> None:
    event = told("transactions", {"customer_id": 7, "bill_id": 1, "bill_amount": 5, "event_date": "2026-03-01"})
    assert event.data == {
        "customerIdentifiers": {"customerId": 7},
        "transactionId": 1,
        "billDate": 1_772_303_400_000,
        "amount": 5,
    }


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("bill_amount", 7),
        ("bill_number", "B-2"),
        ("bill_discount", 11),
        ("initial_bill_value", 1),
        ("tax_amount", 1),
        ("currency", "USD"),
        ("delivery_status", "SHIPPED"),
        ("outlier", "outlier"),
        ("customer_id", 8),
        ("event_time", "15:31:00"),
    ],
)
def test_rows_that_disagree_about_their_bill_are_refused(column: str, other: object) -> None:
    code, detail = refusal("transactions", {**BILL, **TEA}, {**BILL, **CUP, column: other})
    assert code == "rows_disagree"
    assert ("event_date" if column == "event_time" else column) in detail


@pytest.mark.parametrize("silent", ["", "1200.500", "1200.5"])
def test_a_row_that_is_silent_or_writes_it_otherwise_does_not_disagree(silent: str) -> None:
    event = told("transactions", {**BILL, **TEA, "bill_amount": silent}, {**BILL, **CUP})
    assert event.data["amount"] == 1200.5


def test_a_line_item_that_is_told_twice_counts_once_as_the_last_row_tells_it() -> None:
    event = told("transactions", {**BILL, **TEA, "bill_amount": 9}, {**BILL, **CUP}, {**BILL, **TEA, "quantity": 3})
    assert event.data["lineItemCount"] == 2
    assert event.data["amount"] == 1200.5
    assert event.data["exported"]["lineItems"][0]["quantity"] == 3
    assert event.lines == (2, 3, 4)


def test_line_items_without_a_number_all_count() -> None:
    line = {**BILL, "item_code": "TEA", "quantity": 1}
    assert told("transactions", line, line).data["lineItemCount"] == 2


@pytest.mark.parametrize("customer", ["", "-1", "0", "NA"])
def test_a_bill_without_a_customer_is_ignored(customer: str) -> None:
    assert reason("transactions", {**BILL, **TEA, "customer_id": customer}) == "no_customer"


@pytest.mark.parametrize(("customer", "code"), [("12***", "customer_masked"), ("abc", "bad_id"), ("1.2E+17", "bad_id")])
def test_a_customer_who_cannot_be_read_is_refused(customer: str, code: str) -> None:
    assert refusal("transactions", {**BILL, **TEA, "customer_id": customer})[0] == code


@pytest.mark.parametrize(("kinds", "kind"), [(("return", "return"), "RETURN"), (("regular", "return"), "MIXED")])
def test_line_items_tell_the_type_of_a_bill(kinds: tuple[str, str], kind: str) -> None:
    first, second = kinds
    event = told("transactions", {**BILL, **TEA, "line_item_type": first}, {**BILL, **CUP, "line_item_type": second})
    assert event.data["billType"] == kind


def test_of_a_mixed_bill_the_items_sold_are_told_and_all_are_counted() -> None:
    event = told("transactions", {**BILL, **TEA}, {**BILL, **CUP, "line_item_type": "return"})
    assert [item["itemCode"] for item in event.data["exported"]["lineItems"]] == ["TEA"]
    assert event.data["lineItemCount"] == 2


def test_the_type_that_a_bill_tells_goes_before_its_line_items() -> None:
    assert told("transactions", {**BILL, **TEA, "bill_type": "mixed"}).data["billType"] == "MIXED"


@pytest.mark.parametrize("column", ["bill_type", "line_item_type"])
def test_what_was_looked_at_and_not_bought_is_ignored(column: str) -> None:
    assert reason("transactions", {**BILL, **TEA, column: "not_interested"}) == "not_interested"


def test_a_return_has_its_own_number_and_is_told_without_signs() -> None:
    back = {**BILL, **TEA, "line_item_type": "", "parent_bill_id": 1, "bill_amount": -1000, "quantity": -2}
    event = told("returns", {**back, "line_item_amount": -1000})
    assert event.event_name == "transactionAdded"
    assert (event.data["billType"], event.data["amount"]) == ("RETURN", 1000)
    assert event.data["exported"]["lineItems"][0] == {
        "itemCode": "TEA",
        "description": "Green tea",
        "quantity": 2,
        "amount": 1000,
    }
    assert event.key == "returns|9007199254740993"
    assert event.totals == {"amount": Decimal(1000)}


def test_columns_that_the_organisation_named_are_fields_of_the_bill() -> None:
    context = replace(
        CONTEXT, custom_fields={"transactions": ["Colour", "gift"]}, extended_fields={"transactions": ["x"]}
    )
    event = told("transactions", {**BILL, **TEA, "Colour": "red", "x": "1"}, context=context)
    assert event.data["customFields"] == [{"key": "Colour", "value": "red"}]
    assert event.data["extendedFields"] == [{"key": "x", "value": "1"}]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("bill_id", "", "cell_missing"),
        ("bill_id", "x", "bad_id"),
        ("bill_amount", "", "cell_missing"),
        ("bill_amount", "ten", "bad_number"),
        ("bill_amount", "1e30", "bad_number"),
        ("event_date", "", "cell_missing"),
        ("event_date", "31.02.2026", "bad_moment"),
        ("line_item_amount", "-", None),
        ("quantity", "many", "bad_number"),
        ("line_item_type", "sideways", "unknown_word"),
    ],
)
def test_a_cell_that_cannot_be_read_refuses_the_bill_and_names_the_column(
    column: str, value: str, code: str | None
) -> None:
    cells = {**BILL, **TEA, column: value}
    if code is None:
        told("transactions", cells)
        return
    found, detail = refusal("transactions", cells)
    assert found == code
    assert value == "" or value not in detail


def test_a_code_or_number_that_looks_like_none_is_one() -> None:
    event = told("transactions", {**BILL, **TEA, "item_code": "NA", "bill_number": "none"})
    assert event.data["exported"]["lineItems"][0]["itemCode"] == "NA"
    assert event.data["billNumber"] == "none"


@pytest.mark.parametrize("nothing", ["NA", "-", "Unknown"])
def test_a_dimension_without_a_member_says_nothing(nothing: str) -> None:
    cells = {**BILL, **TEA, "store_code": nothing, "outlier": nothing, "line_item_type": nothing}
    event = told("transactions", cells)
    assert "code" not in event.data["enteredBy"]["store"]
    assert not {"outlierStatus", "billType"} & event.data.keys()
