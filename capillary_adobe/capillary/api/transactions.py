"""Transactions at Capillary: one by its id, with line items and payments.

Belongs here: the address, and whether there is such a transaction. Does not belong here: what its fields become in an event
(`capillary.enrichment`).
Source: docs.capillarytech.com/reference/get-transaction-details
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from capillary_adobe.capillary.api.answers import content
from capillary_adobe.capillary.api.client import CapillaryApi


class TransactionAnswer(NamedTuple):
    """What Capillary says about one transaction.

    `body` is the transaction without any envelope, as v2 tells it, None where it is unknown; `asked_us` is when the question
    left, epoch microseconds.
    """

    kind: Literal["found", "unknown"]
    body: Any
    asked_us: int


class TransactionApi:
    """Transactions, asked for by their ids."""

    def __init__(self, api: CapillaryApi) -> None:
        self._api = api

    def one(self, transaction_id: str, kind: str = "REGULAR", deadline: float | None = None) -> TransactionAnswer:
        """Ask `GET /v2/transactions/{id}`; `kind` is REGULAR, RETURN, NOT_INTERESTED or NOT_INTERESTED_RETURN.

        With a deadline (of `time.monotonic`) it ends by then. A refusal that concerns the transaction alone (400, 404) means
        that it is unknown: Capillary publishes no code for that.

        Raises:
            TransientCapillaryApiError: no answer, or no turn, in time.
            PermanentCapillaryApiError: Capillary refuses the client or the call.
        """
        params = {"type": kind, "tenders": "true"}
        answer = self._api.ask(f"/v2/transactions/{quote(transaction_id, safe='')}", params, deadline)
        if answer.refusal is not None and answer.status not in (200, 400, 404):
            raise answer.refusal
        body = content(answer.body)
        if answer.refusal is not None or type(body) is not dict or not body.get("id"):
            return TransactionAnswer("unknown", None, answer.asked_us)
        return TransactionAnswer("found", body, answer.asked_us)
