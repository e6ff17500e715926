"""The customer and transaction APIs over HTTP.

Belongs here: their addresses, and what is said of customers who are unknown, merged, deleted or masked. Does not belong
here: the records (`holdings`), and the form of the older API (`older`).
Sources: docs.capillarytech.com/reference/get-customer-details-by-user-id, /customer-lookup, /get-customer-details and
/get-transaction-details.

| point | what the emulator does | why |
| --- | --- | --- |
| parts of a customer | only those that `embed` names | documented |
| unknown | 400 with 8015 | documented code; the status is not |
| merged | 400 with 8069, or the survivor with the warning 91009 | both are documented, not when which |
| deleted | 400 with 8015, and the message says it | "message says the customer is deleted" |
| client without the sensitive-data right | names and contacts are masked | documented; the form of the mask is not |
| another source than INSTORE without `accountId` | 400 with 8045 | documented |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.capillary.access import Access
from capillary_adobe.emulators.capillary.answers import Answers, Refused
from capillary_adobe.emulators.capillary.behaviour import Behaviour
from capillary_adobe.emulators.capillary.holdings import Holdings, Record
from capillary_adobe.emulators.capillary.older import older_customer

_OURS = ("deleted", "mergedInto")
# What stands in a customer only where `embed` asks for it.
_PARTS = {
    "points": ("pointsSummary",),
    "mlp": ("loyaltyProgramDetails",),
    "subscriptions": ("subscriptionInfo",),
    "customerStatus": ("customerStatus",),
    "expirySchedules": ("expirySchedules",),
    "expiredPoints": ("expiredPoints",),
    "segments": ("segments",),
    "cardLoyaltyDetails": ("cardDetails",),
}
_MASKED_FIELDS = ("firstName", "lastName")
_SHOWN = 2


class CustomerApi:
    """`/v2/customers`, `/v1.1/customer` and `/v2/transactions`."""

    def __init__(self, holdings: Holdings, access: Access, answers: Answers, behaviour: Behaviour) -> None:
        self._holdings = holdings
        self._access = access
        self._answers = answers
        self._behaviour = behaviour

    def routes(self) -> list[Route]:
        """All of them."""
        guarded = self._access.guarded
        return [
            Route("/v2/customers/lookup/customerDetails", guarded(self.lookup, "Customer"), methods=["GET"]),
            Route("/v2/customers/{customer_id}", guarded(self.one, "Customer"), methods=["GET"]),
            Route("/v1.1/customer/get", guarded(self.several, "Customer"), methods=["GET"]),
            Route("/v2/transactions/{transaction_id}", guarded(self.transaction, "Transaction"), methods=["GET"]),
        ]

    async def one(self, request: Request) -> Response:
        """`GET /v2/customers/{id}`."""
        _demand_source(request)
        record = self._holdings.one("customers", _number(request.path_params["customer_id"], 8015))
        return self._told(request, record)

    async def lookup(self, request: Request) -> Response:
        """`GET /v2/customers/lookup/customerDetails`."""
        _demand_source(request)
        name, value = (request.query_params.get(name, "") for name in ("identifierName", "identifierValue"))
        if name == "id":
            return self._told(request, self._holdings.one("customers", _number(value, 8015)))
        return self._told(request, self._holdings.customer_with(name, value))

    async def several(self, request: Request) -> Response:
        """`GET /v1.1/customer/get?id=1,2`."""
        ids = [one for one in request.query_params.get("id", "").split(",") if one]
        if not ids:
            raise Refused(400, 400, "id is missing")
        if len(ids) > self._behaviour.customers_per_call:
            raise Refused(400, 1060, "Batch is too large")
        return self._answers.older("customers", "customer", [self._older_item(one) for one in ids])

    async def transaction(self, request: Request) -> Response:
        """`GET /v2/transactions/{id}`."""
        record = self._holdings.one("transactions", _number(request.path_params["transaction_id"], 400))
        wanted = request.query_params.get("type", "REGULAR").upper()
        if record is None or str(record.get("type", "REGULAR")).upper() != wanted:
            raise Refused(400, 400, "Transaction is not found")
        with_tenders = request.query_params.get("tenders") == "true"
        left_out = () if with_tenders else ("paymentModes",)
        return self._answers.bare({name: value for name, value in record.items() if name not in left_out})

    def _told(self, request: Request, record: Record | None) -> Response:
        survivor, warnings = self._judged(record)
        parts = {part.strip() for part in request.query_params.get("embed", "").split(",")}
        left_out = {field for part, fields in _PARTS.items() if part not in parts for field in fields}
        shown = {name: value for name, value in survivor.items() if name not in (*_OURS, *left_out)}
        return self._answers.bare(self._masked(shown), warnings)

    def _judged(self, record: Record | None) -> tuple[Record, list[dict[str, Any]]]:
        """The customer to tell about, with warnings; a `Refused` where there is none."""
        if record is None:
            raise Refused(400, 8015, "Customer not found")
        if record.get("deleted"):
            raise Refused(400, 8015, "Customer is deleted, as a PII delete request demanded")
        if "mergedInto" not in record:
            return record, []
        survivor = self._holdings.one("customers", record["mergedInto"]) if record["mergedInto"] else None
        if survivor is None or not self._behaviour.tells_survivor:
            raise Refused(400, 8069, "Customer was merged into another account")
        # The survivor may have been merged, too.
        return self._judged(survivor)[0], [
            {"status": True, "code": 91009, "message": "Customer is a victim of a merge, the survivor is returned"}
        ]

    def _older_item(self, customer_id: str) -> Record:
        try:
            record, warnings = self._judged(self._holdings.one("customers", _number(customer_id, 1012)))
        except Refused as refusal:
            code = 1012 if refusal.code == 8015 else refusal.code
            return {"item_status": {"success": "false", "code": str(code), "message": str(refusal)}}
        told = older_customer(self._masked({name: value for name, value in record.items() if name not in _OURS}))
        first = warnings[0] if warnings else {"code": 1000, "message": "Customer successfully retrieved"}
        return told | {
            "item_status": {
                "success": "true",
                "code": str(first["code"]),
                "message": first["message"],
                "warnings": None,
            }
        }

    def _masked(self, record: Record) -> Record:
        return record if self._behaviour.sees_personal_data else _each_value(record, _mask)


def _each_value(value: Any, change: Callable[[str], str]) -> Any:
    """The same with names and contacts changed."""
    if type(value) is dict:
        return {
            name: change(one)
            if type(one) is str and (name in _MASKED_FIELDS or (name == "value" and "type" in value))
            else _each_value(one, change)
            for name, one in value.items()
        }
    return [_each_value(one, change) for one in value] if type(value) is list else value


def _mask(value: str) -> str:
    return f"{value[:_SHOWN]}***" if value else value


def _demand_source(request: Request) -> None:
    source = request.query_params.get("source")
    if not source:
        raise Refused(400, 8012, "Source is missing or unknown")
    if source.upper() not in ("INSTORE", "ALL") and not request.query_params.get("accountId"):
        raise Refused(400, 8045, "Account id is missing")


def _number(text: str, code: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Refused(400, code, "The id is no number")
    return int(text)
