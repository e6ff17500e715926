"""Customers at Capillary: one by the newer API, several at once by the older one.

Belongs here: the addresses, and what an answer says about a customer: found, unknown, merged, deleted. Does not belong here:
what a found customer's fields mean (`profiles.facts_from_api`), and who is asked for when (`looking_up.py`).
Sources: docs.capillarytech.com/reference/get-customer-details-by-user-id, /customer-lookup and /get-customer-details (v1.1).

| answer | kind |
| --- | --- |
| a body with the id that was asked for | `found`; where a code says that parts are missing, without points and tiers |
| code 8015 or 8065, the item codes 1012 and 1039 of v1.1, status 404 | `unknown` |
| code 8069 or 91009; with it a body with another id: the account that took this one in | `merged` |
| an error or a warning that calls the customer deleted | `deleted` |
| a body with another id and no such code | somebody else's: raised, or left out of several |
| any other refusal | raised |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from capillary_adobe.capillary.api.answers import Told, content, told
from capillary_adobe.capillary.api.client import Answer, CapillaryApi, TransientCapillaryApiError
from capillary_adobe.settings.customers import LookupSettings

__all__ = ["CustomerAnswer", "CustomerApi", "Kind"]

Kind = Literal["found", "unknown", "merged", "deleted"]

_UNKNOWN = frozenset({8015, 8065, 1012, 1039})
_MERGED = frozenset({8069, 91009})
# Points failed, and the warnings that parts of an answer are missing. Points that could not be read are no points of zero.
_PARTIAL = frozenset({8062, 91001, 91002, 91003, 91004})
_OF_LOYALTY = frozenset(
    {
        "pointsSummary",
        "loyaltyProgramDetails",
        "expirySchedules",
        "upgradeStrategies",
        "gapToUpgrade",
        "lifetimePurchases",
        "points_summaries",
        "loyalty_points",
        "lifetime_points",
        "current_slab",
        "expiry_schedule",
        "tier_upgrade_criteria",
        "lifetime_purchases",
    }
)
# Of the customer, and not of a coupon or an address: what follows cannot be taken back.
_DELETED = re.compile(
    r"\b(customer|user|account|profile)( id)?( \d+)?( is| was| has been| already)* deleted\b"
    r"|\bdeleted (customer|user|account)\b|\bpii delet",
    re.IGNORECASE,
)
_MASKED = re.compile(r"[*•●]{2,}|x{4,}", re.IGNORECASE)
_PERSONAL = frozenset({"firstName", "lastName", "firstname", "lastname", "email", "mobile", "value"})
# What `embed` of v2 asks for, by the switches of v1.1; for the rest it has none.
_V1_SWITCHES = {
    "points": "points_summary",
    "mlp": "mlp",
    "expirySchedules": "expiry_schedule",
    "subscriptions": "subscriptions",
    "segments": "segments",
    "cardLoyaltyDetails": "card_details",
    "gapToUpgrade": "tier_upgrade_criteria",
}
# Names under which an answer may tell the account that took another in; none is published.
_SURVIVOR = ("survivorCustomerId", "survivorId", "mergedInto", "mergedIntoCustomerId", "survivor_id")


class CustomerAnswer(NamedTuple):
    """What Capillary says about one customer.

    `body` is the customer without any envelope, as v2 tells it, or as v1.1 does where `bulk`; None unless there is one. Of a
    merged customer it is the survivor's, if that came along. `asked_us` is when the question left, epoch microseconds, by
    Capillary's clock where ours is ahead of it. `survivor` is the id of the account that took this one in, if it was told.
    `masked` says that Capillary hides personal values from the API client, `partial` that it could not tell all, so that
    points and tiers are left out.
    """

    kind: Kind
    body: Any
    asked_us: int
    survivor: int | None = None
    bulk: bool = False
    masked: bool = False
    partial: bool = False


class CustomerApi:
    """Customers, asked for by their ids."""

    def __init__(self, api: CapillaryApi, settings: LookupSettings) -> None:
        self._api = api
        self._source = {"source": settings.source}
        if settings.account_id is not None:
            self._source["accountId"] = settings.account_id
        self._embed = [part.strip() for part in settings.embed.split(",") if part.strip()]

    def one(self, customer_id: int, deadline: float | None = None) -> CustomerAnswer:
        """Ask `GET /v2/customers/{id}`; with a deadline (of `time.monotonic`) it ends by then.

        Raises:
            TransientCapillaryApiError: no answer, or no turn, in time.
            PermanentCapillaryApiError: Capillary refuses the client or the call.
        """
        params = self._source | ({"embed": ",".join(self._embed)} if self._embed else {})
        answer = self._api.ask(f"/v2/customers/{customer_id}", params, deadline)
        said = told(answer.body)
        if answer.refusal is None:
            body = content(answer.body)
            if _is_somebody_else(customer_id, body, said):
                raise TransientCapillaryApiError(
                    "Capillary's answer about a customer is about another one, and does not say that they were merged. "
                    "Nothing of it is taken; if this lasts, ask Capillary."
                )
            return _judged(customer_id, body, said, answer.asked_us, bulk=False)
        if not (answer.status == 404 or _says_something(said)):
            raise answer.refusal
        return _judged(customer_id, None, said, answer.asked_us, bulk=False)

    def several(self, customer_ids: Sequence[int], deadline: float | None = None) -> dict[int, CustomerAnswer]:
        """Ask `GET /v1.1/customer/get` about several at once; an id that the answer leaves out is not in the result.

        Raises:
            TransientCapillaryApiError: no answer, or no turn, in time.
            PermanentCapillaryApiError: Capillary refuses the client or the call.
        """
        if not customer_ids:
            return {}
        switches = {_V1_SWITCHES[part]: "true" for part in self._embed if part in _V1_SWITCHES}
        params = {"format": "json", "id": ",".join(str(one) for one in customer_ids)} | self._source | switches
        answer = self._api.ask("/v1.1/customer/get", params, deadline)
        if answer.refusal is not None:
            raise answer.refusal
        items = _items(answer)
        answers: dict[int, CustomerAnswer] = {}
        for item, asked_for in zip(items, _whose(items, customer_ids), strict=True):
            said = told(item)
            if asked_for is None or _is_somebody_else(asked_for, item, said):
                continue
            if _id_of(item) is not None or _says_something(said):
                answers[asked_for] = _judged(asked_for, item, said, answer.asked_us, bulk=True)
        return answers


def _whose(items: Sequence[Any], customer_ids: Sequence[int]) -> list[int | None]:
    """Whom each item of v1.1 is about; None where that is not sure.

    An item without an id (of an unknown customer) or with the survivor's (of a merged one) tells it by its place alone. The
    places count where every id has an item, and all others are at theirs.
    """
    own = [None if _MERGED.intersection(told(item).codes) else _id_of(item) for item in items]
    sure = [known if known in customer_ids else None for known in own]
    if len(items) != len(customer_ids):
        return sure
    in_order = all(known in (None, place) for known, place in zip(sure, customer_ids, strict=True))
    return list(customer_ids) if in_order else sure


def _judged(customer_id: int, body: Any, said: Told, asked_us: int, *, bulk: bool) -> CustomerAnswer:
    if _DELETED.search(said.words):
        return CustomerAnswer("deleted", None, asked_us, bulk=bulk)
    known = _id_of(body)
    other = known if known != customer_id else None
    partial = bool(_PARTIAL.intersection(said.codes))
    if _MERGED.intersection(said.codes):
        survivor = other if other is not None else _told_survivor(body)
        whole = _sound(body, partial) if other is not None else None
        return CustomerAnswer("merged", whole, asked_us, survivor, bulk, _is_masked(whole), partial)
    # What is no customer, such as the status of one who is unknown, has no id.
    if known is None or _UNKNOWN.intersection(said.codes):
        return CustomerAnswer("unknown", None, asked_us, bulk=bulk)
    return CustomerAnswer("found", _sound(body, partial), asked_us, bulk=bulk, masked=_is_masked(body), partial=partial)


def _is_somebody_else(customer_id: int, body: Any, said: Told) -> bool:
    """Whether a body is another customer's, and no merge explains it: one person's values would become another's."""
    return _id_of(body) not in (None, customer_id) and not _MERGED.intersection(said.codes)


def _sound(body: Any, partial: bool) -> Any:  # noqa: FBT001 - with the body it is about
    """A customer without what a partial answer may tell as nothing."""
    if not partial or type(body) is not dict:
        return body
    kept = {name: value for name, value in body.items() if name not in _OF_LOYALTY}
    return kept | {name: _sound(kept[name], partial) for name in ("loyaltyInfo",) if name in kept}


def _says_something(said: Told) -> bool:
    """Whether codes or words tell what became of a customer."""
    return bool((_UNKNOWN | _MERGED).intersection(said.codes) or _DELETED.search(said.words))


def _items(answer: Answer) -> list[Any]:
    response = answer.body.get("response") if type(answer.body) is dict else None
    customers = response.get("customers") if type(response) is dict else None
    listed = customers.get("customer") if type(customers) is dict else customers
    if type(listed) is dict:
        return [listed]
    if type(listed) is list:
        return listed
    raise TransientCapillaryApiError(
        "Capillary's answer about several customers has none in it. Set CAPILLARY_LOOKUP_CUSTOMERS_PER_CALL to 1, or ask "
        "Capillary whether the API client may use v1.1."
    )


def _id_of(body: Any) -> int | None:
    """The id of a customer: `id` in v2, `user_id` or `id` in v1.1."""
    return _number(body, ("id", "user_id"))


def _told_survivor(body: Any) -> int | None:
    return _number(body, _SURVIVOR)


def _number(body: Any, names: Sequence[str]) -> int | None:
    found = [str(body.get(name, "")) for name in names] if type(body) is dict else []
    return next((int(one) for one in found if one.isascii() and one.isdecimal() and int(one)), None)


def _is_masked(body: Any) -> bool:
    return any(_MASKED.search(value) for value in _personal(body))


def _personal(body: Any) -> Iterator[str]:
    """Names and contacts of a customer, wherever in the answer they are."""
    if type(body) is dict:
        for name, value in body.items():
            if name in _PERSONAL and type(value) is str:
                yield value
            elif type(value) in (dict, list):
                yield from _personal(value)
    elif type(body) is list:
        for one in body:
            yield from _personal(one)
