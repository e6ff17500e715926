"""Bills: the rows of one bill, one for each line item, become one `transactionAdded`.

Belongs here: which column is which field of a bill, for sales and returns. Does not belong here: what else a row names
(`surroundings.py`).

What holds for the whole bill stands on each of its rows and has to be the same on all; where it is not, the bill is refused
rather than guessed. A line item that is told twice counts once, as its last row tells it.
Source: docs.capillarytech.com/docs/transactions-standard-export-template, /docs/return-transactions-standard-export-template
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from capillary_adobe.capillary.insights.events.reading import (
    Told,
    agreed,
    agreed_moment,
    missing,
    plain,
    repeats_left_out,
    said,
)
from capillary_adobe.capillary.insights.events.surroundings import customer, outlet
from capillary_adobe.capillary.insights.model import Exported, RowIgnored

EVENT: Final = "transactionAdded"
RETURN: Final = "RETURN"
_MIXED, _REGULAR = "MIXED", "REGULAR"
_RETURNED, _NOT_INTERESTED = "returned", "not_interested"
_ID: Final = "line_item_id"


def key_of(told: Told) -> str:
    """What the rows of a bill share.

    Raises:
        RowIgnored: reason `no_customer`, of a bill without a customer.
        RowRefused: the bill's number or its customer cannot be read.
    """
    if not told.names_customer:
        raise RowIgnored("no_customer")
    told.customer_id()
    return f"{told.template}|{told.needed_id('bill_id')}"


def events_of(rows: Sequence[Told]) -> list[Exported]:
    """The sale or return of the rows of one bill.

    Raises:
        RowIgnored: reason `not_interested`, of what a visitor looked at and did not buy.
        RowRefused: `rows_disagree`, or a cell cannot be read.
    """
    rows = repeats_left_out(rows, _ID)
    head = rows[0]
    agreed(rows, "customer_id", Told.id)
    items = [row for row in rows if row.id(_ID) is not None or row.text("item_code") or row.text("line_item_amount")]
    kind = _kind(head.template, rows, items)
    amount = agreed(rows, "bill_amount", Told.number)
    if amount is None:
        raise missing("bill_amount")
    if kind == RETURN:
        # Some exports tell what is paid back below nought.
        amount = abs(amount)
    when = agreed_moment(rows)
    data = said(
        customerIdentifiers=customer(head),
        transactionId=agreed(rows, "bill_id", Told.id),
        billNumber=agreed(rows, "bill_number", Told.text),
        billClientId=agreed(rows, "bill_client_id", Told.text),
        billType=kind,
        billDate=when,
        amount=plain(amount),
        discount=plain(agreed(rows, "bill_discount", Told.number)),
        grossAmount=plain(agreed(rows, "initial_bill_value", Told.number)),
        currencyCode=agreed(rows, "currency", Told.member),
        lineItemCount=len(items) or None,
        deliveryStatus=agreed(rows, "delivery_status", Told.member),
        outlierStatus=agreed(rows, "outlier", Told.member),
        enteredBy=outlet(head),
        customFields=_own_fields(rows, head.context.custom_fields.get(head.template, ())),
        extendedFields=_own_fields(rows, head.context.extended_fields.get(head.template, ())),
        exported=said(
            lineItems=list(_line_items(items, kind)),
            tax=plain(agreed(rows, "tax_amount", Told.number)),
        ),
    )
    return [Exported(EVENT, when, data, key_of(head), (), totals={"amount": amount})]


def _kind(template: str, rows: Sequence[Told], items: Sequence[Told]) -> str | None:
    """The bill's type: as it is told, else by its line items; None where nothing tells it."""
    if template == "returns":
        return RETURN
    told = agreed(rows, "bill_type", Told.word)
    kinds = {row.word("line_item_type") for row in items} - {None}
    if told == "NOT_INTERESTED" or kinds == {_NOT_INTERESTED}:
        raise RowIgnored("not_interested")
    if told is not None or not kinds:
        return told
    if kinds == {_RETURNED}:
        return RETURN
    return _MIXED if _RETURNED in kinds else _REGULAR


def _line_items(items: Iterable[Told], kind: str | None) -> Iterator[dict[str, Any]]:
    """The line items in the form of `transaction_details`; of a mixed bill those that were sold."""
    for row in items:
        code = row.text("item_code")
        sort = row.word("line_item_type")
        if code is None or sort == _NOT_INTERESTED or (sort == _RETURNED and kind != RETURN):
            continue
        amount, quantity = row.number("line_item_amount"), row.number("quantity")
        yield said(
            itemCode=code,
            description=row.text("description"),
            quantity=_as_sold(quantity, kind),
            amount=_as_sold(amount, kind),
            discount=plain(row.number("line_item_discount")),
        )


def _as_sold(value: Decimal | None, kind: str | None) -> int | float | None:
    return plain(abs(value) if value is not None and kind == RETURN else value)


def _own_fields(rows: Sequence[Told], names: Iterable[str]) -> list[dict[str, str]]:
    values = ((name, agreed(rows, name, Told.text)) for name in names)
    return [{"key": name, "value": value} for name, value in values if value is not None]
