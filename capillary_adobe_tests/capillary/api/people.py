"""Records for the emulator's customers, transactions, stores and tills.

Belongs here: small ones that tests share. Does not belong here: assertions.
"""

from __future__ import annotations

from typing import Any


def customer(customer_id: int, **more: Any) -> dict[str, Any]:
    """A customer as v2 tells it, with every part that `embed` may leave out."""
    summary = {"loyaltyPoints": 120.0, "lifetimePoints": 900.0, "currentSlab": "Gold", "slabSNo": 2}
    return {
        "id": customer_id,
        "profiles": [
            {
                "firstName": "Asha",
                "lastName": "Rao",
                "attribution": {"createDate": "2024-01-05T10:00:00+05:30"},
                "fields": {"favourite": "tea"},
                "identifiers": [
                    {"type": "email", "value": f"asha.{customer_id}@example.com"},
                    {"type": "mobile", "value": f"9199{customer_id:08d}"},
                ],
                "source": "INSTORE",
            }
        ],
        "loyaltyInfo": {"loyaltyType": "loyalty"},
        "pointsSummary": summary,
        "loyaltyProgramDetails": [summary | {"programId": 7, "programTitle": "Circle"}],
        "subscriptionInfo": {"subscriptions": [{"channel": "EMAIL", "priority": "BULK", "type": "OPTIN"}]},
        "customerStatus": {"label": "Active"},
        **more,
    }


def transaction(transaction_id: int, **more: Any) -> dict[str, Any]:
    """A bill with one line and one payment."""
    return {
        "id": transaction_id,
        "customerId": 11,
        "type": "REGULAR",
        "billDetails": {"amount": 90.0, "billNumber": f"B{transaction_id}"},
        "lineItems": [{"details": {"itemCode": "T1", "qty": 2, "amount": 90.0}}],
        "paymentModes": [{"mode": "CARD", "amount": 90.0}],
        **more,
    }


def store(store_id: int, **more: Any) -> dict[str, Any]:
    """A store of the list of entities."""
    return {
        "id": store_id,
        "code": f"s{store_id}",
        "name": f"Store {store_id}",
        "external_id": f"X{store_id}",
        "is_active": True,
        "base_currency": {"label": "INR", "symbol": "₹"},
        **more,
    }


def till(till_id: int, store_id: int | None = None, **more: Any) -> dict[str, Any]:
    """A till, standing in a store where one is given."""
    parent = {"parent": {"id": store_id}} if store_id is not None else {}
    return {"id": till_id, "code": f"t{till_id}", "name": f"Till {till_id}", "isActive": True, **parent, **more}
