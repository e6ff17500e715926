"""Details of a transaction: line items, payments and tax out of an answer of Capillary's API.

Belongs here: which field of an answer is which detail. Does not belong here: asking (`capillary.api.transactions`), what
the details become in XDM (the mapping, under `lookedUp.transaction`).
Source: docs.capillarytech.com/reference/get-transaction-details
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from capillary_adobe.capillary.values import Unreadable, identifier, number, text

TYPES: Final = {"REGULAR": "REGULAR", "MIXED": "REGULAR", "RETURN": "RETURN"}
"""The type by which the API knows a transaction, by the `billType` of its event; without one it is REGULAR."""


def details_of(answer: Any, tax_paths: str) -> dict[str, Any]:
    """`lineItems`, `payments` and `tax`, each only where the answer has it; empty for None.

    `tax_paths` are paths in the answer, separated by commas; the first one at which there is a number counts.
    """
    if type(answer) is not dict:
        return {}
    found: dict[str, Any] = {
        "lineItems": list(_line_items(answer.get("lineItems"))),
        "payments": list(_payments(answer.get("paymentModes"))),
        "tax": _tax(answer, tax_paths),
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


def _line_items(listed: Any) -> Iterator[dict[str, Any]]:
    for item in listed if type(listed) is list else []:
        details = item.get("details") if type(item) is dict else None
        if type(details) is not dict or item.get("valid") is False:
            continue
        code = _id(details.get("itemCode"))
        if code is None:
            continue
        quantity = _number(details.get("qty"))
        line = {
            "itemCode": code,
            "description": _text(details.get("description")),
            "quantity": quantity,
            "amount": _number(details.get("amount")),
            "discount": _number(details.get("discount")),
        }
        yield {name: value for name, value in line.items() if value is not None}


def _payments(listed: Any) -> Iterator[dict[str, Any]]:
    for payment in listed if type(listed) is list else []:
        if type(payment) is dict:
            known = {
                "id": _id(payment.get("id")),
                "mode": _text(payment.get("mode")),
                "amount": _number(payment.get("amount")),
            }
            if known["amount"] is not None:
                yield {name: value for name, value in known.items() if value is not None}


def _tax(answer: dict[str, Any], paths: str) -> float | int | None:
    for path in paths.split(","):
        value: Any = answer
        for step in path.strip().split("."):
            value = value.get(step) if type(value) is dict else None
        found = _number(value)
        if found is not None:
            return found
    return None


def _number(value: Any) -> float | int | None:
    try:
        return number(value)
    except Unreadable:
        return None


def _text(value: Any) -> str | None:
    try:
        return text(value)
    except Unreadable:
        return None


def _id(value: Any) -> str | None:
    try:
        return identifier(value)
    except Unreadable:
        return None
