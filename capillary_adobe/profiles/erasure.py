"""What of a payload is personal, and the payload without it.

Belongs here: which fields of an event stay when its customer is erased. Does not belong here: who is erased
(`state.erasures`), and the tables that hold payloads (`erasing.py`).

Only what is known to be harmless stays: documented numbers, moments, ids and texts that the brand itself sets, such as the
name of a store. Whatever else a payload has goes: names, contacts, accounts, custom fields, notes, and every field that
nobody has documented. A payload without personal parts stays as it is when it is redacted again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Any, Final

import orjson

from capillary_adobe.capillary.catalogue import EventType, shipped_catalogue
from capillary_adobe.capillary.source_fields import fields_of
from capillary_adobe.profiles.document import CustomerKey

ERASED_TEXT: Final = '{"erased":true}'
"""What stands in place of a text that cannot be redacted field by field."""

_BRANDS_OWN: Final = (
    "aggregation alternateCurrencyConversionSource alternateCurrencyName billNumber billType channel clientHandlingType code "
    "combinationType constraintLevel constraintType currencyCode currentLabel currentStatus deliveryStatus discount_type "
    "entityType eventName expiryUpdateReasonType fulfillmentStatus issualType itemCode kpi limitOn loyaltyType name "
    "newExpirySetType number ouCode outlierStatus partnerProgramName partnerProgramType periodType periodUnit "
    "pointsAwardedRefType pointsConversionSource pointsConvertedType pointsOfferType pointsType previousLabel previousStatus "
    "promotionDescription promotionEarnSource promotionName promotionType redemptionBillNumber redemptionType rejectionType "
    "renewType requestBaseType requestType restrictionType rollType seriesType sku source status streakLevelName streakName "
    "targetGroupName targetName targetPeriodName tier tierName type updateType upgradeType valueType"
)
"""Names of documented texts that the brand or Capillary sets and no customer does."""

# An account at a messenger or market place, and the customer's number there.
_PERSONAL_IDS: Final = frozenset({"accountId", "sourceAccountId"})
_FIGURES: Final = frozenset({"number", "points", "money", "count", "moment"})

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_FIGURE = re.compile(r"[-+0-9.,:/ TZ]{1,40}")
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
_CUSTOMER_ID = re.compile(r'customerId\\*"\s*:\s*\\*"?([0-9]{1,18})(?![0-9*])')
_ORG_ID = re.compile(r'orgId\\*"\s*:\s*\\*"?([0-9]{1,18})(?![0-9])')
# Of rows of an export nobody knows which cell holds the customer, so each whole number may be one; but not the line's.
_OF_ROWS = '{"export":'
_ROWS = '"rows":['
# A tab before it ends in a letter, as JSON writes it.
_BEFORE_NUMBER = r"(?:(?<![\w.*])|(?<=\\[bfnrt])|(?<=\\u00[01][0-9a-f]))"
_WHOLE_NUMBER = re.compile(_BEFORE_NUMBER + r'(?<!"line":)([0-9]{1,18})(?![\w*])')
_IDS_OF_DATA = re.compile(rb'"customerId":"?([0-9]{1,18})"?[,}]')

_HEAD: Final = ("_id", "timestamp", "eventType", "producedBy", "extSourceSystemAudit")

_ACCOUNT: Final = frozenset({"customerAdded", "customerUpdated"})

_NOTHING: Final = object()

Judge = Callable[[Any], bool]


def redacted(event_name: str, data: bytes | str) -> bytes:
    """The payload of an erased customer's event, JSON, with what is not personal; the fields stay in their order."""
    known = shipped_catalogue().find(event_name) or EventType(event_name, "", "")
    kept = _kept(orjson.loads(data), "", _harmless(known))
    return orjson.dumps({} if kept is _NOTHING else kept)


def without_parties(data: bytes | str, erased: Collection[int]) -> bytes:
    """The payload of another customer's event, JSON, in which erased customers are named by their ids alone."""
    return orjson.dumps(_with_bare(orjson.loads(data), frozenset(map(str, erased))))


def customers_in(data: bytes) -> set[int]:
    """Ids of the customers that a payload names; it was written by orjson."""
    return {int(found) for found in _IDS_OF_DATA.findall(data)}


def as_kept(event_name: str, org_id: int, customer_id: int, data: bytes, erased: Collection[CustomerKey]) -> bytes:
    """The payload of an event as it may be kept, where some of the customers that it names are erased."""
    if CustomerKey(org_id, customer_id) in erased:
        return redacted(event_name, data)
    parties = [one for one in customers_in(data) if CustomerKey(org_id, one) in erased]
    return without_parties(data, parties) if parties else data


def tells_deletion(event_name: str, data: bytes, label: str) -> bool:
    """Whether an event says that its customer was deleted; its payload may still tell who that was.

    `label` is the label of the status that means it.
    """
    if event_name not in _ACCOUNT or b'"currentLabel"' not in data:
        return False
    status = orjson.loads(data).get("customerStatus")
    told = status.get("currentLabel") if type(status) is dict else None
    return type(told) is str and told.strip().casefold() == label.strip().casefold()


def bare_record(text: str) -> bytes:
    """An XDM entity or record, JSON, with nothing but its head and the customer id."""
    body = orjson.loads(text)
    head = {name: body[name] for name in _HEAD if name in body}
    primary = {
        symbol: kept
        for symbol, ids in body.get("identityMap", {}).items()
        if (kept := [one for one in ids if one.get("primary")])
    }
    return orjson.dumps({**head, "identityMap": primary})


@cache
def may_name_others(event_name: str) -> bool:
    """Whether events of a type can name customers besides the one they are about, as far as is documented."""
    known = shipped_catalogue().find(event_name)
    return known is None or sum(path.endswith("ustomerIdentifiers.customerId") for path in fields_of(known)) > 1


def named_in_text(text: str) -> Iterator[tuple[int | None, int]]:
    """Organisation, where it is told, and id of the customers that a text names, whether or not it is JSON.

    Of rows of an export as they lie in quarantine, each whole number counts: the organisation names its columns as it likes.
    """
    found = {int(one) for one in _CUSTOMER_ID.findall(text)}
    if text.startswith(_OF_ROWS):
        found |= {int(one) for one in _WHOLE_NUMBER.findall(text, text.find(_ROWS) + len(_ROWS))}
    if found:
        organisations = {int(one) for one in _ORG_ID.findall(text)}
        yield from ((org_id, one) for one in sorted(found) for org_id in (sorted(organisations) or [None]))


def is_of(text: str, erased: Collection[CustomerKey]) -> bool:
    """Whether a text names one of the erased customers, of whichever organisation where it tells none."""
    ids = {key.customer_id for key in erased}
    return any(
        one in ids if org_id is None else CustomerKey(org_id, one) in erased for org_id, one in named_in_text(text)
    )


def _with_bare(value: Any, erased: frozenset[str]) -> Any:
    if type(value) is list:
        return [_with_bare(inner, erased) for inner in value]
    if type(value) is not dict:
        return value
    told = value.get("customerId")
    if str(told).strip() in erased:
        return {"customerId": told}
    return {key: _with_bare(inner, erased) for key, inner in value.items()}


def _kept(value: Any, path: str, harmless: dict[str, Judge]) -> Any:
    if type(value) is dict:
        found = ((key, _kept(inner, f"{path}.{key}" if path else key, harmless)) for key, inner in value.items())
        kept = {key: inner for key, inner in found if inner is not _NOTHING}
        return kept or _NOTHING
    if type(value) is list:
        found = (_kept(inner, f"{path}[]", harmless) for inner in value)
        return [inner for inner in found if inner is not _NOTHING] or _NOTHING
    judge = harmless.get(path)
    return value if judge is not None and judge(value) else _NOTHING


@cache
def _harmless(event_type: EventType) -> dict[str, Judge]:
    """Which documented paths stay, each with what its value must look like."""
    fields = fields_of(event_type)
    people = tuple(path.removesuffix("firstName") for path in fields if path.endswith(".firstName"))
    return {path: judge for path, kind in fields.items() if (judge := _judge_of(path, kind, people)) is not None}


def _judge_of(path: str, kind: str, people: Iterable[str]) -> Judge | None:
    name = path.rpartition(".")[2].removesuffix("[]")
    if any(path.startswith(person) for person in people):
        return _is_id if name == "customerId" else None
    if name in _PERSONAL_IDS or ".user." in path:
        return None
    if kind == "id":
        return _is_id
    if kind in _FIGURES:
        return _is_figure
    if kind == "boolean":
        return _is_boolean
    return _is_text if kind == "text" and name in _BRANDS_OWN.split() else None


def _is_id(value: Any) -> bool:
    return type(value) is int or (type(value) is str and _ID.fullmatch(value) is not None)


def _is_figure(value: Any) -> bool:
    return type(value) in (int, float) or (type(value) is str and _FIGURE.fullmatch(value) is not None)


def _is_boolean(value: Any) -> bool:
    return type(value) is bool or (type(value) is str and _BOOLEAN.fullmatch(value) is not None)


def _is_text(value: Any) -> bool:
    return type(value) is str
