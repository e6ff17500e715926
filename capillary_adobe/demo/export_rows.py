"""Rows that Insights+ would hold of an event: the twin of a webhook's line.

Belongs here: for each event, the rows of each template. Does not belong here: the columns (`export_columns.py`), files
(`exports.py`) and what is known of a customer in the end (`export_members.py`).

An event that leaves no row in any template has no twin, and so has one about a group of customers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.envelope import Envelope
from capillary_adobe.demo.brand import PROGRAM as CIRCLE
from capillary_adobe.demo.brand import TIERS
from capillary_adobe.demo.export_columns import PROGRAM, WHERE, WHO
from capillary_adobe.demo.scene import Json

Cells = dict[str, str]


class ExportRow(NamedTuple):
    """A row of a template, its cells by the standard names of the columns; when its event happened, epoch ms."""

    template: str
    happened_ms: int
    cells: Cells


def rows_of(event_name: str, envelope: Envelope, zone: ZoneInfo) -> Iterator[ExportRow]:
    """The rows of an event; none for one that no template holds. `zone` is the organisation's."""
    builder = _BUILDERS.get(event_name)
    if builder is not None and "customerIdentifiers" in _told(envelope, event_name):
        yield from builder(_Scene(event_name, envelope, zone))


def who(customer: Json) -> Cells:
    """The cells of a customer, of `customerIdentifiers`."""
    instore = customer.get("instore") or customer.get("Instore") or {}
    told = (
        customer.get("customerId"),
        customer.get("firstName"),
        customer.get("lastName"),
        instore.get("mobile"),
        instore.get("email"),
        instore.get("externalId"),
    )
    return {name: _text(value) for name, value in zip(WHO, told, strict=True)}


def plain(value: Any) -> str:
    """A number as warehouses write it: without zeros behind."""
    written = format(Decimal(str(value)), "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _told(envelope: Envelope, event_name: str) -> Json:
    survivor = envelope.data.get("survivorCustomerIdentifiers")
    return {"customerIdentifiers": survivor} if survivor and event_name == "loyaltyCustomerMerge" else envelope.data


class _Scene:
    """One event, and what the rows of every template say of it."""

    def __init__(self, event_name: str, envelope: Envelope, zone: ZoneInfo) -> None:
        self.name = event_name
        self.envelope = envelope
        self.data = envelope.data
        self.who = who(_told(envelope, event_name)["customerIdentifiers"])
        self._zone = zone

    def row(self, template: str, happened_ms: int, cells: Cells) -> ExportRow:
        return ExportRow(template, happened_ms, cells)

    def when(self, happened_ms: int) -> Cells:
        moment = datetime.fromtimestamp(happened_ms / 1000, self._zone)
        return {"event_date.date": moment.date().isoformat(), "event_time.time": f"{moment:%H:%M:%S}"}

    def number(self, what: str = "") -> str:
        """A number that the warehouse has for something of this event, and that no webhook tells."""
        named = f"{self.name}|{self.who[WHO[0]]}|{self.envelope.created_ms}|{what}".encode()
        return str(int.from_bytes(sha256(named).digest()[:6]) + 1)

    def activity(self) -> Json:
        return self.data.get("triggeringActivity") or {}

    def of_activity(self, *keys: str) -> str:
        """A value of the triggering activity, by its key."""
        named = {one["key"]: one["value"] for one in self.activity().get("identifiers", ())}
        return next((_text(named[key]) for key in keys if key in named), "")

    def program(self) -> Cells:
        return dict(zip(PROGRAM, (str(CIRCLE["id"]), CIRCLE["name"]), strict=True))

    def points(self) -> Cells:
        """What every row of the points template says."""
        return {
            **self.when(self.envelope.created_ms),
            **self.who,
            **where(self.activity().get("enteredBy")),
            **self.program(),
            "event_id": self.number(),
            "event_log_id": _text(self.envelope.event_log_id),
            "triggering_activity": _text(self.activity().get("name")),
        }


def where(entered_by: Json | None) -> Cells:
    """The cells of till and store, of `enteredBy`."""
    told = entered_by or {}
    till, store = told.get("till") or {}, told.get("store") or {}
    values = (
        told.get("id"),
        till.get("code"),
        till.get("name"),
        store.get("code"),
        store.get("name"),
        store.get("externalId"),
    )
    return {name: _text(value) for name, value in zip(WHERE, values, strict=True)}


def _bought(scene: _Scene) -> Iterator[ExportRow]:
    data = scene.data
    happened_ms = int(data.get("billDate") or data.get("enteredAt") or scene.envelope.created_ms)
    is_return = data.get("billType") == "RETURN"
    bill = {
        "bill_id": _text(data["transactionId"]),
        "bill_number": _text(data.get("billNumber")),
        **scene.when(happened_ms),
        "bill_amount": plain(data["amount"]),
        "bill_discount": plain(data.get("discount", 0)),
        "initial_bill_value": plain(data.get("grossAmount", 0)),
        "currency_code": _text(data.get("currencyCode")).strip(),
        "bill_type": _text(data.get("billType")),
        "delivery_status": _text(data.get("deliveryStatus")),
        "bill_client_id": _text(data.get("billClientId")),
        "parent_bill_number": _text(data.get("billNumber")) if is_return else "",
        "returned_type": "FULL" if is_return else "",
        **scene.who,
        **where(data.get("enteredBy")),
        **{pair["key"]: _text(pair["value"]) for pair in (*data["customFields"], *data["extendedFields"])},
    }
    for item in _items(data):
        yield scene.row("returns" if is_return else "transactions", happened_ms, bill | item)


def _items(data: Json) -> Iterator[Cells]:
    """The line items of a bill, whose amounts come to the bill's."""
    count = int(data.get("lineItemCount") or 1)
    amount, discount = Decimal(str(data["amount"])), Decimal(str(data.get("discount", 0)))
    share, off = (amount / count).quantize(Decimal("0.01")), (discount / count).quantize(Decimal("0.01"))
    for place in range(count):
        if place == count - 1:
            share, off = amount - share * (count - 1), discount - off * (count - 1)
        what = (int(data["transactionId"]) + place) % 7
        yield {
            "line_item_id": str(int(data["transactionId"]) * 100 + place),
            "item_code": f"MV-{what:03d}",
            "description": _GOODS[what],
            "quantity": "1",
            "rate": plain(share + off),
            "initial_line_item_value": plain(share + off),
            "line_item_discount": plain(off),
            "line_item_amount": plain(share),
        }


_GOODS = (
    "Linen tote",
    "Ceramic bowl, blue",
    "Darjeeling tea",
    "Garden shears",
    'Cotton throw 60"',
    "Beeswax candle",
    "Herb seeds",
)


def _earned(scene: _Scene) -> Iterator[ExportRow]:
    data = scene.data
    common = {
        **scene.points(),
        "points_event_type": "Points Awarded",
        "deduction_type": "Not applicable",
        "bill_id": scene.of_activity("BillId", "billId"),
        "bill_number": scene.of_activity("billNumber"),
    }
    awards = [
        *(("redeemable", award["points"], award.get("expiryAt"), None) for award in data["regularPointsBreakup"]),
        *(
            ("redeemable", award["promotionPoints"], award.get("promotionPointsExpiryDate"), award)
            for award in data["promotionalPointsIssued"]
        ),
        *(("promised", award["promisedPoints"], None, award) for award in data["promisedPointsIssued"]),
    ]
    for place, (category, points, last_day, promotion) in enumerate(awards):
        cells = {
            "category": category,
            "allocated_points": plain(points),
            "awarded_ref_id": scene.number(f"award {place}"),
            "awarded_expiry_date.date": _text(last_day),
            "points_promotion.promotion_identifier": _text((promotion or {}).get("promotionIdentifier")),
            "points_promotion.promotion_type": _text((promotion or {}).get("promotionType")),
        }
        yield scene.row("points", scene.envelope.created_ms, common | cells)


def _deducted(scene: _Scene, kind: str, points: Any) -> Cells:
    return {
        **scene.points(),
        "points_event_type": "Points Deducted",
        "deduction_type": kind,
        "category": "redeemable",
        "deducted_points": plain(points),
        "deducted_ref_id": scene.number("deduction"),
    }


def _spent(scene: _Scene) -> Iterator[ExportRow]:
    data, at_ms = scene.data, scene.envelope.created_ms
    redemption = {
        "deduction_currency_value": plain(data["redeemedPointsCurrencyValue"]),
        "redemption_bill_number": _text(data.get("redemptionBillNumber")),
        "redemption_notes": _text(data.get("redemptionNotes")),
    }
    number = _text(data["redemptionSummaryId"])
    deducted = _deducted(scene, "Redeemed", data["totalPointsRedeemed"])
    yield scene.row("points", at_ms, {**deducted, **redemption, "deduction_summary_id": number})
    summary = {
        "redemption_id": number,
        "points_redemption_time": str(at_ms // 1000),
        **scene.who,
        **where(scene.activity().get("enteredBy")),
        **scene.program(),
        "points_redeemed": plain(data["totalPointsRedeemed"]),
        **redemption,
    }
    yield scene.row("redemptions", at_ms, summary)


def _lapsed(scene: _Scene) -> Iterator[ExportRow]:
    yield scene.row("points", scene.envelope.created_ms, _deducted(scene, "Expired", scene.data["pointsExpired"]))


def _tier(action: str, after: str, before: str, kind: str) -> Callable[[_Scene], Iterator[ExportRow]]:
    def changed(scene: _Scene) -> Iterator[ExportRow]:
        data, at_ms = scene.data, scene.envelope.created_ms
        cells = {
            "id": scene.number(),
            "event_date_time": str(at_ms),
            **scene.who,
            **where(scene.activity().get("enteredBy")),
            **scene.program(),
            "change_action": action,
            "change_source": "STRATEGY",
            **_slab("customer_slab", data[after]),
            **_slab("previous_slab", data.get(before, data[after])),
            "slab_expiry_date": _text(data.get("tierExpiryDate")),
            "upgrade_event_type": _text(data.get(kind)),
            "notes": _text(data.get("notes")),
        }
        yield scene.row("tiers", at_ms, cells)

    return changed


def _slab(column: str, number: Any) -> Cells:
    return {f"{column}.slab_name": TIERS[int(number) - 1].name, f"{column}.slab_no": str(number)}


def _merged(scene: _Scene) -> Iterator[ExportRow]:
    at_ms = scene.envelope.created_ms
    cells = {
        "merge_event_id": scene.number(),
        **scene.when(at_ms),
        **scene.who,
        "victim_user.user_id": _text(scene.data["victimCustomerIdentifiers"]["customerId"]),
        "merge_reason": "duplicate registration",
    }
    yield scene.row("merges", at_ms, cells)


_BUILDERS: Mapping[str, Callable[[_Scene], Iterator[ExportRow]]] = {
    "transactionAdded": _bought,
    "pointsIssued": _earned,
    "pointsRedeemed": _spent,
    "pointsExpired": _lapsed,
    "tierUpgraded": _tier("UPGRADE", "upgradedTierNumber", "previousTierNumber", "upgradeType"),
    "tierDowngraded": _tier("DOWNGRADE", "downgradedTierNumber", "previousTierNumber", ""),
    "tierRenewed": _tier("RENEWAL", "currentTierNumber", "", "renewType"),
    "loyaltyCustomerMerge": _merged,
}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
