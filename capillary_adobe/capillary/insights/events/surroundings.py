"""What rows of every template name besides their own: the customer, the outlet, the loyalty program, the bill behind it.

Belongs here: these objects in the form of the webhooks (docs.capillarytech.com/docs/event-schema-loyalty). Does not belong
here: the fields of one event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from capillary_adobe.capillary.insights.events.reading import Told, said

_Value = TypeVar("_Value")


def customer(told: Told) -> dict[str, Any]:
    """`customerIdentifiers` of the row's customer.

    Raises:
        RowRefused: `customer_missing`, `customer_masked`, or the number cannot be read.
    """
    return said(
        customerId=told.customer_id(),
        firstName=told.text("first_name"),
        lastName=told.text("last_name"),
        loyaltyType=told.member("loyalty_type"),
        instore=said(mobile=told.text("mobile"), email=told.text("email"), externalId=told.text("external_id")),
    )


def outlet(told: Told) -> dict[str, Any]:
    """`enteredBy`: till and store, as far as the row names them; its `id` is the till's."""
    return said(
        id=told.id("till_id"),
        till=said(code=told.member("till_code"), name=told.member("till_name")),
        store=said(
            code=told.member("store_code"), name=told.member("store_name"), externalId=told.member("store_external_id")
        ),
    )


def program(told: Told) -> dict[str, Any]:
    """`loyaltyProgramDetails` and `loyaltyProgramId`."""
    known = told.id("program_id")
    return said(loyaltyProgramDetails=said(id=known, name=told.member("program_name")), loyaltyProgramId=known)


def activity(rows: Sequence[Told], bill_key: str, bill: str = "bill") -> dict[str, Any]:
    """`triggeringActivity` of rows of one event: the bill behind it under `bill_key`, and the outlet.

    `bill` begins the names of the columns of the bill. Nothing where the rows name several bills.
    """
    bill_id, number = _only(rows, f"{bill}_id", Told.id), _only(rows, f"{bill}_number", Told.text)
    named = [(bill_key, None if bill_id is None else str(bill_id)), ("billNumber", number)]
    return said(
        name=_only(rows, "activity", Told.member),
        identifiers=[{"key": key, "value": value} for key, value in named if value is not None],
        enteredBy=outlet(rows[0]),
    )


def _only(rows: Sequence[Told], column: str, read: Callable[[Told, str], _Value | None]) -> _Value | None:
    """What the rows say in a column, where all say the same."""
    found = [read(row, column) for row in rows]
    return found[0] if all(value == found[0] for value in found) else None
